"""The API: the spec's three routes, and one prototype with its history."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic_core import to_json

from protokeep.core.principals import Role
from protokeep.core.prototype import Status
from protokeep.service import NewPrototype
from protokeep.store.prototypes import Page
from protokeep.web import query
from protokeep.web.dependencies import (
    KeeperDep,
    Maker,
    Prefer,
    PreferHeader,
    Viewer,
    after_of,
    allowed,
    answer,
    application_of,
    cursor_of,
    etag_of,
    keeper_of,
    product_in_path,
    unchanged,
)
from protokeep.web.models import (
    CreateProject,
    EnsuredView,
    EventView,
    MockupsView,
    PrototypeDetail,
    PrototypeView,
)
from protokeep.web.problems import responses
from protokeep.web.serialization import json_of, validator_of

router = APIRouter(prefix="/api/design")
#: Paths that are routed as they were sent; `product_in_path` decodes them.
PRODUCT_PATHS = b"/api/design/mockups/"


@router.post(
    "/create-project",
    status_code=201,
    summary="Ensure a product's prototype",
    response_model=EnsuredView,
    responses={
        200: {"model": EnsuredView, "description": "The product has one already, or the request was replayed"},
        202: {"model": EnsuredView, "description": "Claimed; the builder has not accepted it yet"},
        **responses(400, 401, 403, 409, 413, 422, 429, 503),
    },
)
async def create_project(
    body: CreateProject,
    principal: Maker,
    request: Request,
    prefer: PreferHeader = None,
    idempotency_key: Annotated[str | None, Header(max_length=300)] = None,
) -> Response:
    """Return the product's prototype, creating it if there is none or another one is asked for."""
    new = NewPrototype(
        product_id=body.product_id,
        prompt=body.prompt,
        provider=body.provider,
        create_new=body.create_new,
        product_name=body.product_name,
        idempotency_key=idempotency_key,
    )
    keeper = keeper_of(request)
    wait = Prefer.of(prefer).patience(application_of(request).settings.accept_wait_seconds)
    ensured = await keeper.ensure(principal, new, wait=wait)
    status = 200 if ensured.is_existing else 201 if ensured.accepted else 202
    place = {"Location": f"/api/design/prototypes/{ensured.prototype.id}"}
    return answer(to_json(EnsuredView.fields_of_ensured(ensured, keeper.context.clock())), status, place)


@router.get(
    "/mockups/{product_id}",
    summary="List a product's prototypes, newest first",
    response_model=MockupsView,
    responses={304: {"description": "Not changed"}, **responses(401, 403, 422, 503)},
    openapi_extra=query.documented(query.ListQuery),
)
async def list_mockups(product_id: str, request: Request) -> Response:
    """All prototypes of a product; an empty list when it has none."""
    principal = await allowed(request, Role.VIEWER)
    asked = query.read(query.ListQuery, request)
    keeper = keeper_of(request)
    status = Status(asked.status) if asked.status else None
    page = Page(asked.limit, asked.provider, status, None, after_of(asked.cursor))
    found, after = await keeper.list(principal, product_in_path(product_id), page, mine=asked.mine)
    cursor = cursor_of(after)
    etag = etag_of(*map(validator_of, found), (cursor or "").encode())
    now = keeper.context.clock()
    return unchanged(request, etag) or answer(
        b'{"mockups":[%b],"next_cursor":%b}' % (b",".join(json_of(one, now) for one in found), to_json(cursor)),
        headers={"ETag": etag, "Cache-Control": "private, no-cache"},
    )


@router.get(
    "/mockups/{product_id}/status",
    summary="Look at a product's prototype without creating one",
    response_model=PrototypeView,
    responses={304: {"description": "Not changed"}, **responses(401, 403, 404, 422, 503)},
    openapi_extra=query.documented(query.StatusQuery, query.PREFER),
)
async def mockup_status(product_id: str, request: Request) -> Response:
    """The status of the product's prototype, looked at upstream when what is written is too old."""
    principal = await allowed(request, Role.VIEWER)
    provider = query.read(query.StatusQuery, request).provider
    keeper = keeper_of(request)
    wait = float(Prefer.of(request.headers.get("prefer")).wait or 0)
    prototype = await keeper.status(principal, product_in_path(product_id), provider, wait=wait)
    etag = etag_of(validator_of(prototype))
    return unchanged(request, etag) or answer(
        json_of(prototype, keeper.context.clock()),
        headers={"ETag": etag, "Cache-Control": "private, no-cache"},
    )


@router.get(
    "/prototypes/{prototype_id}",
    summary="One prototype with its history",
    responses=responses(401, 403, 404, 503),
)
async def get_prototype(prototype_id: str, keeper: KeeperDep, principal: Viewer) -> PrototypeDetail:
    """One prototype, what happened to it, and any surplus chats that carry its marker."""
    prototype = await keeper.get(principal, prototype_id)
    history, surplus = await keeper.history(prototype)
    return PrototypeDetail(
        **PrototypeView.fields_of(prototype, keeper.context.clock()),
        history=[EventView.of(row, json.loads(row["data"]) if row["data"] else None) for row in history],
        surplus_chat_ids=surplus,
    )
