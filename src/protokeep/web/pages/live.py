"""Live events over HTTP: pages are sent HTML to swap in, programs are sent prototypes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from protokeep.core.errors import InvalidInput, NotFound
from protokeep.core.prototype import State
from protokeep.core.validation import PRODUCT_ID_MAX, product_id_of
from protokeep.store.gallery import Card
from protokeep.web.broadcast import Broadcast, Encoder, Topic
from protokeep.web.dependencies import Viewer, application_of, bearer_of
from protokeep.web.models import PrototypeView
from protokeep.web.pages import filters as filtering
from protokeep.web.pages.detail import prototype_detail, workspace_of
from protokeep.web.pages.presenters import CardView, card_view
from protokeep.web.pages.render import fragment
from protokeep.web.pages.session import OnlookerDep
from protokeep.web.problems import responses
from protokeep.web.sse import EventStream
from protokeep.wiring import Application

router = APIRouter()
api_router = APIRouter(prefix="/api/design", tags=["prototypes"])

LastEvent = Annotated[str | None, Header(max_length=60)]
Since = Annotated[str | None, Query(max_length=60)]


@router.get("/live")
async def live(
    request: Request,
    visitor: OnlookerDep,
    on: str = "home",
    view: str = "grid",
    id: Annotated[str | None, Query(max_length=64)] = None,
    product: Annotated[str | None, Query(max_length=PRODUCT_ID_MAX)] = None,
    since: Since = None,
    last_event_id: LastEvent = None,
) -> Response:
    """The changes of a page (`on`), from the event that it was rendered at (`since`)."""
    workspace_id = visitor.principal.workspace_id
    role = "maker" if visitor.can_make else "viewer"
    if on == "prototype" and id:
        prototype = await application_of(request).keeper.get(visitor.principal, id)
        kind = "prototype.admin" if visitor.can_delete else f"prototype.{role}"
        topic = Topic(workspace_id, kind, mockup_id=prototype.id)
    elif on == "product" and product:
        kind = "product.admin" if visitor.can_delete else f"product.{role}"
        topic = Topic(workspace_id, kind, product_id=product_id_of(product))
    elif on == "home":
        topic = Topic(workspace_id, f"{'row' if view == 'table' else 'card'}.{role}")
    else:
        raise InvalidInput("There is no such page to follow.", field="on")
    return EventStream(
        request.app.state.broadcast,
        topic,
        visitor.principal,
        since=last_event_id or since,
        authorize=partial(application_of(request).sessions.check, visitor.session_secret, renew=False),
    )


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
    """Every change in the workspace, or of one product, as soon as it is committed."""
    followed = product_id_of(product_id) if product_id is not None else None
    topic = Topic(principal.workspace_id, "api", product_id=followed)
    return EventStream(
        request.app.state.broadcast,
        topic,
        principal,
        since=last_event_id,
        authorize=partial(application_of(request).authenticator.check, bearer_of(request)),
    )


def add_encoders(broadcast: Broadcast, application: Application) -> None:
    """Add an encoder for each kind of stream: the API, and each page for each role."""

    async def as_api(card: Card) -> Mapping[str, Any]:
        return PrototypeView.listed(card.prototype, application.keeper.context.clock()).model_dump(mode="json")

    async def tab_counts(workspace_id: str) -> Mapping[str, Any]:
        counts = await application.gallery.counts(workspace_id)
        return {tab.name: tab.count for tab in filtering.every_tab(filtering.Filters(), counts)}

    broadcast.add_encoder("api", as_api)
    for role in ("maker", "viewer"):
        for kind in ("card", "row"):
            broadcast.add_encoder(f"{kind}.{role}", _card_encoder(application, kind, can_make=role == "maker"))
            broadcast.add_summary(f"{kind}.{role}", tab_counts)
    for role in ("admin", "maker", "viewer"):
        encoder = _detail_encoder(application, can_make=role != "viewer", can_delete=role == "admin")
        for kind in ("prototype", "product"):
            broadcast.add_encoder(f"{kind}.{role}", encoder)


def _card_encoder(application: Application, kind: str, *, can_make: bool) -> Encoder:
    async def encode(card: Card) -> Mapping[str, Any]:
        if card.prototype.state is State.IN_BIN:
            raise NotFound("It is in the bin.")  # To these pages it is gone.
        usual = await application.gallery.usual_duration(workspace_of(card.prototype))
        view = card_view(card, application.keeper.context.clock(), usual)
        return _event(view, fragment(f"live/{kind}.html", card=view, can_make=can_make, form_token=""))

    return encode


def _detail_encoder(application: Application, *, can_make: bool, can_delete: bool) -> Encoder:
    async def encode(card: Card) -> Mapping[str, Any]:
        values = await prototype_detail(application, card)
        html = fragment("live/prototype.html", can_make=can_make, can_delete=can_delete, form_token="", **values)
        return _event(values["card"], html)

    return encode


def _event(view: CardView, html: str) -> Mapping[str, Any]:
    return {
        "id": view.id,
        "state": view.state,
        "current": view.is_current,
        "by": view.owner,
        "archived": view.is_archived,
        "say": view.sentence,
        "html": html,
    }
