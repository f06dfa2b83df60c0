"""One prototype, told whole: for its page, and for the parts of it that change live."""

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

#: Of the same product, beside the one that is shown.
OTHERS_SHOWN = 6

WHY = {
    "created": "Made new",
    "replaced": "Made again",
    "reused": "Reused",
}

PAID_BY = {
    KeySource.ENVIRONMENT: "the server's key",
    KeySource.WORKSPACE: "the workspace's key",
    KeySource.OWN: "the maker's own key",
    KeySource.ARGUMENT: "a key that an agent was given",
}


async def prototype_detail(parts: Application, card: Card) -> dict[str, Any]:
    """What is said of a prototype: the card, its history, its ids."""
    prototype = card.prototype
    now = parts.keeper.context.clock()
    history, surplus = await parts.keeper.history(prototype)
    usual = await parts.gallery.usual(_workspace_of(prototype))
    view = card_view(card, now, usual)
    lines = timeline(history, prototype, now)
    return {
        "card": view,
        "timeline": lines,
        "why": _why(view, history),
        "change": {
            "why_not": follow_up_blocked_reason(prototype),
            "longest": PROMPT_MAX,
            "text": "",
            "key": "",
            "trouble": None,
            "fault": None,
        },
        "ids": _ids(prototype),
        "surplus": surplus,
        "observed_at": prototype.generation.polling.observed_at if prototype.generation else None,
    }


async def detail_values(parts: Application, principal: Principal, prototype_id: str) -> dict[str, Any]:
    """All that the page of one prototype shows."""
    card = await parts.gallery.card(principal.workspace_id, prototype_id)
    others, _ = await parts.keeper.list(principal, card.prototype.product_id, Page(OTHERS_SHOWN + 1))
    now = parts.keeper.context.clock()
    return {
        **await prototype_detail(parts, card),
        "others": [card_view(Card(one, card.product_name, 0), now) for one in others if one.id != prototype_id][
            :OTHERS_SHOWN
        ],
    }


def _workspace_of(prototype: Prototype) -> str:
    return prototype.generation.workspace_id if prototype.generation else "default"


def _why(view: CardView, history: Any) -> str:
    """Why there is this one, in a sentence, from the line that the claim wrote."""

    for row in history:
        if row["kind"] == "claimed" and row["data"]:
            data = json.loads(row["data"])
            word = WHY.get(data.get("outcome", ""), "Made")
            return f"{word} for {view.owner}. {data.get('reason', '')}".strip()
        if row["kind"] == "adopted" and row["source"] != "submit":
            return "It was there before protokeep, and is followed since."
    return "It was there before protokeep."


def _ids(prototype: Prototype) -> list[tuple[str, str]]:
    generation = prototype.generation
    wanted = [
        ("Prototype", prototype.id),
        ("Product", prototype.product_id),
        ("Chat at the builder", prototype.chat_id),
        ("Project at the builder", prototype.project_id),
        ("Message at the builder", generation.message_id if generation else None),
        ("Paid by", PAID_BY[key_source_of(generation.account)] if generation else None),
        ("API version", f"v{generation.api_version}" if generation else None),
    ]
    return [(label, value) for label, value in wanted if value]
