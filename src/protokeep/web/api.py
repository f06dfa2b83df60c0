"""The API's main routes: create, list and status by product, and one prototype with its history."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from protokeep.core.prototype import Status
from protokeep.core.visible_fields import visible_fields
from protokeep.service import NewPrototype
from protokeep.service.provider_accounts import DEFAULT_PROVIDER
from protokeep.store.prototypes import Page
from protokeep.web.dependencies import (
    MUST_REVALIDATE,
    KeeperDep,
    KeyHeader,
    Maker,
    Prefer,
    PreferHeader,
    Viewer,
    application_of,
    decode_cursor,
    encode_cursor,
    json_response,
    not_modified,
    product_in_path,
)
from protokeep.web.models import (
    CheckedStatusView,
    CreateProject,
    DeletedView,
    EnsuredView,
    EventView,
    ListQuery,
    MockupsView,
    PrototypeDetail,
    PrototypeView,
    StatusQuery,
)
from protokeep.web.problems import responses
from protokeep.web.serialization import View, checked_status_json, ensured_json, etag_of, list_json, prototype_json

router = APIRouter(prefix="/api/design", tags=["prototypes"])
#: Paths that are routed while still percent-encoded; `product_in_path` decodes them.
PRODUCT_PATHS = (b"/api/design/mockups/", b"/api/design/check-status/")


@router.post(
    "/create-project",
    status_code=201,
    summary="Ensure a product's prototype",
    response_model=EnsuredView,
    responses={
        200: {"model": EnsuredView, "description": "The product has one already, or the request was replayed"},
        202: {"model": EnsuredView, "description": "Claimed; the app builder has not accepted it yet"},
        **responses(400, 401, 403, 409, 413, 422, 429, 503),
    },
)
async def create_project(
    body: CreateProject,
    keeper: KeeperDep,
    principal: Maker,
    request: Request,
    prefer: PreferHeader = None,
    idempotency_key: KeyHeader = None,
) -> Response:
    """Return the product's prototype, creating it if there is none or another one is asked for."""
    new = NewPrototype(
        product_id=body.product_id,
        prompt=body.prompt,
        provider=body.provider,
        create_new=body.create_new,
        product_name=body.product_name,
        product_is_new=body.product_is_new,
        phase_submission_id=body.phase_submission_id,
        idempotency_key=idempotency_key,
    )
    wait = Prefer.of(prefer).wait_seconds(application_of(request).settings.accept_wait_seconds)
    ensured = await keeper.ensure(principal, new, wait=wait)
    status = 200 if ensured.is_existing else 201 if ensured.accepted else 202
    headers = {"Location": f"/api/design/prototypes/{ensured.prototype.id}"}
    return json_response(ensured_json(ensured, keeper.context.clock()), status, headers)


@router.get(
    "/mockups/{product_id}",
    summary="List a product's prototypes, newest first",
    response_model=MockupsView,
    responses={304: {"description": "Not changed"}, **responses(401, 403, 422, 503)},
)
async def list_mockups(
    product_id: str,
    keeper: KeeperDep,
    principal: Viewer,
    request: Request,
    query: Annotated[ListQuery, Query()],
) -> Response:
    """All prototypes of a product; an empty list when it has none."""
    status = Status(query.status) if query.status else None
    page = Page(query.limit, query.provider, status, None, decode_cursor(query.cursor))
    found, after = await keeper.list(principal, product_in_path(product_id), page, mine=query.mine)
    cursor = encode_cursor(after)
    now = keeper.context.clock()
    views = [View.of(prototype, now) for prototype in found]
    etag = etag_of(views, cursor)
    return not_modified(request, etag) or json_response(
        list_json(views, cursor), headers={"ETag": etag, **MUST_REVALIDATE}
    )


@router.get(
    "/mockups/{product_id}/status",
    summary="Show a product's prototype without creating one",
    response_model=PrototypeView,
    responses={304: {"description": "Not changed"}, **responses(401, 403, 404, 422, 503)},
)
async def mockup_status(
    product_id: str,
    keeper: KeeperDep,
    principal: Viewer,
    request: Request,
    query: Annotated[StatusQuery, Query()],
    prefer: PreferHeader = None,
) -> Response:
    """The status of the product's prototype; the app builder is asked when the stored status is too old."""
    wait = float(Prefer.of(prefer).wait or 0)
    is_known = "if-none-match" in request.headers
    prototype = await keeper.status(
        principal, product_in_path(product_id), query.provider, wait=wait, is_known=is_known
    )
    view = View.of(prototype, keeper.context.clock())
    etag = etag_of([view])
    return not_modified(request, etag) or json_response(prototype_json(view), headers={"ETag": etag, **MUST_REVALIDATE})


@router.get(
    "/check-status/{product_id}",
    summary="The same for screens of the specification's own system",
    response_model=CheckedStatusView,
    deprecated=True,
    responses=responses(401, 403, 404, 422, 503),
)
async def check_status(product_id: str, keeper: KeeperDep, principal: Viewer) -> Response:
    """The status of the product's v0 prototype. Their `projectId` parameter is ignored: the product names it."""
    prototype = await keeper.status(principal, product_in_path(product_id), DEFAULT_PROVIDER)
    return json_response(checked_status_json(View.of(prototype, keeper.context.clock())))


@router.delete(
    "/mockups/{prototype_id}",
    summary="Delete a prototype, for screens of the specification's own system",
    deprecated=True,
    responses={
        202: {"model": DeletedView, "description": "In the bin, or being deleted until the app builder has done it"},
        **responses(401, 403, 404, 409, 503),
    },
)
async def delete_mockup(prototype_id: str, keeper: KeeperDep, principal: Maker, response: Response) -> DeletedView:
    """What DELETE of its own address does, with the answer that those screens read."""
    mockup_id = product_in_path(prototype_id)
    if await keeper.delete(principal, mockup_id) is not None:
        response.status_code = 202
    return DeletedView(id=mockup_id)


@router.get(
    "/prototypes/{prototype_id}",
    summary="One prototype with its history",
    responses=responses(401, 403, 404, 503),
)
async def get_prototype(prototype_id: str, keeper: KeeperDep, principal: Viewer) -> PrototypeDetail:
    """A prototype, its events, and the ids of second chats of it at the app builder."""
    prototype = await keeper.get(principal, prototype_id)
    history, surplus = await keeper.history(prototype)
    return PrototypeDetail(
        **visible_fields(prototype, keeper.context.clock()),
        history=[EventView.of(row, json.loads(row["data"]) if row["data"] else None) for row in history],
        surplus_chat_ids=surplus,
    )
