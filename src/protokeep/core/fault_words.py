"""The words for a value that a model refuses, for callers who have never heard of the library that checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    "model_type": "{field} is a JSON object.",
}


def fault_text(field: str, fault: Mapping[str, Any]) -> str | None:
    """A sentence on a fault as Pydantic describes it, with its `type` and `ctx`; None for a kind that has no words."""
    words = _WORDS.get(fault["type"])
    return words.format_map({"field": field, **fault.get("ctx", {})}) if words else None
