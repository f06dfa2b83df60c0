"""The file in which a chat is kept."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

import pytest

from protokeep.core import archive_file
from protokeep.core.archive_file import ArchivedChat, build_archive, parse_archive
from protokeep.core.errors import ArchiveFault

HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "C:\\windows\\x",
    "a\x00b",
    "a\nb",
    "",
    ".",
    "..",
    "a//b",
    "CON",
    "con.txt",
    "x" * 5000,
    "half \ud800",
    "trailing. ",
    "a ",
    "archive.json",
    "../archive.json",
    "files/index.ts",
]
MEETING = ["App.tsx", "app.tsx", "APP.TSX", "src", "src/x.ts", "SRC/x.ts", "é.ts", "é.ts", "ﬁ.ts", "fi.ts"]
CHAT = {"name": "Half \ud800 a character", "created_at": "2026-01-01T00:00:00+00:00"}


def test_any_paths_and_contents_come_back_exactly_and_the_same_chat_gives_the_same_bytes() -> None:
    """300 random chats: plain, hostile and meeting paths, in any order, with binary contents and odd JSON."""
    chance = random.Random(17)
    for _ in range(300):
        plain = [f"app/{chance.randrange(50)}/page{chance.randrange(9)}.tsx" for _ in range(5)]
        paths = chance.sample([*HOSTILE, *MEETING, *plain], chance.randrange(20))
        files = {path: chance.randbytes(chance.randrange(200)) for path in paths}
        messages: list[dict[str, object]] = [
            {"role": "user", "content": f"語 \udfff {chance.random()}", "parts": [None, 1e300, {}]}
        ]
        picture = chance.choice([None, ("image/png", b"\x89PNG"), ("image/webp", b"RIFF")])
        chat = ArchivedChat(CHAT, messages, files, picture)

        body = build_archive(chat)

        assert parse_archive(body) == chat
        shuffled = ArchivedChat(CHAT, messages, dict(chance.sample(sorted(files.items()), len(files))), picture)
        assert build_archive(shuffled) == body


def test_an_unpacked_archive_stays_in_its_folder_and_holds_every_file_once(tmp_path: Path) -> None:
    """Hostile paths, and paths that differ only in case or form, are numbered; the index names their exact paths."""
    files = {path: path.encode(errors="replace") for path in [*HOSTILE, *MEETING]}
    body = build_archive(ArchivedChat({}, files=files))

    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "in")

    assert list(tmp_path.iterdir()) == [tmp_path / "in"]
    unpacked = [path for path in (tmp_path / "in").rglob("*") if path.is_file()]
    assert len(unpacked) == len(names) == len(files) + 3
    assert len({name.casefold() for name in names}) == len(names)
    assert (tmp_path / "in/files/App.tsx").exists() or (tmp_path / "in/files/APP.TSX").exists()
    index = json.loads((tmp_path / "in/archive.json").read_bytes())
    assert {one["path"] for one in index["files"]} == set(files)


def test_whatever_is_cut_changed_or_made_by_others_is_an_archive_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parse gives the very chat back or raises `ArchiveFault`, and unpacks no bomb."""
    chance = random.Random(18)
    chat = ArchivedChat(CHAT, [{"id": "m"}], {"a.ts": b"x" * 300, "../b": b"y"}, ("image/png", b"p"))
    body = build_archive(chat)
    for _ in range(600):
        broken = bytearray(body)
        if chance.random() < 0.3:
            broken = broken[: chance.randrange(len(broken))]
        else:
            for _ in range(chance.randrange(1, 4)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            parse_archive(bytes(broken))
        except ArchiveFault:
            continue
    for other in (b"", b"PK\x05\x06" + b"\x00" * 18, _zip_of({"archive.json": b"[" * 100_000})):
        with pytest.raises(ArchiveFault):
            parse_archive(other)
    monkeypatch.setattr(archive_file, "MAX_UNPACKED", 1000)
    with pytest.raises(ArchiveFault, match="more than a copy of protokeep"):
        parse_archive(_zip_of({"archive.json": b"0" * 100_000}))


def test_a_chat_that_is_too_large_is_refused_and_never_kept_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bound of its own: files, bytes, and bytes of the archive."""
    for bound in ("MAX_FILES", "MAX_UNPACKED", "MAX_BODY"):
        with monkeypatch.context() as patched:
            patched.setattr(archive_file, bound, 1)
            with pytest.raises(ArchiveFault, match=r"holds|may have"):
                build_archive(ArchivedChat({}, files={"a": b"1", "b": b"2"}))
    with pytest.raises(ArchiveFault, match="JSON"):
        build_archive(ArchivedChat({"a": object()}))


def _zip_of(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()
