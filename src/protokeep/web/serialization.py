"""Prototypes as JSON, and the validators (ETags) of answers that hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from protokeep.core.prototype import Prototype
from protokeep.core.visible_fields import visible_fields, visible_version
from protokeep.service import Ensured
from protokeep.web.models import PrototypeView

_FIELDS = tuple(PrototypeView.model_fields)


def prototype_json(prototype: Prototype, now: datetime) -> bytes:
    """A `PrototypeView`; `now` gives the elapsed time of an unfinished prototype."""
    return to_json(_fields_of(prototype, now))


def list_json(prototypes: Iterable[Prototype], next_cursor: str | None, now: datetime) -> bytes:
    """A `MockupsView`: one page of a product's prototypes."""
    return to_json({"mockups": [_fields_of(prototype, now) for prototype in prototypes], "next_cursor": next_cursor})


def ensured_json(ensured: Ensured, now: datetime) -> bytes:
    """An `EnsuredView`: the answer to create-project."""
    decision = ensured.decision
    return to_json(
        {
            **_fields_of(ensured.prototype, now),
            "is_existing": ensured.is_existing,
            "decision": {
                "outcome": decision.outcome.value,
                "reason": decision.reason,
                "prompt_differs": decision.prompt_differs,
            },
        }
    )


def etag_of(prototypes: Sequence[Prototype], now: datetime, cursor: str | None = None) -> str:
    """A strong validator over everything that people see of the prototypes, and over the cursor of the next page."""
    content = to_json([[visible_version(prototype, now) for prototype in prototypes], cursor])
    return '"' + hashlib.blake2b(content, digest_size=12).hexdigest() + '"'


def _fields_of(prototype: Prototype, now: datetime) -> dict[str, Any]:
    fields = visible_fields(prototype, now)
    return {name: fields[name] for name in _FIELDS}
