"""What a clean-up meets: archives that give the same bytes back, a trash, rights, others at work, counted deletions."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
import zipfile
from typing import Any

import pytest

from protokeep.sandbox import Knobs, Sandbox, SeededAccount, seed_account
from protokeep.sandbox.generated_content import files_of
from protokeep.sandbox.seeded.chat import files_of_seed
from protokeep.sandbox.state import Api, Chat
from sandbox.conftest import V0, hosted
from sandbox.test_contract import ok
from sandbox.test_lists import walk_v1
from world import Clock

Files = dict[str, str | bytes]


def in_bytes(files: Files) -> dict[str, bytes]:
    return {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}


def unzipped(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def read_back(v0: V0, api: str, chat: str) -> dict[str, bytes]:
    """The files of a chat as the version's download gives them."""
    if api == "v2":
        files = (await ok(v0.get(f"/v2/chats/{chat}/files")))["files"]
        decoded = {
            one["path"]: base64.b64decode(one["content"]) if one["encoding"] == "base64" else one["content"].encode()
            for one in files
        }
        assert unzipped((await v0.get(f"/v2/chats/{chat}/files/download")).content) == decoded
        return decoded
    version = (await ok(v0.get(f"/v1/chats/{chat}")))["latestVersion"]["id"]
    return unzipped((await v0.get(f"/v1/chats/{chat}/versions/{version}/download")).content)


def awkward(sandbox: Sandbox, account: SeededAccount) -> list[Chat]:
    """A chat with a picture, one with more files than v2 takes one by one, and one with an empty file."""
    chats = [sandbox.chats[one] for one in account.chats if account.labels[one].outcome == "completed"]
    done = [chat for chat in chats if not chat.forbidden]
    tests: tuple[Any, ...] = (
        lambda files: any(isinstance(one, bytes) for one in files.values()),
        lambda files: len(files) > 20,
        lambda files: "" in files.values(),
    )
    return [next(chat for chat in done if test(files_of_seed(chat.id))) for test in tests]


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_a_chat_begun_from_a_download_has_the_same_bytes(api: Api, v0: V0, sandbox: Sandbox) -> None:
    """
    A download is the same bytes every time, and a chat that is begun from it, by whatever way, has the same files.
    """
    account = seed_account(sandbox, "key-one", chats=400, api=api)
    for chat in awkward(sandbox, account):
        found = await read_back(v0, api, chat.id)
        assert found == in_bytes(files_of(chat))
        assert await read_back(v0, api, chat.id) == found
        version = chat.latest_version(sandbox.clock())
        path = "files/download" if version is None or api == "v2" else f"versions/{version.id}/download"
        packed = (await v0.get(f"/{api}/chats/{chat.id}/{path}")).content
        async with hosted(packed) as url:
            if api == "v2":
                begun = (await ok(v0.post("/v2/chats/from-zip", json={"url": url})))["chat"]
            else:
                begun = await ok(v0.post("/v1/chats/init", json={"type": "zip", "zip": {"url": url}}))
        assert begun["id"] != chat.id
        assert await read_back(v0, api, begun["id"]) == found

        texts = [{"name": name, "content": text.decode()} for name, text in found.items() if b"\x89PNG" not in text]
        if api == "v2":
            begun = (await ok(v0.post("/v2/chats/from-files", json={"files": texts[:20]})))["chat"]
        else:
            begun = await ok(v0.post("/v1/chats/init", json={"type": "files", "files": texts[:20]}))
        assert await read_back(v0, api, begun["id"]) == {one["name"]: one["content"].encode() for one in texts[:20]}
    async with hosted(b"no archive") as url:
        body = {"url": url} if api == "v2" else {"type": "zip", "zip": {"url": url}}
        await ok(v0.post(f"/{api}/chats/{'from-zip' if api == 'v2' else 'init'}", json=body), 422)


