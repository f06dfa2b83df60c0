"""Tokens and keys as rows: counted, listed and revoked for one person in one workspace."""

from __future__ import annotations

from datetime import timedelta

import pytest

from owner_schemas import run
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.principals import ApiToken, Principal, Role
from protokeep.core.provider_keys import KeyOwner, SealedKey
from protokeep.store.provider_keys import KeyStore
from protokeep.store.sessions import Opening, SessionStore
from protokeep.store.tokens import TokenStore
from world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def tokens(world: World) -> TokenStore:
    return TokenStore(world.store.database)


@pytest.fixture
def keys(world: World) -> KeyStore:
    return KeyStore(world.store.database)


def line(world: World, workspace: str = "default") -> AuditEntry:
    """A line for the audit."""
    return AuditEntry(workspace, world.clock.now, Action.DELETED, "root")


async def added(
    world: World, name: str, user: str = "ann", workspace: str = "default", role: Role = Role.MAKER, hours: float = 0
) -> ApiToken:
    """A token; with `hours` it ends after so many."""
    now = world.clock.now
    ends = now + hours * HOUR if hours else None
    token = ApiToken(f"id-{name}", workspace, user, name, role, f"pk_{name}", now, ends, None, None)
    await TokenStore(world.store.database).add(token, f"digest-{name}", line(world, workspace), most=500)
    return token


class TestTokens:
    async def test_tokens_that_count_are_neither_revoked_nor_expired(self, world: World, tokens: TokenStore) -> None:
        """
        Tokens that count are neither revoked nor over, in all workspaces.
        """
        await added(world, "a"), await added(world, "b", workspace="elsewhere"), await added(world, "c", hours=1)
        await added(world, "d")
        await tokens.revoke("default", "id-d", world.clock.now, line(world))

        assert await tokens.count(world.clock.now) == 3
        assert await tokens.count(world.clock.now + HOUR) == 2

    async def test_permanent_admin_tokens_are_counted(self, world: World, tokens: TokenStore) -> None:
        """
        Of all tokens those of admins that never end and still count.
        """
        for name, role, hours in (("a", Role.ADMIN, 0.0), ("b", Role.ADMIN, 1.0), ("c", Role.MAKER, 0.0)):
            await added(world, name, role=role, hours=hours)
        await added(world, "d", role=Role.ADMIN), await added(world, "e", workspace="elsewhere", role=Role.ADMIN)
        await tokens.revoke("default", "id-d", world.clock.now, line(world))

        found = await tokens.permanent_admins(world.clock.now)
        assert [one.name for one in found] == ["a", "e"]
        assert await tokens.permanent_admins(world.clock.now - HOUR) == []

    async def test_a_workspace_lists_its_own_tokens_and_finds_them_by_digest(
        self, world: World, tokens: TokenStore
    ) -> None:
        """
        A workspace sees its own tokens, the newest first, and finds each by its digest.
        """
        await added(world, "a")
        await added(world, "b", workspace="elsewhere")
        world.clock.advance(5)
        await added(world, "c")

        assert [one.name for one in await tokens.list("default")] == ["c", "a"]
        found = await tokens.find("digest-b")
        assert found is not None
        assert (found.name, found.workspace_id) == ("b", "elsewhere")
        assert await tokens.find("digest-x") is None

    @pytest.mark.parametrize("by", ["id-a", "pk_a"])
    async def test_a_token_is_revoked_once_by_id_or_prefix_in_its_workspace(
        self, world: World, tokens: TokenStore, by: str
    ) -> None:
        """
        One is revoked by its id or its prefix, once, and only in its own workspace.
        """
        await added(world, "a"), await added(world, "b"), await added(world, "c", workspace="elsewhere")
        now = world.clock.now

        assert await tokens.revoke("elsewhere", by, now, line(world)) == 0
        assert [await tokens.revoke("default", by, now, line(world)) for _ in range(2)] == [1, 0]

        assert {one.name: one.revoked_at for one in await tokens.list("default")} == {"a": now, "b": None}
        assert [one.revoked_at for one in await tokens.list("elsewhere")] == [None]
        (told,) = await world.rows("SELECT subject FROM protokeep_audit WHERE action = 'deleted' AND subject = 'id-a'")
        assert told["subject"] == "id-a"

    async def test_revoking_a_person_ends_their_tokens_and_sessions_only(
        self, world: World, tokens: TokenStore
    ) -> None:
        """
        All tokens and sessions of one person in one workspace end; those of others, and elsewhere, go on.
        """
        await added(world, "a"), await added(world, "b"), await added(world, "gone")
        await added(world, "bob", user="bob"), await added(world, "far", workspace="elsewhere")
        now = world.clock.now
        await tokens.revoke("default", "id-gone", now, line(world))
        sessions = SessionStore(world.store.database)
        await sessions.open(Opening("s-a", "session", now, now + HOUR, "id-a"))
        await sessions.open(Opening("s-bob", "session", now, now + HOUR, "id-bob"))
        ann_elsewhere = Principal("elsewhere", "ann", Role.MAKER, "")
        await sessions.open(Opening("s-far", "session", now, now + HOUR, None, ann_elsewhere))

        assert await tokens.revoke_access("default", "ann", now, line(world)) == (2, 1)

        left = [one.name for one in [*await tokens.list("default"), *await tokens.list("elsewhere")]
                if one.revoked_at is None]  # fmt: skip
        assert left == ["bob", "far"]
        rows = await world.rows("SELECT digest FROM protokeep_sessions ORDER BY digest")
        assert [row["digest"] for row in rows] == ["s-bob", "s-far"]

    async def test_the_use_of_a_token_is_noted_once_in_a_while(self, world: World, tokens: TokenStore) -> None:
        """
        That a token is used is noted once in a while, for that token.
        """
        await added(world, "a"), await added(world, "b")
        now, minute = world.clock.now, timedelta(minutes=1)

        async def last(name: str) -> object:
            found = await tokens.find(f"digest-{name}")
            return found and found.last_used_at

        await tokens.record_use("id-a", now, minute)
        await tokens.record_use("id-a", now + minute, minute)
        assert (await last("a"), await last("b")) == (now, None)
        await tokens.record_use("id-a", now + 2 * minute, minute)
        assert await last("a") == now + 2 * minute

    async def test_people_of_a_workspace_are_listed_with_tokens_and_prototypes(
        self, world: World, tokens: TokenStore
    ) -> None:
        """
        Everybody of a workspace, with the tokens that count and what they made in it.
        """
        await added(world, "a"), await added(world, "b", hours=1), await added(world, "gone")
        await added(world, "bob", user="bob"), await added(world, "far", user="eve", workspace="elsewhere")
        await tokens.revoke("default", "id-gone", world.clock.now, line(world))
        await world.make("p-1"), await world.make("p-2")

        people = await tokens.people("default", world.clock.now)
        assert [(one.user_id, one.tokens, one.prototypes) for one in people] == [("ann", 2, 2), ("bob", 1, 0)]
        later = await tokens.people("default", world.clock.now + HOUR)
        assert [(one.user_id, one.tokens) for one in later] == [("ann", 1), ("bob", 1)]


