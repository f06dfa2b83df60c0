"""Databases as released versions of protokeep leave them: how they are filled, stored as fixtures, and opened again.

`python -m old_databases` (`make fixtures`) fills both kinds through the service, in front of the emulated v0, and
stores them in `tests/fixtures/VERSION/` beside what a test has to know about them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from clean_up_steps import Steps
from gallery_fixture import SCENES, Scene, paint
from owner_schemas import rows
from people import ADA, ANN, BOB, EVE
from postgres import PostgresServer, find_binaries
from protokeep import __version__
from protokeep.core.keep_rules import Selection
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Prototype, State, Status
from protokeep.core.provider_keys import KeyOwner
from protokeep.core.similar import UnclearProductRule
from protokeep.sandbox import Knobs, Sandbox, running, seed_account
from protokeep.service import NewPrototype
from protokeep.service.heartbeat import utc_now
from protokeep.service.plan_drafts import PlanOptions
from protokeep.service.plan_policies import PlanPolicies
from protokeep.service.plans import PlanService
from protokeep.settings import Settings
from protokeep.store.census_reads import ChatFilters
from protokeep.store.owner_table import OWN_TABLES
from protokeep.store.revisions import VERSION_TABLE
from protokeep.wiring import Application, build_application

FIXTURES = Path(__file__).parent / "fixtures"
#: These guard nothing but the fixtures.
SECRET_KEY = "the-secret-of-fixtures-guards-nothing-at-all-0001"
MASTER_KEY = "the-master-key-of-fixtures-guards-nothing-0001"
V0_KEY = "key-of-the-fixtures"
STORED_KEY = "v1:fixtures:stored-key-of-a-workspace"
IDEMPOTENCY_KEY = "the-key-of-the-first-create"
#: The states that the gallery's scenes lack.
MORE_SCENES = tuple(
    Scene(f"old-{state.value}", None, "ben", "A page", state)
    for state in (State.UNDECIDED, State.STOPPED, State.NOT_VISIBLE)
)
#: Polls until a prototype has to be ready.
ATTEMPTS = 100
COUNTED = ("design_mockups", *OWN_TABLES)
#: Left out: rows that name a process of the machine that made the fixture, and finished jobs.
OF_THE_MACHINE = (
    "DELETE FROM protokeep_processes",
    "UPDATE protokeep_accounts SET tracker_id = NULL, tracker_lease_until = NULL",
    "DELETE FROM protokeep_clean_up_turns",
    "DELETE FROM protokeep_sessions",
)


def settings_of(database_url: str, v0_url: str, **more: Any) -> Settings:
    """The settings that the fixtures were made with."""
    values = {
        "database_url": database_url,
        "secret_key": SECRET_KEY,
        "master_keys": MASTER_KEY,
        "v0_api_key": V0_KEY,
        "v0_base_url": v0_url,
        "v0_api_version": 1,
        "environment_key_for": "*",
        "public_url": "https://prototypes.example.com",
        "poll_interval_seconds": 0.1,
        **more,
    }
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type, unused-ignore]


@contextlib.asynccontextmanager
async def opened(
    database_url: str, later: timedelta | None = None, **more: Any
) -> AsyncIterator[tuple[Application, Sandbox]]:
    """An application on a database, which is migrated first, in front of an emulated v0 of its own.

    With `later` it goes by a clock that is so far ahead.
    """
    clock = utc_now if later is None else lambda: utc_now() + later
    sandbox = Sandbox(knobs=Knobs(generation_seconds=0), random_seed=7)
    async with (
        running(sandbox) as v0_url,
        build_application(settings_of(database_url, v0_url, **more), clock=clock) as application,
    ):
        yield application, sandbox


async def finish(application: Application, prototype: Prototype, who: Principal = ANN) -> Prototype:
    """Send what is claimed, poll until it has ended, and read what is read once at the end."""
    keeper = application.keeper
    await keeper.submit(prototype.id)

    for _ in range(ATTEMPTS):
        await keeper.track("v0:environment")
        found = await keeper.context.store.get_unscoped(prototype.id)
        if found is not None and found.status is Status.COMPLETED:
            await keeper.finalize()
            return await keeper.get(who, prototype.id)
        await asyncio.sleep(0.1)
    raise AssertionError(f"{prototype.product_id} does not end")


async def fill(database_url: str) -> dict[str, Any]:
    """Fill a database with everything that people leave in one. Returns what a test has to know about it."""
    async with opened(database_url) as (application, sandbox):
        keeper = application.keeper
        tokens = {
            role.value: (await application.tokens.create(role, user_id=f"{role.value}-of-old"))[0] for role in Role
        }
        await _old_account(application, sandbox)
        new = NewPrototype(
            "bakery-of-old", "A page for a bakery", product_name="The old bakery", idempotency_key=IDEMPOTENCY_KEY
        )
        ready = await finish(application, (await keeper.ensure(ANN, new, wait=0)).prototype)
        another = NewPrototype("bakery-of-old", "A page for a bakery, in blue", create_new=True)
        variant = await finish(application, (await keeper.ensure(BOB, another, wait=0)).prototype)
        await keeper.iterate(BOB, variant.id, "Show the opening hours", wait=0)
        variant = await finish(application, variant)
        await keeper.variants.name(ANN, variant, "The blue one")
        ready = await keeper.variants.make_current(ANN, await keeper.get(ANN, ready.id))
        elsewhere = NewPrototype("bakery-of-old", "A page for a bakery elsewhere")
        other = await finish(application, (await keeper.ensure(EVE, elsewhere, wait=0)).prototype, EVE)
        for product, at_once in (("in-bin", False), ("deleted", True)):
            made = (await keeper.ensure(ANN, NewPrototype(product, "A page that goes"), wait=0)).prototype
            await keeper.delete(ADA, (await finish(application, made)).id, at_once=at_once)
        await _arrange(application, ready, other)
        await application.hooks.install()
        await paint(application, (*SCENES, *MORE_SCENES))  # The last: nothing polls or sends what is only written.
        await keeper.context.audit.close()
        known = {"ready": ready.id, "variant": variant.id, "elsewhere": other.id, "tokens": tokens}
    for statement in OF_THE_MACHINE:
        await _execute(database_url, statement)
    return known


async def _arrange(application: Application, ready: Prototype, other: Prototype) -> None:
    """What people do around prototypes: tags, favourites, views, keys, invitations, settings."""
    arrangement, context = application.keeper.arrangement, application.keeper.context
    await arrangement.change_tags(ANN, ready, ["food", "launch"])
    await arrangement.set_favourite(ANN, ready, favourite=True)
    await arrangement.save_view(ANN, "Mine", "owner=mine")
    await arrangement.set_archived(EVE, other, archived=True)
    owner = KeyOwner(EVE.workspace_id)
    await application.provider_keys.set(EVE, owner, "v0", STORED_KEY, other_account=True)
    await application.invitations.invite(ADA, Role.MAKER, 7, "zoe")
    await context.workspace_settings.set_unclear_products(ADA, UnclearProductRule.ASK)


async def _old_account(application: Application, sandbox: Sandbox) -> None:
    """A census of older chats, a pin, an applied plan with receipts and copies, and a standing policy."""
    seed_account(sandbox, key=V0_KEY, chats=12, seed=7)
    steps = Steps(application)
    clock = application.keeper.context.clock
    await application.census.start(ADA)
    await steps.run()
    pages = [page async for page in application.census.all_chats(ADA, ChatFilters())]
    ids = [one.record.chat.chat_id for page in pages for one in page]
    await application.census.pin(ADA, ids[0], reason="The one that we show")
    plans = PlanService(application.keeper.context)
    options = PlanOptions(grace_days=3)
    plan = await plans.propose(ADA, "default", None, Selection(chat_ids=frozenset(ids[1:4])), options)
    await plans.approve(ADA, plan.id, plan.digest, "default")
    await plans.apply(ADA, plan.id, plan.digest)
    steps.put_forward(timedelta(days=4))
    await steps.run()
    await plans.propose(ADA, "default", None, Selection(chat_ids=frozenset(ids[4:6])), options)
    await PlanPolicies(application.keeper.context, plans).set(ADA, "default", None, 90)
    application.keeper.context.clock = clock


# -- files -----------------------------------------------------------------------------------------------------


async def counts(database_url: str) -> dict[str, int]:
    """Rows by table."""
    found = {}
    for table in COUNTED:
        found[table] = int((await rows(database_url, f"SELECT count(*) AS n FROM {table}"))[0]["n"])
    return found


async def revision_of(database_url: str) -> list[str]:
    """The revisions of a database."""
    return sorted(row["version_num"] for row in await rows(database_url, f"SELECT version_num FROM {VERSION_TABLE}"))


def dump_sqlite(url: str) -> bytes:
    """A SQLite database as one small file."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.db"
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.execute("VACUUM INTO ?", [str(small)])
        return small.read_bytes()


