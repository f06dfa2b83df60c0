"""The page that gives chats to a product: what was chosen, the product, and what became of each chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from protokeep.core.errors import InvalidInput, NotConfigured, NotFound, NotNow, ProtokeepError, ProviderError
from protokeep.core.foreign_text import is_id
from protokeep.core.validation import NAME_MAX, PRODUCT_ID_MAX
from protokeep.service.census_adoption import MOST_AT_ONCE, AdoptRequest, AdoptResult
from protokeep.store.census_reads import ChatFilters, FoundChat
from protokeep.web.dependencies import application_of
from protokeep.web.pages.census_filters import ChatQuery
from protokeep.web.pages.census_presenters import chat_view
from protokeep.web.pages.clean_up_words import without_code
from protokeep.web.pages.formatting import product_path
from protokeep.web.pages.gallery import page_slot
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, Visitor

router = APIRouter(prefix="/clean-up/adopt")

OUTCOMES = {
    "adopted": "Adopted",
    "known": "It is already a variant of this product",
    "taken": "It belongs to another product, and stays there",
}
LABELS = {"product_id": "The product", "product_name": "The name"}
STATUSES: tuple[tuple[type[ProtokeepError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (NotNow, 409),
    (NotConfigured, 503),
    (ProviderError, 502),
)


@router.get("")
async def form(request: Request, visitor: AdminDep) -> Response:
    """The chats that were chosen, and a form for the product."""
    chosen = [chat_id for chat_id in request.query_params.getlist("chat") if is_id(chat_id)]
    group = request.query_params.get("group", "")
    values = {
        "chats": "\n".join(chosen),
        "group": group if is_id(group) else "",
        "account": request.query_params.get("account", "")[:700],
    }
    if len(chosen) > MOST_AT_ONCE:
        fault = f"You chose {len(chosen)} chats, and at most {MOST_AT_ONCE} are adopted at once. Choose fewer."
        return await _page(request, visitor, values, trouble=fault, status=422)
    return await _page(request, visitor, values)


@router.post("")
async def adopt(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Adopt them. Sending it again goes on with what is left, and adopts nothing twice."""
    wanted = AdoptRequest(
        fields.get("product_id", "").strip(),
        fields.get("chats", "").split()[: MOST_AT_ONCE + 1],
        fields.get("group") or None,
        fields.get("product_name", "").strip() or None,
        fields.get("account") or None,
    )
    try:
        result = await application_of(request).census.adopt(visitor.principal, wanted)
    except tuple(kind for kind, _ in STATUSES) as error:
        status = next(number for kind, number in STATUSES if isinstance(error, kind))
        name = getattr(error, "field", None)
        if name in LABELS:
            fault = LABELS[name] + str(error).removeprefix(name)
            return await _page(request, visitor, fields, faults={name: fault}, status=status)
        return await _page(request, visitor, fields, trouble=without_code(str(error)), status=status)
    return await _page(request, visitor, fields, result=result)


async def _page(
    request: Request,
    visitor: Visitor,
    values: Mapping[str, str],
    *,
    trouble: str | None = None,
    faults: Mapping[str, str] | None = None,
    result: AdoptResult | None = None,
    status: int = 200,
) -> Response:
    application = application_of(request)
    query = ChatQuery(account=values.get("account", ""))
    found = await _chosen(request, visitor, values)
    names = {one.record.chat.chat_id: one.record.chat.name or "Untitled chat" for one in found}
    now = application.keeper.context.clock()
    evidence = next((one.record.product_id for one in found if one.record.product_id), "")
    async with page_slot(request, visitor):
        return page(
            request,
            "adopt.html",
            visitor=visitor,
            status=status,
            live=None,
            filters=query,
            account=query.account,
            accounts=[],
            section="",
            chats=[chat_view(one, query, now) for one in found],
            values={"chats": "", "group": "", "product_id": evidence, "product_name": "", **values},
            is_suggested=bool(evidence) and "product_id" not in values,
            limits={"product_id": PRODUCT_ID_MAX, "product_name": NAME_MAX},
            trouble=trouble,
            faults=faults or {},
            result=_result_view(result, names) if result is not None else None,
        )


async def _chosen(request: Request, visitor: Visitor, values: Mapping[str, str]) -> Sequence[FoundChat]:
    """The chats that were chosen, as far as they are there."""
    ids = tuple(chat_id for chat_id in values.get("chats", "").split() if is_id(chat_id))[: 2 * MOST_AT_ONCE]
    group = values.get("group", "")
    if not ids and not is_id(group):
        return []
    filters = ChatFilters(chat_ids=ids) if ids else ChatFilters(group_id=group)
    account = values.get("account") or None
    found, _ = await application_of(request).census.chats(visitor.principal, filters, 60, account=account)
    return found


def _result_view(result: AdoptResult, names: Mapping[str, str]) -> dict[str, Any]:
    """What became of the chats, for people."""
    lines = [
        (
            names.get(one.chat_id, one.chat_id),
            OUTCOMES[one.outcome] + (": it is the current variant now" if one.is_current else ""),
        )
        for one in result.adopted
    ]
    lines += [(names.get(one.chat_id, one.chat_id), without_code(one.reason)) for one in result.refused]
    return {
        "product_id": result.product_id,
        "url": product_path(result.product_id),
        "adopted": sum(one.outcome == "adopted" for one in result.adopted),
        "lines": lines,
        "left": result.left,
    }
