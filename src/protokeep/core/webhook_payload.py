"""What a hook's delivery is good for: chat ids that may be ours, and nothing else of it is believed."""

from __future__ import annotations

import json
from typing import Any

#: A delivery is a few hundred bytes; what is larger is not read.
MAX_DELIVERY = 64 * 1024
#: Values looked at in one delivery, and how deep.
MAX_VALUES = 200
MAX_DEPTH = 4
MAX_CANDIDATES = 8
ID_MAX = 200

_CHAT_KEYS = frozenset({"chatid", "chat_id"})
_BEGINNINGS = frozenset({"message.created", "chat.created"})


def chats_named(body: bytes) -> tuple[list[str], bool]:
    """(what may be chat ids, whether the delivery says that something only began). Never raises.

    The shape of a delivery is documented nowhere, so ids are taken from wherever they may stand.
    """
    if not body or len(body) > MAX_DELIVERY:
        return [], False
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return [], False
    found: dict[str, None] = {}
    todo: list[tuple[Any, int]] = [(payload, 0)] if isinstance(payload, dict | list) else []
    seen = 0
    while todo and seen < MAX_VALUES and len(found) < MAX_CANDIDATES:
        value, depth = todo.pop(0)
        items = value.items() if isinstance(value, dict) else ((None, one) for one in value)
        for key, inner in items:
            seen += 1
            if seen > MAX_VALUES:
                break
            if isinstance(inner, dict | list) and depth < MAX_DEPTH:
                todo.append((inner, depth + 1))
                if key == "chat" and isinstance(inner, dict):
                    _keep(found, inner.get("id"))
            elif isinstance(key, str) and key.lower() in _CHAT_KEYS:
                _keep(found, inner)
    event = payload.get("event", payload.get("type")) if isinstance(payload, dict) else None
    return list(found)[:MAX_CANDIDATES], isinstance(event, str) and event in _BEGINNINGS


def _keep(found: dict[str, None], value: Any) -> None:
    if isinstance(value, str) and 0 < len(value) <= ID_MAX and value.isprintable():
        found[value] = None
