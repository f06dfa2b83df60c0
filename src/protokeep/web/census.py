"""The API of censuses: what an app builder's account holds, which of it is the same, and which of it nobody needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import StreamingResponse

from protokeep.core import validation
from protokeep.core.foreign_text import ID_MAX
from protokeep.core.principals import Principal
from protokeep.service.census import MOST_TEXT, CensusService, filters_of
from protokeep.service.census_adoption import AdoptRequest
from protokeep.store.census_reads import ChatFilters, FoundChat
from protokeep.web.census_cursors import CURSOR_MAX, decode_place, encode_place
from protokeep.web.census_export import as_csv, as_json
from protokeep.web.census_models import (
    Adopt,
    AdoptionView,
    CensusesView,
    CensusView,
    ChatsView,
    ChatView,
    ClaimWord,
    ContentWord,
    GroupsView,
    GroupView,
    KindWord,
    NewCensus,
    NewPin,
    SortWord,
    SummaryView,
)
from protokeep.web.dependencies import Admin, Viewer, application_of
from protokeep.web.models import Limit
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design/census", tags=["census"])

#: An id of an app builder (`core.foreign_text.is_id`).
ID = r"^[A-Za-z0-9._~!$&'()*+,;=:@-]{1,200}$"
Account = Annotated[str | None, Query(max_length=500, description="The account; without it the workspace's own.")]
Cursor = Annotated[str | None, Query(max_length=CURSOR_MAX, description="next_cursor of the page before.")]
Older = Annotated[int | None, Query(ge=0, le=36_500, description="Made before so many days.")]
Younger = Annotated[int | None, Query(ge=0, le=36_500, description="Made since so many days.")]
Group = Annotated[str | None, Query(pattern=ID, description="In this group.")]
Author = Annotated[str | None, Query(pattern=ID, description="By this author.")]
Claim = Annotated[ClaimWord | None, Query(description="Whose they are.")]
Kind = Annotated[KindWord | None, Query(description="What they are among those that are the same.")]
Content = Annotated[ContentWord | None, Query(description="What the app builder made of them.")]
Pinned = Annotated[bool | None, Query(description="With or without a pin.")]
Missing = Annotated[bool | None, Query(description="That the newest whole scan did not see, or did; null: all.")]
Sort = Annotated[SortWord, Query(description="The order.")]
Text = Annotated[str, Query(max_length=MOST_TEXT, description="Words in the name or in the prompt.")]
Product = Annotated[str | None, Query(max_length=1000, description="For this product, by your own id.")]
Unclaimed = Annotated[bool, Query(description="Only with chats that no product uses.")]
Format = Annotated[Literal["csv", "json"], Query(description="The form of the file.")]
ChatInPath = Annotated[str, Path(max_length=ID_MAX, description="The chat's id at the app builder.")]


def _census_of(request: Request) -> CensusService:
    return application_of(request).census


@router.post(
    "",
    status_code=202,
    summary="Start a scan (census) of the workspace's account",
    responses=responses(400, 401, 403, 409, 413, 422, 503),
)
async def start_census(body: NewCensus, principal: Admin, request: Request) -> CensusView:
    """It reads the app builder's lists and writes nothing there. The open one is returned if there is one."""
    return CensusView.of(await _census_of(request).start(principal, body.account, body.whole))


@router.get("", summary="How far the newest scan (census) is", responses=responses(401, 403, 422, 503))
async def census_progress(principal: Viewer, request: Request, account: Account = None) -> CensusesView:
    """The newest scan and those before it."""
    return CensusesView.of(await _census_of(request).censuses(principal, account))


@router.delete("", summary="Cancel the running scan (census)", responses=responses(401, 403, 404, 422, 503))
async def cancel_census(principal: Admin, request: Request, account: Account = None) -> CensusView:
    """What it found stays. Without an open one the newest is returned as it is."""
    return CensusView.of(await _census_of(request).cancel(principal, account))


@router.get("/summary", summary="The account in numbers", responses=responses(401, 403, 422, 429, 503))
async def census_summary(principal: Viewer, request: Request, account: Account = None) -> SummaryView:
    """By claim, kind, content, age, author and product, with costs; and which chats nothing needs, and why."""
    return SummaryView.of(await _census_of(request).summary(principal, account))


