"""Finds out whether an address leads to a pooler that hands out another session with every transaction.

Such a pooler (PgBouncer's and Supavisor's transaction mode) forgets LISTEN, and what one program sets in a session, the
next one finds there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

#: How often is looked. A pooler in transaction mode nearly always shows itself at the first look: the session that was
#: given back last is handed out first.
LOOKS = 3
REFUSAL = (
    "This address leads to a pooler in transaction mode, where LISTEN and migrations do not work. Set "
    "PROTOKEEP_DATABASE_DIRECT_URL to the address of the server itself, or to one in session mode; "
    "PROTOKEEP_DATABASE_URL may stay as it is."
)

PID = "SELECT pg_backend_pid()"


async def shares_sessions(connection: asyncpg.Connection, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> bool:
    """Whether another connection gets the session of `connection` between two of its transactions.

    `connect` makes that other connection; it is made only where somebody stands between us and the server.
    """
    import asyncpg

    session = await connection.fetchval(PID)
    if session == connection.get_server_pid():
        return False  # A pooler gives its clients numbers of its own.
    # A pool that has no session left for a second connection, and so lets it wait, does not share the first one's.
    with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        other = await connect()
        try:
            for _ in range(LOOKS):
                async with other.transaction():
                    if await other.fetchval(PID) == session or await connection.fetchval(PID) != session:
                        return True
        finally:
            other.terminate()
    return False
