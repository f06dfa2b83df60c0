"""Sessions and sign-in links as rows: each is good for one thing, and for so long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.principals import Principal, Role
from protokeep.store.sessions import Opening, SessionStore
from protokeep.store.tokens import TokenStore
from world import World

EVE = Principal("elsewhere", "ann", Role.ADMIN, "")
ANN = Principal("default", "ann", Role.MAKER, "")
HOUR = timedelta(hours=1)


@pytest.fixture
def sessions(world: World) -> SessionStore:
    return SessionStore(world.store.database)


@pytest.fixture
async def token_id(world: World) -> str:
    """A token of Ann's."""
    async with world.serving(real=False) as site:
        await site.token(user_id="ann")
        (_, token) = await TokenStore(world.store.database).list("default")
        return token.id


async def test_a_link_is_no_session_and_cannot_be_renewed(world: World, sessions: SessionStore, token_id: str) -> None:
    """
    What stands in a link signs in, and is no session by itself; nor can it be made to last.
    """
    now = world.clock.now
    await sessions.open(Opening("d", "code", now, now + HOUR, token_id))

    assert await sessions.find("d", now) is None
    await sessions.renew("d", now + 10 * HOUR)
    assert await sessions.consume_sign_in_code("d", now + 2 * HOUR) is None
    assert await sessions.consume_sign_in_code("d", now) == token_id


async def test_a_session_is_no_link(world: World, sessions: SessionStore, token_id: str) -> None:
    """
    What a browser holds opens no second session, and is not used up by the attempt.
    """
    now = world.clock.now
    await sessions.open(Opening("d", "session", now, now + HOUR, token_id))

    assert await sessions.consume_sign_in_code("d", now) is None
    found = await sessions.find("d", now)
    assert found is not None
    assert found.token is not None
    assert found.token.id == token_id


async def test_a_link_works_once_and_expires(world: World, sessions: SessionStore, token_id: str) -> None:
    """
    A link signs in once; one whose time is over signs nobody in.
    """
    now = world.clock.now
    await sessions.open(Opening("used", "code", now, now + HOUR, token_id))
    await sessions.open(Opening("late", "code", now, now + HOUR, token_id))

    assert [await sessions.consume_sign_in_code("used", now) for _ in range(2)] == [token_id, None]
    assert await sessions.consume_sign_in_code("late", now + HOUR) is None


async def test_a_session_counts_until_its_time_and_is_renewed_alone(world: World, sessions: SessionStore) -> None:
    """
    A session counts until its time is over; renewing one moves its own end only.
    """
    now = world.clock.now
    for digest in ("one", "two"):
        await sessions.open(Opening(digest, "session", now, now + HOUR, None, ANN))
    await sessions.renew("one", now + 3 * HOUR)

    at = now + HOUR
    assert [await sessions.find(digest, at) is not None for digest in ("one", "two")] == [True, False]
    found = await sessions.find("one", at)
    assert found is not None
    assert (found.principal, found.token, found.opened_at, found.expires_at) == (ANN, None, now, now + 3 * HOUR)
    assert await sessions.find("one", now + 3 * HOUR) is None


async def test_opening_a_session_drops_expired_ones(world: World, sessions: SessionStore) -> None:
    """
    Opening one drops those whose time is over, and no others.
    """
    now = world.clock.now
    for digest, lasts in (("short", HOUR), ("long", 9 * HOUR)):
        await sessions.open(Opening(digest, "session", now, now + lasts, None, ANN))

    await sessions.open(Opening("new", "session", now + HOUR, now + 9 * HOUR, None, ANN))

    left = await world.rows("SELECT digest FROM protokeep_sessions ORDER BY digest")
    assert [row["digest"] for row in left] == ["long", "new"]


async def test_signing_out_ends_one_session_or_all_of_one_person(
    world: World, sessions: SessionStore, token_id: str
) -> None:
    """
    Signing out ends one session; everywhere ends all of one person in one workspace, however they were opened.
    """
    now = world.clock.now
    bob = Principal("default", "bob", Role.MAKER, "")
    for digest, who in (("ann-1", ANN), ("ann-2", ANN), ("eve", EVE), ("bob", bob)):
        await sessions.open(Opening(digest, "session", now, now + HOUR, None, who))
    await sessions.open(Opening("ann-token", "session", now, now + HOUR, token_id))

    line = AuditEntry.of(ANN, Action.SIGNED_OUT, now)
    await sessions.close("ann-1", line)
    assert await sessions.find("ann-1", now) is None
    assert await sessions.find("ann-2", now) is not None
    assert await sessions.close_all("default", "ann", line) == 2

    left = await world.rows("SELECT digest FROM protokeep_sessions ORDER BY digest")
    assert [row["digest"] for row in left] == ["bob", "eve"]
