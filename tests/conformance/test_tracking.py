"""Looks: as few as possible, joined, within one budget, and harmless whatever v0 answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from conformance.world import ACCOUNT, ANN, World, world_of
from protokeep.core.call_budget import Limits, Priority, allowance_of
from protokeep.core.prototype import Prototype, Status
from protokeep.service import NewPrototype
from protokeep.service.call_budget import CallBudget
from protokeep.web.models import PrototypeView
from sandbox.v0_contract import Document
from tracked import generation_of


async def made_many(world: World, count: int) -> list[Prototype]:
    return [(await world.made(f"p-{index}")).prototype for index in range(count)]


async def test_a_thousand_viewers_cost_the_calls_of_one(anywhere: World) -> None:
    """
    A thousand status requests at once make one look; until it is too old they make none.
    """
    world = anywhere
    await world.made()
    world.clock.advance(5)
    calls = world.calls

    async def watch() -> Prototype:
        return await world.keeper.status(ANN, "p-1", "v0")

    seen = await asyncio.gather(*(watch() for _ in range(1000)))

    assert world.calls - calls == 1
    assert {Status.IN_PROGRESS} == {one.status for one in seen}
    world.clock.advance(2)
    await asyncio.gather(*(watch() for _ in range(200)))
    assert world.calls - calls == 1


async def test_waiting_viewers_hear_of_the_end(world: World) -> None:
    """
    Requests that wait are answered when the state changes, all by one look.
    """
    await world.made()
    await world.pass_time(15)
    waiting = [asyncio.create_task(world.keeper.status(ANN, "p-1", "v0", wait=20)) for _ in range(50)]
    waiters = world.keeper.context.bus._by_mockup
    while sum(map(len, waiters.values())) < 50:  # noqa: ASYNC110 - until they wait, which nothing announces
        await asyncio.sleep(0.01)
    calls = world.calls
    await world.pass_time(10)
    assert {Status.COMPLETED} == {one.status for one in await asyncio.gather(*waiting)}
    assert world.calls - calls <= 2


async def test_one_sweep_for_all(world: World) -> None:
    """
    v1: what was accepted at different moments is looked at in one sweep of ceil(N/50) calls, not one per moment.
    """
    if world.api_version == 2:
        pytest.skip("v2 reads each chat by itself")
    for index in range(60):
        await world.made(f"p-{index}")
        world.clock.advance(0.05)
    world.clock.advance(0.5)
    calls = world.calls
    await world.pass_time(0)
    assert world.calls - calls <= 2
    calls = world.calls
    for _ in range(30):
        await world.pass_time(0.1)
    assert world.calls - calls <= 2


async def test_detail_only_where_the_list_cannot_tell(world: World) -> None:
    """
    v1: a chat without a version yet costs no detail read at every look.
    """
    if world.api_version == 2:
        pytest.skip("v2 has no lists with status")
    world.sandbox.set_knobs(queue_seconds=15)
    await world.made()
    for _ in range(4):
        await world.pass_time(3)
    assert world.sandbox.stats()["v1"]["calls"].get("chats.getById", 0) <= 1
    await world.pass_time(20)
    assert (await world.keeper.status(ANN, "p-1", "v0")).status is Status.COMPLETED


async def test_rate_limits_slow_the_account_visibly(anywhere: World) -> None:
    """
    429 with Retry-After stops looks for so long, and the view says why and until when.
    """
    world = anywhere
    made = (await world.made()).prototype
    world.sandbox.set_knobs(fail_next=[{"status": 429, "retry_after": 40, "times": None}])
    await world.pass_time(12)
    calls = world.calls
    for _ in range(5):
        await world.pass_time(5)
        await world.keeper.status(ANN, "p-1", "v0")

    assert world.calls - calls == 0
    view = PrototypeView.of(await world.get(made), world.clock())
    assert view.reason is not None
    assert view.reason.code == "rate_limited"
    assert "429" in view.reason.message
    world.sandbox.set_knobs(fail_next=[])
    await world.pass_time(30)
    seen = await world.get(made)
    assert seen.status is Status.COMPLETED
    assert PrototypeView.of(seen, world.clock()).reason is None


async def test_budget_is_kept(database_url: str, api_version: int, documents: dict[str, Document]) -> None:
    """
    However many are in flight, looks stay within the calls of a minute; creates go on, watched ones come first,
    and the view says what is slow.
    """
    limits = Limits(per_minute=30)
    async with world_of(database_url, api_version, documents, limits=limits, generation_seconds=300) as world:
        world.clock.now = world.clock.now.replace(second=0)
        made = await made_many(world, 40)
        spent = world.calls
        watched = made[20]
        for _ in range(19):
            world.clock.advance(3)
            await world.keeper.status(ANN, watched.product_id, "v0")
            await world.keeper.track(ACCOUNT)
        looks = world.calls - spent
        assert looks <= 30
        await world.made("p-more")  # A create never waits for looks.
        if api_version == 2:
            view = PrototypeView.of(await world.get(made[0]), world.clock())
            assert view.reason is not None
            assert view.reason.code == "short_of_calls"
        for _ in range(40):
            world.clock.advance(3)
            await world.keeper.status(ANN, watched.product_id, "v0")
            await world.keeper.track(ACCOUNT)
        assert (await world.get(watched)).status is Status.IN_PROGRESS
        counts = [generation_of(await world.get(one)).polling.poll_count for one in made]
        assert counts[20] == max(counts)
        assert world.calls - spent <= 4 * 30 + 1


async def test_budget_is_one_for_all_replicas(
    database_url: str, api_version: int, documents: dict[str, Document]
) -> None:
    """
    Calls of one process leave less room in another.
    """
    limits = Limits(per_minute=1000, per_day=10_000)
    async with world_of(database_url, api_version, documents, limits=limits) as world:
        other = await world.another(database_url, limits)
        budget = CallBudget(other.context)
        before = (await budget.allowance(ACCOUNT)).minute_calls
        await made_many(world, 5)
        await world.keeper.finalize()
        # The adapters of both keepers share one transport here, and each counts its own calls.
        assert 5 <= (await budget.allowance(ACCOUNT)).minute_calls - before <= 12
        await other.context.providers.aclose()
        await other.context.store.close()


def test_a_days_calls_are_spread() -> None:
    """
    Once half of a day's calls are spent, the rest lasts until midnight; watched ones may use more of it than old ones.
    """
    from conformance.world import Clock

    noon = Clock().now.replace(hour=12, minute=0, second=59)
    limits = Limits(per_minute=600, per_day=10_000)
    assert allowance_of(limits, 0, 5_000, noon).calls_per_minute == 600
    rest = allowance_of(limits, 0, 6_000, noon)
    assert rest.calls_per_minute == pytest.approx(4_000 / (12 * 60), rel=0.01)
    assert (rest.left(Priority.WATCHED) or 0) >= (rest.left(Priority.OLD) or 0)
    assert allowance_of(limits, 0, 10_000, noon).left(Priority.WATCHED) == 0
    assert allowance_of(Limits(), 0, 10**9, noon).left(Priority.OLD) is None
    until = rest.until(Priority.OLD, 1000)
    assert noon < until <= noon + timedelta(seconds=60)


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "html": {"body": "<html>Bad gateway</html>", "content_type": "text/html"},
    "cut": {"body": '{"id": "x", "finishReason": "st'},
    "wrong types": {"body": '{"id": 7, "chatId": [], "finishReason": {"a": 1}, "data": "rows", "latestVersion": 3}'},
    "missing fields": {"body": '{"object": "list"}'},
    "error inside": {"body": '{"error": {"message": "no", "type": "internal_server_error"}}'},
    "another id": {"body": '{"id": "zzz", "chatId": "zzz", "finishReason": "stop", "data": [{"id": "zzz"}]}'},
    "redirect": {"status": 302, "headers": {"location": "http://127.0.0.1:9/"}},
    "10 MB": {"body": "x" * 1024, "repeat": 10 * 1024},
    "trickle": {"body": '{"id": "x"}', "trickle_seconds": 60},
    "empty": {"body": ""},
    "null": {"body": "null"},
    "list": {"body": "[[], {}, 7]"},
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_bad_answers_leave_the_row_true(
    impatient: World, answer: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever v0 answers to looks, nothing is settled by it, it is said once, and looks that work settle it later.
    """
    made = (await impatient.made()).prototype
    await impatient.pass_time(12)
    assert (await impatient.get(made)).status is Status.IN_PROGRESS
    impatient.transport.answers_checked = False
    impatient.sandbox.set_knobs(answer_next=[{**answer, "times": None}])
    for _ in range(3):
        await impatient.pass_time(20)

    assert (await impatient.get(made)).status is Status.IN_PROGRESS
    said = [line for line in capsys.readouterr().out.splitlines() if "polling_failing" in line or "unreadable" in line]
    assert len(said) == 1
    impatient.sandbox.set_knobs(answer_next=[])
    await impatient.pass_time(60)
    assert (await impatient.get(made)).status is Status.COMPLETED


