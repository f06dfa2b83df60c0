"""What censuses found, as people and plans read it: with claims, kinds and pins as they are at this moment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from protokeep.core.audit import AuditEntry
from protokeep.core.census import ChatGroup, ChatRecord, KnownProduct
from protokeep.store import audit
from protokeep.store.census import chat_record_of
from protokeep.store.census_queries import CensusQueries
from protokeep.store.prototype_queries import name_of_product, workspace_of
from protokeep.store.prototypes import Prototypes
from protokeep.store.sql import Row, Statement, Values, query

#: Where a list goes on: behind this key and this id.
Place = tuple[Any, str]
#: Chats of one page where all are read.
PAGE = 500
#: Products that chats are compared with, and prompts of each.
MOST_PRODUCTS, MOST_PROMPTS = 20_000, 20
#: Prompts of prototypes are compared up to here.
PROMPT_COMPARED = 20_000


@dataclass(frozen=True, slots=True)
class ChatFilters:
    """Which chats. Each of `words` is in the name or in the prompt, or is the chat's id; None: any."""

    words: tuple[str, ...] = ()
    product_id: str | None = None
    group_id: str | None = None
    author_id: str | None = None
    claim: str | None = None
    kind: str | None = None
    content: str | None = None
    pinned: bool | None = None
    missing: bool | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    chat_ids: tuple[str, ...] | None = None

    def conditions(self, queries: CensusQueries) -> tuple[list[str], dict[str, Any]]:
        """The conditions as SQL, and their values."""
        where, values = [], dict[str, Any]()
        for number, word in enumerate(self.words):
            where.append(queries.has_word(number))
            values[f"word{number}"] = f"%{_literal(word)}%"
            values[f"text{number}"] = word
        for name in ("product_id", "group_id", "author_id", "claim", "kind", "content"):
            if (value := getattr(self, name)) is not None:
                where.append(f"x.{name} = :{name}")
                values[name] = str(value)
        if self.pinned is not None:
            where.append(f"x.pinned_by IS {'NOT ' if self.pinned else ''}NULL")
        if self.missing is not None:
            where.append(f"x.is_missing = {'true' if self.missing else 'false'}")
        for name, sign in (("created_before", "<"), ("created_after", ">=")):
            if (at := getattr(self, name)) is not None:
                where.append(f"x.created_at {sign} :{name}")
                values[name] = at
        if self.chat_ids is not None:
            where.append("x.chat_id IN :chat_ids")
            values["chat_ids"] = list(self.chat_ids)
        return where, values


@dataclass(frozen=True, slots=True)
class FoundChat:
    """A chat with what only people want to see of it. `fingerprint` is that of its record's chat."""

    record: ChatRecord
    fingerprint: str
    pin_reason: str | None = None
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group with the number of its chats, of those that no product has claimed, and what they cost."""

    group: ChatGroup
    members: int
    unclaimed: int
    credits: float | None
    name: str
    newest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Count:
    """A number of chats, and what they cost; `credits` None: nothing is known of that."""

    name: str | None
    chats: int
    credits: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of chats that are alike in everything that a summary counts, and of the most frequent names."""

    rows: Sequence[Row] = ()
    authors: Sequence[Count] = ()
    products: Sequence[Count] = field(default=())


