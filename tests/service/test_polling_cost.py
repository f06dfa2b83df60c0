"""Looks: as few as possible, joined, within one budget, and harmless whatever v0 answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from protokeep.core.call_budget import Limits, Priority, allowance_of
from protokeep.core.prototype import Prototype, Status
from protokeep.service import NewPrototype, refreshing
from protokeep.service.call_budget import CallBudget
from protokeep.web.models import PrototypeView
from tracked import generation_of
from world import ANN, ENVIRONMENT_ACCOUNT, PROMPT, Clock, World, both_versions, every_version_and_database

pytestmark = pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=10.0)


def unchecked(world: World) -> None:
    """v0 answers what its documents do not allow from now on."""
    assert world.transport is not None
    world.transport.answers_checked = False


async def made_many(world: World, count: int) -> list[Prototype]:
    return [await world.make(f"p-{index}") for index in range(count)]


@every_version_and_database
async def test_a_thousand_viewers_cost_the_calls_of_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A thousand status requests at once make one look; until it is too old they make none.
    """
    monkeypatch.setattr(refreshing, "PATIENCE_SECONDS", 60)  # A thousand of them keep a busy machine for longer.
    await world.make()
    world.clock.advance(5)
    calls = world.calls()

    async def watch() -> Prototype:
        return await world.keeper.status(ANN, "p-1", "v0")

    seen = await asyncio.gather(*(watch() for _ in range(1000)))

    assert world.calls() - calls == 1
    assert {Status.IN_PROGRESS} == {one.status for one in seen}
    world.clock.advance(2)
    await asyncio.gather(*(watch() for _ in range(200)))
    assert world.calls() - calls == 1


@both_versions
async def test_waiting_viewers_are_answered_by_one_poll(world: World) -> None:
    """
    Requests that wait are answered when the state changes, all by one look.
    """
    await world.make()
    await world.pass_time(15)
    waiting = [asyncio.create_task(world.keeper.status(ANN, "p-1", "v0", wait=20)) for _ in range(50)]
    waiters = world.keeper.context.bus._by_mockup
    while sum(map(len, waiters.values())) < 50:  # noqa: ASYNC110 - until they wait, which nothing announces
        await asyncio.sleep(0.01)
    calls = world.calls()
    await world.pass_time(10)
    assert {Status.COMPLETED} == {one.status for one in await asyncio.gather(*waiting)}
    assert world.calls() - calls <= 2


@both_versions
async def test_v1_polls_everything_in_one_sweep(world: World) -> None:
    """
    v1: what was accepted at different moments is looked at in one sweep of ceil(N/50) calls, not one per moment.
    """
    if world.api_version == 2:
        pytest.skip("v2 reads each chat by itself")
    for index in range(60):
        await world.make(f"p-{index}")
        world.clock.advance(0.05)
    world.clock.advance(0.5)
    calls = world.calls()
    await world.pass_time(0)
    assert world.calls() - calls <= 2
    calls = world.calls()
    for _ in range(30):
        await world.pass_time(0.1)
    assert world.calls() - calls <= 2


@both_versions
async def test_v1_reads_details_only_where_the_list_cannot_tell(world: World) -> None:
    """
    v1: a chat without a version yet costs no detail read at every look.
    """
    if world.api_version == 2:
        pytest.skip("v2 has no lists with status")
    world.sandbox.set_knobs(queue_seconds=15)
    await world.make()
    for _ in range(4):
        await world.pass_time(3)
    assert world.sandbox.stats()["v1"]["calls"].get("chats.getById", 0) <= 1
    await world.pass_time(20)
    assert (await world.keeper.status(ANN, "p-1", "v0")).status is Status.COMPLETED


@every_version_and_database
async def test_a_rate_limit_slows_the_account_visibly(world: World) -> None:
    """
    429 with Retry-After stops looks for so long, and the view says why and until when.
    """
    made = await world.make()
    world.sandbox.set_knobs(fail_next=[{"status": 429, "retry_after": 40, "times": None}])
    await world.pass_time(12)
    calls = world.calls()
    for _ in range(5):
        await world.pass_time(5)
        await world.keeper.status(ANN, "p-1", "v0")

    assert world.calls() - calls == 0
    view = PrototypeView.of(await world.get(made.id), world.clock())
    assert view.reason is not None
    assert view.reason.code == "rate_limited"
    assert "429" in view.reason.message
    world.sandbox.set_knobs(fail_next=[])
    await world.pass_time(30)
    seen = await world.get(made.id)
    assert seen.status is Status.COMPLETED
    assert PrototypeView.of(seen, world.clock()).reason is None


