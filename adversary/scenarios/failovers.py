"""PostgreSQL goes back: it fails over to an older copy, a standby is promoted, a dump is restored under processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial

import httpx2

from adversary.databases import PostgresDatabase
from adversary.harness import World
from adversary.members import Member
from adversary.scenario import POSTGRESQL, scenario
from adversary.standby import PRIMARY, Standby
from postgres import PostgresServer

#: The goal: creates go on within 60 s of a fail-over.
GOES_ON_WITHIN = 60.0
#: The goal: after so many seconds with a new primary, processes are ready and take creates.
HEALED_WITHIN = 10.0
Step = Callable[[], Awaitable[None]]


@scenario(databases=POSTGRESQL, versions=(2, 1))
async def failover_5(world: World) -> None:
    """Fail-over to a copy that is 5 s older; processes run on. What was clicked since is clicked again."""
    await _fail_over(world, 5)


@scenario(databases=POSTGRESQL)
async def failover_5_restart(world: World) -> None:
    """Fail-over to a copy that is 5 s older; the processes are killed and started at once after it."""
    await _fail_over(world, 5, restart=True)


@scenario(databases=POSTGRESQL, versions=(2, 1))
async def failover_40(world: World) -> None:
    """Fail-over to a copy that is 40 s older; processes run on."""
    await _fail_over(world, world.pick(short=12, full=40))


@scenario(databases=POSTGRESQL)
async def failover_40_restart(world: World) -> None:
    """Fail-over to a copy that is 40 s older; the processes are killed and started at once after it."""
    await _fail_over(world, world.pick(short=12, full=40), restart=True)


async def _fail_over(world: World, lag: float, *, restart: bool = False) -> None:
    database = _postgresql(world)
    copy = f"{database.name}_copy"

    async def keep() -> None:
        await database.copy(copy)

    async def go_back() -> None:
        await database.fail_over_to(copy)

    await world.open("serve", "serve", defaults=True)
    await _go_back(world, lag, keep, go_back, restart=restart)


@scenario(databases=POSTGRESQL)
async def standby_promoted(world: World) -> None:
    """The primary dies, and a real standby that has fallen 5 s behind is promoted: another server, a new timeline."""
    with ExitStack() as stack:
        primary = stack.enter_context(PostgresServer(PRIMARY))
        standby = Standby(primary)
        stack.callback(standby.stop)
        stack.callback(setattr, world, "database", world.database)
        database = world.database = PostgresDatabase(primary, primary.create_database())
        await world.open(defaults=True)
        proxy, through = await world.database_proxy()
        await world.ready(*(world.add("serve", f"serve-{number}", **through) for number in (0, 1)))

        async def keep() -> None:
            await asyncio.to_thread(standby.start)

        async def go_back() -> None:
            proxy.refuses = True
            proxy.cut()
            await asyncio.to_thread(primary.stop)
            await standby.promote()
            world.database = PostgresDatabase(standby, standby.url(database.name))
            proxy.to_port = world.database.port
            proxy.refuses = False

        await _go_back(world, 5, keep, go_back)
        for member in world.members:
            member.kill()


@scenario(databases=POSTGRESQL)
async def primary_left_read_only(world: World) -> None:
    """The old primary turns read-only and keeps its sessions; a standby takes over its address for new ones."""
    with ExitStack() as stack:
        primary = stack.enter_context(PostgresServer(PRIMARY))
        standby = Standby(primary, follows=True)
        stack.callback(standby.stop)
        stack.callback(setattr, world, "database", world.database)
        database = world.database = PostgresDatabase(primary, primary.create_database())
        await world.open(defaults=True)
        proxy, through = await world.database_proxy()
        await world.ready(*(world.add("serve", f"serve-{number}", **through) for number in (0, 1)))
        await asyncio.to_thread(standby.start)
        await world.create_ready("old0")
        await asyncio.to_thread(_refuse_writes, primary)
        await world.until(partial(_answers, world, 503), 5)
        refused = await world.create("refused", wait=0)
        words = (await _readiness(world.members[0])).json().get("detail", "")
        world.report.expect(refused.status_code == 503, "wrong_answer", f"a create was {refused.status_code}")
        world.report.expect("retry-after" in refused.headers, "wrong_answer", "no Retry-After")
        world.report.expect("read-only" in words, "wrong_answer", f"/readyz: {words}")
        await asyncio.sleep(1)  # The standby has all by now.
        await standby.promote()
        world.database = PostgresDatabase(standby, standby.url(database.name))
        proxy.to_port = world.database.port
        began = time.monotonic()
        healed = await world.until(partial(_answers, world, 200), HEALED_WITHIN)
        created = await world.create("after", wait=0)
        took = time.monotonic() - began
        world.report.note(healed_after=f"{took:.1f} s", create=created.status_code)
        world.report.expect(
            healed and created.is_success and took <= HEALED_WITHIN,
            "not_healed",
            f"{created.status_code}, {took:.1f} s",
        )
        await world.settles(90)
        await world.verdict({"old0": 1, "after": 1, "refused": (0, 1)}, {})
        for member in world.members:
            member.kill()
        for server in (primary, standby):
            await asyncio.to_thread(server.stop)  # In a thread: a server has a loop of its own.


def _refuse_writes(server: PostgresServer) -> None:
    server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    server.execute("SELECT pg_reload_conf()")


async def _answers(world: World, code: int) -> bool:
    """Whether the readiness of every process is this."""
    return all([(await _readiness(member)).status_code == code for member in world.members])


async def _readiness(member: Member) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as http:
        return await http.get(f"{member.url}/readyz")


@scenario(databases=POSTGRESQL)
async def dump_restored(world: World) -> None:
    """A dump that is 5 s old is restored into the same database under running processes."""
    database = _postgresql(world)
    path = world.folder / "dump"

    await world.open("serve", "serve", defaults=True)
    await _go_back(world, 5, partial(database.dump, path), partial(database.restore, path))


@scenario(databases=POSTGRESQL)
async def dump_restored_restart(world: World) -> None:
    """Processes are killed, a dump that is 5 s old is restored into the same database, and they start at once."""
    database = _postgresql(world)
    path = world.folder / "dump"

    async def go_back() -> None:
        for member in world.members:
            member.kill()
        await database.restore(path)

    await world.open("serve", "serve", defaults=True)
    await _go_back(world, 5, partial(database.dump, path), go_back, restart=True)


@scenario(databases=POSTGRESQL)
async def failover_in_calls(world: World) -> None:
    """The database goes back by some seconds while creates and follow-ups are in their calls."""
    database = _postgresql(world)
    await world.open("serve", "serve", defaults=not world.short)
    world.v0.knobs.turn(generation_seconds=1)
    made = await world.create_ready("old0", "old1", "old2")
    await database.copy(f"{database.name}_copy")
    await asyncio.sleep(3)
    world.v0.knobs.turn(create_seconds=2.0)
    products = [f"new{number}" for number in range(6)]
    clicks = [world.begin(world.create(one, world.members[n % 2], wait=0)) for n, one in enumerate(products)]
    texts = {f"change {product}": (0, 1) for product in made}
    for product, one in made.items():
        clicks.append(world.begin(world.send_follow_up(one, f"change {product}", key=product, wait=0)))
    await asyncio.sleep(1)
    await database.fail_over_to(f"{database.name}_copy")
    await asyncio.gather(*clicks)
    await world.ready(*world.members)
    await _click_again(world, products)
    await asyncio.sleep(30)
    await world.settles(90)
    await world.verdict(dict.fromkeys(products, 1), texts)


async def _go_back(world: World, lag: float, keep: Step, go_back: Step, *, restart: bool = False) -> None:
    """Make some, keep a copy, make more, go back to the copy, and click on all of those once more."""
    world.v0.knobs.turn(generation_seconds=2)
    made = await world.create_ready("old0", "old1", "old2")
    await keep()
    await world.ready(*world.members)
    await asyncio.sleep(2.5)
    products = [f"new{number}" for number in range(6)]
    for number, product in enumerate(products):
        await world.create(product, world.members[number % 2])
    await world.send_follow_up(made["old0"], "make it red", key="red")
    sent = await world.until(lambda: _has_message(world, "make it red"), 10)
    await asyncio.sleep(max(0.5, lag - 2.5))
    await go_back()
    if restart:
        for member in world.members:
            member.kill()
            member.start()
    await asyncio.sleep(3)
    await world.ready(*world.members)
    await _click_again(world, products)
    after = (await world.create("after", wait=0)).json()

    async def goes_on() -> bool:
        return (await world.view(after["id"])).get("v0_chat_id") is not None

    world.report.expect(await world.until(goes_on, GOES_ON_WITHIN), "does_not_go_on", "no create within 60 s")
    await asyncio.sleep(20)
    await world.settles(90)
    await world.verdict(dict.fromkeys([*made, *products, "after"], 1), {"make it red": 1 if sent else (0, 1)})


async def _has_message(world: World, text: str) -> bool:
    return any(text in chat.user_texts() for chat in world.v0.account.ours())


async def _click_again(world: World, products: list[str]) -> None:
    outcomes = []
    for number, product in enumerate(products):
        answer = await world.create(product, world.members[number % len(world.members)], wait=0)
        outcomes.append(answer.json().get("decision", {}).get("outcome", answer.status_code))
    world.report.note(clicked_again="/".join(str(outcome) for outcome in outcomes))


def _postgresql(world: World) -> PostgresDatabase:
    assert isinstance(world.database, PostgresDatabase)
    return world.database