@router.get("/chats", summary="List chats that scans found", responses=responses(401, 403, 422, 429, 503))
async def census_chats(
    principal: Viewer,
    request: Request,
    account: Account = None,
    q: Text = "",
    product_id: Product = None,
    group_id: Group = None,
    author_id: Author = None,
    claim: Claim = None,
    kind: Kind = None,
    content: Content = None,
    pinned: Pinned = None,
    missing: Missing = False,
    older_than_days: Older = None,
    younger_than_days: Younger = None,
    sort: Sort = "created",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ChatsView:
    """A page of chats. Those of other workspaces and installations are never among them."""
    now = application_of(request).keeper.context.clock()
    filters = filters_of(
        q,
        product_id=None if product_id is None else validation.product_id_of(product_id),
        group_id=group_id,
        author_id=author_id,
        claim=claim,
        kind=kind,
        content=content,
        pinned=pinned,
        missing=missing,
        created_before=None if older_than_days is None else now - timedelta(days=older_than_days),
        created_after=None if younger_than_days is None else now - timedelta(days=younger_than_days),
    )
    after = decode_place(sort, cursor)
    found, place = await _census_of(request).chats(principal, filters, limit, account=account, sort=sort, after=after)
    return ChatsView(chats=[ChatView.of(one) for one in found], next_cursor=encode_place(sort, place))


@router.get(
    "/groups", summary="List groups of chats that asked for the same", responses=responses(401, 403, 422, 429, 503)
)
async def census_groups(
    principal: Viewer,
    request: Request,
    account: Account = None,
    product_id: Product = None,
    unclaimed: Unclaimed = False,
    confidence: Annotated[float | None, Query(ge=0, le=1, description="At least so sure.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> GroupsView:
    """A page of groups, the largest first, with how sure it is that their chats are the same, and why."""
    found, place = await _census_of(request).groups(
        principal,
        limit,
        account=account,
        product_id=None if product_id is None else validation.product_id_of(product_id),
        unclaimed=unclaimed,
        least_confidence=confidence,
        after=decode_place("members", cursor),
    )
    return GroupsView(groups=[GroupView.of(one) for one in found], next_cursor=encode_place("members", place))


@router.put("/pins/{chat_id}", summary="Pin a chat", responses=responses(400, 401, 403, 404, 413, 422, 503))
async def pin_chat(
    chat_id: ChatInPath, principal: Viewer, request: Request, body: NewPin | None = None, account: Account = None
) -> ChatView:
    """No plan deletes a pinned chat. A second pin changes nothing."""
    reason = body.reason if body is not None else None
    return ChatView.of(await _census_of(request).pin(principal, chat_id, account=account, reason=reason))


@router.delete("/pins/{chat_id}", summary="Take a pin off a chat", responses=responses(401, 403, 404, 422, 503))
async def unpin_chat(chat_id: ChatInPath, principal: Viewer, request: Request, account: Account = None) -> ChatView:
    """The chat without a pin, also where another person put it there. One without a pin is returned as it is."""
    return ChatView.of(await _census_of(request).unpin(principal, chat_id, account=account))


@router.post(
    "/adopt",
    summary="Adopt chats as prototypes of a product",
    responses=responses(400, 401, 403, 404, 409, 413, 422, 502, 503),
)
async def adopt_chats(body: Adopt, principal: Admin, request: Request) -> AdoptionView:
    """The best becomes what the product's users get, if the product has no prototype to use; the others are variants.

    Nothing is written at the app builder. Repeating it adopts nothing twice.
    """
    wanted = AdoptRequest(body.product_id, body.chat_ids, body.group_id, body.product_name, body.account)
    return AdoptionView.of(await _census_of(request).adopt(principal, wanted))


@router.get(
    "/export",
    summary="All chats as a file",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/csv": {}, "application/json": {}}, "description": "The file"},
        **responses(401, 403, 422, 429, 503),
    },
)
async def export_chats(
    principal: Viewer, request: Request, account: Account = None, format: Format = "csv"
) -> StreamingResponse:
    """Everything of every chat, with whole prompts. In CSV no cell is a formula: an apostrophe stands before it."""
    return await exported(_census_of(request), principal, account, format)


async def exported(
    census: CensusService, principal: Principal, account: str | None, form: Literal["csv", "json"]
) -> StreamingResponse:
    """The file with all chats that somebody may see. What goes wrong at once is raised."""
    pages = census.all_chats(principal, ChatFilters(), account=account)
    first: Sequence[FoundChat] = await anext(pages, [])
    written = as_csv(_after(first, pages)) if form == "csv" else as_json(_after(first, pages))
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    headers = {"Content-Disposition": f'attachment; filename="census.{form}"', "Cache-Control": "no-store"}
    return StreamingResponse(written, media_type=kind, headers=headers)


async def _after(
    first: Sequence[FoundChat], others: AsyncIterator[Sequence[FoundChat]]
) -> AsyncIterator[Sequence[FoundChat]]:
    yield first
    async for page in others:
        yield page