async def test_one_bad_chat_harms_no_other(world: World) -> None:
    """
    When one chat's answers are of no use, the account's others are followed as ever.
    """
    made = await made_many(world, 30)
    await world.pass_time(12)
    world.transport.answers_checked = False
    operation = "chats.getById" if world.api_version == 1 else "messages.get"
    world.sandbox.set_knobs(answer_next=[{"operation": operation, "body": "<html>", "times": 1}])
    await world.pass_time(20)
    await world.pass_time(20)
    assert {Status.COMPLETED} == {(await world.get(one)).status for one in made}


async def test_unknown_words_and_clocks(world: World) -> None:
    """
    A status or reason never seen before is shown as waiting for a look; a clock an hour off hides nothing.
    """
    world.sandbox.set_knobs(clock_skew_seconds=-3600)
    made = await world.done()
    assert made.status is Status.COMPLETED
    world.sandbox.set_knobs(clock_skew_seconds=3600)
    assert (await world.done("p-2")).status is Status.COMPLETED


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_bad_answers_to_a_create_make_no_second_chat(impatient: World, answer: dict[str, Any]) -> None:
    """
    When v0 acts and answers nonsense, the chat is found again and none is made twice.
    """
    impatient.transport.answers_checked = False
    operation = "chats.create" if impatient.api_version == 1 else "chats.createAsync"
    impatient.sandbox.set_knobs(answer_next=[{"operation": operation, "acts": True, **answer}])
    claimed = (await impatient.keeper.ensure(ANN, NewPrototype("p-1", "A shop"), wait=0)).prototype
    for _ in range(8):
        await impatient.keeper.submit(claimed.id)
        impatient.clock.advance(15)
    await impatient.pass_time(30)

    assert impatient.sandbox.chats_created == 1
    found = await impatient.get(claimed)
    if answer is not BAD_ANSWERS["another id"]:
        assert found.status is Status.COMPLETED
        assert found.chat_id in impatient.sandbox.chats
