"""The file in which a chat is kept: a zip that people can unpack, and that gives back exactly what was put in.

    chat.json          what the app builder told of the chat
    messages.json      its messages, in the order in which they were sent
    files/<path>       the files of its newest version
    renamed/<number>   files whose paths would do harm, or meet another one, where somebody unpacks the zip
    picture.png        its picture (or .jpg, .webp)
    archive.json       the index: the exact path of each file, and the entry that holds it

The same chat gives the same bytes. Only the index is believed about paths, so that any path comes back as it was.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protokeep.core.errors import ArchiveFault

#: The largest chat that is kept, unpacked, and the largest archive. An answer of v0 has 8 MB at most.
MAX_UNPACKED = 128 * 1024 * 1024
MAX_BODY = 64 * 1024 * 1024
MAX_FILES = 20_000
FORMAT = 1
_INDEX, _CHAT, _MESSAGES = "archive.json", "chat.json", "messages.json"
_PICTURE_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
#: The first instant that a zip can name: the time of making would give the same chat other bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_LEVEL = 6
#: What a file system may refuse or read as something else; Windows is the strictest.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.I)
_MAX_SEGMENT, _MAX_PATH = 120, 400
#: Everything that the standard library raises for a zip that is none, is cut, or is encrypted.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class ArchivedChat:
    """A chat as plain values. `chat` and `messages` are JSON; `files` is path to content.

    `picture` is (content type, body); None: there was none.
    """

    chat: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    picture: tuple[str, bytes] | None = None


def build_archive(chat: ArchivedChat) -> bytes:
    """The archive of a chat. Raises `ArchiveFault` for a chat that is too large, or holds what JSON does not."""
    if len(chat.files) > MAX_FILES:
        raise ArchiveFault(f"It has {len(chat.files)} files, and a copy holds at most {MAX_FILES}.")
    named = _entry_names(chat.files)
    entries = {entry: chat.files[path] for path, entry in named}
    index: dict[str, Any] = {"format": FORMAT, "files": [{"path": path, "entry": entry} for path, entry in named]}
    if chat.picture is not None:
        content_type, body = chat.picture
        entry = f"picture.{_PICTURE_ENDINGS.get(content_type, 'bin')}"
        index["picture"] = {"entry": entry, "content_type": content_type}
        entries[entry] = body
    entries |= {_INDEX: _json(index), _CHAT: _json(chat.chat), _MESSAGES: _json(list(chat.messages))}
    unpacked = sum(map(len, entries.values()))
    if unpacked > MAX_UNPACKED:
        raise ArchiveFault(f"It has {unpacked:,} bytes, and a copy holds at most {MAX_UNPACKED:,}.")
    body = _zip(entries)
    if len(body) > MAX_BODY:
        raise ArchiveFault(f"Its copy would have {len(body):,} bytes, and may have {MAX_BODY:,}.")
    return body


def parse_archive(body: bytes) -> ArchivedChat:
    """The chat that an archive holds. Raises `ArchiveFault` for anything that `build_archive` would not write.

    Never unpacks more than `MAX_UNPACKED` bytes, whatever the archive says of itself.
    """
    try:
        entries = _unzip(body)
        index, chat, messages = (json.loads(entries[name]) for name in (_INDEX, _CHAT, _MESSAGES))
        if index["format"] != FORMAT:
            raise ArchiveFault(f"The copy has format {index['format']!r}; this version reads format {FORMAT}.")
        files = {str(one["path"]): entries[one["entry"]] for one in index["files"]}
        picture = index.get("picture")
        kept = (str(picture["content_type"]), entries[picture["entry"]]) if picture is not None else None
        if len(files) != len(index["files"]) or not isinstance(chat, dict) or not isinstance(messages, list):
            raise ValueError("the index names a file twice, or holds no chat")
    except _UNREADABLE as error:
        raise ArchiveFault(f"The copy cannot be read: {error}.") from error
    return ArchivedChat(chat, messages, files, kept)


def sha256_of(body: bytes) -> str:
    """The digest by which an archive is known."""
    return hashlib.sha256(body).hexdigest()


def _zip(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.create_system = 3  # Unix, on every machine.
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, entries[name], zipfile.ZIP_DEFLATED, _LEVEL)
    return buffer.getvalue()


def _unzip(body: bytes) -> dict[str, bytes]:
    """The entries of a zip by their names, within the bounds. Each one's checksum is checked by `zipfile`."""
    if len(body) > MAX_BODY:
        raise ArchiveFault(f"The copy has {len(body):,} bytes, and may have {MAX_BODY:,}.")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        infos = archive.infolist()
        # `zipfile` gives out no more bytes of an entry than its header promises.
        if len(infos) > MAX_FILES + 4 or sum(info.file_size for info in infos) > MAX_UNPACKED:
            raise ArchiveFault("The copy holds more than a copy of protokeep's may.")
        if len({info.filename for info in infos}) != len(infos):
            raise ValueError("two entries have one name")
        return {info.filename: archive.read(info) for info in infos}


def _entry_names(paths: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """(path, entry) of each file, sorted. A path that could do harm where it is unpacked gets a number instead."""
    named: list[tuple[str, str]] = []
    files: set[str] = set()
    folders: set[str] = set()
    for number, path in enumerate(sorted(paths), 1):
        folded = unicodedata.normalize("NFKC", path).casefold()
        parents = {folded[:at] for at, letter in enumerate(folded) if letter == "/"}
        meets_another = folded in files | folders or bool(parents & files)
        if not _is_safe(path) or meets_another:
            named.append((path, f"renamed/{number:06}"))
            continue
        files.add(folded)
        folders |= parents
        named.append((path, f"files/{path}"))
    return named


def _is_safe(path: str) -> bool:
    """Whether a file of this path can be unpacked everywhere, and lands inside the folder that it is unpacked to."""
    try:
        length = len(path.encode())
    except UnicodeEncodeError:  # Half of a character, as JSON can name it.
        return False
    return length <= _MAX_PATH and not _UNSAFE.search(path) and all(map(_is_safe_segment, path.split("/")))


def _is_safe_segment(segment: str) -> bool:
    """Whether a part of a path is a plain name; `.`, `..` and nothing at all are none."""
    is_plain = segment == segment.strip() and not segment.endswith(".") and not _DEVICES.match(segment)
    return is_plain and 0 < len(segment.encode()) <= _MAX_SEGMENT


def _json(value: object) -> bytes:
    """JSON that people can read. Half a character, which UTF-8 does not have, is escaped with all the others."""
    try:
        try:
            return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode()
        except UnicodeEncodeError:
            return json.dumps(value, indent=1, sort_keys=True).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ArchiveFault(f"It cannot be written as JSON: {error}.") from error
