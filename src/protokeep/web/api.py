"""The API: the spec's three routes, and one prototype with its history."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from protokeep.core.prototype import Prototype, Status
from protokeep.service import NewPrototype
from protokeep.store.store import Page
from protokeep.web.dependencies import (
    KeeperDep,
    Maker,
    PreferDep,
    ProductInPath,
    Viewer,
    after_of,
    cursor_of,
    etag_of,
    parts_of,
    unchanged,
)
from protokeep.web.models import (
    CreateProject,
    EnsuredView,
    EventView,
    MockupsView,
    PrototypeDetail,
    PrototypeView,
    StatusWord,
)
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design")
#: Paths that are routed as they were sent; `ProductInPath` decodes them.
PRODUCT_PATHS = b"/api/design/mockups/"


@router.post(
    "/create-project",
    status_code=201,
    summary="Ensure a product's prototype",
    responses={
        200: {"model": EnsuredView, "description": "The product has one already, or the request was replayed"},
        202: {"model": EnsuredView, "description": "Claimed; the builder has not accepted it yet"},
        **responses(400, 401, 403, 409, 413, 422, 429, 503),
    },
)
async def create_project(
    body: CreateProject,
    keeper: KeeperDep,
    principal: Maker,
    prefer: PreferDep,
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=300)] = None,
) -> EnsuredView:
    """Return the product's prototype, creating it if there is none or another one is asked for."""
    new = NewPrototype(
        product_id=body.product_id,
        prompt=body.prompt,
        provider=body.provider,
        create_new=body.create_new,
        product_name=body.product_name,
        idempotency_key=idempotency_key,
    )
    patience = parts_of(request).settings.accept_wait_seconds
    wait = 0.0 if prefer.respond_async else float(prefer.wait if prefer.wait is not None else patience)
    ensured = await keeper.ensure(principal, new, wait=wait)
    response.status_code = 200 if ensured.is_existing else 201 if ensured.accepted else 202
    response.headers["Location"] = f"/api/design/prototypes/{ensured.prototype.id}"
    return EnsuredView.of_ensured(ensured, keeper.context.clock())


@router.get(
    "/mockups/{product_id}",
    summary="List a product's prototypes, newest first",
    response_model=MockupsView,
    responses={304: {"description": "Not changed"}, **responses(401, 403, 422, 503)},
)
async def list_mockups(
    product_id: ProductInPath,
    keeper: KeeperDep,
    principal: Viewer,
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    provider: Annotated[str | None, Query(max_length=50)] = None,
    status: StatusWord | None = None,
    mine: bool = False,
) -> MockupsView | Response:
    """All prototypes of a product; an empty list when it has none."""
    page = Page(limit, provider, Status(status) if status else None, None, after_of(cursor))
    found, after = await keeper.list(principal, product_id, page, mine=mine)
    etag = etag_of([_version(prototype) for prototype in found], after)
    response.headers.update({"ETag": etag, "Cache-Control": "private, no-cache"})
    now = keeper.context.clock()
    return unchanged(request, etag) or MockupsView(
        mockups=[PrototypeView.of(prototype, now) for prototype in found], next_cursor=cursor_of(after)
    )


@router.get(
    "/mockups/{product_id}/status",
    summary="Look at a product's prototype without creating one",
    response_model=PrototypeView,
    responses={304: {"description": "Not changed"}, **responses(401, 403, 404, 422, 503)},
)
async def mockup_status(
    product_id: ProductInPath,
    keeper: KeeperDep,
    principal: Viewer,
    prefer: PreferDep,
    request: Request,
    response: Response,
    provider: Annotated[str, Query(max_length=50)] = "v0",
) -> PrototypeView | Response:
    """The status of the product's prototype, looked at upstream when what is written is too old."""
    prototype = await keeper.status(principal, product_id, provider, wait=float(prefer.wait or 0))
    etag = etag_of(_version(prototype))
    response.headers.update({"ETag": etag, "Cache-Control": "private, no-cache"})
    return unchanged(request, etag) or PrototypeView.of(prototype, keeper.context.clock())


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


def _version(prototype: Prototype) -> tuple[object, ...]:
    """What a validator stands on: everything people see, but not the time of the last look."""
    generation = prototype.generation
    shown: tuple[object, ...] = (
        prototype.id,
        prototype.status.value,
        prototype.state.value,
        prototype.updated_at,
        prototype.project_url,
        prototype.is_current,
    )
    if generation is None:
        return shown
    return (
        *shown,
        generation.web_url,
        generation.demo_url,
        generation.error_code,
        generation.hold_code,
        generation.next_try_at,
        generation.credits,
        generation.picture_etag,
        prototype.slowed,
    )
