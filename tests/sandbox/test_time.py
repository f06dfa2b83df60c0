"""What follows from the clock: pending, finished, listed; and how generations end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from protokeep.sandbox import FinishReason, Sandbox
from sandbox.conftest import V0
from world import Clock


async def create_v1(v0: V0, message: str = "A shop", **body: Any) -> dict[str, Any]:
    """A v1 chat, made asynchronously."""
    found = (await v0.post("/v1/chats", json={"message": message, "responseMode": "async", **body})).json()
    assert isinstance(found, dict)
    return found


async def create_v2(v0: V0, message: str = "A shop", **body: Any) -> tuple[str, str]:
    """The path of a v2 chat and that of its assistant message."""
    chat = (await v0.post("/v2/chats/async", json={"message": message, **body})).json()
    return f"/v2/chats/{chat['chatId']}", f"/v2/chats/{chat['chatId']}/messages/{chat['messageId']}"


async def test_a_generation_is_pending_until_exactly_its_end(v0: V0, clock: Clock) -> None:
    """
    A generation is pending until exactly its end, in both versions.
    """
    path = f"/v1/chats/{(await create_v1(v0))['id']}"
    _, reply = await create_v2(v0)
    clock.advance(9.999)
    assert (await v0.get(path)).json()["latestVersion"]["status"] == "pending"
    assert (await v0.get(reply)).json()["finishReason"] is None

    clock.advance(0.001)

    version = (await v0.get(path)).json()["latestVersion"]
    assert version["status"] == "completed"
    assert version["demoUrl"].startswith(v0.url)
    message = (await v0.get(reply)).json()
    assert message["finishReason"] == "stop"
    assert message["updatedAt"] == "2026-01-02T03:04:15.678Z"
    assert message["usage"]["creditsCost"]["total"] > 0


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("stop", "completed"),
        ("error", "failed"),
        ("tool-calls", None),
        ("content-filter", None),
        ("length", None),
        ("other", None),
    ],
)
async def test_every_finish_reason_shows_in_both_versions(
    v0: V0, clock: Clock, reason: FinishReason, status: str | None
) -> None:
    """
    Every finish reason shows in the message of both versions; v1 has a version only where one was made.
    """
    await v0.knobs(finish_reason=reason)
    path = f"/v1/chats/{(await create_v1(v0))['id']}"
    chat, reply = await create_v2(v0)
    clock.advance(10)

    detail = (await v0.get(path)).json()

    assert detail.get("latestVersion", {}).get("status") == status
    assert detail["messages"][-1]["finishReason"] == reason
    assert (await v0.get(reply)).json()["finishReason"] == reason
    assert ((await v0.get(f"{chat}/preview")).json() is not None) is (reason == "stop")


async def test_the_failure_rate_decides_how_many_generations_fail(sandbox: Sandbox, v0: V0, clock: Clock) -> None:
    """
    The rate decides how many generations end in an error.
    """
    await v0.knobs(failure_rate=0.5, generation_seconds=[1, 3])
    for _ in range(60):
        await create_v2(v0)
    clock.advance(3)
    failed = [chat.status(clock()) for chat in sandbox.chats.values()].count("failed")
    assert 15 < failed < 45


async def test_queue_seconds_hide_the_version_of_a_v1_chat(v0: V0, clock: Clock) -> None:
    """
    With `queue_seconds` a v1 chat has no version at first, then a pending one.
    """
    await v0.knobs(queue_seconds=4)
    path = f"/v1/chats/{(await create_v1(v0))['id']}"
    assert "latestVersion" not in (await v0.get(path)).json()
    clock.advance(4)
    assert (await v0.get(path)).json()["latestVersion"]["status"] == "pending"


async def test_a_synchronous_create_answers_when_it_is_finished(v0: V0) -> None:
    """
    Without responseMode a v1 create, and v2's POST /chats, come back finished.
    """
    await v0.knobs(generation_seconds=0)
    chat = (await v0.post("/v1/chats", json={"message": "x"})).json()
    assert chat["latestVersion"]["status"] == "completed"
    assert (await v0.post("/v2/chats", json={"message": "x"})).status_code == 200


async def test_a_follow_up_makes_a_new_version_and_message_in_the_chat(v0: V0, clock: Clock) -> None:
    """
    A follow-up makes a new version and a new message in the same chat, and finishes again.
    """
    first = await create_v1(v0)
    path = f"/v1/chats/{first['id']}"
    clock.advance(10)
    sent = (await v0.post(f"{path}/messages", json={"message": "darker", "responseMode": "async"})).json()
    assert sent["latestVersion"]["status"] == "pending"
    assert sent["latestVersion"]["id"] != first["latestVersion"]["id"]
    assert sent["text"] == "A shop"
    clock.advance(10)
    assert (await v0.get(path)).json()["latestVersion"]["status"] == "completed"

    chat, _ = await create_v2(v0)
    clock.advance(10)
    sent = (await v0.post(f"{chat}/messages/async", json={"message": "darker"})).json()
    newest = (await v0.get(f"{chat}/messages?limit=1")).json()["messages"][0]
    assert (newest["id"], newest["finishReason"]) == (sent["messageId"], None)
    assert (await v0.get(f"{chat}/preview")).json() is not None


async def test_tool_calls_wait_until_somebody_answers(v0: V0, clock: Clock) -> None:
    """
    `tool-calls` waits for ever; an answer starts a generation that ends like any other.
    """
    await v0.knobs(finish_reason="tool-calls")
    chat, reply = await create_v2(v0)
    clock.advance(86_400)
    assert (await v0.get(reply)).json()["finishReason"] == "tool-calls"
    task = {"task": {"type": "confirmed-steps"}}
    resolved = (await v0.post(f"{chat}/messages/resolve/async", json=task)).json()["messageId"]
    assert (await v0.post(f"{chat}/messages/resolve/async", json=task)).status_code == 409
    clock.advance(10)
    assert (await v0.get(f"{chat}/messages/{resolved}")).json()["finishReason"] == "stop"


async def test_a_stopped_generation_is_final_and_leaves_nothing_to_open(v0: V0, clock: Clock) -> None:
    """
    A stopped generation is final at once and leaves nothing to open.
    """
    chat = await create_v1(v0)
    path = f"/v1/chats/{chat['id']}"
    assert (await v0.post(f"{path}/messages/{chat['messages'][-1]['id']}/stop")).json() == {"success": True}
    clock.advance(60)
    detail = (await v0.get(path)).json()
    assert detail["latestVersion"]["status"] == "failed"
    assert detail["messages"][-1]["finishReason"] == "other"


async def test_a_new_chat_is_missing_from_lists_for_list_delay_seconds(v0: V0, clock: Clock) -> None:
    """
    A new chat is missing from lists for `list_delay_seconds`; by id it is there at once.
    """
    project = (await v0.post("/v1/projects", json={"name": "p"})).json()["id"]
    await v0.knobs(list_delay_seconds=30)
    remote_chat = await create_v1(v0, projectId=project)
    chat, _ = await create_v2(v0, metadata={"tag": "t"})

    async def listed() -> tuple[int, int, int]:
        return (
            len((await v0.get("/v1/chats")).json()["data"]),
            len((await v0.get(f"/v1/projects/{project}")).json()["chats"]),
            len((await v0.get("/v2/chats?metadata[tag]=t")).json()["chats"]),
        )

    clock.advance(29.9)
    assert await listed() == (0, 0, 0)
    assert (await v0.get(f"/v1/chats/{remote_chat['id']}")).status_code == 200
    assert (await v0.get(chat)).status_code == 200
    clock.advance(0.1)
    assert await listed() == (1, 1, 1)


async def test_a_new_chat_reads_as_404_for_read_delay_seconds(v0: V0, clock: Clock) -> None:
    """
    A new chat reads as 404 for `read_delay_seconds`, and so do its messages.
    """
    await v0.knobs(read_delay_seconds=30)
    remote_chat = await create_v1(v0)
    chat, reply = await create_v2(v0)
    paths = (f"/v1/chats/{remote_chat['id']}", chat, reply, f"{chat}/messages?limit=10")

    clock.advance(29.9)
    assert [(await v0.get(path)).status_code for path in paths] == [404] * 4
    clock.advance(0.1)
    assert [(await v0.get(path)).status_code for path in paths] == [200] * 4


async def test_a_hidden_chat_is_neither_listed_nor_read_until_its_time(v0: V0, clock: Clock) -> None:
    """
    What is hidden is in no list and cannot be read, stopped or deleted, until the instant that was named.
    """
    remote_chat = await create_v1(v0)
    chat, reply = await create_v2(v0)
    paths = (f"/v1/chats/{remote_chat['id']}", chat, reply)
    await v0.knobs(hide=[{"until": (clock() + timedelta(seconds=20)).isoformat()}])
    assert [(await v0.get(path)).status_code for path in paths] == [404] * 3
    assert (await v0.delete(chat)).status_code == (await v0.post(f"{reply}/stop")).status_code == 404
    assert (await v0.get("/v1/chats")).json()["data"] == (await v0.get("/v2/chats")).json()["chats"] == []
    await v0.knobs(hide=[{"chat": remote_chat["id"], "listed": True}])
    assert [(await v0.get(path)).status_code for path in paths] == [404, 200, 200]
    assert len((await v0.get("/v1/chats")).json()["data"]) == 1
    await v0.knobs(hide=[{"messages_only": True, "until": (clock() + timedelta(seconds=20)).isoformat()}])
    assert [(await v0.get(path)).status_code for path in paths] == [200, 200, 404]
    clock.advance(20)

    assert [(await v0.get(path)).status_code for path in paths] == [200] * 3
    assert (await v0.delete(chat)).status_code == 200


async def test_accounts_do_not_see_each_others_chats(v0: V0, other: V0, sandbox: Sandbox) -> None:
    """
    Another key's chats are in no list and cannot be read, changed or deleted.
    """
    remote_chat = await create_v1(v0)
    chat, reply = await create_v2(v0, metadata={"tag": "t"})
    assert (await other.get("/v1/chats")).json()["data"] == []
    assert (await other.get("/v2/chats?metadata[tag]=t")).json()["chats"] == []
    for path in (f"/v1/chats/{remote_chat['id']}", chat, reply):
        assert (await other.get(path)).status_code == 404
    assert (await other.patch(chat, json={"title": "mine"})).status_code == 404
    assert (await other.delete(chat)).status_code == 404
    assert len({one.account for one in sandbox.chats.values()}) == 1
    assert "key-one" not in (await v0.get("/_sandbox/chats")).text


async def test_a_generation_can_be_ended_and_a_chat_deleted_from_above(v0: V0, sandbox: Sandbox) -> None:
    """
    A generation can be ended, and a chat deleted, as a person on v0's site would.
    """
    chat, reply = await create_v2(v0)
    chat_id = chat.rpartition("/")[2]
    row = (await v0.post(f"/_sandbox/chats/{chat_id}/finish", json={"outcome": "error"})).json()
    assert row["status"] == "failed"
    assert (await v0.get(reply)).json()["finishReason"] == "error"
    assert (await v0.post(f"/_sandbox/chats/{chat_id}/finish")).status_code == 409
    assert (await v0.post(f"/_sandbox/chats/{chat_id}/finish", json={"outcome": "x"})).status_code == 422
    assert (await v0.delete(f"/_sandbox/chats/{chat_id}")).json()["deleted"] is True
    assert (await v0.delete("/_sandbox/chats/none")).status_code == 404
    assert (await v0.get(chat)).status_code == 404
    assert sandbox.chats[chat_id].deleted
    assert sandbox.stats()["v2"]["chats_deleted"] == 1


async def test_clock_skew_seconds_moves_the_instants_in_answers_only(v0: V0) -> None:
    """
    `clock_skew_seconds` moves the instants in answers and nothing else.
    """
    await v0.knobs(clock_skew_seconds=3600)
    assert (await create_v1(v0))["createdAt"] == "2026-01-02T04:04:05.678Z"
