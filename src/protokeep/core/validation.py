"""Validation of a caller's values. Each refusal says which value would do."""

from __future__ import annotations

import re
import unicodedata
import uuid

from protokeep.core.errors import InvalidInput

PRODUCT_ID_MAX = 200
PROMPT_MAX = 100_000
NAME_MAX = 200
VARIANT_NAME_MAX = 60
TAG_MAX = 40
VIEW_NAME_MAX = 60
KEY_MAX = 255
PROVIDER_MAX = 50
#: Categories of characters that nobody sees: control, format (zero width, writing direction), surrogates, line ends.
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Letters and signs of other categories that are drawn as nothing or as a blank, and variation selectors.
INVISIBLE_LETTERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u2800\u3164\uffa0\U00016fe4\U0001d159"
) | {
    chr(code)
    for first, last in ((0xFE00, 0xFE0D), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF))
    for code in range(first, last + 1)
}
#: They choose between the black and the coloured drawing of one sign: names with and without them are one name.
_DRAWINGS = {0xFE0E: None, 0xFE0F: None}

#: Namespace of user ids that are no uuid, in tables whose `user_id` column is one.
USER_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:protokeep:user")


def product_id_of(value: str, *, must_be_uuid: bool = False) -> str:
    """`value` as the id of a product: opaque text of 1-200 characters that people can see, in one spelling.

    `must_be_uuid` is for an adopted table whose column is a uuid; the canonical form is returned then.
    """
    text = _plain(value, "product_id", PRODUCT_ID_MAX)
    return _canonical_uuid(text, "product_id", "this database's products have UUIDs as ids") if must_be_uuid else text


def prompt_of(value: str) -> str:
    """`value` as a prompt: 1-100,000 characters with something to read in them."""
    return _text(value, "prompt", "Say what the prototype should be.")


def message_of(value: str) -> str:
    """`value` as a follow-up message: 1-100,000 characters with something to read in them."""
    return _text(value, "message", "Say what should change.")


def name_of(value: str | None) -> str | None:
    """`value` as a product's display name, or None."""
    return None if value is None or not value.strip() else _plain(value, "product_name", NAME_MAX)


def variant_name_of(value: str | None) -> str | None:
    """`value` as the name of a variant: 1-60 characters that people can see; None for an empty one."""
    return None if value is None or not value.strip() else _plain(value, "name", VARIANT_NAME_MAX)


def tag_of(value: str) -> str:
    """`value` as a tag: 1-40 characters that people can see, in lower case, so that one word is one tag."""
    text = _plain(value, "tag", TAG_MAX)
    if "," in text:
        raise InvalidInput("tag holds a comma, which separates tags. Send one tag at a time.", field="tag")
    return _plain(text.lower(), "tag", TAG_MAX)


def view_name_of(value: str) -> str:
    """`value` as the name of a saved view: 1-60 characters that people can see."""
    return _plain(value, "name", VIEW_NAME_MAX)


def phase_submission_id_of(value: str | None, *, must_be_uuid: bool) -> str | None:
    """`value` as the id of the owner's phase submission that a request belongs to, or None."""
    if value is None or not value.strip():
        return None
    text = _plain(value, "phase_submission_id", PRODUCT_ID_MAX)
    why = "this database's column holds UUIDs. Leave it out if there is none"
    return _canonical_uuid(text, "phase_submission_id", why) if must_be_uuid else text


def provider_of(value: str) -> str:
    """`value` as a provider that a row may name, also one that protokeep does not know: 1-50 characters."""
    return _plain(value, "provider", PROVIDER_MAX)


def workspace_id_of(value: str) -> str:
    """`value` as the id of a workspace: 1-64 letters, digits, dots, dashes and underscores."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise InvalidInput(
            "A workspace's id has 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or "
            "a digit.",
            field="workspace_id",
        )
    return value


def person_of(value: str) -> str:
    """`value` as the id of a person, by the rules of a product's id: two people never look alike by what is unseen."""
    return _plain(value, "user_id", NAME_MAX)


def is_plain(value: object) -> bool:
    """Whether `value` is an id or a name as it is stored, so that `person_of` would change nothing."""
    try:
        return isinstance(value, str) and _plain(value, "value", NAME_MAX) == value
    except InvalidInput:
        return False


def title_of(value: str) -> str:
    """`value` as a display name: 1-200 characters."""
    return _plain(value, "name", NAME_MAX)


def idempotency_key_of(value: str | None) -> str | None:
    """The key of an `Idempotency-Key` header: the draft's quoted string, or the bare text most clients send."""
    if value is None:
        return None
    text = value.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    _require_visible(text, "Idempotency-Key", KEY_MAX)
    return text


def whole_number_of(text: str, most: int) -> int | None:
    """`text` as a whole number from 0 to `most`, in ASCII digits; None: it is none, or a larger one.

    More than 20 characters are not parsed: Python refuses more than 4,300 digits with an error of its own.
    """
    if not re.fullmatch(r"[0-9]{1,20}", text):
        return None
    number = int(text)
    return number if number <= most else None


def user_id_for(value: str, *, must_be_uuid: bool) -> str:
    """The id a person has in the `user_id` column; a non-uuid becomes one by uuid5 where the column needs it."""
    if not must_be_uuid:
        return value
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return str(uuid.uuid5(USER_NAMESPACE, value))


def _text(value: str, field: str, advice: str) -> str:
    if not value.strip():
        raise InvalidInput(f"{field} is empty. {advice}", field=field)
    if len(value) > PROMPT_MAX:
        raise InvalidInput(
            f"{field} has {len(value):,} characters; at most {PROMPT_MAX:,} are taken. Shorten it.", field=field
        )
    if "\x00" in value:
        raise InvalidInput(f"{field} holds a NUL character, which no database keeps. Take it out.", field=field)
    _no_surrogates(value, field)
    return value


def _canonical_uuid(text: str, field: str, why: str) -> str:
    """The UUID in `text` as databases write it. Raises `InvalidInput`, with `why` it has to be one."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidInput(f"{field} must be a UUID here, because {why}.", field=field) from None


def _plain(value: str, field: str, longest: int) -> str:
    """`value` in NFC, with single spaces between its words. Raises `InvalidInput` for empty, long or invisible text."""
    text = value.strip(" ")
    _require_visible(text, field, longest)
    text = " ".join(unicodedata.normalize("NFC", text.translate(_DRAWINGS)).split())
    _require_visible(text, field, longest)  # A few characters grow longer in NFC.
    return text


def _require_visible(text: str, field: str, longest: int) -> None:
    if not text.strip():
        raise InvalidInput(f"{field} is empty. Send 1 to {longest} characters.", field=field)
    if len(text) > longest:
        raise InvalidInput(f"{field} has {len(text)} characters; at most {longest} are taken.", field=field)
    if any(is_invisible(character) for character in text):
        raise InvalidInput(
            f"{field} holds characters that nobody sees, such as control or zero-width characters. Send plain text.",
            field=field,
        )


def is_invisible(character: str) -> bool:
    """Whether nobody sees a character, so that two names with and without it look alike."""
    return unicodedata.category(character) in INVISIBLE_CATEGORIES or character in INVISIBLE_LETTERS


def _no_surrogates(value: str, field: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} holds half of a surrogate pair. Send valid Unicode.", field=field) from None
