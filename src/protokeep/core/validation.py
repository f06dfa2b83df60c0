"""Validation of a caller's values. Each refusal says which value would do."""

from __future__ import annotations

import re
import unicodedata
import uuid

from protokeep.core.errors import InvalidInput

PRODUCT_ID_MAX = 200
PROMPT_MAX = 100_000
NAME_MAX = 200
KEY_MAX = 255
PROVIDER_MAX = 50

#: Namespace of user ids that are no uuid, in tables whose `user_id` column is one.
USER_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:protokeep:user")


def product_id_of(value: str, *, must_be_uuid: bool = False) -> str:
    """`value` as the id of a product: opaque text of 1-200 characters, without control characters.

    `must_be_uuid` is for an adopted table whose column is a uuid; the canonical form is returned then.
    """
    text = _plain(value, "product_id", PRODUCT_ID_MAX)
    if not must_be_uuid:
        return text
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidInput(
            "product_id must be a UUID here, because this database's products have UUIDs as ids.",
            field="product_id",
        ) from None


def prompt_of(value: str) -> str:
    """`value` as a prompt: 1-100,000 characters with something to read in them."""
    return _text(value, "prompt", "Say what the prototype should be.")


def message_of(value: str) -> str:
    """`value` as a follow-up message: 1-100,000 characters with something to read in them."""
    return _text(value, "message", "Say what should change.")


def name_of(value: str | None) -> str | None:
    """`value` as a product's display name, or None."""
    if value is None or not value.strip():
        return None
    return _plain(value.strip(), "product_name", NAME_MAX)


def phase_submission_id_of(value: str | None, *, must_be_uuid: bool) -> str | None:
    """`value` as the id of the owner's phase submission that a request belongs to, or None."""
    if value is None or not value.strip():
        return None
    text = _plain(value, "phase_submission_id", PRODUCT_ID_MAX)
    if not must_be_uuid:
        return text
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise InvalidInput(
            "phase_submission_id must be a UUID here, because this database's column holds UUIDs. Leave it out if "
            "there is none.",
            field="phase_submission_id",
        ) from None


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
    """`value` as the id of a person: opaque text of 1-200 characters."""
    return _plain(value, "user_id", NAME_MAX)


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
    return _plain(text, "Idempotency-Key", KEY_MAX)


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


def _plain(value: str, field: str, longest: int) -> str:
    if not value.strip():
        raise InvalidInput(f"{field} is empty. Send 1 to {longest} characters.", field=field)
    if len(value) > longest:
        raise InvalidInput(f"{field} has {len(value)} characters; at most {longest} are taken.", field=field)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise InvalidInput(f"{field} holds control characters. Send plain text.", field=field)
    return value


def _no_surrogates(value: str, field: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} holds half of a surrogate pair. Send valid Unicode.", field=field) from None
