"""Page sessions: how long they last, what ends them, what a browser's forms carry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from protokeep.core.errors import NotAuthenticated
from protokeep.core.principals import Principal, Role
from protokeep.service.sessions import CODE_LIFETIME, IDLE, LIFETIME, RENEW_AFTER, SECRET_MAX, Sessions
from protokeep.service.tokens import TokenRefused, Tokens
from protokeep.store.sessions import SessionStore
from protokeep.store.tokens import TokenStore
from world import World

ANN = Principal("default", "ann", Role.MAKER, "")
SIGN_ON_LASTS = timedelta(hours=20)


@pytest.fixture
def tokens(world: World) -> Tokens:
    return Tokens(TokenStore(world.store.database), b"a secret", world.clock)


@pytest.fixture
def sessions(world: World, tokens: Tokens) -> Sessions:
    return Sessions(SessionStore(world.store.database), tokens, b"a secret", world.clock, SIGN_ON_LASTS)


async def ends(sessions: Sessions, held: str) -> bool:
    """Whether what a browser holds counts no more."""
    try:
        await sessions.check(held)
    except NotAuthenticated:
        return True
    return False


async def test_signing_in_with_a_token_gives_its_person_and_role(
    sessions: Sessions, tokens: Tokens, world: World
) -> None:
    """
    Whoever signs in with a token is whom the token stands for, with its role; a wrong one opens nothing.
    """
    text, token = await tokens.create(Role.ADMIN, user_id="ann")
    found = await sessions.check(await sessions.sign_in(text))

    assert (found.principal.user_id, found.principal.role, found.principal.token_id) == ("ann", Role.ADMIN, token.id)
    assert found.expires_at == world.clock.now + IDLE
    with pytest.raises(TokenRefused):
        await sessions.sign_in("pk_wrong")
    assert await ends(sessions, "x" * 43)


async def test_an_idle_session_ends_after_a_working_day(sessions: Sessions, tokens: Tokens, world: World) -> None:
    """
    A session that nobody uses ends after a working day; one that is used goes on, and is written now and then only.
    """
    text, _ = await tokens.create(Role.MAKER, user_id="ann")
    used, idle = await sessions.sign_in(text), await sessions.sign_in(text)

    first = world.clock.now + IDLE
    world.clock.advance(RENEW_AFTER.total_seconds())
    assert (await sessions.check(used)).expires_at == first
    world.clock.advance(1)
    assert (await sessions.check(used)).expires_at == world.clock.now + IDLE
    assert (await sessions.check(used)).expires_at == world.clock.now + IDLE
    world.clock.advance(IDLE.total_seconds() - RENEW_AFTER.total_seconds() - 1)
    assert (await ends(sessions, used), await ends(sessions, idle)) == (False, True)


async def test_a_stream_does_not_renew_its_session(sessions: Sessions, tokens: Tokens, world: World) -> None:
    """
    A page that was left open asks again and again whether its session is valid: that is no use of it.
    """
    text, _ = await tokens.create(Role.MAKER, user_id="ann")
    held = await sessions.sign_in(text)
    ends_at = world.clock.now + IDLE
    for _ in range(11):
        world.clock.advance(3600)
        assert (await sessions.check(held, renew=False)).expires_at == ends_at

    world.clock.advance(3600)
    with pytest.raises(NotAuthenticated):
        await sessions.check(held, renew=False)


async def test_a_session_ends_two_weeks_after_the_sign_in(sessions: Sessions, tokens: Tokens, world: World) -> None:
    """
    However much it is used, a session ends two weeks after the sign-in.
    """
    text, _ = await tokens.create(Role.MAKER, user_id="ann")
    held = await sessions.sign_in(text)
    steps = int(LIFETIME / timedelta(hours=8))
    for _ in range(steps - 1):
        world.clock.advance(8 * 3600)
        assert (await sessions.check(held)).expires_at <= world.clock.now + IDLE
    last = await sessions.check(held)

    assert last.expires_at - world.clock.now == timedelta(hours=8)
    world.clock.advance(8 * 3600)
    assert await ends(sessions, held)


async def test_a_session_of_the_sign_in_service_ends_sooner(sessions: Sessions, world: World) -> None:
    """
    Whoever came from the sign-in service shows themselves there again sooner, however busy they are.
    """
    held = await sessions.open_for(ANN)
    assert (await sessions.check(held)).principal == ANN
    for _ in range(2):
        world.clock.advance(8 * 3600)
        assert not await ends(sessions, held)

    world.clock.advance(4 * 3600)
    assert await ends(sessions, held)


async def test_a_session_ends_with_its_token(sessions: Sessions, tokens: Tokens) -> None:
    """
    With its token a session ends at once.
    """
    text, token = await tokens.create(Role.MAKER, user_id="ann")
    held = await sessions.sign_in(text)

    await tokens.revoke("default", token.id)

    assert await ends(sessions, held)


async def test_a_link_signs_in_once_within_minutes(sessions: Sessions, tokens: Tokens, world: World) -> None:
    """
    A link signs in once, within minutes; what stands in it is no session, and a session is no link.
    """
    _, token = await tokens.create(Role.MAKER, user_id="ann")
    code, late = await sessions.create_sign_in_code(token.id), await sessions.create_sign_in_code(token.id)
    assert await ends(sessions, code)

    held = await sessions.sign_in_by_code(code)
    assert (await sessions.check(held)).principal.user_id == "ann"
    for used in (code, held, "x" * 43):
        with pytest.raises(NotAuthenticated):
            await sessions.sign_in_by_code(used)
    assert not await ends(sessions, held)
    world.clock.advance(CODE_LIFETIME.total_seconds())
    with pytest.raises(NotAuthenticated):
        await sessions.sign_in_by_code(late)


async def test_a_secret_longer_than_any_is_not_looked_up(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What is longer than anything that was given out is not even looked up.
    """
    monkeypatch.setattr(SessionStore, "find", None)
    monkeypatch.setattr(SessionStore, "consume_sign_in_code", None)
    assert await ends(sessions, "x" * (SECRET_MAX + 1))
    with pytest.raises(NotAuthenticated):
        await sessions.sign_in_by_code("x" * (SECRET_MAX + 1))


