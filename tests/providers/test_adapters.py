"""What every adapter must do, whatever its builder: run against the emulator, in v0's own words."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from protokeep.core.errors import (
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnreachable,
)
from protokeep.core.prototype import Observation, ObservedState
from protokeep.providers.base import (
    PollResult,
    PollTarget,
    Provider,
    RemoteChat,
    with_follow_ups,
    with_hooks,
    with_media,
)
from sandbox.v0_contract import MISSING, documents_present
from world import World, both_versions

pytestmark = pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=10.0)


@pytest.fixture
def provider(world: World) -> Provider:
    return world.provider()


def marks() -> dict[str, str]:
    """A marker that no other chat has."""
    return {"protokeep": "k", "protokeep_marker": str(uuid.uuid4())}


async def none_known(chats: Sequence[str]) -> set[str]:
    return set()


async def looked(world: World, provider: Provider, *made: RemoteChat) -> PollResult:
    return await provider.observe([PollTarget(one.chat_id, one.message_id, world.clock()) for one in made])


async def seen(world: World, provider: Provider, made: RemoteChat) -> Observation:
    return (await looked(world, provider, made)).observations[made.chat_id]


def test_v0s_documents_are_there_to_judge_by() -> None:
    """
    The rest of this suite holds every request against v0's documents; without them it says so, loudly.
    """
    if not documents_present():
        pytest.skip(MISSING)


@both_versions
async def test_a_create_makes_one_chat_with_its_metadata_that_finishes(world: World, provider: Provider) -> None:
    """
    A create makes one chat that carries the marks; it runs, and then it is finished.
    """
    made = await provider.create("A shop", mark := marks())

    assert world.sandbox.chats_created == 1
    assert dict(world.sandbox.chats[made.chat_id].metadata) == mark
    assert (await seen(world, provider, made)).state in (ObservedState.QUEUED, ObservedState.RUNNING)
    world.clock.advance(20)
    assert (await seen(world, provider, made)).state is ObservedState.FINISHED


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("error", ObservedState.BROKE), ("content-filter", ObservedState.BROKE), ("stop", ObservedState.FINISHED)],
)
@both_versions
async def test_each_way_to_end_is_read_and_a_failure_says_why(
    world: World, provider: Provider, reason: str, expected: ObservedState
) -> None:
    """
    The builder's ways to end are ours; a failure says why.
    """
    world.sandbox.set_knobs(finish_reason=reason)
    made = await provider.create("A shop", marks())
    world.clock.advance(20)

    observation = await seen(world, provider, made)

    assert observation.state is expected
    assert (observation.error_code is not None) is (expected is ObservedState.BROKE)


@both_versions
async def test_130_chats_are_polled_in_pages_and_a_deleted_one_is_missing(world: World, provider: Provider) -> None:
    """
    Many are looked at in one go, over page borders, and one that is gone is told apart.
    """
    made = [await provider.create(f"Shop {index}", marks()) for index in range(130)]
    world.sandbox.delete(made[64].chat_id)
    world.clock.advance(20)
    before = provider.calls

    found = await looked(world, provider, *made)

    assert {made[64].chat_id} == set(found.missing)
    assert len(found.observations) == 129
    assert {one.state for one in found.observations.values()} == {ObservedState.FINISHED}
    if provider.capabilities.batch_status:
        assert provider.calls - before <= 130 // 50 + 2


@both_versions
async def test_a_hidden_chat_is_missing_until_it_is_shown_again(world: World, provider: Provider) -> None:
    """
    A chat that is not shown is told as missing, by looks, by `conversation`, `cancel` and `delete`; then it is there
    again.
    """
    made = await provider.create("A shop", marks())
    world.sandbox.set_knobs(hide=[{"chat": made.chat_id}])

    assert (await looked(world, provider, made)).missing == {made.chat_id}
    assert await provider.recent_chats() == []
    assert not await provider.delete(made.chat_id)
    chats = with_follow_ups(provider)
    assert chats is not None
    for asking in (chats.conversation(made.chat_id), chats.cancel(made.chat_id, made.message_id)):
        with pytest.raises(ProviderError) as told:
            await asking
        assert told.value.status == 404
    world.sandbox.set_knobs(hide=[])

    assert (await looked(world, provider, made)).missing == frozenset()
    assert await provider.recent_chats() == [made.chat_id]
    assert await chats.cancel(made.chat_id, made.message_id)


@both_versions
async def test_a_chat_whose_message_is_hidden_is_read_by_its_newest_message(world: World, provider: Provider) -> None:
    """
    A chat whose message is not shown is there all the same: what is newest in it tells how far it is.
    """
    made = await provider.create("A shop", marks())
    world.sandbox.set_knobs(hide=[{"chat": made.chat_id, "messages_only": True}])

    assert (await seen(world, provider, made)).state is ObservedState.RUNNING
    world.clock.advance(20)
    found = await looked(world, provider, made)

    assert (found.observations[made.chat_id].state, found.missing) == (ObservedState.FINISHED, frozenset())


@both_versions
async def test_a_listed_chat_is_not_missing_whatever_a_read_of_it_answers(world: World, provider: Provider) -> None:
    """
    A chat that is in a list is not missing, whatever a read of it answers; one looked at in passing costs no call.
    """
    if not provider.capabilities.batch_status:
        pytest.skip("its lists have no status")
    made = [await provider.create(f"Shop {index}", marks()) for index in range(3)]
    world.clock.advance(20)
    world.sandbox.set_knobs(hide=[{"chat": made[0].chat_id, "listed": True}, {"chat": made[1].chat_id}])
    watched = [PollTarget(one.chat_id, None, world.clock()) for one in made]
    before = provider.calls

    found = await provider.observe([watched[0], replace(watched[1], only_if_listed=True), watched[2]])

    assert (set(found.observations), found.missing) == ({made[0].chat_id, made[2].chat_id}, frozenset())
    assert provider.calls - before == 1
    found = await provider.observe([replace(watched[2], only_if_listed=True)])
    assert (found.observations, provider.calls - before) == ({}, 1)


@both_versions
async def test_a_forbidden_chat_is_unreadable_and_the_others_are_read(world: World, provider: Provider) -> None:
    """
    A chat of ours that the builder refuses to show (403) is not missing, and the others are read.
    """
    made = [await provider.create(f"Shop {index}", marks()) for index in range(3)]
    world.clock.advance(20)
    reads = "chats.getById" if provider.api_version == 1 else "messages.get"
    world.sandbox.set_knobs(fail_next=[{"operation": reads, "status": 403}])
    watched = [PollTarget(one.chat_id, one.message_id, world.clock(), individually=True) for one in made]

    found = await provider.observe(watched)

    assert (len(found.observations), len(found.unreadable), found.missing) == (2, 1, frozenset())


@pytest.mark.parametrize("order", ["newest", "oldest", "random"])
@both_versions
async def test_every_chat_is_met_whatever_the_order_of_lists(world: World, provider: Provider, order: str) -> None:
    """
    Whatever the order of lists, every chat is met; old chats of others do not end the walk too soon.
    """
    world.sandbox.set_knobs(list_order=order)
    for index in range(70):
        await provider.create(f"Older {index}", marks())
    world.clock.advance(4 * 3600)
    made = [await provider.create(f"Shop {index}", marks()) for index in range(70)]
    world.clock.advance(20)

    found = await looked(world, provider, *made)

    assert len(found.observations) == 70


@both_versions
async def test_a_chat_is_found_by_its_metadata_and_by_nothing_else(world: World, provider: Provider) -> None:
    """
    A chat whose create answer was lost is found by its marks, and by nothing else.
    """
    world.sandbox.set_knobs(drop_next_answers=1)
    mark = marks()
    with pytest.raises(OutcomeUnknown):
        await provider.create("A shop", mark)
    await provider.create("Another", marks())

    search = await provider.find([mark], sent_after=world.clock() - timedelta(minutes=5), known=none_known)
    found = search.chats

    assert [one.metadata for one in found] == [mark]
    assert await provider.prompt_of(found[0].chat_id) == "A shop"


@both_versions
async def test_a_follow_up_stays_in_its_chat_and_has_an_end_of_its_own(world: World, provider: Provider) -> None:
    """
    A follow-up makes no second chat; what was said before it is not taken for its end.
    """
    made = await provider.create("A shop", marks())
    world.clock.advance(20)
    first = await seen(world, provider, made)
    chats = with_follow_ups(provider)
    assert chats is not None
    before = await chats.conversation(made.chat_id)
    world.clock.advance(5)

    sent = await chats.send(made.chat_id, "Make it blue")
    after = await chats.conversation(made.chat_id)

    assert world.sandbox.chats_created == 1
    assert [said.content for said in after.messages if said.role == "user"] == ["Make it blue", "A shop"]
    assert before.previous_message_id == first.message_id
    watched = PollTarget(
        made.chat_id,
        sent.message_id,
        world.clock(),
        previous_message_id=before.previous_message_id,
        baseline_message_id=before.messages[0].id,
    )
    running = (await provider.observe([watched])).observations[made.chat_id]
    assert running.state in (ObservedState.QUEUED, ObservedState.RUNNING)
    world.clock.advance(20)
    ended = (await provider.observe([watched])).observations[made.chat_id]
    assert ended.state is ObservedState.FINISHED
    assert ended.message_id != before.previous_message_id


@both_versions
async def test_a_stop_says_whether_anything_was_running(world: World, provider: Provider) -> None:
    """
    What runs is stopped; stopping what does not run is no error, and says so.
    """
    made = await provider.create("A shop", marks())
    chats = with_follow_ups(provider)
    assert chats is not None

    assert await chats.cancel(made.chat_id, made.message_id) is True
    assert await chats.cancel(made.chat_id, made.message_id) is False
    assert world.sandbox.chats[made.chat_id].status(world.clock()) == "stopped"


@both_versions
async def test_deleting_twice_is_no_error(world: World, provider: Provider) -> None:
    """
    Deleting deletes; deleting again is no error.
    """
    made = await provider.create("A shop", marks())

    await provider.delete(made.chat_id)
    await provider.delete(made.chat_id)

    assert world.sandbox.stats()["chats_deleted"] == 1


@both_versions
async def test_the_cost_comes_with_the_end_or_by_a_report(world: World, provider: Provider) -> None:
    """
    What it cost is told with the end, or by a report.
    """
    media = with_media(provider)
    if media is None:
        pytest.skip("the builder tells no cost")
    made = await provider.create("A shop", marks())
    world.clock.advance(20)
    told = (await seen(world, provider, made)).credits
    report = await media.costs([made.chat_id], since=world.clock() - timedelta(hours=1))

    assert (told or report[made.chat_id]) > 0


@both_versions
async def test_a_picture_comes_from_the_builders_own_host_only(world: World, provider: Provider) -> None:
    """
    A picture is fetched with the key from the builder's own host, and from no other.
    """
    media = with_media(provider)
    if media is None:
        pytest.skip("the builder has no pictures")
    made = await provider.create("A shop", marks())
    world.clock.advance(20)
    address = (await seen(world, provider, made)).image_url
    if address is None:
        pytest.skip("the builder has no pictures")

    image = await media.picture(address)

    assert image is not None
    assert image.content_type == "image/png"
    assert await media.picture("https://evil.example/picture.png") is None
    assert await media.picture(address.replace("http://", "https://")) is None


@both_versions
async def test_a_hook_is_registered_moved_and_removed_twice(world: World, provider: Provider) -> None:
    """
    A hook is registered, moved and removed; removing it again is no error.
    """
    hooks = with_hooks(provider)
    if hooks is None:
        pytest.skip("the builder has no hooks")
    hook_id = await hooks.add_hook("ours", "http://127.0.0.1:9/one")
    assert [hook_id] == [hook.id for hook in await hooks.hooks()]
    await hooks.move_hook(hook_id, "http://127.0.0.1:9/two")
    await hooks.remove_hook(hook_id)
    await hooks.remove_hook(hook_id)

    assert not await hooks.hooks()


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"fail_next": [{"status": 422}]}, ProviderRejected),
        ({"fail_next": [{"status": 402}]}, ProviderBusy),
        ({"fail_next": [{"status": 429, "retry_after": 7}]}, ProviderBusy),
        ({"fail_next": [{"status": 500}]}, OutcomeUnknown),
        ({"drop_next_answers": 1}, OutcomeUnknown),
        ({"fail_after_acting": [{"status": 503}]}, OutcomeUnknown),
        ({"answer_next": [{"body": "<html>"}]}, OutcomeUnknown),
        ({"answer_next": [{"body": '{"id": 7, "chatId": 7}'}]}, OutcomeUnknown),
        ({"fail_after_acting": [{"status": 409}]}, OutcomeUnknown),
        ({"answer_next": [{"status": 302, "headers": {"location": "http://127.0.0.1:9/"}}]}, OutcomeUnknown),
        ({"answer_next": [{"status": 307, "headers": {"location": "http://127.0.0.1:9/"}}]}, OutcomeUnknown),
    ],
)
@both_versions
async def test_an_error_of_a_create_says_whether_anything_was_made(
    world: World, provider: Provider, knobs: dict[str, object], expected: type[Exception]
) -> None:
    """
    An error says whether certainly nothing was made; in doubt the outcome is unknown.
    """
    assert world.transport is not None
    world.transport.answers_checked = False
    world.sandbox.set_knobs(**knobs)

    with pytest.raises(expected):
        await provider.create("A shop", marks())


@both_versions
async def test_an_unreachable_builder_has_made_nothing(world: World, provider: Provider) -> None:
    """
    A builder that cannot be reached has certainly made nothing.
    """
    config = provider._http.config  # type: ignore[attr-defined]
    there = type(provider)(type(config)(api_key="k", root_url="http://127.0.0.1:9", timeout_seconds=2))  # type: ignore[call-arg]

    with pytest.raises(ProviderUnreachable):
        await there.create("A shop", marks())
    await there.aclose()


@both_versions
async def test_a_redirect_is_never_followed(world: World, provider: Provider) -> None:
    """
    A redirect is never followed, with or without the key.
    """
    made = await provider.create("A shop", marks())
    assert world.transport is not None
    world.transport.answers_checked = False
    rule = {"status": 302, "headers": {"location": f"{world.v0_url}/elsewhere"}, "times": None}
    world.sandbox.set_knobs(answer_next=[rule])

    found = await looked(world, provider, made)

    assert not found.observations
    assert not world.transport.calls["elsewhere:/elsewhere"]
