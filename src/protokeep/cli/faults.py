"""What a command says, in one line, of a fault that ends it."""

from __future__ import annotations

import re
import sqlite3

from protokeep.core.errors import DatabaseUnavailable, ProtokeepError
from protokeep.core.foreign_text import one_line
from protokeep.store.sql import DatabaseError

#: Of what a database says, so much is shown.
REASON_MAX = 200
#: How SQLite and PostgreSQL say that a table of ours is not there.
NO_TABLE = re.compile(r'(no such table: |relation ")protokeep_')
NOT_MIGRATED = (
    "The database is not migrated, and PROTOKEEP_MIGRATE=off keeps a start from doing it. Run: protokeep migrate"
)


def words_for(error: BaseException) -> str | None:
    """One line that says what is wrong and which setting leads there; None for a fault of protokeep's own.

    Errors of files and of databases come from the machine, and a traceback says nothing more about them.
    """
    if isinstance(error, DatabaseUnavailable):
        cause = error.__cause__
        reason = f" ({_reason(cause)}; PROTOKEEP_DATABASE_URL says where it is)" if cause is not None else ""
        return f"{error}{reason}"
    if isinstance(error, ProtokeepError | DatabaseError | sqlite3.Error) and NO_TABLE.search(str(error)):
        return NOT_MIGRATED
    if isinstance(error, ProtokeepError):
        return str(error)
    if isinstance(error, DatabaseError | sqlite3.Error):
        return f"The database refused: {_reason(error)}. PROTOKEEP_DATABASE_URL says which one it is."
    if isinstance(error, OSError):
        return f"{_reason(error)}."
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return one_line(text)[:REASON_MAX].rstrip(".")
