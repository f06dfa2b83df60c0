"""The words for a request that its model refuses: which field is at fault, and what would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from protokeep.core.fault_words import fault_text


def fault_to_tell(request: Request, faults: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """(the field, a sentence for the caller) of the fault that explains the others.

    A misspelt field comes first, because the field that is missing then is its correct spelling.
    """
    fault = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
    where, *parts = fault["loc"]
    # Which one of a query's repeated values it is, is no part of the name that callers know.
    parts = [part for part in parts if where != "query" or not isinstance(part, int)]
    field = ".".join(str(part) for part in parts) or "body"
    if fault["type"] == "model_attributes_type":
        return field, "The body has to be a JSON object, sent as application/json."
    if fault["type"] == "extra_forbidden":
        return field, _unknown_text(field, _fields_of(request))
    return field, fault_text(field, fault) or f"{field} cannot be used. /docs says what it takes."


def _unknown_text(field: str, known: Iterable[str]) -> str:
    by_form = {_plain(name): name for name in known}
    found = get_close_matches(_plain(field), by_form, n=1, cutoff=0.7)
    if found:
        return f"{field} is not a field of this request. Did you mean {by_form[found[0]]}?"
    return f"{field} is not a field of this request. Take it out, or check its spelling."


def _plain(name: str) -> str:
    """A name without what spellings differ in: `createNew` and `create-new` are `createnew`."""
    return name.lower().replace("_", "").replace("-", "")


def _fields_of(request: Request) -> Iterable[str]:
    """The fields of the body that the route of the request takes."""
    body = getattr(request.scope.get("route"), "body_field", None)
    model = body.field_info.annotation if body is not None else None
    return model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else ()
