"""Which secrets can be guessed: one rule for all of them."""

from __future__ import annotations

import secrets

import pytest

from protokeep.core.secret_strength import weakness_of

#: Supabase's published default of its local stack and of its examples for self-hosting.
SUPABASE = "super-secret-jwt-token-with-at-least-32-characters-long"
SUPABASE_EXAMPLE = "your-super-secret-jwt-token-with-at-least-32-characters-long"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", "32 characters"),
        ("kH3-2jdPq0aZ81LmNbVcXxSwEeRrTt", "32 characters"),
        ("a" * 40, "different characters"),
        ("abcabcabc" * 9, "different characters"),
        ("kH3-2jdPq0aZ8" * 3, "repeats"),
        (("kH3-2jdPq0aZ8" * 3)[:34], "repeats"),
        (SUPABASE, "published"),
        (SUPABASE_EXAMPLE, "published"),
        ("changeme-changeme-please-do-it-now-123", "changeme"),
        ("CHANGE_ME_kH3-2jdPq0aZ81LmNbVcXxSwEeRr", "changeme"),
        ("change-this-kH3-2jdPq0aZ81LmNbVcXxSwEe", "changethis"),
        ("replace.me.kH3-2jdPq0aZ81LmNbVcXxSwEeR", "replaceme"),
        ("my-password-kH3-2jdPq0aZ81LmNbVcXxSwEe", "password"),
        ("an example: kH3-2jdPq0aZ81LmNbVcXxSwEe", "example"),
        ("0123456789abcdefghijklmnopqrstuvwxyzAB", "0123456789"),
    ],
)
def test_a_secret_that_can_be_guessed_is_named_with_the_reason(secret: str, words: str) -> None:
    """
    Short, repeated, typed and published secrets are told, without the secret itself.
    """
    weakness = weakness_of(secret)

    assert words in str(weakness)
    assert not secret or secret not in str(weakness)


def test_secrets_drawn_at_random_pass() -> None:
    """
    What our own advice and `openssl rand` print is no weak secret, in any of a thousand draws.
    """
    drawn = [draw for _ in range(1000) for draw in (secrets.token_urlsafe(32), secrets.token_hex(32))]

    assert [draw for draw in drawn if weakness_of(draw)] == []
