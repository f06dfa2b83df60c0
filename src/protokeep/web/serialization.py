"""Prototypes as JSON, and the validators (ETags) of answers that hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from protokeep.core.prototype import Prototype, Status
from protokeep.core.visible_fields import listed_fields, version_of, visible_fields
from protokeep.service import Ensured
from protokeep.web.models import PrototypeView
from protokeep.web.problems import similar_values

_FIELDS = tuple(PrototypeView.model_fields)


@dataclass(frozen=True, slots=True)
class View:
    """What people see of a prototype: the values of a `PrototypeView`, and what its validator covers."""

    fields: Mapping[str, Any]
    version: Mapping[str, Any]

    @classmethod
    def of(cls, prototype: Prototype, now: datetime) -> View:
        """`now` gives the elapsed time of an unfinished prototype."""
        values = visible_fields(prototype, now)
        fields = {name: values[name] for name in _FIELDS}
        return cls(fields, version_of(prototype, fields))


def prototype_json(view: View) -> bytes:
    """A `PrototypeView`."""
    return to_json(view.fields)


def checked_status_json(view: View) -> bytes:
    """A `CheckedStatusView`: a `PrototypeView` with the names that the specification's later screens read."""
    fields = view.fields
    is_complete = fields["project_status"] == Status.COMPLETED.value
    return to_json(
        {
            **fields,
            "project_id": fields["v0_project_id"],
            "projectId": fields["v0_project_id"],
            "chat_id": fields["v0_chat_id"],
            "is_complete": is_complete,
            "can_submit_new": is_complete,
        }
    )


def list_json(views: Sequence[View], next_cursor: str | None) -> bytes:
    """A `MockupsView`: one page of a product's prototypes, with the beginnings of long prompts."""
    return to_json({"mockups": [listed_fields(view.fields) for view in views], "next_cursor": next_cursor})


def ensured_json(ensured: Ensured, now: datetime) -> bytes:
    """An `EnsuredView`: the answer to create-project."""
    decision = ensured.decision
    return to_json(
        {
            **View.of(ensured.prototype, now).fields,
            "is_existing": ensured.is_existing,
            "decision": {
                "outcome": decision.outcome.value,
                "reason": decision.reason,
                "prompt_differs": decision.prompt_differs,
                "similar": similar_values(ensured.similar),
            },
        }
    )


def etag_of(views: Sequence[View], cursor: str | None = None) -> str:
    """A strong validator over everything that people see of the prototypes, and over the cursor of the next page."""
    content = to_json([[view.version for view in views], cursor])
    return '"' + hashlib.blake2b(content, digest_size=12).hexdigest() + '"'
