"""Changing one prototype: follow-up, stop, delete. And its picture, from our own origin."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from protokeep.store.pictures import Picture
from protokeep.web.dependencies import Admin, KeeperDep, Maker, Prefer, PreferHeader, Viewer, application_of, unchanged
from protokeep.web.models import PrototypeView
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design/prototypes/{prototype_id}")

#: A picture is somebody else's bytes: a browser may show it, and nothing else with it. (nosniff is on every answer.)
PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, max-age=0, must-revalidate",
}


class FollowUp(BaseModel):
    """A follow-up message."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Annotated[str, Field(description="What should change: 1-100,000 characters.")]


@router.post(
    "/messages",
    summary="Send a follow-up into the prototype's chat",
    responses={
        202: {"model": PrototypeView, "description": "Claimed; the builder has not taken it yet"},
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
    idempotency_key: Annotated[str | None, Header(max_length=300)] = None,
) -> PrototypeView:
    """The same prototype, back in progress. With an `Idempotency-Key` a repeated request sends nothing twice."""
    wait = Prefer.of(prefer).patience(application_of(request).settings.accept_wait_seconds)
    prototype = await keeper.iterate(principal, prototype_id, body.message, idempotency_key=idempotency_key, wait=wait)
    generation = prototype.generation
    response.status_code = 202 if generation is not None and generation.follow_up_pending else 200
    return PrototypeView.of(prototype, keeper.context.clock())


@router.post("/stop", summary="Stop what is being generated", responses=responses(401, 403, 404, 409, 502, 503))
async def stop(prototype_id: str, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """What had ended already is answered as it is."""
    return PrototypeView.of(await keeper.stop(principal, prototype_id), keeper.context.clock())


@router.delete(
    "",
    summary="Delete a prototype, here and at the builder",
    status_code=204,
    response_model=None,
    responses={
        202: {"model": PrototypeView, "description": "Being deleted; tried again until the builder has done it"},
        **responses(401, 403, 404, 409, 503),
    },
)
async def delete(prototype_id: str, keeper: KeeperDep, principal: Admin, response: Response) -> Any:
    """Its product's next create makes a new one. Deleting again is no error."""
    prototype = await keeper.delete(principal, prototype_id)
    if prototype is None:
        return Response(status_code=204)
    response.status_code = 202
    return PrototypeView.of(prototype, keeper.context.clock())


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
    """As it was fetched from the builder; only what is an image by its own bytes is kept."""
    return picture_answer(request, await keeper.picture(principal, prototype_id))


def picture_answer(request: Request, kept: Picture) -> Response:
    """A kept picture, or 304 to whoever has it."""
    headers = {**PICTURE_HEADERS, "ETag": f'"{kept.etag}"'}
    same = unchanged(request, headers["ETag"])
    if same is not None:
        return same
    return Response(kept.body, media_type=kept.content_type, headers=headers)
