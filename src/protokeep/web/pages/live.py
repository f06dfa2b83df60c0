"""Live events over HTTP: for pages as pieces of HTML to swap, for the API as prototypes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from protokeep.core.errors import InvalidInput
from protokeep.core.validation import PRODUCT_ID_MAX
from protokeep.store.gallery import Card
from protokeep.web.dependencies import Viewer, application_of, bearer_of
from protokeep.web.live import Encoder, Live, LiveResponse, Topic
from protokeep.web.models import PrototypeView
from protokeep.web.pages.detail import prototype_detail
from protokeep.web.pages.presenters import CardView, card_view
from protokeep.web.pages.render import fragment
from protokeep.web.pages.session import VisitorDep
from protokeep.web.problems import responses
from protokeep.wiring import Application

router = APIRouter()
api_router = APIRouter(prefix="/api/design")

LastEvent = Annotated[str | None, Header(max_length=60)]
Since = Annotated[str | None, Query(max_length=60)]


@router.get("/live")
async def live(
    request: Request,
    visitor: VisitorDep,
    on: str = "home",
    view: str = "grid",
    id: Annotated[str | None, Query(max_length=64)] = None,
    product: Annotated[str | None, Query(max_length=PRODUCT_ID_MAX)] = None,
    since: Since = None,
    last_event_id: LastEvent = None,
) -> Response:
    """What changes on a page, from the moment it was read."""
    workspace_id = visitor.principal.workspace_id
    role = "maker" if visitor.can_make else "viewer"
    whole_role = "admin" if visitor.can_delete else role
    if on == "prototype" and id:
        found = await application_of(request).keeper.get(visitor.principal, id)
        topic = Topic(workspace_id, f"prototype.{whole_role}", mockup_id=found.id)
    elif on == "product" and product:
        topic = Topic(workspace_id, f"product.{role}", product_id=product)
    elif on == "home":
        topic = Topic(workspace_id, f"{'row' if view == 'table' else 'card'}.{role}")
    else:
        raise InvalidInput("There is no such page to follow.", field="on")
    still_in = partial(application_of(request).sessions.check, visitor.held)
    return LiveResponse(request.app.state.live, topic, visitor.principal, last_event_id or since, still_in)


@api_router.get(
    "/events",
    summary="Hear of every change, as server-sent events",
    response_class=Response,
    responses={
        200: {
            "description": "`change` with a prototype; `gone` with an id; `resync` when events were missed: read "
            "the lists again. Reconnect with `Last-Event-ID`.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **responses(401, 403, 422, 503),
    },
)
async def events(
    request: Request,
    principal: Viewer,
    product_id: Annotated[str | None, Query(max_length=PRODUCT_ID_MAX)] = None,
    last_event_id: LastEvent = None,
) -> Response:
    """Every change of the workspace, or of one product, as it is written."""
    topic = Topic(principal.workspace_id, "api", product_id=product_id)
    still_in = partial(application_of(request).authenticator.check, bearer_of(request))
    return LiveResponse(request.app.state.live, topic, principal, last_event_id, still_in)


def add_encoders(live: Live, parts: Application) -> None:
    """Word the events of every kind of stream."""

    async def as_api(card: Card) -> Mapping[str, Any]:
        return PrototypeView.of(card.prototype, parts.keeper.context.clock()).model_dump(mode="json")

    live.encodes("api", as_api)
    for role in ("maker", "viewer"):
        for kind in ("card", "row", "product"):
            live.encodes(f"{kind}.{role}", _pieces(parts, kind, can_make=role == "maker"))
    for role in ("admin", "maker", "viewer"):
        live.encodes(f"prototype.{role}", _detail(parts, can_make=role != "viewer", can_delete=role == "admin"))


def _pieces(parts: Application, kind: str, *, can_make: bool) -> Encoder:
    async def encode(card: Card) -> Mapping[str, Any]:
        workspace_id = card.prototype.generation.workspace_id if card.prototype.generation else "default"
        view = card_view(card, parts.keeper.context.clock(), await parts.gallery.usual(workspace_id))
        return _event(view, fragment(f"live/{kind}.html", card=view, can_make=can_make, form_token=""))

    return encode


def _detail(parts: Application, *, can_make: bool, can_delete: bool) -> Encoder:
    async def encode(card: Card) -> Mapping[str, Any]:
        values = await prototype_detail(parts, card)
        html = fragment("live/prototype.html", can_make=can_make, can_delete=can_delete, form_token="", **values)
        return _event(values["card"], html)

    return encode


def _event(view: CardView, html: str) -> Mapping[str, Any]:
    return {
        "id": view.id,
        "state": view.state,
        "current": view.is_current,
        "say": view.sentence,
        "html": html,
    }
