"""The gallery: cards of prototypes across products. Reads rows; no provider is called from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from protokeep.core import validation
from protokeep.core.errors import NotFound
from protokeep.core.principals import Principal
from protokeep.core.prototype import State
from protokeep.core.state_labels import AT_REST, ATTENTION, IN_PROGRESS
from protokeep.core.ttl_cache import TtlCache
from protokeep.service.context import Context
from protokeep.store.gallery import Card, Counts, Cursor, GalleryQuery, GalleryStore
from protokeep.store.gallery_filters import BOUNDS

#: Cards of the two upper sections of the home page; the rest is one link away.
ATTENTION_SHOWN = 4
PROGRESS_SHOWN = 6
#: Words of a search that count; further words are ignored.
WORDS_MAX = 6
TEXT_MAX = 200
#: The usual duration comes from so many of the newest prototypes, and only if there are at least a few.
USUAL_OF = 200
USUAL_NEEDS = 5
#: How long counts are reused: counting costs more than the rest of the page in a large workspace.
COUNTS_REUSED = timedelta(seconds=1)
#: A search by words that is sorted otherwise than by creation sorts so many of the newest cards with these words.
SORTED_HITS = 500
#: Counts in memory.
MOST_COUNTS = 1000


#: Whether archived products are listed: not, only these, or along with the others.
Archived = Literal["no", "only", "any"]
Sort = Literal["newest", "oldest", "updated", "name"]


@dataclass(frozen=True, slots=True)
class Search:
    """The filters of a search; empty: everything that is not archived. `favourite`: the asker's own."""

    text: str = ""
    states: tuple[State, ...] = ()
    product_id: str | None = None
    provider: str | None = None
    mine: bool = False
    person: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    tag: str | None = None
    favourite: bool = False
    archived: Archived = "no"
    sort: Sort = "newest"

    @property
    def narrows(self) -> bool:
        """Whether this is anything else than everything, newest first."""
        return self != Search()

    @property
    def bounds(self) -> tuple[tuple[str, datetime], ...]:
        """The bounds of times that are given, by their names."""
        named = ((name, getattr(self, name)) for name in BOUNDS)
        return tuple((name, moment) for name, moment in named if moment is not None)

    def by(self, principal: Principal | None) -> str | None:
        """The person whose prototypes are searched; None: everybody's."""
        return (principal.user_id if principal else "mine") if self.mine else self.person


@dataclass(frozen=True, slots=True)
class CardPage:
    """Cards in their order. The next page begins after `after`; None: this is the last page."""

    cards: Sequence[Card]
    after: Cursor | None


@dataclass(frozen=True, slots=True)
class HomePage:
    """The home page without filters. No count is above `COUNTED`."""

    attention: CardPage
    progress: CardPage
    rest: CardPage
    counts: Mapping[State, int]


