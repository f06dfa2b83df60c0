"""The values of a prototype's own page, and of its live updates."""

from __future__ import annotations

import json
from typing import Any

from protokeep.core.follow_up import follow_up_blocked_reason
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype
from protokeep.core.provider_keys import KeySource, key_source_of
from protokeep.core.validation import PROMPT_MAX
from protokeep.store.gallery import Card
from protokeep.store.prototypes import Page
from protokeep.web.pages.presenters import CardView, card_view, timeline
from protokeep.wiring import Application

#: Other prototypes of the same product on the page.
OTHERS_SHOWN = 6

#: By outcome of the claim: the beginning of the sentence about where the prototype comes from.
ORIGINS = {
    "created": "Made new",
    "replaced": "Made again",
    "reused": "Reused",
}

#: Whose key paid, by where the key comes from.
PAID_BY = {
    KeySource.UNKNOWN: None,
    KeySource.ENVIRONMENT: "the server's key",
    KeySource.WORKSPACE: "the workspace's key",
    KeySource.OWN: "the maker's own key",
    KeySource.ARGUMENT: "a key that an agent was given",
}


async def prototype_detail(application: Application, card: Card) -> dict[str, Any]:
    """The card, the history, the follow-up form and the ids of a prototype."""
    prototype = card.prototype
    now = application.keeper.context.clock()
    history, surplus = await application.keeper.history(prototype)
    usual = await application.gallery.usual_duration(workspace_of(prototype))
    view = card_view(card, now, usual)
    return {
        "card": view,
        "timeline": timeline(history, prototype, now),
        "why": _origin_sentence(view, history),
        "change": {
            "blocked_reason": follow_up_blocked_reason(prototype),
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


async def detail_values(application: Application, principal: Principal, prototype_id: str) -> dict[str, Any]:
    """All values of a prototype's page. Raises `NotFound`."""
    card = await application.gallery.card(principal.workspace_id, prototype_id)
    others, _ = await application.keeper.list(principal, card.prototype.product_id, Page(OTHERS_SHOWN + 1))
    now = application.keeper.context.clock()
    return {
        **await prototype_detail(application, card),
        "others": [card_view(Card(one, card.product_name, 0), now) for one in others if one.id != prototype_id][
            :OTHERS_SHOWN
        ],
    }


def workspace_of(prototype: Prototype) -> str:
    """The workspace of a prototype. Untracked ones belong to the default workspace."""
    return prototype.generation.workspace_id if prototype.generation else "default"


def _origin_sentence(view: CardView, history: Any) -> str:
    """The sentence that says why this prototype exists, from the event that its claim has written."""
    for row in history:
        if row["kind"] == "claimed" and row["data"]:
            data = json.loads(row["data"])
            origin = ORIGINS.get(data.get("outcome", ""), "Made")
            return f"{origin} for {view.owner}. {data.get('reason', '')}".strip()
        if row["kind"] == "adopted" and row["source"] != "submit":
            return "It was there before protokeep, and is followed since."
    return "It was there before protokeep."


def _ids(prototype: Prototype) -> list[tuple[str, str]]:
    generation = prototype.generation
    ids = [
        ("Prototype", prototype.id),
        ("Product", prototype.product_id),
        ("Chat at the builder", prototype.chat_id),
        ("Project at the builder", prototype.project_id),
        ("Message at the builder", generation.message_id if generation else None),
        ("Paid by", PAID_BY[key_source_of(generation.account)] if generation else None),
        ("API version", f"v{generation.api_version}" if generation else None),
    ]
    return [(label, value) for label, value in ids if value]
