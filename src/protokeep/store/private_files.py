"""Creates files and folders that only their owner can open, from their first byte on and under any umask."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def create_folder(folder: Path) -> None:
    """Creates a folder, and those above it, where they are missing. Existing folders keep their mode."""
    if not folder.is_dir():
        create_folder(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def create_file(path: Path) -> int:
    """Creates a file that must not exist, and returns its descriptor, open for writing.

    A link counts as existing, wherever it leads. Raises `OSError`.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)


def save_file(path: Path, content: bytes, *, replacing: bool = False) -> None:
    """Writes a whole file, or nothing. One that is there stays as it is, unless it is to be replaced.

    Replaced is what bears the name: not the file that a link leads to, and nothing but files and links. Raises
    `OSError`.
    """
    if not replacing or not os.path.lexists(path):
        _write_whole(path, content)
        return
    if not (stat.S_ISREG(mode := path.lstat().st_mode) or stat.S_ISLNK(mode)):
        raise OSError(errno.EEXIST, "It is not a file")
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    _write_whole(draft, content)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise


def _write_whole(path: Path, content: bytes) -> None:
    descriptor = create_file(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError:
        path.unlink()
        raise


#: What file systems say that have no hard links: exFAT, many network shares and volumes of containers.
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def publish(draft: Path, path: Path) -> None:
    """Gives a draft its name, where nothing has that name yet; the draft's own name may stay. Raises `OSError`.

    Where the file system has no hard links, an empty file holds the name until the draft takes its place.
    """
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        os.close(create_file(path))
        os.replace(draft, path)


def create_database(path: Path) -> None:
    """Creates an empty file for a SQLite database, unless there is one. Raises `OSError`.

    SQLite itself creates files that everybody may read. The `-wal`, `-shm` and `-journal` files beside a database take
    over its mode. An existing file is not opened: closing it would release SQLite's own locks on it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(create_file(Path(os.path.realpath(path))))