async def test_a_tarball_has_the_files_and_the_defaults_that_were_asked_for(v0: V0, sandbox: Sandbox) -> None:
    """
    The other format of v1 has the same files, and with `includeDefaultFiles` what a deployment needs as well.
    """
    chat = seed_account(sandbox, "key-one", chats=1).chats[0]
    sandbox.chats[chat].forbidden = False
    version = sandbox.chats[chat].latest_version(sandbox.clock())
    assert version is not None
    path = f"/v1/chats/{chat}/versions/{version.id}/download?format=tarball&includeDefaultFiles=true"
    packed = (await v0.get(path)).content
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        assert set(archive.getnames()) == {*files_of_seed(chat), "package.json", "tsconfig.json"}


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_deletions_are_counted_and_the_trash_keeps_a_chat_for_30_days(
    api: Api, v0: V0, sandbox: Sandbox, clock: Clock
) -> None:
    """
    A deleted chat cannot be read; each request is counted; a person takes it back within 30 days and no later.
    """
    account = seed_account(sandbox, "key-one", chats=6, api=api, profile="storms")
    first, second, third = account.chats[:3]
    await ok(v0.delete(f"/{api}/chats/{first}"))
    await ok(v0.delete(f"/{api}/chats/{first}"), 404)
    sandbox.delete(second)
    await v0.knobs(fail_next=[{"operation": "chats.delete", "status": 503}])
    await ok(v0.delete(f"/{api}/chats/{third}"), 503)

    assert (dict(sandbox.deletions.asked), dict(sandbox.deletions.done)) == ({first: 2, third: 1}, {first: 1})
    assert (await ok(v0.get("/_sandbox/deletions"))) == {"asked": {first: 2, third: 1}, "done": {first: 1}}
    assert [(one.operation, one.chat_id) for one in sandbox.requests] == [
        ("chats.delete", first), ("chats.delete", first), ("chats.delete", third),
    ]  # fmt: skip
    await ok(v0.get(f"/{api}/chats/{first}"), 404)
    clock.advance(29 * 86_400)
    await ok(v0.post(f"/_sandbox/chats/{first}/restore"))
    await ok(v0.get(f"/{api}/chats/{first}"))
    listed = (await ok(v0.get(f"/{api}/chats?limit=60")))["data" if api == "v1" else "chats"]
    assert [row["id"] for row in listed] == [one for one in account.chats[::-1] if one != second]
    clock.advance(86_400)
    assert "not in the trash" in await ok(v0.post(f"/_sandbox/chats/{second}/restore"), 409)


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_what_a_key_may_only_read_it_cannot_change_or_delete(api: Api, v0: V0, sandbox: Sandbox) -> None:
    """
    Without the right to edit a chat is read, and every change of it is refused with 403.
    """
    chat = sandbox.chats[seed_account(sandbox, "key-one", chats=1, api=api, profile="storms").chats[0]]
    chat.writable = False
    body = await ok(v0.get(f"/{api}/chats/{chat.id}"))
    assert (body["permissions"]["write"] if api == "v1" else body["writePermission"]) is False
    await ok(v0.patch(f"/{api}/chats/{chat.id}", json={"privacy": "public"}), 403)
    await ok(v0.delete(f"/{api}/chats/{chat.id}"), 403)
    assert not sandbox.deletions.done
    chat.forbidden = True
    await ok(v0.get(f"/{api}/chats/{chat.id}"), 403)


def test_other_people_edit_between_requests_and_a_seed_says_how(clock: Clock) -> None:
    """
    Before every n-th request somebody edits a chat: rows shift, each edit is told, and the seed repeats all of it.
    """
    edits: list[Any] = []
    for _ in range(2):
        sandbox = Sandbox(clock, Knobs(edit_every=2, edit_seed=5), random_seed=1)
        seed_account(sandbox, "key-one", chats=300, profile="storms")
        (held,) = sandbox.backend.accounts.values()
        for number in range(1, 81):
            sandbox.backend.note_request("v1", "chats.find", None)
            sandbox.people.before_request(held, "v1", clock(), sandbox.knobs)
            assert len(sandbox.people.edits) == number // 2
        edits.append(sandbox.people.edits)
        for edit in sandbox.people.edits:
            assert shows(sandbox.chats[edit.chat_id], edit.kind), edit
    assert edits[0] == edits[1]
    assert {edit.kind for edit in edits[0]} > {"create", "delete", "rename", "favorite", "write"}
    assert [edit.at_request for edit in edits[0]] == list(range(2, 81, 2))


