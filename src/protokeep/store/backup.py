"""Copies the embedded database while it is in use."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from protokeep.core.errors import InvalidInput, NotReady
from protokeep.store.private_files import create_file, publish

#: Pages copied at a time; writers continue in between.
PAGES = 1000


def backup(source: Path, target: Path) -> None:
    """Copies a SQLite database that may be in use, with SQLite's own backup API.

    The copy appears under its name only when it is complete and has passed SQLite's check. Only its owner can read it,
    and the draft before it. Raises `InvalidInput` when there is nothing to copy or `target` exists, and `NotReady` when
    copying fails.
    """
    if not source.is_file():
        raise InvalidInput(f"There is no database at {source}. PROTOKEEP_DATABASE_URL says where it is.")
    if os.path.lexists(target):
        raise InvalidInput(f"{target} exists. Choose another name, so that no older copy is lost.")
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(create_file(draft))
        with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(draft)) as writing:
            reading.execute("PRAGMA busy_timeout = 10000")
            reading.backup(writing, pages=PAGES)
            writing.execute("PRAGMA journal_mode = DELETE")
            found = writing.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise NotReady(f"The copy did not pass SQLite's check ({found}); it was deleted.")
        publish(draft, target)
    except (OSError, sqlite3.Error) as error:
        raise NotReady(f"The copy failed: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)
