"""Roles and tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from factories import NOW, after
from protokeep.core.create_request import CreateRequest
from protokeep.core.principals import ApiToken, Role

TOKEN = ApiToken("1", "default", "ann", "laptop", Role.MAKER, "pk_abcdef", NOW)
WANTED = CreateRequest("id", "default", "p-1", "v0", "A shop", "ann", "v0:environment", 2, "id", NOW)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("needed", list(Role))
def test_each_role_covers_the_ones_before_it_and_no_more(role: Role, needed: Role) -> None:
    """
    Each role may do what the ones before it may, and no more.
    """
    order = ["viewer", "maker", "admin"]

    assert role.covers(needed) == (order.index(role) >= order.index(needed))


def test_a_token_counts_until_it_expires_or_is_revoked() -> None:
    """
    Until it expires, to the moment, or is revoked.
    """
    expiring = replace(TOKEN, expires_at=after(10))

    assert TOKEN.is_valid(after(1e9))
    assert expiring.is_valid(after(9.999))
    assert not expiring.is_valid(after(10))
    assert not replace(TOKEN, revoked_at=NOW).is_valid(NOW)


@pytest.mark.parametrize(
    "change",
    [{"product_id": "p-2"}, {"provider": "x"}, {"prompt": "B"}, {"create_new": True}, {"product_name": "Shop"}],
    ids=lambda change: next(iter(change)),
)
def test_another_request_with_the_same_key_has_another_fingerprint(change: dict[str, object]) -> None:
    """
    The same key with any other request is another fingerprint.
    """
    assert replace(WANTED, **change).fingerprint != WANTED.fingerprint  # type: ignore[arg-type]


def test_a_repeated_request_has_the_same_fingerprint() -> None:
    """
    A repeated request is the same, though its time, its row's id and the account differ.
    """
    again = replace(WANTED, mockup_id="other", marker="other", now=after(60), account="v0:x", api_version=1)

    assert again.fingerprint == WANTED.fingerprint
