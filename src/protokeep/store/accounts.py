"""Accounts at providers: holds of their creates, pauses of their polls, and the process that tracks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protokeep.core.clean_up_budget import CleanUpCalls
from protokeep.core.prototype import TrackedPrototype
from protokeep.store.database import Database
from protokeep.store.mapping import generation_values
from protokeep.store.sql import Connection, Row, query

#: The `polling_paused_code` of an account whose budget of calls is short.
SHORT_OF_CALLS = "short_of_calls"
#: The `polling_paused_code` of an account whose polls fail, for example because its key is refused.
POLLING_FAILS = "polling_fails"

#: Stands behind the name of an account where the calls of its censuses and clean-ups are counted by themselves.
CLEAN_UP = "#clean-up"


@dataclass(frozen=True, slots=True)
class Account:
    """The hold of an account's creates, and the pause of its polls; None where there is none."""

    name: str
    hold_code: str | None = None
    hold_message: str | None = None
    hold_until: datetime | None = None
    failures: int = 0
    polling_paused_until: datetime | None = None
    polling_paused_code: str | None = None

    def is_polling_paused(self, now: datetime) -> bool:
        """Whether nothing is polled now. A short budget only slows some polls, and failing polls are tried again."""
        paused = self.polling_paused_until is not None and self.polling_paused_until > now
        return paused and self.polling_paused_code not in (SHORT_OF_CALLS, POLLING_FAILS)


class Accounts:
    """Reads and writes `protokeep_accounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> Account:
        """The hold and the pause of an account. An account without a row has neither."""
        rows = await self._database.read(query("find_account"), {"account": name})
        return Account(**rows[0]) if rows else Account(name)

    async def hold(self, name: str, provider: str, code: str, message: str, until: datetime) -> None:
        """Holds the creates of an account until a time."""
        await self._execute(
            "hold_account", account=name, provider=provider, hold_code=code, hold_message=message, hold_until=until
        )

    async def take_probe(self, name: str, now: datetime, until: datetime) -> bool:
        """Whether this create probes a held account: it is the one that finds out whether the account works again."""
        return bool(await self._rows("claim_account_probe", account=name, now=now, until=until))

    async def release(self, name: str, now: datetime) -> None:
        """Ends the hold of an account, because a create was accepted. Its parked creates go on now."""
        account = await self.get(name)
        if account.hold_code is None and account.hold_until is None and account.failures == 0:
            return
        async with self._database.transaction() as connection:
            if await connection.execute(query("release_account"), {"account": name}) > 0:
                await connection.execute(query("resume_parked"), {"account": name, "now": now})

    async def count_failure(self, name: str, provider: str) -> int:
        """Counts a create that got no trustworthy answer. Returns how many there were in a row."""
        rows = await self._rows("count_failure", account=name, provider=provider)
        return int(rows[0]["failures"])

    async def pause_polling(self, name: str, until: datetime, code: str = "slowed", message: str = "") -> None:
        """Pauses the polls of an account until a time, with a reason for people."""
        provider = name.partition(":")[0]
        message = message or "Status checks are paused."
        await self._execute("pause_polling", account=name, provider=provider, until=until, code=code, message=message)

    async def spend(self, name: str, calls: int, now: datetime) -> tuple[int, int]:
        """Counts calls to the provider. Returns the calls of all processes in this minute and in this UTC day."""
        minute = now.replace(second=0, microsecond=0)
        day = minute.replace(hour=0, minute=0)
        rows = await self._rows("count_calls", account=name, calls=calls, minute_at=minute, day_at=day)
        return int(rows[0]["minute_calls"]), int(rows[0]["day_calls"])

    async def clean_up_calls(self, name: str, now: datetime) -> CleanUpCalls:
        """The calls of censuses and clean-ups for an account in this UTC day, and when the last one was made."""
        rows = await self._database.read(query("find_calls"), {"account": f"{name}{CLEAN_UP}"})
        if not rows:
            return CleanUpCalls()
        today = rows[0]["day_calls"] if rows[0]["day_at"] == _midnight(now) else 0
        return CleanUpCalls(today, rows[0]["minute_at"])

    async def spend_on_clean_up(self, name: str, calls: int, now: datetime) -> None:
        """Counts calls of a census or a clean-up."""
        async with self._database.transaction() as connection:
            await count_clean_up_calls(connection, name, calls, now)

    async def postpone_polls(self, prototypes: Sequence[TrackedPrototype], until: datetime) -> None:
        """Postpones polls for which there are no calls left."""
        values = [{**generation_values(prototype), "next_poll_at": until} for prototype in prototypes]
        async with self._database.transaction() as connection:
            await connection.execute_many(query("postpone_poll"), values)

    async def take_tracking(self, name: str, provider: str, owner: str, now: datetime, until: datetime) -> bool:
        """Makes a process the tracker of an account, or renews its lease. False: another process is the tracker."""
        values = {"account": name, "provider": provider, "owner": owner, "now": now, "until": until}
        return bool(await self._rows("acquire_tracking_lease", **values))

    async def release_tracking(self, name: str, owner: str) -> None:
        """Ends a tracking lease, so that another process can track the account at once."""
        await self._execute("release_tracking", account=name, owner=owner)

    async def to_track(self, owner: str, now: datetime) -> list[str]:
        """Accounts that have a poll due and no tracker other than `owner`."""
        async with self._database.reading() as connection:
            rows = await connection.fetch_all(query("accounts_to_track"), {"now": now, "owner": owner})
        return [row["account"] for row in rows]

    async def _rows(self, name: str, **values: Any) -> list[Row]:
        async with self._database.transaction() as connection:
            return await connection.fetch_all(query(name), values)

    async def _execute(self, name: str, **values: Any) -> int:
        async with self._database.transaction() as connection:
            return await connection.execute(query(name), values)


async def count_clean_up_calls(connection: Connection, name: str, calls: int, now: datetime) -> None:
    """Counts calls in the transaction of what they brought. The row's `minute_at` is the time of the last one."""
    values = {"account": f"{name}{CLEAN_UP}", "calls": calls, "minute_at": now, "day_at": _midnight(now)}
    await connection.execute(query("count_calls"), values)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
