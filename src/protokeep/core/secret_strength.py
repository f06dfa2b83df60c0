"""Judges whether a secret can be guessed. One rule for every secret that signs, digests or seals."""

from __future__ import annotations

import re

MIN_LENGTH = 32
#: A secret of fewer different characters was typed by a person, not drawn at random.
MIN_VARIETY = 10
#: Words of published defaults and of examples, such as Supabase's "super-secret-jwt-token-with-at-least-32-characters-
#: long", in small letters and without signs. A secret drawn at random holds none of them.
PLACEHOLDERS = (
    "secret",
    "changeme",
    "changethis",
    "replacethis",
    "replaceme",
    "password",
    "placeholder",
    "insecure",
    "example",
    "letmein",
)
#: What people type to fill a length.
SEQUENCES = ("0123456789", "1234567890", "abcdefghij", "qwertyuiop")
#: Makes a secret that passes.
COMMAND = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"


def weakness_of(secret: str) -> str | None:
    """Why a secret can be guessed, as the end of a sentence; None if it cannot. The secret is not repeated in it."""
    if placeholder := placeholder_in(secret):
        return f"holds {placeholder!r}, as published defaults and examples do"
    if len(secret) < MIN_LENGTH:
        return f"needs at least {MIN_LENGTH} characters"
    if len(set(secret)) < MIN_VARIETY:
        return f"has fewer than {MIN_VARIETY} different characters"
    if any(secret[size:] == secret[:-size] for size in range(1, len(secret) // 2 + 1)):
        return "repeats one short text"
    return None


def placeholder_in(secret: str) -> str | None:
    """The first word of a published default or an example that a secret holds; None if it holds none."""
    plain = re.sub(r"[^a-z0-9]", "", secret.lower())
    return next((word for word in (*PLACEHOLDERS, *SEQUENCES) if word in plain), None)
