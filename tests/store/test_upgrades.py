"""Databases of every released version: the code of today upgrades them, and everything is there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

import old_databases
from old_databases import FIXTURES, IDEMPOTENCY_KEY
from owner_schemas import rows
from people import ADA, ANN, EVE
from protokeep import __version__
from protokeep.core.errors import KeyReused
from protokeep.core.principals import Role
from protokeep.core.prototype import State
from protokeep.core.reuse import Outcome
from protokeep.service import NewPrototype
from protokeep.service.plan_reports import PlanReports
from protokeep.service.plans import PlanService
from protokeep.store.migrate import is_migrated, migrate
from protokeep.store.revisions import HEADS, OWN_HEAD
from protokeep.web.app import create_app
from protokeep.web.pages.session import SESSION
from protokeep.wiring import Application
from schema_dump import schema_of
from tracked import generation_of

#: How old the fixtures are taken to be, so that a test of today also holds when they have become old.
YEARS = timedelta(days=3 * 365)
VERSIONS = sorted(folder.name for folder in FIXTURES.iterdir() if folder.is_dir())


@pytest.fixture(params=[(version, kind) for version in VERSIONS for kind in ("sqlite", "postgresql")], ids="-".join)
async def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, str]:
    """(version, kind, address) of a database as that version left it."""
    version, kind = request.param
    if kind == "sqlite":
        return version, kind, old_databases.load_sqlite(version, tmp_path)
    empty = request.getfixturevalue("empty_pg_url")
    return version, kind, await old_databases.load_postgresql(version, empty)


async def test_a_database_of_each_version_is_upgraded_and_everything_is_there(
    old: tuple[str, str, str], request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Rows, tokens, sealed keys, receipts, reuse, replays, statuses and the page outlive the upgrade; the schema becomes
    that of a new database, and a second upgrade finds nothing to do.
    """
    version, kind, url = old
    known = old_databases.known_of(version, kind)
    assert await old_databases.revision_of(url) == known["revisions"]
    if OWN_HEAD not in known["revisions"]:
        remedy = "; before its release, run `make fixtures`" if version == __version__ else ""
        with capsys.disabled():
            print(f"\nthe {kind} fixture of {version} is older than revision {OWN_HEAD}, and is upgraded{remedy}")  # noqa: T201

    await migrate(url)
    await migrate(url)

    assert set(HEADS["all"]) == set(await old_databases.revision_of(url))
    assert await is_migrated(url)
    counts = await old_databases.counts(url)
    assert {table: counts[table] for table in known["counts"]} == known["counts"]
    states = await rows(url, "SELECT DISTINCT state FROM protokeep_generations")
    assert {row["state"] for row in states} == set(State) - {State.UNTRACKED, State.IN_BIN}
    assert await schema_of(url) == await schema_of(
        request.getfixturevalue("sqlite_url" if kind == "sqlite" else "pg_url")
    )
    async with old_databases.opened(url, YEARS, migrate="off") as (application, sandbox):
        await _people_find_everything(application, known)
        await _page_renders(application, known)
        assert sandbox.chats_created == 0


async def _people_find_everything(application: Application, known: dict[str, object]) -> None:
    keeper = application.keeper
    new = NewPrototype("bakery-of-old", "A page for a bakery", product_name="The old bakery")
    reused = await keeper.ensure(ANN, new, wait=0)
    assert (reused.is_existing, reused.prototype.id) == (True, known["ready"])
    again = NewPrototype("bakery-of-old", new.prompt, product_name="The old bakery", idempotency_key=IDEMPOTENCY_KEY)
    replayed = await keeper.ensure(ANN, again, wait=0)
    assert (replayed.decision.outcome, replayed.prototype.id) == (Outcome.REPLAYED, known["ready"])
    with pytest.raises(KeyReused):
        await keeper.ensure(ANN, NewPrototype("bakery-of-old", "Another", idempotency_key=IDEMPOTENCY_KEY), wait=0)
    assert generation_of(await keeper.get(ANN, str(known["variant"]))).variant_name == "The blue one"
    assert (await keeper.status(EVE, "bakery-of-old", "v0")).id == known["elsewhere"]
    tokens = known["tokens"]
    assert isinstance(tokens, dict)
    for role, text in tokens.items():
        assert (await application.tokens.check(text)).role is Role(role)
    (key,) = await application.provider_keys.list(EVE.workspace_id)
    assert key.opens
    (ended,) = [plan for plan in await PlanService(keeper.context).newest(ADA.workspace_id) if plan.finished_at]
    report = await PlanReports(keeper.context, PlanService(keeper.context)).report(ADA.workspace_id, ended.id)
    receipts = await keeper.context.store.plans.receipts(ADA.workspace_id, ended.id)
    assert (report.removed, len(receipts)) == (3, 3)


async def _page_renders(application: Application, known: dict[str, object]) -> None:
    app = create_app(application.settings, application)
    tokens = known["tokens"]
    assert isinstance(tokens, dict)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://prototypes.example.com") as client,
    ):
        client.headers["Authorization"] = f"Bearer {tokens['viewer']}"
        status = await client.get("/api/design/mockups/bakery-of-old/status", params={"provider": "v0"})
        assert (status.status_code, status.json()["id"]) == (200, known["ready"])
        del client.headers["Authorization"]
        client.cookies.set(f"__Host-{SESSION}", await application.sessions.sign_in(tokens["viewer"]))
        page = await client.get("/", headers={"accept": "text/html"})
        assert (page.status_code, "The old bakery" in page.text) == (200, True)