def dump_postgresql(url: str) -> bytes:
    """A PostgreSQL database as SQL that a driver executes: no owners, no names of versions, nothing for psql alone."""
    command: list[str | Path] = [find_binaries() / "pg_dump"]
    command += ["--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=50", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"(?m)^(?:--.*|\\(?:un)?restrict .*|SET transaction_timeout.*)\n", "", text).encode()


def load_sqlite(version: str, folder: Path) -> str:
    """The address of a copy of the SQLite fixture of a version."""
    path = folder / f"protokeep-{version}.db"
    path.write_bytes(gzip.decompress((FIXTURES / version / "sqlite.db.gz").read_bytes()))
    return f"sqlite:///{path}"


async def load_postgresql(version: str, empty_url: str) -> str:
    """Fill an empty database with the PostgreSQL fixture of a version, and return its address."""
    await _execute(empty_url, gzip.decompress((FIXTURES / version / "postgresql.sql.gz").read_bytes()).decode())
    return empty_url


def known_of(version: str, kind: str) -> dict[str, Any]:
    """What is known about the fixture of a version and a kind."""
    known: dict[str, Any] = json.loads((FIXTURES / version / "known.json").read_text())[kind]
    return known


async def _execute(url: str, sql: str) -> None:
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            file.execute(sql)
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def make(version: str) -> None:
    """Make the fixtures of a version anew."""
    folder = FIXTURES / version
    folder.mkdir(parents=True, exist_ok=True)
    known = {}
    with tempfile.TemporaryDirectory() as scratch, PostgresServer() as server:
        for kind, url in (("sqlite", f"sqlite:///{scratch}/made.db"), ("postgresql", server.create_database())):
            known[kind] = asyncio.run(_made(url))
            body = dump_sqlite(url) if kind == "sqlite" else dump_postgresql(url)
            for named in (f"{socket.gethostname()}:{os.getpid()}", scratch, str(Path(__file__).parents[1])):
                assert named.encode() not in body, f"the fixture of {kind} names {named}"
            name = "sqlite.db.gz" if kind == "sqlite" else "postgresql.sql.gz"
            (folder / name).write_bytes(gzip.compress(body, 9, mtime=0))
    (folder / "known.json").write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    sys.stdout.write(f"tests/fixtures/{version}: {sizes}\n")


async def _made(url: str) -> dict[str, Any]:
    known = await fill(url)
    return known | {"counts": await counts(url), "revisions": await revision_of(url)}


if __name__ == "__main__":
    make(sys.argv[1] if len(sys.argv) > 1 else __version__)
