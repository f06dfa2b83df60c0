"""Sealed keys open for their owner, under a master key that is there, and never otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.errors import InvalidInput
from protokeep.core.provider_keys import KeyOwner, KeySource, key_of, key_source_of, owner_of
from protokeep.service.vault import KeyNotReadable, Vault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = b"an old master key of thirty-two bytes", b"a new master key of thirty-two bytes."
ANN = KeyOwner("default", "ann")

names = st.text(min_size=1, max_size=40)
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)
owners = st.builds(KeyOwner, names, st.one_of(st.just(""), names))


@given(keys, owners)
def test_a_sealed_key_opens_for_its_owner(key: str, owner: KeyOwner) -> None:
    sealed = Vault([NEW]).seal(key, owner, "v0", by="ann", at=NOW)
    assert Vault([OLD, NEW]).open(sealed) == key
    assert key.encode() not in sealed.ciphertext
    assert sealed.hint == key[-4:]


@given(owners, owners)
def test_a_key_moved_to_another_owner_does_not_open(one: KeyOwner, other: KeyOwner) -> None:
    vault = Vault([NEW])
    sealed = vault.seal("v1:team:abcdef", one, "v0", by="ann", at=NOW)
    for moved in (replace(sealed, owner=other), replace(sealed, provider="v1")):
        if (moved.owner, moved.provider) != (one, "v0"):
            with pytest.raises(KeyNotReadable):
                vault.open(moved)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_key_does_not_open(place: int, change: int) -> None:
    vault = Vault([NEW])
    sealed = vault.seal("v1:team:abcdef", ANN, "v0", by="ann", at=NOW)
    broken = bytearray(sealed.ciphertext)
    broken[place % len(broken)] ^= change
    with pytest.raises(KeyNotReadable):
        vault.open(replace(sealed, ciphertext=bytes(broken)))


def test_nonces_are_fresh_and_the_master_key_is_needed() -> None:
    vault = Vault([NEW, OLD])
    sealed = [vault.seal("v1:team:abcdef", ANN, "v0", by="ann", at=NOW) for _ in range(100)]
    assert len({one.nonce for one in sealed}) == len({one.ciphertext for one in sealed}) == 100
    with pytest.raises(KeyNotReadable):
        Vault([OLD]).open(sealed[0])


@given(owners)
def test_account_names_give_their_owner_back(owner: KeyOwner) -> None:
    """
    Whatever people are called, the account's name gives the owner back, and two owners never share one.
    """
    account = owner.account("v0")
    assert owner_of(account) == owner
    assert key_source_of(account) is (KeySource.OWN if owner.user_id else KeySource.WORKSPACE)


def test_accounts_of_environment_and_argument_have_no_owner() -> None:
    for account, source in (("v0:environment", KeySource.ENVIRONMENT), ("v0:key-abc", KeySource.ARGUMENT)):
        assert owner_of(account) is None
        assert key_source_of(account) is source


@pytest.mark.parametrize("bad", ["", "short", "with space in it", "line\nbreak-in-it", "k" * 501, "ключ-ключ-ключ"])
def test_an_unusable_key_is_refused_and_not_repeated(bad: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        key_of(bad)
    assert not bad or bad not in str(refused.value)
