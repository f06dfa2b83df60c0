"""An account of thousands of chats from a seed: the same every time, complete, labelled with the truth, and light."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from protokeep.sandbox import Sandbox, seed_account
from protokeep.sandbox.seeded.chat import SeededChat
from sandbox.conftest import V0
from sandbox.test_lists import walk_v1, walk_v2
from world import Clock

TRAPS = {"template batch", "template", "sprint", "twins", "same name", "shared project", "keep in a word"}


def shape(sandbox: Sandbox) -> list[tuple[Any, ...]]:
    """All chats without their ids."""
    return [(chat.message, chat.name, chat.created_at, chat.privacy) for chat in sandbox.chats.values()]


def test_a_seed_makes_one_account_and_another_key_other_ids(clock: Clock) -> None:
    """
    The same seed gives the same chats and labels; another seed gives others; another key has ids of its own.
    """
    one, again, other = Sandbox(clock), Sandbox(clock), Sandbox(clock)
    first = seed_account(one, "key", chats=500, seed=3)

    assert seed_account(again, "key", chats=500, seed=3).labels == first.labels
    assert shape(again) == shape(one)
    seed_account(other, "key", chats=500, seed=4)
    assert shape(other) != shape(one)
    assert not set(first.labels) & set(seed_account(one, "other key", chats=500, seed=3).labels)


def test_an_account_of_4000_chats_has_everything_and_writes_no_message_before_it_is_read(clock: Clock) -> None:
    """
    4,000 chats have every kind, outcome and trap; what is the same byte for byte is one group; a trap is a group alone.
    """
    sandbox = Sandbox(clock)
    account = seed_account(sandbox, "key")
    chats = [sandbox.chats[chat_id] for chat_id in account.chats]

    assert all(isinstance(chat, SeededChat) and chat._written is None for chat in chats)
    assert [chat.created_at for chat in chats] == sorted(chat.created_at for chat in chats)
    assert {label.kind for label in account.labels.values()} == {"first", "click", "copy", "again"}
    assert {label.outcome for label in account.labels.values()} == {"completed", "failed", "waiting", "empty"}
    assert {label.trap for label in account.labels.values()} == {None, *TRAPS}
    assert {chat.privacy for chat in chats} == {"private", "team", "public", "unlisted", "team-edit"}
    for flag in ("favorite", "forbidden", "vercel_project_id", "project_id", "author_id", "metadata"):
        assert {bool(getattr(chat, flag)) for chat in chats} == {True, False}, flag
    sizes = Counter(label.group for label in account.labels.values())
    assert all(sizes[account.labels[chat].group] == 1 for trap in TRAPS for chat in account.trapped(trap))

    by_prompt: dict[str, list[str]] = defaultdict(list)
    for chat in chats:
        if chat.message:
            by_prompt[chat.message].append(chat.id)
    score = account.score_groups(by_prompt.values())
    assert score.precision == 1.0
    assert 0.5 < score.recall < 1
    assert account.score_groups(account.groups().values()).recall == 1.0
    wrong = account.score_groups([account.trapped("template batch")])
    assert (wrong.right, bool(wrong.wrong)) == (0, True)
    products = {chat: label.product_id for chat, label in account.labels.items() if label.product_id}
    assert account.score_products(products) == account.score_products(dict(reversed(products.items())))
    assert account.score_products(products).recall == 1.0


async def test_lists_projects_and_usage_of_a_seeded_account_are_whole_in_both_versions(
    v0: V0, sandbox: Sandbox, clock: Clock
) -> None:
    """
    Both versions list every chat with its author, links and rights, and report every use, in the documents' shape.
    """
    account = seed_account(sandbox, "key-one", chats=300, also_in="v2")
    chats = [sandbox.chats[chat_id] for chat_id in account.chats]
    assert await walk_v1(v0) == await walk_v2(v0) == account.chats[::-1]

    rows = {row["id"]: row for row in (await v0.get("/v1/chats?limit=60")).json()["data"]}
    newer = {row["id"]: row for row in (await v0.get("/v2/chats?limit=60")).json()["chats"]}
    for chat in chats[-60:]:
        row, new = rows[chat.id], newer[chat.id]
        assert (row["favorite"], row["privacy"], new["privacy"]) == (chat.favorite, chat.privacy, chat.privacy)
        assert (row.get("title"), new["metadata"]) == (new.get("title"), chat.metadata)
        assert (row["authorId"], new["writePermission"]) == (new["authorId"], chat.writable)
        assert row.get("vercelProjectId") == new.get("vercelProjectId") == chat.vercel_project_id
        has_version = account.labels[chat.id].outcome in ("completed", "failed")
        assert row.get("latestVersion", {}).get("status") == (account.labels[chat.id].outcome if has_version else None)

    linked = next(chat for chat in chats if chat.vercel_project_id)
    found = (await v0.get(f"/v1/chats?vercelProjectId={linked.vercel_project_id}")).json()["data"]
    assert [row["id"] for row in found] == [linked.id]
    assert await walk_v2(v0, query={"vercelProjectId": str(linked.vercel_project_id)}) == [linked.id]
    author = next(chat.author_id for chat in chats if chat.author_id)
    assert sorted(await walk_v2(v0, query={"authorId": author})) == sorted(
        chat.id for chat in chats if chat.author_id == author
    )
    projects = (await v0.get("/v1/projects")).json()["data"]
    held = [row["id"] for one in projects for row in (await v0.get(f"/v1/projects/{one['id']}")).json()["chats"]]
    assert sorted(held) == sorted(chat.id for chat in chats if chat.project_id)

    uses = {f"usage_{one.id}" for chat in chats for one in chat.messages if one.generation}
    assert 2 * len(chats) < len(uses) <= 3 * len(chats)
    assert {row["id"] for row in await usage_v1(v0)} == uses
    assert {row["id"] for row in await usage_v2(v0, "2020-01-01T00:00:00Z")} == uses


async def test_usage_is_billed_on_after_a_deletion_and_a_cursor_keeps_its_range(v0: V0, sandbox: Sandbox) -> None:
    """
    A deleted chat's use stays in the reports, and the pages of a range need its start on the first page only.
    """
    account = seed_account(sandbox, "key-one", chats=100, api="v2")
    before = await usage_v2(v0, "2020-01-01T00:00:00Z")
    for chat_id in account.chats[:20]:
        sandbox.delete(chat_id)

    assert await usage_v2(v0, "2020-01-01T00:00:00Z") == before
    assert len(await usage_v2(v0, None)) < len(before)


async def test_the_first_prompt_of_a_v2_chat_is_on_the_last_page(v0: V0, sandbox: Sandbox) -> None:
    """
    Messages of a seeded chat come newest first, and new ones before the old.
    """
    account = seed_account(sandbox, "key-one", chats=50, api="v2")
    chat = next(one for one in map(sandbox.chats.__getitem__, account.chats) if len(one.messages) > 4 and one.writable)
    await v0.post(f"/v2/chats/{chat.id}/messages/async", json={"message": "the newest"})
    said: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await v0.get(f"/v2/chats/{chat.id}/messages?limit=2{f'&cursor={cursor}' if cursor else ''}")).json()
        said += [one["content"] for one in page["messages"] if one["role"] == "user"]
        cursor = page["cursor"]
    assert (said[0], said[-1], len(said)) == ("the newest", chat.message, len(chat.messages) / 2)


async def usage_v1(v0: V0) -> list[dict[str, Any]]:
    """Every row of the report."""
    rows: list[dict[str, Any]] = []
    path = "/v1/reports/usage?limit=150"
    while path:
        page = (await v0.get(path)).json()
        rows += page["data"]
        path = page["pagination"].get("nextUrl", "")
    return rows


async def usage_v2(v0: V0, start: str | None) -> list[dict[str, Any]]:
    """Every row since `start`, which is sent with the first page alone."""
    query = {"limit": "100", **({"start": start} if start else {})}
    rows: list[dict[str, Any]] = []
    while True:
        page = (await v0.get("/v2/usage/events", params=query)).json()
        rows += page["data"]
        if page["pagination"]["cursor"] is None:
            return rows
        query = {"limit": "100", "cursor": page["pagination"]["cursor"]}
