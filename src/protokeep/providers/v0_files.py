"""Files of chats: bounded, with paths that lead nowhere else, and byte for byte what v0 has."""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from protokeep.core.errors import OutcomeUnknown
from protokeep.providers.v0_http import TOO_LARGE

#: Files of one chat, bytes of all of them, and characters of a path.
MAX_FILES, MAX_FILES_BYTES, MAX_PATH = 5000, 64 * 1024 * 1024, 500
#: An archive that v0 packs may have so many bytes.
MAX_ARCHIVE_BYTES = 32 * 1024 * 1024
#: The first instant that a ZIP archive can name. The same files give the same archive.
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: What an archive has before each of its names.
_ENTRY = b"PK\x01\x02"
#: What reading a damaged or a hostile archive raises.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


class FileSet:
    """The files of one chat. Adding one that may not be there raises `OutcomeUnknown`: no set is half of one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.bytes_left = MAX_FILES_BYTES

    def add(self, path: Any, content: bytes) -> None:
        """Add a file with a path of its own."""
        name = _path(path)
        if name in self.files:
            raise _unreadable("has two files of the same path")
        self.bytes_left -= len(content)
        if self.bytes_left < 0 or len(self.files) >= MAX_FILES:
            raise too_many_files()
        self.files[name] = content


def too_many_files() -> OutcomeUnknown:
    """The error for a chat whose files cannot be kept."""
    return OutcomeUnknown(
        f"The chat has more than {MAX_FILES:,} files, or more than {MAX_FILES_BYTES // 1024 // 1024} MiB.",
        code=TOO_LARGE,
    )


def bytes_of_text(content: Any) -> bytes:
    """The bytes of a file that v0 names as text. Raises `OutcomeUnknown` if they cannot be told."""
    if not isinstance(content, str):
        raise _unreadable("has a file without a content")
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _unreadable("has a file that is not the text it is said to be") from error


def bytes_of_base64(content: Any) -> bytes:
    """The bytes of a file that v0 names in base64. Raises `OutcomeUnknown` if they cannot be told."""
    try:
        return base64.b64decode(content if isinstance(content, str) else b"?", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable("has a file whose content could not be decoded") from error


def files_in_zip(packed: bytes) -> dict[str, bytes]:
    """The files of a ZIP archive, each unpacked no further than the bounds. Raises `OutcomeUnknown`."""
    found = FileSet()
    if packed.count(_ENTRY) > 2 * MAX_FILES:  # Opening an archive reads the names of all its files.
        raise too_many_files()
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                with archive.open(member) as unpacked:
                    found.add(member.filename, unpacked.read(found.bytes_left + 1))
    except _UNREADABLE as error:
        raise _unreadable("has a ZIP of files that could not be read") from error
    return found.files


def zip_url_of(files: Mapping[str, bytes]) -> str:
    """A ZIP archive of the files as a `data:` address (RFC 2397), which holds the archive itself."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[path])
    return "data:application/zip;base64," + base64.b64encode(packed.getvalue()).decode("ascii")


def texts_of(files: Mapping[str, bytes]) -> dict[str, str] | None:
    """The files as texts; None if any of them is none, so that it cannot travel as one."""
    try:
        texts = {path: content.decode("utf-8") for path, content in files.items()}
    except UnicodeDecodeError:
        return None
    return None if any("\x00" in content for content in texts.values()) else texts


def inline(texts: Mapping[str, str]) -> list[dict[str, str]]:
    """Texts as both versions take them: `[{name, content}]`."""
    return [{"name": path, "content": content} for path, content in texts.items()]


def rows_of_files(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows that describe files. Raises `OutcomeUnknown` if any of them describes none."""
    found = []
    for row in rows:
        if not isinstance(row, dict):
            raise _unreadable("has a file that could not be read")
        found.append(row)
    return found


def _path(value: Any) -> str:
    """A path that stays inside the folder that it is unpacked in. Raises `OutcomeUnknown` for any other."""
    parts = value.replace("\\", "/").split("/") if isinstance(value, str) else [""]
    is_plain = isinstance(value, str) and 0 < len(value) <= MAX_PATH and value.isprintable()
    if not is_plain or any(part in ("", ".", "..") for part in parts) or ":" in parts[0]:
        raise _unreadable("has a file whose path leads out of the chat")
    return str(value)


def _unreadable(what: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"v0's chat {what}.", code="bad_answer")
