"""Decodes form bodies, which v2 accepts beside JSON: `metadata[key]=value`, `events[]=chat.created`."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

_BRACKETS = re.compile(r"\[([^\]]*)\]")


def decode_form(content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of an urlencoded or multipart body as nested objects and lists. Raises ValueError."""
    if content_type.startswith("multipart/form-data"):
        pairs = _multipart(content_type, body)
    else:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True)
    fields: dict[str, Any] = {}
    for name, value in pairs:
        head = name.split("[", 1)[0]
        _put(fields, [head, *_BRACKETS.findall(name[len(head) :])], value)
    return {name: _lists(value) for name, value in fields.items()}


def _multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    header = b"content-type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    message = message_from_bytes(header + body, policy=HTTP)
    if not message.is_multipart():
        raise ValueError("not a multipart body")
    pairs = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        pairs.append((str(name), payload.decode("utf-8") if isinstance(payload, bytes) else ""))
    return pairs


def _put(target: dict[str, Any], path: list[str], value: str) -> None:
    key = path[0] or str(len(target))
    if len(path) == 1:
        target[key] = value
        return
    inner = target.setdefault(key, {})
    if not isinstance(inner, dict):
        raise ValueError(f"{key}: both a value and an object")
    _put(inner, path[1:], value)


def _lists(value: Any) -> Any:
    """`value` with every object whose keys are 0, 1, 2 .. turned into a list."""
    if not isinstance(value, dict):
        return value
    if list(value) == [str(index) for index in range(len(value))]:
        return [_lists(inner) for inner in value.values()]
    return {key: _lists(inner) for key, inner in value.items()}
