"""A brief for v0 from facts about a product, of bounded length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protokeep.core.errors import InvalidInput

#: Characters of a brief. The default fits a page of facts: v0 builds better from a page than from a book.
DEFAULT_LENGTH, SHORTEST, LONGEST = 4000, 500, 100_000
#: The most characters of one fact.
MAX_FACT = 800
#: The heading of each fact, in the order of the brief. Other facts follow under their own names.
HEADINGS: Mapping[str, str] = {
    "problem": "The problem it solves",
    "audience": "Who it is for",
    "users": "Who it is for",
    "goals": "What it is for",
    "features": "What people can do with it",
    "user_stories": "What people can do with it",
    "pages": "Pages",
    "data": "What it shows",
    "style": "Look and feel",
    "brand": "Look and feel",
    "constraints": "What to keep to",
    "design_form_data": "What the design form says",
    "phase_data": "What this phase says",
    "all_phases_data": "What all phases say",
    "conversation_summary": "What was discussed",
}
_OPENING = ("name", "product_name", "title", "description", "summary", "product_id", "id")
CLOSING = (
    "Make it a working prototype: every page reachable, realistic example data, states for empty, loading and error, "
    "usable on a phone and by keyboard. Leave out logins and real services unless they are asked for above."
)
INSTRUCTIONS = (
    "You write briefs for v0, which builds web applications from a description. Rewrite the notes as one clear brief: "
    "what it is, who uses it, the pages, what each shows and does, the look. Keep every fact, invent none, and answer "
    "with the brief alone, in at most {length} characters."
)


def brief_of(product_context: str | Mapping[str, Any], extra: str | None = None, length: int = DEFAULT_LENGTH) -> str:
    """The brief from a template, without a model. Raises `InvalidInput` if there are no facts."""
    if not SHORTEST <= length <= LONGEST:
        raise InvalidInput(f"max_characters takes {SHORTEST} to {LONGEST}.", field="max_characters")
    facts = {"description": product_context} if isinstance(product_context, str) else dict(product_context)
    known = {name: text for name, value in facts.items() if (text := _text(value))}
    if not known:
        raise InvalidInput("product_context says nothing about the product. Give its name, or a description.")
    name = next((known[key] for key in ("name", "product_name", "title", "product_id", "id") if key in known), "")
    description = known.get("description") or known.get("summary") or ""
    opening = f"Build a prototype of {name or 'this product'}."
    paragraphs = [f"{opening}\n{description}" if description else opening]
    sections: dict[str, list[str]] = {}
    for key in [*HEADINGS, *(key for key in known if key not in HEADINGS)]:
        if key in known and key not in _OPENING:
            sections.setdefault(HEADINGS.get(key, key.replace("_", " ").capitalize()), []).append(known[key])
    paragraphs += [f"{heading}:\n" + "\n".join(texts) for heading, texts in sections.items()]
    if extra and extra.strip():
        paragraphs.append(extra.strip())
    # A prompt must not hold NUL characters.
    return bounded("\n\n".join(paragraphs).replace("\0", ""), length - len(CLOSING) - 2) + f"\n\n{CLOSING}"


def bounded(text: str, length: int) -> str:
    """`text`, cut at the end of a line or word if it is longer than `length`."""
    text = text.strip()
    if len(text) <= length:
        return text
    head = text[: length - 1]
    end = max(head.rfind("\n"), head.rfind(" "))
    return (head[:end] if end > length // 2 else head).rstrip() + "…"


def _text(value: Any) -> str:
    """A fact as text, a list as lines; empty if there is nothing to say."""
    if value is None or value is False:
        return ""
    if isinstance(value, Mapping):
        lines = [f"- {key}: {_one_line(item)}" for key, item in value.items() if _one_line(item)]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        lines = [f"- {_one_line(item)}" for item in value if _one_line(item)]
    else:
        return bounded(str(value), MAX_FACT)
    return bounded("\n".join(lines), MAX_FACT)


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {item}" for key, item in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = ", ".join(map(str, value))
    return " ".join(str(value).split()) if value is not None else ""
