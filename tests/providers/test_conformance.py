"""What every version promises, against the emulated v0 over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected, ProviderUnreachable
from protokeep.core.prototype import Observation, ObservedState
from protokeep.providers.base import PollTarget
from protokeep.sandbox import FinishReason, running
from providers.conftest import MARKS, V0, none_known, provider_of

OUTCOMES: list[tuple[FinishReason, ObservedState, str | None]] = [
    ("stop", ObservedState.FINISHED, None),
    ("error", ObservedState.BROKE, "builder_error"),
    ("content-filter", ObservedState.BROKE, "content_filter"),
    ("tool-calls", ObservedState.WAITING, "waiting_for_answer"),
    ("length", ObservedState.WAITING, "needs_a_look"),
    ("other", ObservedState.WAITING, "needs_a_look"),
]


class TestCreate:
    async def test_a_create_makes_one_chat_with_prompt_and_metadata(self, v0: V0) -> None:
        """
        One call makes one chat, which carries the prompt and the marks; it is answered before it is finished.
        """
        chat = await v0.create("A shop", MARKS)

        assert v0.chat.id == chat.chat_id
        assert (v0.chat.message, v0.chat.metadata, v0.chat.api) == ("A shop", MARKS, f"v{v0.version}")
        assert sum(v0.calls.values()) == 1
        assert v0.chat.status(v0.clock.now) != "completed"

    async def test_a_create_is_asynchronous(self, v0: V0) -> None:
        """
        Only an asynchronous create answers while the emulator's clock stands still.
        """
        async with asyncio.timeout(2):
            chat = await v0.create()

        assert (await v0.observe(chat)).state in (ObservedState.QUEUED, ObservedState.RUNNING)

    async def test_an_answer_to_a_create_never_reads_as_finished(self, v0: V0) -> None:
        """
        Nothing in the answer to a create reads as finished, whatever addresses it holds.
        """
        chat = await v0.create()

        assert chat.observation is not None
        assert chat.observation.state in (ObservedState.QUEUED, ObservedState.RUNNING)

    async def test_simultaneous_creates_get_the_ids_of_their_own_chats(self, v0: V0) -> None:
        """
        Each of many simultaneous creates gets the id of its own chat.
        """
        metadata = [{"protokeep_marker": f"m-{number}"} for number in range(30)]

        chats = await asyncio.gather(*(v0.create(f"prompt {n}", one) for n, one in enumerate(metadata)))

        for number, one in enumerate(chats):
            chat = v0.sandbox.chats[one.chat_id]
            assert (chat.message, chat.metadata) == (f"prompt {number}", metadata[number])

    async def test_a_prompt_of_100000_characters_arrives_as_it_is(self, v0: V0) -> None:
        """
        A prompt of 100,000 characters of any kind arrives as it is.
        """
        prompt = "🍞ä\n" * 33_333

        await v0.create(prompt)

        assert v0.chat.message == prompt


class TestFaults:
    @pytest.mark.parametrize(
        ("status", "error", "code"),
        [
            (401, ProviderRejected, "key_refused"),
            (402, ProviderBusy, "out_of_credits"),
            (403, ProviderRejected, "refused"),
            (404, ProviderRejected, "refused"),
            (409, OutcomeUnknown, "unclear_refusal"),
            (413, ProviderRejected, "refused"),
            (422, ProviderRejected, "refused"),
            (429, ProviderBusy, "rate_limited"),
            (500, OutcomeUnknown, "server_error"),
            (502, OutcomeUnknown, "server_error"),
            (503, OutcomeUnknown, "server_error"),
            (504, OutcomeUnknown, "server_error"),
        ],
    )
    async def test_each_refusal_is_our_error_in_v0s_words_and_is_not_retried(
        self, v0: V0, status: int, error: type[ProviderError], code: str
    ) -> None:
        """
        Each refusal is one of our errors, with v0's own words, and is not tried again.
        """
        rule = {"operation": "chats.create*", "status": status, "message": "In v0's own words", "times": None}
        v0.sandbox.set_knobs(fail_next=[rule])

        with pytest.raises(error, match="In v0's own words") as caught:
            await v0.create()

        assert type(caught.value) is error
        assert (caught.value.code, caught.value.status) == (code, status)
        assert (v0.sandbox.chats_created, sum(v0.calls.values())) == (0, 1)

    async def test_a_lost_answer_is_unknown_and_nothing_is_sent_again(self, v0: V0) -> None:
        """
        The connection closes after v0 acted: the outcome is unknown, and nothing is sent again.
        """
        v0.sandbox.set_knobs(drop_next_answers=1)

        with pytest.raises(OutcomeUnknown) as caught:
            await v0.create()

        assert (caught.value.code, v0.sandbox.chats_created) == ("no_answer", 1)
        assert sum(v0.calls.values()) == 1

    @pytest.mark.parametrize("knobs", [{"accept_seconds": 5}, {"slow_seconds": 5}, {"hold_creates": "after"}], ids=str)
    async def test_a_slow_answer_is_unknown_within_the_time_of_a_create(self, v0: V0, knobs: dict[str, object]) -> None:
        """
        v0 acts and takes too long to say so: unknown, within the time that a create may take.
        """
        v0.sandbox.set_knobs(**knobs)
        provider = provider_of(v0.version, v0.url, timeout_seconds=0.15)

        async with asyncio.timeout(2):
            with pytest.raises(OutcomeUnknown, match="in time"):
                await provider.create("A shop", MARKS)

        assert v0.sandbox.chats_created == 1
        await provider.aclose()

    async def test_a_trickling_answer_is_bounded_too(self, v0: V0) -> None:
        """
        An answer that never pauses for long, but does not end either, is bounded too.
        """
        rule = {"operation": "chats.create*", "body": "x" * 1000, "trickle_seconds": 8}
        v0.sandbox.set_knobs(answer_next=[rule])
        provider = provider_of(v0.version, v0.url, timeout_seconds=0.8)

        async with asyncio.timeout(3):
            with pytest.raises(OutcomeUnknown, match="in time"):
                await provider.create("A shop", MARKS)
        await provider.aclose()

    async def test_an_answer_of_ten_megabytes_is_not_read_to_its_end(self, v0: V0) -> None:
        """
        Ten megabytes are not read to their end.
        """
        v0.sandbox.set_knobs(answer_next=[{"body": '{"id": "x", "chatId": "x"}'.ljust(1024), "repeat": 10 * 1024}])

        with pytest.raises(OutcomeUnknown, match="larger than 8 MiB"):
            await v0.create()

    async def test_a_refused_connection_sent_nothing(self, v0: V0) -> None:
        """
        A refused connection means that nothing was sent.
        """
        async with running(v0.sandbox) as url:
            provider = provider_of(v0.version, url)

        with pytest.raises(ProviderUnreachable):
            await provider.create("A shop", MARKS)
        await provider.aclose()

    async def test_a_redirect_of_a_create_is_not_followed(self, v0: V0) -> None:
        """
        Key and prompt go nowhere else, and a create is not repeated at another address.
        """
        async with running(v0.sandbox) as elsewhere:
            rule = {"status": 307, "headers": {"location": f"{elsewhere}/v{v0.version}/chats"}}
            v0.sandbox.set_knobs(answer_next=[rule])

            with pytest.raises(OutcomeUnknown, match=r"307.*http://127\.0\.0\.1 .*V0_BASE_URL"):
                await v0.create()

        assert sum(v0.calls.values()) == 1

    @pytest.mark.parametrize(
        "name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
    )
    async def test_an_emulator_on_this_host_is_reached_without_the_proxy(
        self, v0: V0, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """
        An emulator on this host is reached directly, whatever proxy the environment names.
        """
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        provider = provider_of(v0.version, v0.url)

        await provider.create("A shop", MARKS)

        assert v0.sandbox.chats_created == 1
        await provider.aclose()


class TestObserve:
    @pytest.mark.parametrize(("reason", "seen", "code"), OUTCOMES)
    async def test_only_the_finish_reason_stop_is_finished(
        self, v0: V0, reason: FinishReason, seen: ObservedState, code: str | None
    ) -> None:
        """
        Every reason to stop is read as it is meant; only `stop` is finished.
        """
        v0.sandbox.set_knobs(finish_reason=reason)
        chat = await v0.create()
        assert (await v0.observe(chat)).state in (ObservedState.QUEUED, ObservedState.RUNNING)
        v0.clock.advance(10)

        observation = await v0.observe(chat)

        if v0.version == 1 and reason == "content-filter":
            code = observation.error_code  # v1 says only that the version failed.
        assert (observation.state, observation.error_code) == (seen, code)
        assert (code is None) == (observation.error_message is None)

    async def test_a_v1_chat_in_the_queue_has_no_version_yet(self, v0: V0) -> None:
        """
        v1: a chat whose generation has not begun has no version yet.
        """
        v0.sandbox.set_knobs(queue_seconds=5)
        chat = await v0.create()

        seen = (await v0.observe(chat)).state

        assert seen is (ObservedState.QUEUED if v0.version == 1 else ObservedState.RUNNING)

    async def test_a_finished_chat_has_an_address_that_opens(self, v0: V0) -> None:
        """
        A finished one has an address that opens.
        """
        chat = await v0.create()
        v0.clock.advance(10)

        observation = await v0.observe(chat)

        assert address_of(observation).startswith(v0.url)

    async def test_a_deleted_chat_is_missing_and_the_others_are_read(self, v0: V0) -> None:
        """
        A deleted chat is missing, and that does not keep the others from being read.
        """
        gone, present = await v0.create(), await v0.create()
        v0.sandbox.delete(gone.chat_id)

        result = await v0.poll(gone, present)

        assert result.missing == {gone.chat_id}
        assert set(result.observations) == {present.chat_id}
        assert result.problem is None

    async def test_v1_polls_60_chats_in_one_call_and_v2_each_by_itself(self, v0: V0) -> None:
        """
        v1 reports 60 chats in one call; v2 takes one light call for each.
        """
        chats = [await v0.create() for _ in range(60)]
        before = sum(v0.calls.values())

        result = await v0.poll(*chats)

        assert len(result.observations) == 60
        assert sum(v0.calls.values()) - before == (1 if v0.provider.capabilities.batch_status else 60)

    @pytest.mark.parametrize("order", ["newest", "oldest", "random"])
    async def test_every_chat_is_polled_however_many_pages_there_are(self, v0: V0, order: str) -> None:
        """
        Every chat is met, however many pages there are and whatever order they come in.
        """
        v0.sandbox.set_knobs(list_order=order)
        chats = []
        for _ in range(130):
            chats.append(await v0.create())
            v0.clock.advance(1)
        before = sum(v0.calls.values())

        result = await v0.poll(*chats)

        assert len(result.observations) == 130
        if v0.version == 1:
            assert sum(v0.calls.values()) - before <= 3

    async def test_a_chat_that_lists_do_not_show_yet_is_read_by_itself(self, v0: V0) -> None:
        """
        A chat that lists do not show yet is read by itself.
        """
        v0.sandbox.set_knobs(list_delay_seconds=60)
        chat = await v0.create()

        assert (await v0.observe(chat)).state is ObservedState.RUNNING

    async def test_a_429_ends_the_round_and_says_how_long_to_pause(self, v0: V0) -> None:
        """
        429 ends the round, and says how long to pause.
        """
        chats = [await v0.create() for _ in range(40)]
        v0.sandbox.set_knobs(fail_next=[{"status": 429, "retry_after": 17, "times": None}])
        before = sum(v0.calls.values())

        result = await v0.poll(*chats)

        assert result.retry_after == timedelta(seconds=17)
        assert result.problem is not None
        assert (result.observations, result.missing) == ({}, frozenset())
        assert sum(v0.calls.values()) - before <= 16

    @pytest.mark.parametrize("status", [401, 403, 500, 503])
    async def test_an_unreadable_chat_is_neither_missing_nor_finished(self, v0: V0, status: int) -> None:
        """
        What cannot be read is told in words, and is neither missing nor finished.
        """
        chat = await v0.create()
        v0.sandbox.set_knobs(fail_next=[{"status": status, "times": None}])

        result = await v0.poll(chat)

        assert (result.observations, result.missing, result.retry_after) == ({}, frozenset(), None)
        assert str(status) in (result.problem or result.unreadable[chat.chat_id])

    async def test_an_outage_while_polling_is_told_not_raised(self, v0: V0) -> None:
        """
        An outage is told, not raised.
        """
        async with running(v0.sandbox) as url:
            provider = provider_of(v0.version, url)

        result = await provider.observe([PollTarget("chat", "message", v0.clock.now)])

        assert (result.observations, result.missing) == ({}, frozenset())
        assert result.problem is not None
        await provider.aclose()


class TestFind:
    async def test_chats_with_our_metadata_are_found_and_no_others(self, v0: V0) -> None:
        """
        The chats with our marks are found, and no others.
        """
        ours = await v0.create()
        await v0.create("theirs", {"protokeep_marker": "another"})
        await v0.create("nobody's", {})

        assert await v0.find() == [ours.chat_id]

    async def test_a_found_chat_can_be_tracked_like_a_created_one(self, v0: V0) -> None:
        """
        What is found has id, marks and time, so that it can be tracked like any other.
        """
        chat = await v0.create()
        since = v0.clock.now - timedelta(minutes=5)

        (found,) = (await v0.provider.find([MARKS], sent_after=since, known=none_known)).chats

        assert (found.chat_id, found.metadata) == (chat.chat_id, MARKS)
        assert found.created_at == v0.clock.now.replace(microsecond=found.created_at.microsecond)  # type: ignore[union-attr]
        v0.clock.advance(10)
        assert (await v0.observe(found)).state is ObservedState.FINISHED

    async def test_known_chats_are_left_out_of_a_search(self, v0: V0) -> None:
        """
        Chats that a row has are not found again; v1 does not even read them.
        """
        first, second = await v0.create(), await v0.create()

        async def known(chats: object) -> set[str]:
            return {first.chat_id}

        found = await v0.provider.find([MARKS], sent_after=v0.clock.now, known=known)

        assert [chat.chat_id for chat in found.chats] == [second.chat_id]
        assert v0.calls.get("chats.getById", v0.calls.get("chats.find", 0)) <= 1

    @pytest.mark.parametrize("order", ["newest", "oldest", "random"])
    async def test_a_chat_is_found_behind_pages_of_others(self, v0: V0, order: str) -> None:
        """
        Found behind pages of others, whatever order the list comes in.
        """
        v0.sandbox.set_knobs(list_order=order)
        ours = await v0.create()
        for number in range(125):
            await v0.create(f"{number}", {"protokeep_marker": f"m-{number}"})

        assert await v0.find() == [ours.chat_id]

    async def test_a_chat_that_lists_lag_behind_is_found_later(self, v0: V0) -> None:
        """
        A list that lags finds nothing *now*, and finds it later.
        """
        v0.sandbox.set_knobs(list_delay_seconds=30)
        chat = await v0.create()

        assert await v0.find() == []
        v0.clock.advance(30)
        assert await v0.find() == [chat.chat_id]

    async def test_both_of_two_chats_with_one_marker_are_found(self, v0: V0) -> None:
        """
        Should there ever be two chats with one marker, both are found.
        """
        chats = {(await v0.create()).chat_id for _ in range(2)}

        assert set(await v0.find()) == chats

    async def test_a_deleted_chat_is_not_found(self, v0: V0) -> None:
        """
        A deleted chat is not found.
        """
        v0.sandbox.delete((await v0.create()).chat_id)

        assert await v0.find() == []

    async def test_another_account_does_not_see_the_chats(self, v0: V0) -> None:
        """
        The key decides whose chats are seen.
        """
        await v0.create()
        other = provider_of(v0.version, v0.url, api_key="another key")

        assert (await other.find([MARKS], sent_after=v0.clock.now, known=none_known)).chats == []
        await other.aclose()

    @pytest.mark.parametrize("status", [401, 429, 500])
    async def test_a_search_that_could_not_look_is_an_error(self, v0: V0, status: int) -> None:
        """
        Not to have looked is an error, never an empty answer: it would count as "not there".
        """
        await v0.create()
        v0.sandbox.set_knobs(fail_next=[{"status": status, "times": None}])

        with pytest.raises(ProviderError):
            await v0.find()

    async def test_the_prompt_of_a_chat_can_be_read_back(self, v0: V0) -> None:
        """
        What a chat was asked for can be read back.
        """
        chat = await v0.create("A shop for bread")

        assert await v0.provider.prompt_of(chat.chat_id) == "A shop for bread"


class TestDelete:
    async def test_a_chat_is_deleted_and_a_missing_one_counts_as_deleted(self, v0: V0) -> None:
        """
        A chat is deleted; one that is not there counts as deleted.
        """
        chat = await v0.create()

        await v0.provider.delete(chat.chat_id)
        await v0.provider.delete(chat.chat_id)

        assert v0.chat.deleted

    async def test_another_refusal_of_a_deletion_is_an_error(self, v0: V0) -> None:
        """
        Another refusal is an error.
        """
        v0.sandbox.set_knobs(fail_next=[{"operation": "chats.delete", "status": 403}])

        with pytest.raises(ProviderRejected):
            await v0.provider.delete((await v0.create()).chat_id)


class TestScope:
    async def every_call(self, v0: V0, scope: str | None) -> int:
        """Make every kind of call with a scope; how many calls that were."""
        provider = provider_of(v0.version, v0.url, scope=scope)
        chat = await provider.create("A shop", MARKS)
        await provider.observe([PollTarget(chat.chat_id, chat.message_id, v0.clock.now)])
        await provider.observe([PollTarget(chat.chat_id, None, v0.clock.now), PollTarget("gone", "gone", v0.clock.now)])
        await provider.find([MARKS], sent_after=v0.clock.now, known=none_known)
        await provider.prompt_of(chat.chat_id)
        await provider.delete(chat.chat_id)
        await provider.aclose()
        return sum(v0.calls.values())

    async def test_the_scope_is_in_every_request(self, v0: V0) -> None:
        """
        `scope` is a query parameter of every request.
        """
        calls = await self.every_call(v0, "mckinsey")

        assert calls >= 6
        assert v0.sandbox.stats()["scopes"] == {"mckinsey": calls}

    @pytest.mark.parametrize("scope", ["", None])
    async def test_an_empty_scope_is_not_sent(self, v0: V0, scope: str | None) -> None:
        """
        Empty: not sent at all.
        """
        await self.every_call(v0, scope)

        assert v0.sandbox.stats()["scopes"] == {}
        assert v0.sandbox.stats()["not_emulated"] == {}


def address_of(observation: Observation) -> str:
    """The best address of an observation."""
    return observation.demo_url or observation.web_url or observation.chat_url or ""
