"""The values of a prototype's own page, and of its live updates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from protokeep.core.follow_up import follow_up_blocked_reason
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype
from protokeep.core.provider_keys import KeySource, key_source_of
from protokeep.core.reuse import ANOTHER_VARIANT
from protokeep.core.validation import PROMPT_MAX
from protokeep.store.gallery import Card
from protokeep.store.prototypes import Page
from protokeep.web.dependencies import decode_cursor, encode_cursor
from protokeep.web.pages import formatting
from protokeep.web.pages.presenters import CardView, card_view, with_builders_name
from protokeep.web.pages.timeline import asked_since, timeline
from protokeep.wiring import Application

#: Variants of the product on one page.
VARIANTS_SHOWN = 12

#: By outcome of the claim: the beginning of the sentence about where the prototype comes from.
ORIGINS = {
    "created": "Created",
    "replaced": "Created again",
    "reused": "Reused",
}

#: Whose key paid, by where the key comes from.
PAID_BY = {
    KeySource.UNKNOWN: None,
    KeySource.ENVIRONMENT: "the server's v0 API key",
    KeySource.WORKSPACE: "the workspace's v0 API key",
    KeySource.OWN: "the own key of the person who asked for it",
    KeySource.ARGUMENT: "a key that was given to an agent",
}


async def prototype_detail(application: Application, card: Card) -> dict[str, Any]:
    """The card, the history, the follow-up form and the ids of a prototype."""
    prototype = card.prototype
    now = application.keeper.context.clock()
    history, surplus = await application.keeper.history(prototype)
    usual = await application.gallery.usual_duration(workspace_of(prototype))
    view = card_view(card, now, usual)
    asked = asked_since(history, now)
    return {
        "card": view,
        "current": await _current(application, card, now),
        "asked": asked,
        "latest": asked[0] if asked else None,
        "facts": _facts(prototype),
        "timeline": timeline(history, prototype, now),
        "why": _origin_sentence(view, history),
        "change": {
            "blocked_reason": with_builders_name(follow_up_blocked_reason(prototype), prototype),
            "length_max": PROMPT_MAX,
            "text": "",
            "key": "",
            "trouble": None,
            "fault": None,
        },
        "ids": _ids(prototype),
        "surplus": surplus,
        "observed_at": prototype.generation.polling.observed_at if prototype.generation else None,
    }


async def detail_values(
    application: Application, principal: Principal, prototype_id: str, cursor: str | None = None
) -> dict[str, Any]:
    """All values of a prototype's page, with its product's variants from `cursor` on. Raises `NotFound`."""
    card = await application.gallery.card(principal.workspace_id, prototype_id)
    product_id = card.prototype.product_id
    found, after = await application.keeper.list(
        principal, product_id, Page(VARIANTS_SHOWN, None, None, None, decode_cursor(cursor))
    )
    now = application.keeper.context.clock()
    path = formatting.product_path(product_id)
    older = f"{path}{'&' if '?' in path else '?'}{urlencode({'cursor': encode_cursor(after)})}" if after else None
    values = await prototype_detail(application, card)
    return {
        **values,
        "variants": [card_view(Card(one, card.product_name, 0), now) for one in found],
        "pair": _pair(card.prototype, values["current"], found),
        "newest_url": path if cursor else None,
        "older_url": older,
        "is_favourite": product_id in await application.keeper.arrangement.favourites(principal),
    }


async def variants_of(application: Application, card: Card) -> dict[str, Any]:
    """The values of one variant beside another one: its card and what was asked since."""
    now = application.keeper.context.clock()
    history, _ = await application.keeper.history(card.prototype)
    return {"card": card_view(card, now), "asked": asked_since(history, now)}


async def _current(application: Application, card: Card, now: datetime) -> CardView | None:
    """The current variant of a prototype's product; None: it is that itself, or the product has none."""
    prototype = card.prototype
    if prototype.is_current:
        return None
    store = application.keeper.context.store
    current = await store.current(workspace_of(prototype), prototype.product_id, prototype.provider)
    if current is None or not current.is_current:
        return None
    return card_view(Card(current, card.product_name, 0), now)


def _pair(prototype: Prototype, current: CardView | None, found: Sequence[Prototype]) -> dict[str, str | None]:
    """Which two variants the form for a comparison begins with."""
    others = [one.id for one in found if one.id != prototype.id]
    other = current.id if current is not None else next(iter(others), None)
    return {"a": prototype.id, "b": other}


def workspace_of(prototype: Prototype) -> str:
    """The workspace of a prototype. Untracked ones belong to the default workspace."""
    return prototype.generation.workspace_id if prototype.generation else "default"


def _origin_sentence(view: CardView, history: Any) -> str:
    """The sentence that says why this prototype exists, from the event that its claim has written."""
    for row in history:
        if row["kind"] == "claimed" and row["data"]:
            data = json.loads(row["data"])
            if data.get("reason") == ANOTHER_VARIANT:
                return f"Created because {view.owner} asked for another variant."
            origin = ORIGINS.get(data.get("outcome", ""), "Created")
            return f"{origin} for {view.owner}. {data.get('reason', '')}".strip()
        if row["kind"] == "adopted" and row["source"] != "submit":
            return "It is older than protokeep, which tracks it since."
    return "It is older than protokeep."


def _facts(prototype: Prototype) -> list[tuple[str, str]]:
    """What is known of a prototype beside its ids."""
    generation = prototype.generation
    if generation is None:
        return []
    facts = [
        ("Paid by", PAID_BY[key_source_of(generation.account)]),
        ("Cost", formatting.credits_text(generation.credits)),
        ("v0 API version", f"v{generation.api_version}"),
    ]
    return [(label, value) for label, value in facts if value]


def _ids(prototype: Prototype) -> list[tuple[str, str]]:
    generation = prototype.generation
    ids = [
        ("Prototype", prototype.id),
        ("Product", prototype.product_id),
        ("Chat in the app builder", prototype.chat_id),
        ("Project in the app builder", prototype.project_id),
        ("Message in the app builder", generation.message_id if generation else None),
    ]
    return [(label, value) for label, value in ids if value]
