"""The words for a request that its model refuses: which field is at fault, and what would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fastapi import Request
from pydantic import BaseModel

#: What is wrong, by the type of a fault as Pydantic names it; `{...}` are values of the fault's context.
_WORDS: Mapping[str, str] = {
    "greater_than_equal": "{field} is {ge} at least.",
    "less_than_equal": "{field} is {le} at most.",
    "string_too_long": "{field} has {max_length} characters at most.",
    "string_too_short": "{field} has {min_length} characters at least.",
    "string_pattern_mismatch": "{field} holds characters that have no place in it.",
    "literal_error": "{field} is one of {expected}.",
    "enum": "{field} is one of {expected}.",
    "string_type": "{field} is a text.",
    "bool_type": "{field} is true or false.",
    "bool_parsing": "{field} is true or false.",
    "int_type": "{field} is a whole number.",
    "int_parsing": "{field} is a whole number.",
    "int_parsing_size": "{field} is a whole number of fewer digits.",
    "int_from_float": "{field} is a whole number.",
    "float_parsing": "{field} is a number.",
    "dict_type": "{field} is a JSON object.",
    "list_type": "{field} is a JSON array.",
    "missing": "{field} is missing. Send it.",
    "model_attributes_type": "The body has to be a JSON object, sent as application/json.",
    "model_type": "{field} is a JSON object.",
}


def fault_to_tell(request: Request, faults: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """(the field, a sentence for the caller) of the fault that explains the others.

    A misspelt field comes first, because the field that is missing then is its correct spelling.
    """
    fault = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
    field = ".".join(str(part) for part in fault["loc"] if part not in ("body", "query", "path", "header")) or "body"
    if fault["type"] == "extra_forbidden":
        return field, _unknown_text(field, _fields_of(request))
    words = _WORDS.get(fault["type"], "{field} cannot be used. /docs says what it takes.")
    return field, words.format_map({"field": field, **fault.get("ctx", {})})


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