async def test_signing_out_ends_one_session_or_all_of_a_person(sessions: Sessions) -> None:
    """
    Here ends one session, everywhere all of that person.
    """
    held = [await sessions.open_for(ANN) for _ in range(3)]
    other = await sessions.open_for(Principal("default", "bob", Role.MAKER, ""))

    await sessions.sign_out(ANN, held[0])
    assert [await ends(sessions, one) for one in held] == [True, False, False]
    assert await sessions.sign_out_everywhere(ANN) == 2
    assert [await ends(sessions, one) for one in (*held, other)] == [True, True, True, False]


@pytest.mark.parametrize("cookie", ["", "CHOSEN", ".", "a.b", "a." + "0" * 64, "\ud800.\ud800"])
def test_a_form_cookie_is_one_of_ours(sessions: Sessions, cookie: str) -> None:
    """
    A cookie that somebody else has written is none; nor is one of ours with anything changed.
    """
    made = sessions.new_form_cookie()

    assert sessions.is_form_cookie(made)
    assert not any(map(sessions.is_form_cookie, (cookie, made[:-1], made + "0", "x" + made, made.partition(".")[0])))


def test_a_form_token_fits_its_session_and_its_purpose_only(sessions: Sessions) -> None:
    """
    What a form carries fits the browser that it was made for, and nothing that was signed for another purpose.
    """
    token = sessions.form_token("held")

    assert sessions.is_form_token("held", token)
    for held, given in (("other", token), ("held", ""), ("held", token[:-1]), ("held", "\ud800")):
        assert not sessions.is_form_token(held, given)
    assert sessions.sign("a", "text") != sessions.sign("b", "text") != token
    assert sessions.sign("form", "held") == token
