"""Accounts at builders: what holds them back, and who looks after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protokeep.core.prototype import TrackedPrototype
from protokeep.store.database import Database, Row
from protokeep.store.prototype_queries import query

#: The `polling_paused_code` of an account whose budget of calls is short.
SHORT_OF_CALLS = "short_of_calls"
#: The `polling_paused_code` of an account at which looks are made and fail (the key is refused, say).
LOOKS_FAIL = "looks_fail"


@dataclass(frozen=True, slots=True)
class Account:
    """What holds an account at a builder back, if anything."""

    name: str
    hold_code: str | None = None
    hold_message: str | None = None
    hold_until: datetime | None = None
    failures: int = 0
    polling_paused_until: datetime | None = None
    polling_paused_code: str | None = None

    def is_polling_paused(self, now: datetime) -> bool:
        """Whether no look is made now. Being short of calls only slows some; failing ones are tried again."""
        held = self.polling_paused_until is not None and self.polling_paused_until > now
        return held and self.polling_paused_code not in (SHORT_OF_CALLS, LOOKS_FAIL)


class Accounts:
    """Reads and writes `protokeep_accounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> Account:
        """What is known of an account; nothing holds one back that was never written."""
        rows = await self._database.keyed(query("find_account"), {"account": name})
        if not rows:
            return Account(name)
        row = rows[0]
        row.pop("account")
        return Account(name, **row)

    async def hold(self, name: str, provider: str, code: str, message: str, until: datetime) -> None:
        """No creates for this account until then."""
        await self._run(
            "hold_account", account=name, provider=provider, hold_code=code, hold_message=message, hold_until=until
        )

    async def take_probe(self, name: str, now: datetime, until: datetime) -> bool:
        """Whether this create is the one that may find out whether a held account works again."""
        return bool(await self._rows("take_probe", account=name, now=now, until=until))

    async def release(self, name: str, now: datetime) -> None:
        """A create was accepted: the account's parked rows go on now."""
        account = await self.get(name)
        if account.hold_code is None and account.hold_until is None and account.failures == 0:
            return
        async with self._database.transaction() as session:
            if await session.run(query("release_account"), {"account": name}) > 0:
                await session.run(query("wake_parked"), {"account": name, "now": now})

    async def count_failure(self, name: str, provider: str) -> int:
        """Consecutive creates of this account without a trustworthy answer, this one included."""
        rows = await self._rows("count_failure", account=name, provider=provider)
        return int(rows[0]["failures"])

    async def pause_polling(self, name: str, until: datetime, code: str = "slowed", message: str = "") -> None:
        """Looks wait until then (all of them, or those that nobody watches); the reason is for people to see."""
        provider = name.partition(":")[0]
        words = message or "Looks are paused."
        await self._run("hold_reads", account=name, provider=provider, until=until, code=code, message=words)

    async def spend(self, name: str, calls: int, now: datetime) -> tuple[int, int]:
        """Count `calls` to the builder; all replicas' calls in this minute and this UTC day."""
        minute = now.replace(second=0, microsecond=0)
        day = minute.replace(hour=0, minute=0)
        rows = await self._rows("spend_calls", account=name, calls=calls, minute_at=minute, day_at=day)
        return int(rows[0]["minute_calls"]), int(rows[0]["day_calls"])

    async def postpone_polls(self, looks: Sequence[TrackedPrototype], until: datetime) -> None:
        """These are not looked at now, for want of calls."""
        values = [
            {
                "mockup_id": one.id,
                "version": one.generation.version,
                "next_poll_at": until,
                "deadline_at": one.generation.polling.deadline_at,
                "missing_since": one.generation.absence.missing_since,
            }
            for one in looks
        ]
        async with self._database.transaction() as session:
            await session.run_many(query("postpone_look"), values)

    async def take_tracking(self, name: str, provider: str, owner: str, now: datetime, until: datetime) -> bool:
        """Become, or stay, the one who tracks this account."""
        values = {"account": name, "provider": provider, "owner": owner, "now": now, "until": until}
        return bool(await self._rows("take_tracking", **values))

    async def release_tracking(self, name: str, owner: str) -> None:
        """Let another one track this account at once."""
        await self._run("release_tracking", account=name, owner=owner)

    async def to_track(self, owner: str, now: datetime) -> list[str]:
        """Accounts with a look due that nobody, or `owner` itself, tracks."""
        async with self._database.reading() as session:
            rows = await session.rows(query("accounts_to_track"), {"now": now, "owner": owner})
        return [row["account"] for row in rows]

    async def _rows(self, name: str, **values: Any) -> list[Row]:
        async with self._database.alone() as session:
            return await session.rows(query(name), values)

    async def _run(self, name: str, **values: Any) -> int:
        async with self._database.alone() as session:
            return await session.run(query(name), values)
