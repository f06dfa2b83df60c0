"""The words for a value that a model refuses, for callers who have never heard of the library that checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What is wrong, by the type of a fault as Pydantic names it; `{...}` are values of the fault's context.
_WORDS: Mapping[str, str] = {
    "greater_than_equal": "{field} must be at least {ge}.",
    "less_than_equal": "{field} must be at most {le}.",
    "string_too_long": "{field} may have at most {max_length} characters.",
    "string_too_short": "{field} must have at least {min_length} characters.",
    "string_pattern_mismatch": "{field} holds characters that are not allowed in it.",
    "literal_error": "{field} must be one of {expected}.",
    "enum": "{field} must be one of {expected}.",
    "string_type": "{field} must be a text.",
    "bool_type": "{field} must be true or false.",
    "bool_parsing": "{field} must be true or false.",
    "int_type": "{field} must be a whole number.",
    "int_parsing": "{field} must be a whole number.",
    "int_parsing_size": "{field} must be a whole number with fewer digits.",
    "int_from_float": "{field} must be a whole number.",
    "float_parsing": "{field} must be a number.",
    "dict_type": "{field} must be a JSON object.",
    "list_type": "{field} must be a JSON array.",
    "missing": "{field} is missing. Send it.",
    "model_type": "{field} must be a JSON object.",
}


def fault_text(field: str, fault: Mapping[str, Any]) -> str | None:
    """A sentence on a fault as Pydantic describes it, with its `type` and `ctx`; None for a kind that has no words."""
    words = _WORDS.get(fault["type"])
    return words.format_map({"field": field, **fault.get("ctx", {})}) if words else None