class TestKeys:
    def sealed(self, world: World, owner: KeyOwner, nonce: bytes = b"n") -> SealedKey:
        return SealedKey(owner, "v0", "master", nonce, b"sealed", "abcd", "root", world.clock.now)

    async def test_each_owner_has_one_key_and_a_newer_one_replaces_it(self, world: World, keys: KeyStore) -> None:
        """
        A key is kept for one owner; a newer one takes its place, and removing one leaves all others.
        """
        team, ann, far = KeyOwner("default"), KeyOwner("default", "ann"), KeyOwner("elsewhere")
        for owner in (team, ann, far):
            await keys.save(self.sealed(world, owner, b"1"), line(world))
        version = await keys.version()
        await keys.save(self.sealed(world, ann, b"2"), line(world))

        assert await keys.version() != version
        assert [(one.owner, one.nonce) for one in await keys.list("default")] == [(team, b"1"), (ann, b"2")]
        assert len(await keys.all()) == 3
        assert [await keys.remove(team, "v0", line(world)) for _ in range(2)] == [True, False]
        assert [one.owner for one in await keys.list("default")] == [ann]
        assert [one.owner for one in await keys.list("elsewhere")] == [far]

    async def test_a_key_is_resealed_only_if_nobody_set_another(self, world: World, keys: KeyStore) -> None:
        """
        A key is sealed anew only where nobody set another one meanwhile.
        """
        ann, bob = KeyOwner("default", "ann"), KeyOwner("default", "bob")
        first, newer, other = (self.sealed(world, ann, nonce) for nonce in (b"1", b"2", b"3"))
        for key in (first, self.sealed(world, bob, b"1")):
            await keys.save(key, line(world))

        assert await keys.reseal(first, newer, line(world))
        assert not await keys.reseal(first, other, line(world))
        assert [(one.owner, one.nonce) for one in await keys.list("default")] == [(ann, b"2"), (bob, b"1")]

    async def test_a_new_key_resumes_what_waited_for_its_account(self, world: World, keys: KeyStore) -> None:
        """
        With a key what waits for that account goes on now; what waits for another one still waits.
        """
        team = KeyOwner("default")
        mine = (await world.ensure("p-1")).prototype
        await world.ensure("p-2")
        later = f"{world.clock.now + HOUR:%Y-%m-%dT%H:%M:%S.%fZ}"
        await run(
            world.database_url,
            f"UPDATE protokeep_generations SET hold_code = 'no_key', next_try_at = '{later}';"
            f"UPDATE protokeep_generations SET account = '{team.account('v0')}' WHERE mockup_id = '{mine.id}';",
        )
        for account in (team.account("v0"), "v0:environment"):
            await world.store.accounts.hold(account, "v0", "no_key", "No key.", world.clock.now + HOUR)

        await keys.save(self.sealed(world, team), line(world))

        due = await world.store.due_for_submit(world.clock.now)
        assert [mockup_id for mockup_id, _, _ in due] == [mine.id]
        assert (await world.store.accounts.get(team.account("v0"))).hold_code is None
        assert (await world.store.accounts.get("v0:environment")).hold_code == "no_key"

    async def test_the_newest_chat_of_an_account_is_one_that_was_seen(self, world: World, keys: KeyStore) -> None:
        """
        The chat that was made last with an account and is not gone; one that was seen before one that was not.
        """
        first = await world.make("p-1")
        world.clock.advance(5)
        second = await world.make("p-2")
        await world.ensure("p-3")
        await run(world.database_url, "UPDATE protokeep_generations SET last_shown_at = NULL")
        assert await keys.newest_chat("v0:environment") == (second.chat_id, 2)
        await run(
            world.database_url,
            f"UPDATE protokeep_generations SET last_shown_at = created_at WHERE mockup_id = '{first.id}'",
        )
        assert await keys.newest_chat("v0:environment") == (first.chat_id, 2)

        gone = f"UPDATE protokeep_generations SET error_code = 'gone' WHERE mockup_id = '{second.id}'"
        await run(world.database_url, gone)
        assert await keys.newest_chat("v0:environment") == (first.chat_id, 2)
        assert await keys.newest_chat("v0:workspace:default") is None
