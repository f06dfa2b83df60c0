"""Copies of chats before their deletion: fingerprints that tell every change, files byte for byte, and chats again."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import pytest

from protokeep.core.census import CensusChat
from protokeep.core.errors import OutcomeUnknown, ProviderError, ProviderRejected
from protokeep.providers import v0_files
from protokeep.providers.census_port import ChatCopy
from protokeep.sandbox import Chat
from protokeep.sandbox.state import Project
from providers.accounts import read_whole
from providers.conftest import V0, answering, says

only_v1 = pytest.mark.parametrize("version", [1], ids=["v1"])
only_v2 = pytest.mark.parametrize("version", [2], ids=["v2"])

TEXTS = {"app/page.tsx": b"export default 1\r\n", "app/(shop)/[id]/ä.css": "ä { }".encode()}
BINARY = {"public/logo.png": bytes(range(256)), "public/nul.txt": b"a\x00b"}
TIME = "2026-01-01T00:00:00Z"


def changes_of(version: int) -> dict[str, Callable[[Chat], None]]:
    """All changes of a chat that a list tells, each alone, without a later time of the chat."""

    def change(**values: Any) -> Callable[[Chat], None]:
        def apply(chat: Chat) -> None:
            for name, value in values.items():
                setattr(chat, name, value)

        return apply

    common = {
        "name": change(name="Another"),
        "privacy": change(privacy="team"),
        "link": change(vercel_project_id="prj_1"),
    }
    if version == 1:
        return {**common, "favourite": change(favorite=True), "project": change(project_id="project-1")}
    return {**common, "metadata": change(metadata={"keep": "yes"})}


async def listed(v0: V0) -> CensusChat:
    """The one chat, as the list shows it."""
    (chat,) = (await read_whole(v0.provider)).chats.values()
    return chat


async def chat_with(v0: V0, files: dict[str, bytes]) -> Chat:
    """A finished chat with these files and three turns."""
    made = await v0.create("First words")
    chat: Chat = v0.sandbox.chats[made.chat_id]
    for _ in range(2):
        v0.clock.advance(60)
        v0.sandbox.edit(chat.id, "write")
    v0.clock.advance(60)
    chat.files = {path: _text(content) for path, content in files.items()}
    return chat


def _text(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


class TestFingerprints:
    async def test_list_read_and_copy_agree_and_tell_every_change(self, v0: V0) -> None:
        """
        The three ways to a chat give one fingerprint, and another one after each change that the list tells.
        """
        made = await v0.create()
        v0.clock.advance(60)
        account = next(iter(v0.sandbox.backend.accounts.values()))
        account.projects["project-1"] = Project("project-1", "Shops", v0.clock.now, v0.clock.now)
        prints: list[str] = []

        async def look(what: str) -> None:
            seen = await listed(v0)
            read, copy = await v0.provider.read_chat(made.chat_id), await v0.provider.copy_chat(made.chat_id)
            assert seen.fingerprint == read.chat.fingerprint == copy.chat.fingerprint, what
            assert seen.fingerprint not in prints, what
            prints.append(seen.fingerprint)

        await look("as it is made")
        for what, change in changes_of(v0.version).items():
            change(v0.chat)
            await look(what)
        for kind in ("rename", "share", "keep", "link", "write"):
            v0.clock.advance(60)
            v0.sandbox.edit(made.chat_id, kind)
            await look(kind)
        v0.clock.advance(60)
        await look("the end of a generation")

    async def test_a_read_tells_metadata_and_rights(self, v0: V0) -> None:
        """
        A word of `keep` in the metadata is seen by the read before a deletion, also where no list tells it.
        """
        made = await v0.create(metadata={"protokeep": "k", "note": "Keep"})
        v0.chat.writable = False

        copy = await v0.provider.read_chat(made.chat_id)

        assert copy.metadata == {"protokeep": "k", "note": "Keep"}
        assert (copy.chat.asks_to_be_kept, copy.chat.may_delete) == (True, False)

    @pytest.mark.parametrize("operation", ["read_chat", "copy_chat", "first_prompt"])
    async def test_a_chat_that_is_gone_is_a_404(self, v0: V0, operation: str) -> None:
        """
        The status tells that there is no such chat.
        """
        await v0.provider.recent_chats()
        with pytest.raises(ProviderRejected) as refused:
            await getattr(v0.provider, operation)("nobody")
        assert refused.value.status == 404

    async def test_an_answer_about_another_chat_is_no_chat(self, version: int) -> None:
        """
        What v0 says of another chat is not taken for this one's.
        """
        provider, _ = answering(version, says(200, {"id": "other", "metadata": {}, "messages": [], "files": []}))
        for read in (provider.read_chat, provider.copy_chat):
            with pytest.raises(OutcomeUnknown):
                await read("one")


class TestCopies:
    async def test_a_copy_has_everything(self, v0: V0) -> None:
        """
        Files byte for byte, whatever they hold; messages in their order; metadata; and in v1 the picture.
        """
        chat = await chat_with(v0, TEXTS | BINARY)

        copy = await v0.provider.copy_chat(chat.id)

        assert copy.files == TEXTS | BINARY
        assert [message["id"] for message in copy.messages] == [message.id for message in chat.messages]
        assert copy.messages[0]["content"] == "First words"
        assert json.dumps(copy.messages)
        assert copy.metadata == chat.metadata
        assert (copy.picture is not None) == (v0.version == 1)

    async def test_a_chat_that_failed_at_last_keeps_the_files_before(self, v0: V0) -> None:
        """
        The newest version that has files counts, as the newest of all has none.
        """
        chat = await chat_with(v0, TEXTS | BINARY)
        v0.sandbox.set_knobs(finish_reason="error")
        v0.sandbox.edit(chat.id, "write")
        v0.clock.advance(60)

        assert (await v0.provider.copy_chat(chat.id)).files == TEXTS | BINARY

    async def test_a_chat_without_a_version_has_no_files(self, v0: V0) -> None:
        """
        A generation that has just begun: its messages are all that there is.
        """
        made = await v0.create("First words")

        copy = await v0.provider.copy_chat(made.chat_id)

        assert copy.files == {}
        assert copy.messages[0]["content"] == "First words"

    async def test_a_copy_with_long_history_is_whole(self, v0: V0) -> None:
        """
        Messages of several pages come in their order, each once.
        """
        made = await v0.create("First words")
        for _ in range(75):
            v0.clock.advance(60)
            v0.sandbox.edit(made.chat_id, "write")

        copy = await v0.provider.copy_chat(made.chat_id)

        assert [message["id"] for message in copy.messages] == [message.id for message in v0.chat.messages]

    @pytest.mark.parametrize("fails", ["messages.list", "chats.getFiles", "chats.getById", "chats.downloadVersion"])
    async def test_no_copy_is_half_of_one(self, v0: V0, fails: str) -> None:
        """
        Any part that cannot be read raises.
        """
        chat = await chat_with(v0, TEXTS)
        v0.sandbox.set_knobs(fail_next=[{"operation": fails, "status": 500}])
        ours = {"chats.getById", "chats.downloadVersion"} if v0.version == 1 else {"messages.list", "chats.getFiles"}

        if fails in ours:
            with pytest.raises(ProviderError):
                await v0.provider.copy_chat(chat.id)
        else:
            assert (await v0.provider.copy_chat(chat.id)).files == TEXTS

    @pytest.mark.parametrize(
        "files",
        [
            [("../out", "x")],
            [("a/../../out", "x")],
            [("/etc/passwd", "x")],
            [("C:\\out", "x")],
            [("a\\..\\..\\out", "x")],
            [("a\x00b", "x")],
            [("a//b", "x")],
            [("", "x")],
            [("x" * 501, "x")],
            [(None, "x")],
            [("a", None)],
            [("a", "\ud800")],
            [("a", "x"), ("a", "y")],
            [(f"file-{number}", "") for number in range(6)],
            [("a", "x" * 1001)],
        ],
        ids=range(15),
    )
    async def test_files_that_may_not_be_kept_are_no_copy(
        self, version: int, files: Sequence[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Paths that lead elsewhere, contents that are none, too many and too large ones raise.
        """
        monkeypatch.setattr(v0_files, "MAX_FILES", 5)
        monkeypatch.setattr(v0_files, "MAX_FILES_BYTES", 1000)
        rows = [{"path": path, "name": path, "content": content, "encoding": "utf8"} for path, content in files]
        chat: dict[str, Any] = {"id": "one", "metadata": {}, "cursor": None, "messages": [], "files": rows}
        chat["latestVersion"] = {"id": "v", "status": "x", "files": rows}
        provider, _ = answering(version, says(200, chat))

        with pytest.raises(OutcomeUnknown):
            await provider.copy_chat("one")

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    @pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../out", "a\\..\\..\\out", "page.tsx"])
    def test_paths_in_an_archive_lead_nowhere_else(self, path: str) -> None:
        """
        An archive with such a path, or with one path twice, raises.
        """
        with pytest.raises(OutcomeUnknown):
            v0_files.files_in_zip(zip_of([("page.tsx", "x"), (path, "x")]))

    @pytest.mark.parametrize("packed", [b"", b"PK", b"no archive", b"PK\x01\x02" * 20_000])
    def test_an_archive_that_is_none_is_no_copy(self, packed: bytes) -> None:
        """
        Bytes that are no archive raise, and bytes that name more files than may be kept are not even opened.
        """
        with pytest.raises(OutcomeUnknown) as unreadable:
            v0_files.files_in_zip(packed)
        assert unreadable.value.code == ("bad_answer" if len(packed) < 20 else "too_large")

    def test_a_bomb_is_unpacked_no_further_than_the_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A small archive that holds more than may be kept raises, also one that says that it holds less than it does.
        """
        monkeypatch.setattr(v0_files, "MAX_FILES_BYTES", 1024 * 1024)
        bomb = zip_of([("zeros", "0" * (v0_files.MAX_FILES_BYTES + 1))])
        size = (v0_files.MAX_FILES_BYTES + 1).to_bytes(4, "little")

        assert len(bomb) < 10_000
        for packed in (bomb, bomb.replace(size, (10).to_bytes(4, "little"))):
            with pytest.raises(OutcomeUnknown):
                v0_files.files_in_zip(packed)

    @only_v2
    async def test_files_in_no_known_encoding_are_no_copy(self, version: int) -> None:
        """
        Base64 that is none, and another encoding, raise.
        """
        for row in ({"path": "a", "content": "?", "encoding": "base64"}, {"path": "a", "content": "", "encoding": "x"}):
            provider, _ = answering(version, says(200, {"messages": [], "cursor": None, "files": [row]}))
            with pytest.raises(OutcomeUnknown):
                await provider.copy_chat("one")

    @only_v2
    async def test_files_that_are_too_large_for_json_come_as_an_archive(self, version: int) -> None:
        """
        Nine megabytes of text are no JSON answer that is read, and a small archive.
        """
        large = {"large.txt": b"x" * 9 * 1024 * 1024}

        def answer(request: httpx2.Request) -> httpx2.Response:
            path = request.url.path
            if path.endswith("/download"):
                return httpx2.Response(200, content=zip_of([("large.txt", large["large.txt"])]))
            if path.endswith("/files"):
                return httpx2.Response(200, content=large["large.txt"])
            return httpx2.Response(200, json={"id": "one", "metadata": {}, "messages": [], "cursor": None})

        provider, _ = answering(version, answer)

        assert (await provider.copy_chat("one")).files == large


class TestAgain:
    @pytest.mark.parametrize("files", [TEXTS, TEXTS | BINARY, {f"f{n}.txt": b"x" for n in range(25)}], ids=range(3))
    async def test_a_chat_is_made_again_byte_for_byte(self, v0: V0, files: dict[str, bytes]) -> None:
        """
        Text, binary files, and more files than v2 takes one by one: the new chat has name, metadata and the same files.
        """
        chat = await chat_with(v0, files)
        chat.name = "The shop"
        copy = await v0.provider.copy_chat(chat.id)

        made = await v0.provider.make_again(copy, {"protokeep_restored": chat.id})
        again = await v0.provider.copy_chat(made.chat_id)

        assert made.chat_id != chat.id
        assert again.files == files
        assert (again.chat.name, again.chat.privacy) == ("The shop", "private")
        assert again.metadata == made.metadata == {"protokeep_restored": chat.id}

    async def test_small_texts_travel_as_texts(self, v0: V0) -> None:
        """
        One call for a copy of a few texts, without an archive.
        """
        chat = await chat_with(v0, TEXTS)
        await v0.provider.make_again(await v0.provider.copy_chat(chat.id), {})

        assert v0.calls["chats.init" if v0.version == 1 else "chats.createFromFiles"] == 1

    async def test_the_outcome_of_a_lost_answer_is_not_known(self, version: int) -> None:
        """
        Errors are those of a create: after a 5xx or a success without an id a chat may be there; a 422 made none.
        """
        copy = ChatCopy(CensusChat("one", version, name="A"), files={"a": b"x"})
        for answer, error in (
            (says(500), OutcomeUnknown),
            (says(200, {}), OutcomeUnknown),
            (says(200, "<html>"), OutcomeUnknown),
            (says(422, {"message": "files: no"}), ProviderRejected),
        ):
            provider, asked = answering(version, answer)
            with pytest.raises(error):
                await provider.make_again(copy, {})
            assert len(asked.asked) == 1

    async def test_nothing_is_made_of_nothing(self, version: int) -> None:
        """
        A copy without files sends nothing, and says so.
        """
        provider, asked = answering(version, says(200, {}))
        with pytest.raises(ProviderRejected) as refused:
            await provider.make_again(ChatCopy(CensusChat("one", version)), {})
        assert (refused.value.code, asked.asked) == ("nothing_to_make", [])

    def test_an_archive_travels_in_its_address(self) -> None:
        """
        The `data:` address holds the archive, and the same files give the same one.
        """
        files = TEXTS | BINARY
        address = v0_files.zip_url_of(files)
        head, _, packed = address.partition(",")

        assert head == "data:application/zip;base64"
        assert v0_files.files_in_zip(base64.b64decode(packed)) == files
        assert v0_files.zip_url_of(dict(reversed(files.items()))) == address


def zip_of(files: Sequence[tuple[str, str | bytes]]) -> bytes:
    """A packed archive with these files, whatever their paths."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files:
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