class CensusReads:
    """Reads the chats and groups of a workspace and an account, and writes pins."""

    def __init__(self, prototypes: Prototypes) -> None:
        self._prototypes = prototypes
        self._database = prototypes.database
        self._composed: CensusQueries | None = None

    async def chats(
        self,
        workspace_id: str,
        account: str,
        filters: ChatFilters,
        limit: int,
        *,
        sort: str = "created",
        after: Place | None = None,
        prompts: bool = False,
    ) -> tuple[list[FoundChat], Place | None]:
        """A page of chats, and where the next page begins (None: there is none). Foreign ones are never among them.

        Raises `TooSlow`.
        """
        queries = await self._queries()
        where, values = filters.conditions(queries)
        values |= {"workspace_id": workspace_id, "account": account, "limit": limit + 1}
        if after is not None:
            values["after_key"], values["after_id"] = after
        statement = queries.chats(where, sort, after=after is not None, prompts=prompts)
        rows = await self._database.scan(statement, values)
        page = rows[:limit]
        place = (page[-1].get("sort_at", page[-1].get("sort_key")), page[-1]["chat_id"]) if len(rows) > limit else None
        return [_found_of(row) for row in page], place

    async def all_chats(
        self, workspace_id: str, account: str, filters: ChatFilters | None = None, *, prompts: bool = False
    ) -> AsyncIterator[Sequence[FoundChat]]:
        """All chats, in pages."""
        after: Place | None = None
        while True:
            page, after = await self.chats(
                workspace_id, account, filters or ChatFilters(), PAGE, sort="id", after=after, prompts=prompts
            )
            yield page
            if after is None:
                return

    async def records(
        self, workspace_id: str, account: str, chat_ids: Sequence[str] | None = None, *, prompts: bool = True
    ) -> list[ChatRecord]:
        """All chats, or those of `chat_ids`, that are not foreign; with the beginnings of prompts, or the whole."""
        filters = ChatFilters(chat_ids=None if chat_ids is None else tuple(chat_ids))
        pages = self.all_chats(workspace_id, account, filters, prompts=prompts)
        return [found.record async for page in pages for found in page]

    async def counts(self, workspace_id: str, account: str, now: datetime, limit: int) -> Counts:
        """What a summary counts. Raises `TooSlow`."""
        queries = await self._queries()
        values = {"workspace_id": workspace_id, "account": account}
        ages = {"week": 7, "month": 30, "quarter": 90, "year": 365}
        times = {f"{name}_ago": now - timedelta(days=days) for name, days in ages.items()}
        rows = await self._database.scan(queries.counts(), {**values, **times})
        tops = []
        for column in ("author_id", "product_id"):
            found = await self._database.scan(queries.tops(column), {**values, "limit": limit})
            tops.append([Count(row["name"], row["number"], _credits_of(row)) for row in found])
        return Counts(rows, *tops)

    async def groups(
        self,
        workspace_id: str,
        account: str,
        limit: int,
        *,
        product_id: str | None = None,
        unclaimed: bool = False,
        least_confidence: float | None = None,
        after: tuple[int, str] | None = None,
    ) -> tuple[list[FoundGroup], tuple[int, str] | None]:
        """A page of groups, the largest first, and where the next page begins. Raises `TooSlow`."""
        where, values = [], dict[str, Any](workspace_id=workspace_id, account=account, limit=limit + 1)
        if product_id is not None:
            where.append("gr.product_id = :product_id")
            values["product_id"] = product_id
        if unclaimed:
            where.append("n.unclaimed > 0")
        if least_confidence is not None:
            where.append("gr.confidence >= :confidence")
            values["confidence"] = least_confidence
        if after is not None:
            values["after_members"], values["after_id"] = after
        rows = await self._database.scan((await self._queries()).groups(where, after=after is not None), values)
        page = [_group_of(row) for row in rows[:limit]]
        return page, (page[-1].members, page[-1].group.id) if len(rows) > limit else None

    async def products(self, workspace_id: str) -> list[KnownProduct]:
        """The products of the workspace that have prototypes, with the prompts of these."""
        shape = await self._prototypes.owner_table()
        workspace = workspace_of(shape, "m", "g")
        prompt = f"substr(m.prompt, 1, {PROMPT_COMPARED})" if "prompt" in shape.columns else "NULL"
        statement = Statement(
            f"SELECT CAST(m.product_id AS text) AS product_id, {name_of_product(shape, 'm.product_id', workspace)}"  # noqa: S608
            f" AS name, {prompt} AS prompt FROM design_mockups m"
            f" LEFT JOIN protokeep_generations g ON g.mockup_id = m.id WHERE {workspace} = :workspace_id"
            " ORDER BY m.product_id LIMIT :limit"
        )
        rows = await self._rows(statement, {"workspace_id": workspace_id, "limit": MOST_PRODUCTS})
        named = await self._rows(query("list_named_products"), {"workspace_id": workspace_id, "limit": MOST_PRODUCTS})
        prompts: dict[str, dict[str, None]] = {}
        names: dict[str, str | None] = {}
        for row in [*rows, *named]:
            of_product = prompts.setdefault(row["product_id"], {})
            names[row["product_id"]] = names.get(row["product_id"]) or row["name"]
            if row["prompt"] and len(of_product) < MOST_PROMPTS:
                of_product[row["prompt"]] = None
        return [KnownProduct(product_id, names[product_id], tuple(found)) for product_id, found in prompts.items()]

    # -- pins --------------------------------------------------------------------------------------------------

    async def pin(
        self, workspace_id: str, account: str, chat_id: str, by: str, reason: str | None, entry: AuditEntry
    ) -> bool:
        """Pins a chat. False: it is pinned already, and stays as it is."""
        values = {
            "workspace_id": workspace_id,
            "account": account,
            "chat_id": chat_id,
            "pinned_by": by,
            "now": entry.at,
            "reason": reason,
        }
        return await self._write("insert_pin", values, entry)

    async def unpin(self, workspace_id: str, account: str, chat_id: str, entry: AuditEntry) -> bool:
        """Takes a pin off a chat. False: it has none."""
        values = {"workspace_id": workspace_id, "account": account, "chat_id": chat_id}
        return await self._write("delete_pin", values, entry)

    async def pins(self, workspace_id: str, account: str, chat_ids: Sequence[str]) -> dict[str, str]:
        """Who pinned which of these chats, by the ids of the pinned ones."""
        if not chat_ids:
            return {}
        values = {"workspace_id": workspace_id, "account": account, "chat_ids": chat_ids}
        return {row["chat_id"]: row["pinned_by"] for row in await self._rows(query("list_pins_of_chats"), values)}

    async def _write(self, name: str, values: Values, entry: AuditEntry) -> bool:
        async with self._database.transaction() as connection:
            if await connection.execute(query(name), values) == 0:
                return False
            await audit.write(connection, entry)
        return True

    async def _queries(self) -> CensusQueries:
        shape = (await self._prototypes.prepared()).shape
        if self._composed is None:
            self._composed = CensusQueries(shape, is_sqlite=self._database.is_sqlite)
        return self._composed

    async def _rows(self, statement: Statement, values: Mapping[str, Any]) -> list[Row]:
        async with self._database.reading() as connection:
            return await connection.fetch_all(statement, values)


def _found_of(row: Row) -> FoundChat:
    record = chat_record_of(row, prompt=row["prompt"])
    return FoundChat(record, row["fingerprint"], row["pin_reason"], bool(row["is_current"]))


def _group_of(row: Row) -> FoundGroup:
    group = ChatGroup(
        row["group_id"],
        (),
        row["confidence"],
        tuple(json.loads(row["reasons"])),
        row["product_id"],
        row["product_confidence"],
    )
    unclaimed = row["unclaimed"] or 0
    return FoundGroup(group, row["members"], unclaimed, _credits_of(row), row["name"] or "", row["newest_at"])


def _credits_of(row: Row) -> float | None:
    """A sum of credits without the noise of binary fractions: app builders report six decimals at most."""
    return None if row["credits"] is None else round(row["credits"], 6)


def _literal(word: str) -> str:
    """A word as it stands in a LIKE pattern."""
    for sign in "!%_":
        word = word.replace(sign, f"!{sign}")
    return word
