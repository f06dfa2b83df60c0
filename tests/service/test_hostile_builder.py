"""A builder whose answers nobody may believe, over real HTTP: what becomes a row, and what goes on all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from protokeep.core.prototype import State, Status
from world import ANN, World, both_versions

STEERING = "a\x1b]0;PWN\x07\u202e\x9b2J\nb"
CREATES, POLLS = "chats.create*", ("messages.get", "messages.list", "chats.find", "chats.getById")
#: Answers to polls whose every value breaks a rule.
BODIES: dict[str, Any] = {
    "numbers": {"id": 5, "chatId": 5, "finishReason": 5, "data": [5], "messages": [5], "cursor": 5},
    "steering": {"id": STEERING, "finishReason": STEERING, "data": [{"id": STEERING}], "messages": [{"id": STEERING}]},
    "paths": {"id": "../..", "finishReason": "stop", "data": [{"id": ".."}], "messages": [{"id": "a/b"}]},
    "others": {
        "id": "another",
        "chatId": "another",
        "finishReason": "stop",
        "data": [{"id": "another", "latestVersion": {"id": "v", "status": "completed"}}],
        "messages": [{"id": None, "role": "assistant", "finishReason": "stop"}],
    },
}


class TestCreate:
    @both_versions
    @pytest.mark.parametrize("chat_id", [STEERING, "../hooks", "..", "a b", "x" * 201], ids=ascii)
    async def test_an_id_that_breaks_the_rules_is_looked_up_and_nothing_is_made_twice(
        self, world: World, chat_id: str
    ) -> None:
        """
        The chat is made, and the answer names it by something that is no id.
        """
        body = json.dumps({"id": chat_id, "chatId": chat_id, "messageId": "m"})
        with world.knobs(answer_next=[{"operation": CREATES, "body": body, "acts": True}]):
            made = await world.make()
        assert made.state is State.UNDECIDED

        await world.live(60)

        found = await world.get(made.id)
        assert (found.chat_id, found.status) == (world.chat.id, Status.COMPLETED)
        assert world.chats_created == 1

    @both_versions
    async def test_words_of_a_refusal_steer_nothing(self, world: World) -> None:
        """
        They are shown in the view, in its history and in the log, as one line.
        """
        words = {"error": {"message": STEERING * 200}} if world.api_version == 1 else {"message": STEERING * 200}
        with (
            world.knobs(answer_next=[{"operation": CREATES, "status": 422, "body": json.dumps(words)}]),
            capture_logs() as entries,
        ):
            made = await world.make()

        history, _ = await world.keeper.history(made)
        assert made.status is Status.FAILED
        shown = [
            str(made.generation and made.generation.error.message),
            *(str(line["data"] or "") for line in history),
            *(str(entry.get("reason", "")) for entry in entries),
        ]
        assert any("PWN" in text for text in shown)
        assert all(text.isprintable() and len(text) < 600 for text in shown)


class TestPolls:
    @both_versions
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    async def test_answers_that_break_the_rules_decide_nothing(self, world: World, body: Any) -> None:
        """
        Nothing is finished, failed or gone by them; when the builder answers again, everything goes on.
        """
        made = await world.make()
        rules = [{"operation": one, "body": json.dumps(body), "times": None} for one in POLLS]
        with world.knobs(answer_next=rules):
            await world.live(30)
            during = await world.get(made.id)

        await world.live(60)

        assert during.status in (Status.PENDING, Status.IN_PROGRESS)
        assert (await world.get(made.id)).status is Status.COMPLETED
        assert world.chats_created == 1


class TestFollowUps:
    @both_versions
    @pytest.mark.parametrize("message_id", [STEERING, "a/b", None], ids=ascii)
    async def test_a_message_that_cannot_be_named_is_never_taken_for_absent(
        self, world: World, message_id: str | None
    ) -> None:
        """
        The answer to a follow-up is lost, and the chat shows a message that may be it: it is not sent again.
        """
        made = await world.complete()
        operation = "chats.sendMessage" if world.api_version == 1 else "messages.sendAsync"
        shown = [
            {"id": one.id, "role": one.role, "content": one.content, "createdAt": "2026-01-01T00:00:00Z"}
            for one in reversed(world.chat.messages)
        ]
        newer = {"id": message_id, "role": "user", "content": "Make it blue", "createdAt": "2026-01-02T00:00:00Z"}
        body: dict[str, Any] = {"id": world.chat.id, "metadata": {}, "messages": [newer, *shown], "cursor": None}
        reads = ("messages.list", "chats.getById")
        with world.knobs(drop_next=[{"operation": operation, "acts": False}]):
            await world.keeper.iterate(ANN, made.id, "Make it blue", wait=0)
            await world.work()
        rules = [{"operation": one, "body": json.dumps(body), "times": None} for one in reads]
        with world.knobs(answer_next=rules):
            await world.live(300, step=10)

        undecided = await world.get(made.id)
        assert (undecided.state, (await world.kinds(undecided)).count("sent")) == (State.UNDECIDED, 2)
