"""API tokens: shown once, kept as a digest, checked without telling why."""

from __future__ import annotations

import pytest

from protokeep.core.errors import InvalidInput, NotAuthenticated, NotFound
from protokeep.core.principals import Principal, Role
from protokeep.service.tokens import Tokens
from protokeep.store.tokens import TokenStore
from world import World


@pytest.fixture
def tokens(world: World) -> Tokens:
    """The tokens of that world's database."""
    return Tokens(TokenStore(world.first.database), b"secret", world.clock)


async def test_a_token_is_its_owner_until_it_is_revoked(tokens: Tokens) -> None:
    """
    A token is its owner, with workspace and role, until it is revoked.
    """
    text, token = await tokens.create(Role.VIEWER, user_id="ann", name="laptop")

    assert await tokens.check(text) == Principal("default", "ann", Role.VIEWER, token.id)
    assert await tokens.revoke("default", token.prefix) == 1
    with pytest.raises(NotAuthenticated):
        await tokens.check(text)
    with pytest.raises(NotFound):
        await tokens.revoke("default", token.prefix)


async def test_only_a_digest_of_a_token_is_kept(tokens: Tokens, world: World) -> None:
    """
    The token is nowhere in the database, and another secret key makes it worthless.
    """
    text, token = await tokens.create(Role.ADMIN)

    (row,) = await world.rows("SELECT * FROM protokeep_api_tokens")
    assert text not in str(row)
    assert len(text) > 40
    assert token.prefix == text[:9]
    with pytest.raises(NotAuthenticated):
        await Tokens(TokenStore(world.first.database), b"another", world.clock).check(text)


async def test_an_expired_token_is_refused_as_an_unknown_one(tokens: Tokens, world: World) -> None:
    """
    After its days it counts no more, and the refusal is the same as for an unknown one.
    """
    text, _ = await tokens.create(Role.MAKER, days=1)
    world.clock.advance(86_399)
    await tokens.check(text)
    world.clock.advance(1)

    refusals = set()
    for one in (text, "pk_unknown", ""):
        with pytest.raises(NotAuthenticated) as caught:
            await tokens.check(one)
        refusals.add(str(caught.value))
    assert len(refusals) == 1


async def test_the_last_use_of_a_token_is_written_once_a_minute(tokens: Tokens, world: World) -> None:
    """
    When it was last used is written at most once a minute.
    """
    text, _ = await tokens.create(Role.MAKER)
    seen = []
    for seconds in (0, 30, 31, 61):
        world.clock.advance(seconds)
        await tokens.check(text)
        (token,), _ = await tokens.list("default", 10)
        assert token.last_used_at is not None
        seen.append(token.last_used_at)

    assert (seen[0] == seen[1], seen[1] < seen[2] < seen[3]) == (True, True)


@pytest.mark.parametrize("bad", [{"plain": "short"}, {"days": 0}, {"days": 9999}, {"name": "x" * 201}], ids=str)
async def test_a_token_of_unusable_values_is_not_made(tokens: Tokens, bad: dict[str, object]) -> None:
    """
    What makes no good token makes none.
    """
    with pytest.raises(InvalidInput):
        await tokens.create(Role.MAKER, **bad)  # type: ignore[arg-type]

    assert await tokens.list("default", 10) == ([], None)


async def test_a_token_revoked_elsewhere_counts_a_second_at_most(tokens: Tokens, world: World) -> None:
    """
    What another process revokes counts here for a second at most, however busy the token is.
    """
    text, token = await tokens.create(Role.MAKER)
    await tokens.check(text)
    elsewhere = Tokens(TokenStore(world.first.database), b"secret", world.clock)

    await elsewhere.revoke("default", token.prefix)
    world.clock.advance(0.9)
    await tokens.check(text)
    world.clock.advance(0.1)

    with pytest.raises(NotAuthenticated):
        await tokens.check(text)


async def test_a_cached_token_expires_at_its_moment(tokens: Tokens, world: World) -> None:
    """
    A token that was just seen ends at its moment all the same.
    """
    text, _ = await tokens.create(Role.MAKER, days=1)
    world.clock.advance(86_399.5)
    await tokens.check(text)
    world.clock.advance(0.5)

    with pytest.raises(NotAuthenticated):
        await tokens.check(text)
