"""The pages of a census: the account in numbers, its chats, and which of them are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.responses import StreamingResponse

from protokeep.core.errors import NotConfigured, NotFound, NotNow
from protokeep.service.census import CensusOverview
from protokeep.store.census_reads import ChatFilters
from protokeep.web.actions import PICTURE_HEADERS
from protokeep.web.census import ChatInPath, exported
from protokeep.web.census_cursors import CURSOR_MAX, decode_place, encode_place
from protokeep.web.dependencies import application_of
from protokeep.web.pages.census_filters import CHATS, CHOICES, SORTS, ChatQuery, address
from protokeep.web.pages.census_presenters import accounts_view, chat_view, group_view, scan_view, summary_view
from protokeep.web.pages.clean_up_words import without_code
from protokeep.web.pages.gallery import page_slot
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, OnlookerDep, Visitor, VisitorDep, local_path

router = APIRouter(prefix="/clean-up")

#: Chats on a page of the list; groups on a page, chats that are read of each, and chats that are shown of each.
ROWS, GROUPS, READ_OF_GROUP, SHOWN_OF_GROUP = 40, 6, 60, 6


@router.get("")
async def overview(request: Request, visitor: VisitorDep) -> Response:
    """The account in numbers, and the scan that is under way."""
    return await overview_page(request, visitor)


async def overview_page(
    request: Request, visitor: Visitor, *, trouble: str | None = None, needs_key: bool = False, status: int = 200
) -> Response:
    """The account in numbers, with an error message (`trouble`)."""
    application = application_of(request)
    query = ChatQuery.of(request.query_params)
    account = query.account or None
    known = await application.census.censuses(visitor.principal, account)
    summary = await application.census.summary(visitor.principal, account) if known.censuses else None
    now = application.keeper.context.clock()
    async with page_slot(request, visitor):
        return page(
            request,
            "census.html",
            visitor=visitor,
            status=status,
            trouble=trouble,
            needs_key=needs_key or not known.accounts,
            scan=scan_view(known, now),
            summary=summary_view(summary, query) if summary is not None else None,
            **_common(known, query, "/clean-up"),
        )


@router.post("/scan")
async def scan(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Begin a scan, or show the one that is under way."""
    census = application_of(request).census
    try:
        await census.start(visitor.principal, fields.get("account") or None, fields.get("whole") == "1" or None)
    except (NotConfigured, NotNow) as error:
        return await overview_page(
            request,
            visitor,
            trouble=without_code(str(error)),
            needs_key=isinstance(error, NotConfigured),
            status=409 if isinstance(error, NotNow) else 503,
        )
    return RedirectResponse(address("/clean-up", account=fields.get("account")), 303)


@router.post("/scan/cancel")
async def cancel(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """End the scan; what it found stays."""
    try:
        await application_of(request).census.cancel(visitor.principal, fields.get("account") or None)
    except NotFound as error:
        return await overview_page(request, visitor, trouble=without_code(str(error)), status=409)
    return RedirectResponse(address("/clean-up", account=fields.get("account")), 303)


@router.get("/chats")
async def chats(request: Request, visitor: VisitorDep) -> Response:
    """The chats that match the filters of the address."""
    application = application_of(request)
    query = ChatQuery.of(request.query_params)
    account, now = query.account or None, application.keeper.context.clock()
    cursor = request.query_params.get("cursor", "")[:CURSOR_MAX] or None
    after = decode_place(query.sort, cursor)
    known = await application.census.censuses(visitor.principal, account)
    found, place = await application.census.chats(
        visitor.principal, query.chat_filters(now), ROWS, account=account, sort=query.sort, after=after
    )
    older = encode_place(query.sort, place)
    async with page_slot(request, visitor):
        return page(
            request,
            "census_chats.html",
            visitor=visitor,
            chats=[chat_view(one, query, now) for one in found],
            choices=CHOICES,
            sorts=SORTS,
            first_url=query.url() if cursor else None,
            older_url=query.url(cursor=older) if older else None,
            clear_url=ChatQuery(account=query.account).url(),
            was_scanned=bool(known.censuses),
            **_common(known, query, CHATS),
        )


@router.get("/chats/{chat_id}/picture")
async def picture(request: Request, visitor: OnlookerDep, chat_id: ChatInPath, account: str = "") -> Response:
    """The picture of a chat, where the app builder has one."""
    image = await application_of(request).census.picture(visitor.principal, chat_id, account or None)
    headers = {**PICTURE_HEADERS, "Cache-Control": "private, max-age=86400"}
    return Response(image.body, media_type=image.content_type, headers=headers)


@router.get("/groups")
async def groups(request: Request, visitor: VisitorDep) -> Response:
    """Chats that are the same, side by side."""
    application = application_of(request)
    query = replace(ChatQuery.of(request.query_params), sort="created")
    account, now = query.account or None, application.keeper.context.clock()
    cursor = request.query_params.get("cursor", "")[:CURSOR_MAX] or None
    is_open = request.query_params.get("unclaimed") == "1"
    known = await application.census.censuses(visitor.principal, account)
    found, place = await application.census.groups(
        visitor.principal, GROUPS, account=account, unclaimed=is_open, after=decode_place("members", cursor)
    )
    views = []
    for group in found:
        filters = ChatFilters(group_id=group.group.id, missing=False)
        members, _ = await application.census.chats(visitor.principal, filters, READ_OF_GROUP, account=account)
        views.append(group_view(group, members, ChatQuery(account=query.account), now, SHOWN_OF_GROUP))
    more = encode_place("members", place)
    async with page_slot(request, visitor):
        return page(
            request,
            "census_groups.html",
            visitor=visitor,
            groups=views,
            unclaimed=is_open,
            all_url=address("/clean-up/groups", account=query.account),
            open_url=address("/clean-up/groups", account=query.account, unclaimed="1"),
            more_url=address("/clean-up/groups", account=query.account, unclaimed="1" * is_open, cursor=more)
            if more
            else None,
            was_scanned=bool(known.censuses),
            **_common(known, query, "/clean-up/groups"),
        )


@router.post("/chats/{chat_id}/pin")
async def pin(request: Request, visitor: VisitorDep, fields: FormFieldsDep, chat_id: ChatInPath) -> Response:
    """Keep a chat from every plan, or no longer (`off`). Anybody who sees it may."""
    census, account = application_of(request).census, fields.get("account") or None
    try:
        if fields.get("off") == "1":
            await census.unpin(visitor.principal, chat_id, account=account)
        else:
            await census.pin(visitor.principal, chat_id, account=account, reason=fields.get("reason"))
    except NotFound:
        raise NotFound("There is no such chat in the account, or your workspace may not see it.") from None
    return RedirectResponse(local_path(fields.get("next"), CHATS), 303)


@router.get("/export")
async def export(request: Request, visitor: VisitorDep, format: Literal["csv", "json"] = "csv") -> StreamingResponse:
    """Everything of every chat as a file."""
    query = ChatQuery.of(request.query_params)
    return await exported(application_of(request).census, visitor.principal, query.account or None, format)


def _common(known: CensusOverview, query: ChatQuery, path: str) -> dict[str, Any]:
    """What all pages of an account show."""
    return {
        "live": None,
        "filters": query,
        "account": query.account,
        "accounts": accounts_view(known, path),
        "section": path,
    }
