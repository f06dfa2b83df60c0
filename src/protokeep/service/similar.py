"""What exists already that a request may have meant: told with the answer, and never in its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from protokeep.core import search_text
from protokeep.core.errors import DatabaseUnavailable, TooSlow, UnclearProduct
from protokeep.core.principals import Principal
from protokeep.core.prototype import State
from protokeep.core.similar import ALIKE, How, Similar, likenesses, reason_of
from protokeep.store.gallery import Card, GalleryStore
from protokeep.store.similar import SimilarTexts
from protokeep.store.store import Store

log = structlog.get_logger(__name__)

#: Similar products of each kind that are told.
MOST = 3


@dataclass(frozen=True, slots=True)
class Match:
    """A card, how it is similar, and how alike its prompt is."""

    card: Card
    how: How
    alike: float

    @property
    def similar(self) -> Similar:
        """The same as a value of the core."""
        prototype = self.card.prototype
        made_by = prototype.generation.created_by if prototype.generation is not None else prototype.user_id
        return Similar(
            product_id=prototype.product_id,
            name=self.card.product_name,
            prototype_id=prototype.id,
            state=prototype.state,
            how=self.how,
            alike=round(self.alike, 2),
            reason=reason_of(self.how, self.alike),
            made_by=made_by or "",
            made_at=prototype.created_at,
        )


class SimilarProducts:
    """Looks for similar products of the asker's workspace. Reads rows only; no provider is called."""

    def __init__(self, store: Store) -> None:
        self._texts = SimilarTexts(store.database)
        self._gallery = GalleryStore(store)

    async def matches(self, principal: Principal, product_id: str, prompt: str = "") -> list[Match]:
        """Other products by their id, then by their prompt, at most `MOST` of each, the most alike first.

        `product_id` is validated. Empty when it cannot be found out in a moment.
        """
        try:
            rows = await self._texts.with_key_of(principal.workspace_id, product_id)
            by_id = {str(row["id"]): 1.0 for row in rows if str(row["product_id"]) != product_id}
            by_prompt = await self._by_prompt(principal.workspace_id, product_id, prompt)
            ids = list({**by_id, **by_prompt})
            cards = await self._gallery.cards(principal.workspace_id, ids)
        except (TooSlow, DatabaseUnavailable) as error:
            log.warning("similar_not_found_out", error=type(error).__name__)
            return []
        found = _first_of_products(by_id, cards, How.ID, set())
        return found + _first_of_products(by_prompt, cards, How.PROMPT, {_product_of(one) for one in found})

    async def require_clear(self, principal: Principal, product_id: str) -> None:
        """Raises `UnclearProduct` when the product has no prototype and one whose id reads the same has."""
        rows = await self._texts.with_key_of(principal.workspace_id, product_id)
        if not rows or any(str(row["product_id"]) == product_id for row in rows):
            return
        found = [match.similar for match in await self.matches(principal, product_id) if match.how is How.ID]
        if found:
            raise UnclearProduct(product_id, found)

    async def _by_prompt(self, workspace_id: str, product_id: str, prompt: str) -> dict[str, float]:
        near = await self._texts.near(workspace_id, product_id, prompt) if prompt else []
        folded = search_text.folded(prompt[: search_text.SEARCHED_CHARACTERS])
        alike = likenesses(folded, [text for _, text in near])
        measured = zip((mockup_id for mockup_id, _ in near), alike, strict=True)
        return dict(sorted(((one, share) for one, share in measured if share >= ALIKE), key=lambda pair: -pair[1]))


def _first_of_products(alike: Mapping[str, float], cards: Mapping[str, Card], how: How, taken: set[str]) -> list[Match]:
    """The first prototypes that stand for their products, one of each."""
    found: list[Match] = []
    for mockup_id, share in alike.items():
        match = Match(cards[mockup_id], how, share) if mockup_id in cards else None
        if match is None or _product_of(match) in taken or not _stands_for_product(match.card):
            continue
        taken = taken | {_product_of(match)}
        found.append(match)
    return found[:MOST]


def _product_of(match: Match) -> str:
    return match.card.prototype.product_id


def _stands_for_product(card: Card) -> bool:
    prototype = card.prototype
    return prototype.state is not State.DELETING and (prototype.is_current or prototype.generation is None)