class Gallery:
    """Cards of a workspace: one per product and provider, which stands for the current prototype."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = GalleryStore(context.store)
        self._counts: TtlCache[tuple[GalleryQuery, int], Mapping[State, int]]
        self._counts = TtlCache(context.clock, COUNTS_REUSED, MOST_COUNTS)

    async def home_page(self, principal: Principal, limit: int, after: Cursor | None = None) -> HomePage:
        """The home page: prototypes that need somebody, those in progress, and the newest of the rest.

        Only the rest has further pages.
        """
        query = await self._query_of(principal, Search())
        store = self._store
        upper = after is None
        attention = await store.ids(query, ATTENTION, ATTENTION_SHOWN + 1) if upper else []
        progress = await store.ids(query, IN_PROGRESS, PROGRESS_SHOWN + 1) if upper else []
        rest = await store.ids(query, AT_REST, limit + 1, after)
        cursors = [*attention[:ATTENTION_SHOWN], *progress[:PROGRESS_SHOWN], *rest[:limit]]
        cards = await store.cards(query.workspace_id, [mockup_id for _, mockup_id in cursors])
        return HomePage(
            _page_of(attention, ATTENTION_SHOWN, cards),
            _page_of(progress, PROGRESS_SHOWN, cards),
            _page_of(rest, limit, cards),
            await self._counted(query),
        )

    async def find(
        self, principal: Principal, search: Search, limit: int, after: Cursor | None = None, *, counted: bool = True
    ) -> tuple[CardPage, Counts]:
        """A page of matching cards, newest first, and how many cards of each state match the other filters.

        Without `counted` the counts say nothing. Raises `TooMany` and `TooSlow` for searches that others would have to
        wait for.
        """
        query = await self._query_of(principal, search)
        states = search.states or tuple(State)
        if query.is_scan:
            async with self._context.scans.turn(principal):
                cursors, counts = await self._found(query, states, limit + 1, after, counted=counted)
        else:
            cursors, counts = await self._found(query, states, limit + 1, after, counted=counted)
        cards = await self._store.cards(query.workspace_id, [mockup_id for _, mockup_id in cursors[:limit]])
        return _page_of(cursors, limit, cards), counts

    async def counts(self, workspace_id: str) -> Counts:
        """How many cards of each state a workspace has. No number is above `COUNTED`."""
        return Counts(await self._counted(GalleryQuery(workspace_id)))

    async def card(self, workspace_id: str, mockup_id: str) -> Card:
        """One prototype as a card, with its whole prompt. Raises `NotFound`."""
        found = (await self._store.cards(workspace_id, [mockup_id], whole=True)).get(mockup_id)
        if found is None:
            raise NotFound("This prototype does not exist, or was deleted.")
        return found

    async def cards(self, principal: Principal, mockup_ids: Sequence[str]) -> list[Card]:
        """Cards of prototypes by their ids, in that order. Those that are not there are left out."""
        found = await self._store.cards(principal.workspace_id, mockup_ids)
        return [found[mockup_id] for mockup_id in dict.fromkeys(mockup_ids) if mockup_id in found]

    async def usual_duration(self, workspace_id: str) -> tuple[timedelta, timedelta] | None:
        """The durations between which four of five prototypes became ready lately; None: too few to say."""
        took = sorted(await self._store.durations(workspace_id, USUAL_OF))
        tenth = len(took) // 10
        return (took[tenth], took[-1 - tenth]) if len(took) >= USUAL_NEEDS else None

    async def recent_products(self, principal: Principal, limit: int = 30) -> Sequence[Card]:
        """Products to offer before somebody types, by the cards of what they have now."""
        found, _ = await self.find(principal, Search(), limit, counted=False)
        return found.cards

    async def product_name(self, principal: Principal, product_id: str) -> str | None:
        """The display name of a product; None: it has none, or there is no such product here."""
        return await self._store.product_name(principal.workspace_id, product_id)

    async def _found(
        self, query: GalleryQuery, states: Sequence[State], limit: int, after: Cursor | None, *, counted: bool
    ) -> tuple[Sequence[Cursor], Counts]:
        if query.words and query.is_sorted_otherwise:
            return await self._sorted_hits(query, states, limit, after, counted=counted)
        if query.words:
            return await self._store.search(query, states, limit, after, counted=counted)
        if query.is_collected:
            return await self._store.collect(query, states, limit, after)
        numbers = await self._counted(query) if counted else {}
        return await self._store.ids(query, states, limit, after), Counts(numbers)

    async def _sorted_hits(
        self, query: GalleryQuery, states: Sequence[State], limit: int, after: Cursor | None, *, counted: bool
    ) -> tuple[Sequence[Cursor], Counts]:
        """The newest cards with the words, sorted by name or by their last change."""
        newest = replace(query, sort="newest")
        found, counts = await self._store.search(newest, states, SORTED_HITS, counted=counted)
        cards = await self._store.cards(query.workspace_id, [mockup_id for _, mockup_id in found])
        keys = [(_key_of(card, query.sort), mockup_id) for mockup_id, card in cards.items()]
        is_least_first = query.sort == "name"
        keys.sort(reverse=not is_least_first)
        if after is not None:
            keys = [one for one in keys if (one > after if is_least_first else one < after)]
        return keys[:limit], counts

    async def _counted(self, query: GalleryQuery) -> Mapping[State, int]:
        """Cards by state. The counts are reused for a second, unless a change of the workspace is heard of."""
        key = query, self._context.bus.change_count(query.workspace_id)
        counts = self._counts.get(key)
        if counts is None:
            counts = await self._store.counts(query, tuple(State))
            self._counts.put(key, counts)
        return counts

    async def _query_of(self, principal: Principal, search: Search) -> GalleryQuery:
        table = await self._context.store.owner_table()
        product_id = search.product_id
        if product_id is not None:
            product_id = validation.product_id_of(product_id, must_be_uuid=table.product_is_uuid)
        if search.provider is not None:
            validation.provider_of(search.provider)
        person = search.by(principal)
        text = search.text[:TEXT_MAX].replace("\x00", " ").encode(errors="ignore").decode()
        return GalleryQuery(
            workspace_id=principal.workspace_id,
            words=tuple(text.split()[:WORDS_MAX]),
            product_id=product_id,
            provider=search.provider,
            created_by=person,
            user_id=None if person is None else validation.user_id_for(person, must_be_uuid=table.user_is_uuid),
            bounds=search.bounds,
            tag=None if search.tag is None else validation.tag_of(search.tag),
            favourite_of=principal.user_id if search.favourite else None,
            archived=search.archived,
            sort=search.sort,
        )


def _key_of(card: Card, sort: str) -> Any:
    """What a card is sorted by."""
    if sort == "name":
        return (card.product_name or card.prototype.product_id).lower()[: validation.NAME_MAX]
    return card.prototype.updated_at


def _page_of(cursors: Sequence[Cursor], limit: int, cards: Mapping[str, Card]) -> CardPage:
    shown = cursors[:limit]
    found = [cards[mockup_id] for _, mockup_id in shown if mockup_id in cards]
    return CardPage(found, shown[-1] if len(cursors) > limit else None)
