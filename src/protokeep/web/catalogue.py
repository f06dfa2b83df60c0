"""The catalogue: the prototypes of a workspace, one for each product and app builder, searched and filtered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from protokeep.core.prototype import State
from protokeep.core.validation import NAME_MAX, PRODUCT_ID_MAX, TAG_MAX, person_of
from protokeep.core.visible_fields import listed_fields
from protokeep.service.gallery import TEXT_MAX, Archived, Search, Sort
from protokeep.store.gallery import COUNTED, Counts
from protokeep.web.card_cursors import CardCursor, decode_position, encode_position
from protokeep.web.dependencies import (
    MUST_REVALIDATE,
    KeeperDep,
    Viewer,
    application_of,
    json_response,
    not_modified,
)
from protokeep.web.models import Limit, MockupsView, StateWord
from protokeep.web.problems import responses
from protokeep.web.serialization import View, etag_of

router = APIRouter(prefix="/api/design", tags=["prototypes"])


class CatalogueQuery(BaseModel):
    """Which of the workspace's prototypes to list."""

    q: Annotated[
        str,
        Field(
            max_length=TEXT_MAX,
            description="Words; each has to be in the product's id, its name or the first 4,000 characters of the "
            "prompt. Case is ignored.",
        ),
    ] = ""
    state: Annotated[list[StateWord], Field(description="Only prototypes in one of these states.")] = []
    product: Annotated[str | None, Field(max_length=PRODUCT_ID_MAX, description="Only this product's.")] = None
    provider: Annotated[str | None, Field(max_length=50, description="Only this app builder's.")] = None
    person: Annotated[str | None, Field(max_length=NAME_MAX, description="Only what this person asked for.")] = None
    mine: Annotated[bool, Field(description="Only what you asked for yourself.")] = False
    created_after: Annotated[datetime | None, Field(description="Asked for at that time or later.")] = None
    created_before: Annotated[datetime | None, Field(description="Asked for before that time.")] = None
    updated_after: Annotated[datetime | None, Field(description="Changed last at that time or later.")] = None
    updated_before: Annotated[datetime | None, Field(description="Changed last before that time.")] = None
    tag: Annotated[str | None, Field(max_length=TAG_MAX, description="Only products with this tag.")] = None
    favourite: Annotated[bool, Field(description="Only your favourites.")] = False
    archived: Annotated[
        Archived, Field(description="Archived products: no, without them; only, just them; any, both.")
    ] = "no"
    sort: Annotated[
        Sort,
        Field(
            description="By when they were asked for (newest, oldest), by their last change (updated), or by what "
            "people call the product (name). With words, updated and name sort the newest 500 that match."
        ),
    ] = "newest"
    counts: Annotated[bool, Field(description="Also how many there are in each state.")] = False
    limit: Limit = 20
    cursor: CardCursor = None

    @property
    def search(self) -> Search:
        """The search for the gallery. Raises `InvalidInput`. A time without a zone means UTC."""
        return Search(
            text=self.q,
            states=tuple(State(word) for word in self.state),
            product_id=self.product,
            provider=self.provider,
            mine=self.mine,
            person=None if self.person is None else person_of(self.person),
            created_after=_aware(self.created_after),
            created_before=_aware(self.created_before),
            updated_after=_aware(self.updated_after),
            updated_before=_aware(self.updated_before),
            tag=self.tag,
            favourite=self.favourite,
            archived=self.archived,
            sort=self.sort,
        )


class CatalogueView(MockupsView):
    """A page of the workspace's prototypes: the current one of each product and app builder."""

    counts: Annotated[
        dict[StateWord, int] | None,
        Field(description="How many match in each state, whatever `state` says; null unless `counts` was asked for."),
    ]
    counts_are_whole: Annotated[
        bool | None, Field(description="Whether `counts` are exact; false: there are at least so many.")
    ]


@router.get(
    "/mockups",
    summary="List and search the workspace's prototypes",
    response_model=CatalogueView,
    responses={304: {"description": "Not changed"}, **responses(401, 403, 422, 429, 503)},
)
async def catalogue(
    keeper: KeeperDep, principal: Viewer, request: Request, query: Annotated[CatalogueQuery, Query()]
) -> Response:
    """The current prototype of each product and app builder: what exists here, before one is made.

    Newest first, unless `sort` says otherwise.
    """
    page, counts = await application_of(request).gallery.find(
        principal, query.search, query.limit, decode_position(query.sort, query.cursor), counted=query.counts
    )
    now = keeper.context.clock()
    views = [View.of(card.prototype, now) for card in page.cards]
    numbers = _numbers(counts) if query.counts else {"counts": None, "counts_are_whole": None}
    cursor = encode_position(query.sort, page.after)
    etag = etag_of(views, to_json([cursor, numbers]).decode())
    if unchanged := not_modified(request, etag):
        return unchanged
    body = {"mockups": [listed_fields(view.fields) for view in views], "next_cursor": cursor, **numbers}
    return json_response(to_json(body), headers={"ETag": etag, **MUST_REVALIDATE})


def _numbers(counts: Counts) -> dict[str, object]:
    numbers = {state.value: number for state, number in counts.of.items()}
    is_whole = counts.is_whole and all(number < COUNTED for number in numbers.values())
    return {"counts": numbers, "counts_are_whole": is_whole}


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
