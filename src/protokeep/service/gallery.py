"""What the page shows across products. Reads rows; no builder is called from here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from protokeep.core import validation
from protokeep.core.errors import NotFound
from protokeep.core.principals import Principal
from protokeep.core.prototype import UNFINISHED, Prototype, State, TrackedPrototype
from protokeep.core.state_labels import AT_REST, ATTENTION, IN_PROGRESS
from protokeep.service.context import Context
from protokeep.store.gallery import Card, Cursor, GalleryQuery, GalleryStore

#: Cards of the two upper sections of the home page; the rest is one link away.
ATTENTION_SHOWN = 4
PROGRESS_SHOWN = 6
#: Words of a search that count; a query of more finds no more.
WORDS_MAX = 6
TEXT_MAX = 200
#: The usual time is told from so many newest ones, and only if there are at least a few.
USUAL_OF = 200
USUAL_NEEDS = 5
USUAL_SECONDS = 60.0
#: Counts are kept while no change of the workspace is heard of, but not longer than this.
QUIET_SECONDS = 10.0
#: While changes come, counting takes a fiftieth of the time at most, and no count is older than a second.
BUSY_SHARE = 50
BUSY_SECONDS = 1.0
#: Counts that are kept at once.
COUNTS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Search:
    """What somebody looks for; empty: everything."""

    text: str = ""
    states: tuple[State, ...] = ()
    product_id: str | None = None
    provider: str | None = None
    mine: bool = False

    @property
    def narrows(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.text or self.states or self.product_id or self.provider or self.mine)


@dataclass(frozen=True, slots=True)
class CardPage:
    """Cards, newest first; `after` is where the next page begins, None at the end."""

    cards: Sequence[Card]
    after: Cursor | None


@dataclass(frozen=True, slots=True)
class HomePage:
    """The home page without filters. No count is above `COUNTED`."""

    attention: CardPage
    progress: CardPage
    rest: CardPage
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class _Counted:
    """Counts, when and in how many seconds they were counted, and what had been heard of by then."""

    counts: Mapping[State, int]
    began: float
    took: float
    heard: int

    def holds(self, now: float, heard: int) -> bool:
        age = now - self.began
        return age < (QUIET_SECONDS if heard == self.heard else min(BUSY_SECONDS, BUSY_SHARE * self.took))


class Gallery:
    """Cards of a workspace: one per product and builder, which stands for the current prototype."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = GalleryStore(context.store)
        self._counts: dict[GalleryQuery, _Counted] = {}
        self._usual: dict[str, tuple[float, tuple[timedelta, timedelta] | None]] = {}

    async def front(self, principal: Principal, limit: int, after: Cursor | None = None) -> HomePage:
        """What needs somebody, what is being made, and the newest of the rest; only the rest has further pages."""
        wish = await self._wish(principal, Search())
        store = self._store
        upper = after is None
        attention = await store.ids(wish, ATTENTION, ATTENTION_SHOWN + 1) if upper else []
        progress = await store.ids(wish, IN_PROGRESS, PROGRESS_SHOWN + 1) if upper else []
        rest = await store.ids(wish, AT_REST, limit + 1, after)
        places = [*attention[:ATTENTION_SHOWN], *progress[:PROGRESS_SHOWN], *rest[:limit]]
        cards = await store.cards(wish.workspace_id, [mockup_id for _, mockup_id in places])
        return HomePage(
            _listed(attention, ATTENTION_SHOWN, cards),
            _listed(progress, PROGRESS_SHOWN, cards),
            _listed(rest, limit, cards),
            await self._counted(wish),
        )

    async def find(
        self, principal: Principal, search: Search, limit: int, after: Cursor | None = None
    ) -> tuple[CardPage, Mapping[State, int]]:
        """Cards that fit, newest first, and how many of each state fit the other filters."""
        wish = await self._wish(principal, search)
        states = search.states or tuple(State)
        if wish.words:
            places, counts = await self._store.search(wish, states, limit + 1, after)
        else:
            places = await self._store.ids(wish, states, limit + 1, after)
            counts = await self._counted(wish)
        cards = await self._store.cards(wish.workspace_id, [mockup_id for _, mockup_id in places[:limit]])
        return _listed(places, limit, cards), counts

    async def card(self, workspace_id: str, mockup_id: str) -> Card:
        """One prototype as a card. Raises `NotFound`."""
        found = (await self._store.cards(workspace_id, [mockup_id])).get(mockup_id)
        if found is None:
            raise NotFound("There is no such prototype.")
        return found

    async def usual(self, workspace_id: str) -> tuple[timedelta, timedelta] | None:
        """Between which times four of five took that became ready lately; None: too few to say."""
        looked, known = self._usual.get(workspace_id, (-USUAL_SECONDS, None))
        if time.monotonic() - looked > USUAL_SECONDS:
            took = sorted(await self._store.durations(workspace_id, USUAL_OF))
            tenth = len(took) // 10
            known = (took[tenth], took[-1 - tenth]) if len(took) >= USUAL_NEEDS else None
            self._usual[workspace_id] = (time.monotonic(), known)
        return known

    async def recent_products(self, principal: Principal, limit: int = 50) -> list[str]:
        """Products to offer while somebody types."""
        return await self._store.recent_products(principal.workspace_id, limit)

    async def product_name(self, principal: Principal, product_id: str) -> str | None:
        """What people call a product; None: nobody said, or there is no such product here."""
        return await self._store.product_name(principal.workspace_id, product_id)

    async def watch(self, workspace_id: str, product_id: str | None = None, mockup_id: str | None = None) -> None:
        """Somebody has this prototype, product or workspace open: what is being made there is looked at more often."""
        if mockup_id is None:
            wish = GalleryQuery(workspace_id, product_id=product_id)
            mockup_ids = [found for _, found in await self._store.ids(wish, IN_PROGRESS, PROGRESS_SHOWN)]
        else:
            mockup_ids = [mockup_id]
        for card in (await self._store.cards(workspace_id, mockup_ids)).values():
            await self._watch(card.prototype)

    async def _watch(self, prototype: Prototype) -> None:
        context = self._context
        if (
            not isinstance(prototype, TrackedPrototype)
            or prototype.chat_id is None
            or prototype.status not in UNFINISHED
        ):
            return
        now = context.clock()
        await context.store.request_poll(
            prototype,
            now,
            stale_before=now - context.timing.poll_interval / 2,
            watched_until=now + context.timing.watched_for,
        )

    async def _counted(self, wish: GalleryQuery) -> Mapping[State, int]:
        """Cards by state, not always counted anew: in a large workspace that costs more than the page."""
        heard = self._context.bus.heard(wish.workspace_id)
        known = self._counts.get(wish)
        began = time.monotonic()
        if known is not None and known.holds(began, heard):
            return known.counts
        counts = await self._store.counts(wish, tuple(State))
        if len(self._counts) >= COUNTS_KEPT:
            self._counts.clear()
        self._counts[wish] = _Counted(counts, began, time.monotonic() - began, heard)
        return counts

    async def _wish(self, principal: Principal, search: Search) -> GalleryQuery:
        shape = await self._context.store.owner_table()
        product_id = search.product_id
        if product_id is not None:
            product_id = validation.product_id_of(product_id, must_be_uuid=shape.product_is_uuid)
        if search.provider is not None:
            self._context.providers.known(search.provider)
        text = search.text[:TEXT_MAX].replace("\x00", " ").encode(errors="ignore").decode()
        return GalleryQuery(
            workspace_id=principal.workspace_id,
            words=tuple(text.split()[:WORDS_MAX]),
            product_id=product_id,
            provider=search.provider,
            created_by=principal.user_id if search.mine else None,
            user_id=validation.user_id_for(principal.user_id, must_be_uuid=shape.user_is_uuid) if search.mine else None,
        )


def _listed(places: Sequence[Cursor], limit: int, cards: Mapping[str, Card]) -> CardPage:
    shown = places[:limit]
    found = [cards[mockup_id] for _, mockup_id in shown if mockup_id in cards]
    return CardPage(found, shown[-1] if len(places) > limit else None)
