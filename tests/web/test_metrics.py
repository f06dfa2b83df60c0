"""What monitoring reads: numbers that are true, names that stay, and nothing of what people wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from owner_schemas import run
from protokeep.core.call_budget import Limits
from protokeep.core.principals import Principal, Role
from protokeep.jobs import PeriodicTask
from protokeep.providers.v0_calls import operation_of
from protokeep.service.gauges import COUNT_EVERY_SECONDS, Gauges
from protokeep.web.monitoring import monitored
from protokeep.wiring import build_application
from waiting import until
from world import EVE, KEY, PROMPT, World, jobs_of, on_postgresql, on_sqlite, settings_of

TOKEN = "a token of the monitoring"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def samples(text: str) -> Mapping[str, float]:
    """Each line of the page: its name with its labels, and its value."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    labels = [",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items())) for sample in found]
    return {f"{one.name}{{{named}}}": one.value for one, named in zip(found, labels, strict=True)}


async def scraped(world: World, **settings: Any) -> Mapping[str, float]:
    """The metrics of the world's first process."""
    async with world.serving(world.first, real=False, metrics_token=TOKEN, **settings) as site:
        answer = await site.http.get("/metrics", headers=AUTHORIZED)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return samples(answer.text)


@on_sqlite
async def test_nobody_reads_metrics_without_their_token(world: World) -> None:
    """
    Without the setting there are none; with it neither a wrong token nor a person's own opens them.
    """
    async with world.serving(real=False) as site:
        unset = await site.http.get("/metrics", headers=AUTHORIZED)
    async with world.serving(real=False, metrics_token=TOKEN) as site:
        wrong = await site.http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}r"})
        of_ann = await site.http.get("/metrics")
        right = await site.http.get("/metrics", headers=AUTHORIZED)

    assert [unset.status_code, wrong.status_code, of_ann.status_code, right.status_code] == [404, 401, 401, 200]
    assert "protokeep_" not in unset.text + wrong.text + of_ann.text


@pytest.mark.world(limits=Limits(100, 1000))
async def test_metrics_tell_what_happened(world: World) -> None:
    """
    Claims, calls, states, ages, holds, calls left and look-ups are the numbers that the world says.
    """
    await world.complete("p-1")
    await world.ensure("p-1")
    with world.knobs(drop_next_answers=1):
        await world.make("p-2")
    world.clock.advance(40)
    await world.sweep()
    await world.ensure("p-3")
    world.clock.advance(7)
    await world.store.accounts.hold("v0:workspace:team", "v0", "out_of_credits", "x", world.clock.now)
    await world.keeper.finalize()

    found = await scraped(world)

    assert found['protokeep_claims_total{outcome="created",request="create"}'] == 3
    assert found['protokeep_claims_total{outcome="reused",request="create"}'] == 1
    assert found['protokeep_prototypes{provider="v0",state="ready"}'] == 1
    assert found['protokeep_unsent{request="create"}'] == 1
    assert found['protokeep_oldest_unsent_seconds{request="create"}'] == 7
    assert found['protokeep_accounts_held{reason="out_of_credits"}'] == 1
    assert found['protokeep_accounts_held{reason="unavailable"}'] == 0
    made = world.calls()
    assert found['protokeep_calls_left{account="v0:environment",per="day"}'] == 1000 - made
    assert sum(value for name, value in found.items() if name.startswith("protokeep_upstream_requests_t")) == made
    assert found['protokeep_upstream_requests_total{operation="POST chats/async",provider="v0",status="none"}'] == 1
    assert found['protokeep_lookups_total{outcome="found"}'] == 1
    assert found["protokeep_database_up{}"] == 1
    assert found['protokeep_database_connections{pool="store",use="in_use"}'] == 0


@on_sqlite
@pytest.mark.world(limits=Limits(100, 1000))
async def test_no_label_holds_what_comes_from_outside(world: World) -> None:
    """
    Products, people, workspaces, keys, accounts, paths and methods are in no label, and bring no new series.
    """
    who = Principal("workspace-of-words", "annabel", Role.MAKER, "")
    await world.store.accounts.spend("v0:person:workspace-of-words:annabel", 1, world.clock.now)
    await world.ensure("of-the-owner")
    await run(world.database_url, "UPDATE protokeep_generations SET provider = 'words of the owner'")
    async with world.serving(world.first, real=False, metrics_token=TOKEN) as site:
        counts, page = [], ""
        for number in range(3):
            await world.make(f"secret-product-{number}", who=who)
            for method, path in (
                ("GET", f"/api/design/mockups/secret-product-{number}"),
                ("GET", f"/nothing-{number}"),
                (f"BREW{number}", "/livez"),
                ("GET", "/livez?" + "x" * (9000 + number)),
            ):
                await site.http.request(method, path)
            page = (await site.http.get("/metrics", headers=AUTHORIZED)).text
            counts.append(len(samples(page)))

    found = samples(page)
    assert counts[1] == counts[2]
    assert 'protokeep_prototypes{provider="other",state=' in page
    assert found['protokeep_calls_left{account="v0:916c274a",per="day"}'] == 999
    for word in (
        "secret-product",
        "of-the-owner",
        "words of",
        "annabel",
        "workspace-of-words",
        KEY,
        TOKEN,
        PROMPT,
        "nothing-",
        "BREW",
    ):
        assert word not in page
    route = "/api/design/mockups/{product_id}"
    assert found[f'protokeep_http_requests_total{{method="GET",route="{route}",status="200"}}'] == 3
    assert found[f'protokeep_http_request_seconds_count{{route="{route}"}}'] == 3
    assert found['protokeep_http_requests_total{method="GET",route="none",status="404"}'] == 3
    assert found['protokeep_http_requests_total{method="GET",route="none",status="414"}'] == 3
    assert found['protokeep_http_requests_total{method="other",route="/livez",status="405"}'] == 3


