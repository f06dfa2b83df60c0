"""Actions on one prototype (follow-up, stop, delete), and its picture from our own origin."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from protokeep.store.pictures import Picture
from protokeep.web.dependencies import (
    KeeperDep,
    KeyHeader,
    Maker,
    Prefer,
    PreferHeader,
    Viewer,
    application_of,
    not_modified,
)
from protokeep.web.models import PrototypeView
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design/prototypes/{prototype_id}", tags=["prototypes"])

#: A picture comes from an app builder: a browser may show it, and run nothing in it. (Every answer has nosniff.)
PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=0, must-revalidate",
}


Now = Annotated[bool, Query(description="Admins: delete at once, past the bin.")]


class FollowUp(BaseModel):
    """A follow-up message."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"message": "Make the header darker"}]}
    )

    message: Annotated[str, Field(description="What should change: 1-100,000 characters.")]


class VariantName(BaseModel):
    """The name of a variant."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"name": "Dark header"}]})

    name: Annotated[str | None, Field(description="1-60 characters; null takes the name away.")]


@router.post(
    "/messages",
    summary="Ask for a change of a prototype",
    responses={
        202: {"model": PrototypeView, "description": "Claimed; the app builder has not accepted it yet"},
        **responses(400, 401, 403, 404, 409, 413, 422, 503),
    },
)
async def send_message(
    prototype_id: str,
    body: FollowUp,
    keeper: KeeperDep,
    principal: Maker,
    request: Request,
    response: Response,
    prefer: PreferHeader = None,
    idempotency_key: KeyHeader = None,
) -> PrototypeView:
    """The prototype, back in progress. With an `Idempotency-Key` a repeated request sends no second message."""
    wait = Prefer.of(prefer).wait_seconds(application_of(request).settings.accept_wait_seconds)
    prototype = await keeper.iterate(principal, prototype_id, body.message, idempotency_key=idempotency_key, wait=wait)
    generation = prototype.generation
    response.status_code = 202 if generation is not None and generation.follow_up_pending else 200
    return PrototypeView.of(prototype, keeper.context.clock())


@router.post("/stop", summary="Stop what is being generated", responses=responses(401, 403, 404, 409, 502, 503))
async def stop(prototype_id: str, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The prototype. One that has ended already is not changed."""
    return PrototypeView.of(await keeper.stop(principal, prototype_id), keeper.context.clock())


@router.delete(
    "",
    summary="Delete a prototype, here and in the app builder: an admin any, a maker their own",
    status_code=204,
    response_model=None,
    responses={
        202: {"model": PrototypeView, "description": "In the bin, or being deleted until the app builder has done it"},
        **responses(401, 403, 404, 409, 503),
    },
)
async def delete(
    prototype_id: str, keeper: KeeperDep, principal: Maker, response: Response, *, now: Now = False
) -> Any:
    """It waits in the bin first, and can be taken back until `deletion_due_at`. protokeep copies its chat.

    When it was the current one, the newest usable variant that is left becomes current; without one the product's next
    create makes a new prototype. Deleting a second time is no error.
    """
    prototype = await keeper.delete(principal, prototype_id, at_once=now)
    if prototype is None:
        return Response(status_code=204)
    response.status_code = 202
    return PrototypeView.of(prototype, keeper.context.clock())


@router.post("/restore", summary="Take a prototype out of the bin", responses=responses(401, 403, 404, 409, 503))
async def take_back(prototype_id: str, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The prototype: the product's current one again if it has no other by now, else a variant.

    Who may delete it may take it back. One that is not in the bin stays as it is.
    """
    return PrototypeView.of(await keeper.take_back(principal, prototype_id), keeper.context.clock())


@router.post(
    "/make-current", summary="Make it the current one of its product", responses=responses(401, 403, 404, 409, 503)
)
async def make_current(prototype_id: str, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The prototype, which everyone who asks for the product gets from now on. The one before stays, as a variant.

    One that is current already stays as it is. Nothing happens at the app builder. 409: it failed, or is deleted.
    """
    found = await keeper.get(principal, prototype_id)
    return PrototypeView.of(await keeper.variants.make_current(principal, found), keeper.context.clock())


@router.put("/name", summary="Name a variant", responses=responses(400, 401, 403, 404, 409, 413, 422, 503))
async def name(prototype_id: str, body: VariantName, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The prototype with its name, by which people tell it from the product's others."""
    found = await keeper.get(principal, prototype_id)
    return PrototypeView.of(await keeper.variants.name(principal, found, body.name), keeper.context.clock())


@router.get(
    "/picture",
    summary="The prototype's picture",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}, "image/jpeg": {}, "image/webp": {}}, "description": "The picture"},
        304: {"description": "Not changed"},
        **responses(401, 403, 404, 503),
    },
)
async def picture(prototype_id: str, keeper: KeeperDep, principal: Viewer, request: Request) -> Response:
    """The picture as it was fetched from the app builder. Only bytes that are an image are ever stored."""
    return picture_response(request, await keeper.picture(principal, prototype_id))


def picture_response(request: Request, stored: Picture) -> Response:
    """A stored picture, or 304 if the browser has it."""
    headers = {**PICTURE_HEADERS, "ETag": f'"{stored.etag}"'}
    return not_modified(request, headers["ETag"]) or Response(
        stored.body, media_type=stored.content_type, headers=headers
    )
