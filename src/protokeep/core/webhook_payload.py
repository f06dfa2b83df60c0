"""The payload of a webhook delivery: only the chat ids in it are used, and nothing else is believed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from protokeep.core.foreign_text import is_id

#: A delivery has a few hundred bytes; a larger one is not read.
MAX_DELIVERY = 64 * 1024
#: Values that are read in one delivery, and how deep.
MAX_VALUES = 200
MAX_DEPTH = 4
MAX_CANDIDATES = 8

_CHAT_KEYS = frozenset({"chatid", "chat_id"})
_BEGINNINGS = frozenset({"message.created", "chat.created"})


def chats_named(body: bytes) -> tuple[list[str], bool]:
    """(values that may be chat ids, whether the delivery says that something only began). Never raises.

    The shape of a delivery is documented nowhere, so ids are taken from every place where they may stand.
    """
    payload = _payload_of(body)
    candidates = (_candidate(key, value) for key, value in _entries(payload))
    chats = dict.fromkeys(candidate for candidate in candidates if candidate is not None)
    event = payload.get("event", payload.get("type")) if isinstance(payload, dict) else None
    return list(chats)[:MAX_CANDIDATES], isinstance(event, str) and event in _BEGINNINGS


def _payload_of(body: bytes) -> Any:
    """The parsed body; None: it is empty, too large, or no JSON."""
    if not body or len(body) > MAX_DELIVERY:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _entries(payload: Any) -> Iterator[tuple[Any, Any]]:
    """Keys and values of a payload, outer ones first: up to a depth, and up to a number. Keys of lists are None.

    A container that is too deep to be opened has no key either.
    """
    todo = [(payload, 0)]
    number = 0
    while todo:
        container, depth = todo.pop(0)
        for key, value in _items(container):
            number += 1
            if number > MAX_VALUES:
                return
            is_container = isinstance(value, dict | list)
            if is_container and depth < MAX_DEPTH:
                todo.append((value, depth + 1))
            yield None if is_container and depth >= MAX_DEPTH else key, value


def _items(container: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(container, dict):
        return container.items()
    return ((None, value) for value in container) if isinstance(container, list) else ()


def _candidate(key: Any, value: Any) -> str | None:
    """The chat id that an entry may hold: `{"chat": {"id": ...}}` or `{"chatId": ...}`."""
    if not isinstance(key, str):
        return None
    if isinstance(value, dict):
        candidate = value.get("id") if key == "chat" else None
    else:
        candidate = value if key.lower() in _CHAT_KEYS else None
    return candidate if is_id(candidate) else None