@on_postgresql
async def test_metrics_are_read_while_the_database_is_away(world: World) -> None:
    """
    Then one number says so, what the process counted is there, and nothing is told of rows.
    """
    await world.ensure("p-1")
    async with world.serving(world.first, real=False, metrics_token=TOKEN) as site:
        await world.store.close()
        found = samples((await site.http.get("/metrics", headers=AUTHORIZED)).text)

    assert found["protokeep_database_up{}"] == 0
    assert found['protokeep_claims_total{outcome="created",request="create"}'] == 1
    assert not [name for name in found if name.startswith(("protokeep_prototypes", "protokeep_oldest"))]


@on_sqlite
async def test_prototypes_are_counted_beside_the_readings(world: World) -> None:
    """
    The first reading waits for a count. Later ones have the newest count and its age, and begin the next one.
    """
    gauges = Gauges(world.first.context)

    async def read() -> tuple[float, float]:
        found = {reading.name: reading.value for reading in await gauges.read()}
        return found.get("protokeep_prototypes", 0), found["protokeep_prototypes_counted_age_seconds"]

    await world.ensure("p-1")
    first = await read()
    await world.ensure("p-2")
    world.clock.advance(COUNT_EVERY_SECONDS - 1)
    second = await read()
    world.clock.advance(1)
    third = await read()
    async with asyncio.timeout(5):
        while await read() != (2, 0):  # noqa: ASYNC110 - the count runs beside the test
            await asyncio.sleep(0.005)

    assert [first, second, third] == [(1, 0), (1, COUNT_EVERY_SECONDS - 1), (1, COUNT_EVERY_SECONDS)]


def test_an_operation_holds_no_id() -> None:
    """
    Whatever ids a call names, its operation is one of v0's words with a sign where an id stood.
    """
    paths = ("chats/async", "chats/abc", "chats/abc/messages/ü?x=1", "hooks/../secret", "")

    assert [operation_of("GET", path) for path in paths] == [
        "GET chats/async",
        "GET chats/{id}",
        "GET chats/{id}/messages/{id}",
        "GET hooks/{id}/{id}",
        "GET {id}",
    ]


@on_sqlite
async def test_jobs_are_counted_with_their_errors(world: World) -> None:
    """
    A pass that ends in an error counts as one, and only passes without an error have a time of their success.
    """

    async def fine() -> None:
        return None

    async def broken() -> None:
        raise ZeroDivisionError

    jobs, _queue = jobs_of(world.keeper, world.database_url)
    jobs.periodic_tasks = (PeriodicTask("fine", 60, fine), PeriodicTask("broken", 60, broken))
    value = world.first.context.metrics.registry.get_sample_value
    async with jobs.running():
        await until(lambda: value("protokeep_job_runs_total", {"task": "broken", "outcome": "error"}) == 1)

    assert value("protokeep_job_runs_total", {"task": "fine", "outcome": "done"}) == 1
    assert value("protokeep_job_runs_total", {"task": "fine", "outcome": "error"}) is None
    assert value("protokeep_job_last_success_timestamp_seconds", {"task": "fine"}) is not None
    assert value("protokeep_job_last_success_timestamp_seconds", {"task": "broken"}) is None


@on_sqlite
async def test_refused_creates_are_counted(world: World) -> None:
    """
    A create that is refused counts as refused, and not as made.
    """
    node = await world.node(ours_for=["default"])
    async with world.serving(node, real=False) as site:
        refused = await site.create(prompt=" ")
        elsewhere = await site.token(workspace_id=EVE.workspace_id)
        without_key = await site.create(headers={"Authorization": f"Bearer {elsewhere}"})

    assert [refused.status_code, without_key.status_code] == [422, 503]
    value = node.context.metrics.registry.get_sample_value
    assert value("protokeep_claims_total", {"request": "create", "outcome": "refused"}) == 2
    assert value("protokeep_claims_total", {"request": "create", "outcome": "created"}) is None


async def test_health_and_metrics_have_an_address_of_their_own(sqlite_url: str) -> None:
    """
    What a worker serves: it lives, it is ready until it stops, and its metrics, behind their token where there is one.
    """
    stopping = False
    settings = settings_of(database_url=sqlite_url, metrics_port=0, metrics_token=TOKEN)
    async with (
        build_application(settings) as application,
        monitored(application, lambda: stopping) as address,
        httpx2.AsyncClient(base_url=str(address), trust_env=False) as http,
    ):
        paths = ("/livez", "/healthz", "/readyz", "/metrics", "/api/design/mockups")
        answers = [(await http.get(path)).status_code for path in paths]
        page = (await http.get("/metrics", headers=AUTHORIZED)).text
        stopping = True
        stopped = [(await http.get(path)).status_code for path in ("/livez", "/readyz")]

    assert answers == [200, 200, 200, 401, 404]
    assert stopped == [200, 503]
    assert samples(page)["protokeep_database_up{}"] == 1
