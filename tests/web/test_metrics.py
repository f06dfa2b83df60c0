"""What monitoring reads: numbers that are true, names that stay, and nothing of what people wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protokeep.core.call_budget import Limits
from world import World, on_sqlite

TOKEN = "a token of the monitoring"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def samples(text: str) -> Mapping[str, float]:
    """Each line of the page: its name with its labels, and its value."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        sample.name
        + "{"
        + ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        + "}": sample.value
        for sample in found
    }


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
    Without the setting there are none; with it neither a wrong token nor an admin's own opens them.
    """
    async with world.serving(real=False) as site:
        unset = await site.http.get("/metrics", headers=AUTHORIZED)
    async with world.serving(real=False, metrics_token=TOKEN) as site:
        wrong = await site.http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}r"})
        of_ann = await site.http.get("/metrics")
        right = await site.http.get("/metrics", headers=AUTHORIZED)

    assert [unset.status_code, wrong.status_code, of_ann.status_code, right.status_code] == [404, 401, 401, 200]
    assert "protokeep_" not in unset.text + wrong.text + of_ann.text.replace("/docs", "")


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
    calls = sum(value for name, value in found.items() if name.startswith("protokeep_upstream_requests_total"))
    assert calls == made
    assert found['protokeep_lookups_total{outcome="found"}'] == 1
    assert found["protokeep_database_up{}"] == 1
    assert found['protokeep_database_connections{pool="store",use="in_use"}'] == 0