def shows(chat: Chat, kind: str) -> bool:
    """Whether the chat shows what was done to it. Two switches of a favourite undo each other."""
    return {
        "create": chat.author_id == "user_mate",
        "delete": chat.deleted,
        "rename": chat.name is not None,
        "favorite": True,
        "write": chat.messages[-2].content.startswith("Please change"),
        "share": chat.privacy == "team",
        "keep": chat.metadata == {"keep": "yes"},
        "link": chat.vercel_project_id is not None,
    }[kind]


async def test_rows_shift_under_a_reader_who_pages_by_offset(v0: V0, sandbox: Sandbox) -> None:
    """
    Chats that are made while pages are read push rows on to the next page, which repeats them; deleted ones pull rows
    to a page that was read already, so that they are missed.
    """
    account = seed_account(sandbox, "key-one", chats=300, profile="storms")
    await v0.knobs(edit_every=1, edit_kinds=["create"])
    found = await walk_v1(v0)
    assert len(found) > len(set(found))
    assert set(account.chats) <= set(found)
    await v0.knobs(edit_kinds=["delete"])
    seen = set(await walk_v1(v0, 5))
    assert {chat.id for chat in sandbox.chats.values() if not chat.deleted} - seen


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_lists_by_the_last_change_begin_with_the_chat_that_changed(api: Api, v0: V0, sandbox: Sandbox) -> None:
    """
    In lists by the last change a chat that is edited while pages are read jumps to the front, and its reader misses it.
    """
    account = seed_account(sandbox, "key-one", chats=9, api=api, profile="storms")
    await v0.knobs(list_order="updated")
    cursor, seen = "offset=4", set[str]()
    first = await ok(v0.get(f"/{api}/chats?limit=4"))
    sandbox.edit(account.chats[0], "rename")
    if api == "v2":
        cursor = f"cursor={first['cursor']}"
    for page in (first, await ok(v0.get(f"/{api}/chats?limit=60&{cursor}"))):
        seen |= {row["id"] for row in page["data" if api == "v1" else "chats"]}
    assert set(account.chats) - seen == {account.chats[0]}
    rows = (await ok(v0.get(f"/{api}/chats?limit=1")))["data" if api == "v1" else "chats"]
    assert [row["id"] for row in rows] == [account.chats[0]]


async def test_a_fault_waits_for_its_nth_request_and_a_test_for_any(v0: V0, sandbox: Sandbox) -> None:
    """
    A storm of refusals begins after so many requests, and a test's own function is told of a request before it acts.
    """
    account = seed_account(sandbox, "key-one", chats=6, profile="storms")
    storm = {"operation": "chats.getById", "status": 429, "after": 2, "times": 3, "retry_after": 7}
    await v0.knobs(fail_next=[storm])
    answers = [(await v0.get(f"/v1/chats/{account.chats[0]}")).status_code for _ in range(6)]
    assert answers == [200, 200, 429, 429, 429, 200]

    sandbox.before_request = lambda request: (
        request.operation == "chats.getById" and sandbox.edit(request.chat_id or "", "favorite")
    )
    before = sandbox.chats[account.chats[1]].favorite
    assert (await ok(v0.get(f"/v1/chats/{account.chats[1]}")))["favorite"] is not before


async def test_the_controls_load_an_account_and_edit_a_chat(v0: V0, sandbox: Sandbox) -> None:
    """
    Another process loads a seeded account, gets its labels, and edits a chat as another person.
    """
    answer = await ok(v0.post("/_sandbox/accounts", json={"key": "key-one", "chats": 20, "api": "v2"}))
    assert [label["chat_id"] for label in answer["labels"]] == list(sandbox.chats)
    chat = answer["labels"][0]["chat_id"]
    await ok(v0.post(f"/_sandbox/chats/{chat}/edit", json={"kind": "keep"}))
    assert sandbox.chats[chat].metadata["keep"] == "yes"
    await ok(v0.post(f"/_sandbox/chats/{chat}/edit", json={"kind": "create"}), 422)
    await ok(v0.post("/_sandbox/accounts", json={"key": "key-one", "chats": 10**9}), 422)
    sandbox.delete(chat)
    await ok(v0.post(f"/_sandbox/chats/{chat}/edit", json={"kind": "write"}), 409)