@pytest.mark.world(checked=True, generation_seconds=300, timeout_seconds=10.0, limits=Limits(per_minute=30))
@every_version_and_database
async def test_polls_stay_within_the_budget_and_creates_go_on(world: World) -> None:
    """
    However many are in flight, looks stay within the calls of a minute; creates go on, watched ones come first,
    and the view says what is slow.
    """
    world.clock.now = world.clock.now.replace(second=0)
    made = await made_many(world, 40)
    spent = world.calls()
    watched = made[20]
    for _ in range(19):
        world.clock.advance(3)
        await world.keeper.status(ANN, watched.product_id, "v0")
        await world.keeper.track(ENVIRONMENT_ACCOUNT)
    looks = world.calls() - spent
    assert looks <= 30
    await world.make("p-more")  # A create never waits for looks.
    if world.api_version == 2:
        view = PrototypeView.of(await world.get(made[0].id), world.clock())
        assert view.reason is not None
        assert view.reason.code == "short_of_calls"
    for _ in range(40):
        world.clock.advance(3)
        await world.keeper.status(ANN, watched.product_id, "v0")
        await world.keeper.track(ENVIRONMENT_ACCOUNT)
    assert (await world.get(watched.id)).status is Status.IN_PROGRESS
    counts = [generation_of(await world.get(one.id)).polling.poll_count for one in made]
    assert counts[20] == max(counts)
    assert world.calls() - spent <= 4 * 30 + 1


@pytest.mark.world(
    checked=True, generation_seconds=20, timeout_seconds=10.0, limits=Limits(per_minute=1000, per_day=10_000)
)
@every_version_and_database
async def test_the_budget_is_shared_by_all_processes(world: World) -> None:
    """
    Calls of one process leave less room in another.
    """
    other = await world.node()
    budget = CallBudget(other.context)
    before = (await budget.allowance(ENVIRONMENT_ACCOUNT)).minute_calls
    await made_many(world, 5)
    await world.keeper.finalize()
    # The adapters of both keepers share one transport here, and each counts its own calls.
    assert 5 <= (await budget.allowance(ENVIRONMENT_ACCOUNT)).minute_calls - before <= 12


def test_a_days_calls_are_spread_until_midnight() -> None:
    """
    Once half of a day's calls are spent, the rest lasts until midnight; watched ones may use more of it than old ones.
    """
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
@pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=2.0)
@both_versions
async def test_bad_answers_to_polls_settle_nothing_and_are_logged_once(
    world: World, answer: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever v0 answers to looks, nothing is settled by it, it is said once, and looks that work settle it later.
    """
    made = await world.make()
    await world.pass_time(12)
    assert (await world.get(made.id)).status is Status.IN_PROGRESS
    unchecked(world)
    world.sandbox.set_knobs(answer_next=[{**answer, "times": None}])
    for _ in range(3):
        await world.pass_time(20)

    assert (await world.get(made.id)).status is Status.IN_PROGRESS
    said = [line for line in capsys.readouterr().out.splitlines() if "polling_failing" in line or "unreadable" in line]
    assert len(said) == 1
    world.sandbox.set_knobs(answer_next=[])
    await world.pass_time(60)
    assert (await world.get(made.id)).status is Status.COMPLETED


@both_versions
async def test_one_unreadable_chat_harms_no_other(world: World) -> None:
    """
    When one chat's answers are of no use, the account's others are followed as ever.
    """
    made = await made_many(world, 30)
    await world.pass_time(12)
    unchecked(world)
    operation = "chats.getById" if world.api_version == 1 else "messages.get"
    world.sandbox.set_knobs(answer_next=[{"operation": operation, "body": "<html>", "times": 1}])
    await world.pass_time(20)
    await world.pass_time(20)
    assert {Status.COMPLETED} == {(await world.get(one.id)).status for one in made}


@both_versions
async def test_a_clock_an_hour_off_hides_nothing(world: World) -> None:
    """
    A status or reason never seen before is shown as waiting for a look; a clock an hour off hides nothing.
    """
    world.sandbox.set_knobs(clock_skew_seconds=-3600)
    made = await world.finish()
    assert made.status is Status.COMPLETED
    world.sandbox.set_knobs(clock_skew_seconds=3600)
    assert (await world.finish("p-2")).status is Status.COMPLETED


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=2.0)
@both_versions
async def test_bad_answers_to_a_create_make_no_second_chat(world: World, answer: dict[str, Any]) -> None:
    """
    When v0 acts and answers nonsense, the chat is found again and none is made twice.
    """
    unchecked(world)
    operation = "chats.create" if world.api_version == 1 else "chats.createAsync"
    world.sandbox.set_knobs(answer_next=[{"operation": operation, "acts": True, **answer}])
    claimed = (await world.keeper.ensure(ANN, NewPrototype("p-1", PROMPT), wait=0)).prototype
    for _ in range(8):
        await world.keeper.submit(claimed.id)
        world.clock.advance(15)
    await world.pass_time(30)

    assert world.sandbox.chats_created == 1
    found = await world.get(claimed.id)
    if answer is not BAD_ANSWERS["another id"]:
        assert found.status is Status.COMPLETED
        assert found.chat_id in world.sandbox.chats
