"""Hooks for keys that are set after `protokeep hooks install`: by themselves, once, and at nobody's cost."""

from __future__ import annotations

import asyncio

import pytest

from protokeep import jobs
from protokeep.core.errors import ProviderError
from protokeep.core.principals import Principal, Role
from protokeep.core.provider_keys import KeyOwner
from protokeep.providers.base import with_hooks
from protokeep.providers.v0_common import HOOK_EVENTS
from protokeep.sandbox.state import account_id
from protokeep.service import provider_accounts
from protokeep.service.hooks import RETRY, Hooks
from protokeep.service.provider_keys import ProviderKeys
from world import KEY, Node, World, jobs_of, on_sqlite, until

SECRET = b"secret-of-the-tests"
PUBLIC = "http://127.0.0.1:9"
ADMIN = Principal("default", "root", Role.ADMIN, "t")
WORKSPACE, ANNS = KeyOwner("default"), KeyOwner("default", "ann")
TEAM_KEY, OTHER_KEY = "v1:team:AAAAAAAAAAAA", "v1:other:BBBBBBBBBBBB"
ACCOUNT = "v0:workspace:default"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes know of a change at their next use, not within a second."""
    monkeypatch.setattr(provider_accounts, "REFRESH_SECONDS", 0.0)


def hooks_of(node: Node, public_url: str | None = PUBLIC) -> Hooks:
    return Hooks(node.context, SECRET, public_url)


async def set_key(
    world: World, key: str = TEAM_KEY, owner: KeyOwner = WORKSPACE, *, other_account: bool = False
) -> None:
    world.clock.advance(1)
    await ProviderKeys(world.first.context).set(ADMIN, owner, "v0", key, other_account=other_account)


def at_v0(world: World, key: str) -> int:
    """How many hooks the account of a key has at v0."""
    account = world.sandbox.backend.accounts.get(account_id(key))
    return sum(len(hooks) for hooks in account.hooks.values()) if account else 0


async def test_a_key_that_comes_later_gets_its_hooks(world: World) -> None:
    """
    Once hooks are installed, a new key gets one per version, and a delivery there counts.
    """
    hooks = hooks_of(world.first)
    await hooks.install()
    await set_key(world)
    await set_key(world, OTHER_KEY, ANNS)

    assert await hooks.complete() == 4
    assert [at_v0(world, key) for key in (KEY, TEAM_KEY, OTHER_KEY)] == [2, 2, 2]
    assert await hooks.lacking() == []
    assert {there for _, there in await hooks.list()} == {True}
    hook = next(iter(world.sandbox.backend.accounts[account_id(TEAM_KEY)].hooks["v2"].values()))
    assert set(HOOK_EVENTS) <= set(hook.events)
    assert await hooks_of(world.first).receive(hook.url.rsplit("/", 1)[1], b"{}")


async def test_nobodys_account_is_touched_where_hooks_are_not_installed(world: World) -> None:
    """
    Nobody's account is touched before `install`, after `remove`, or without an address.
    """
    hooks = hooks_of(world.first)
    await set_key(world)
    assert await hooks.complete() == 0
    await hooks.install()
    assert await hooks_of(world.first, None).complete() == 0
    await hooks.remove()
    assert await hooks.complete() == 0
    assert (at_v0(world, KEY), at_v0(world, TEAM_KEY)) == (0, 0)


async def test_many_processes_install_one_hook_per_account_and_version(world: World) -> None:
    """
    However many look at once, each account has one hook per version; looking again costs v0 nothing.
    """
    nodes = [world.first, *[await world.node() for _ in range(3)]]
    await hooks_of(world.first).install()
    await set_key(world)

    added = await asyncio.gather(*(hooks_of(node).complete() for node in nodes))
    calls = world.calls()
    again = await asyncio.gather(*(hooks_of(node).complete() for node in nodes))

    assert (sum(added), sum(again), at_v0(world, TEAM_KEY), world.calls() - calls) == (2, 0, 2, 0)


async def test_a_key_of_another_v0_account_gets_hooks_there(world: World) -> None:
    """
    A key of another account at v0 gets hooks there; one of the same account leaves them as they are.
    """
    hooks = hooks_of(world.first)
    await hooks.install()
    await set_key(world)
    assert await hooks.complete() == 2
    await set_key(world)
    assert await hooks.complete() == 0
    calls = world.calls()
    assert await hooks.complete() == 0
    assert world.calls() == calls
    await set_key(world, OTHER_KEY, other_account=True)
    assert await hooks.complete() == 2
    assert (at_v0(world, TEAM_KEY), at_v0(world, OTHER_KEY)) == (2, 2)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_refused_hook_is_tried_again_and_others_get_theirs(
    world: World, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    """
    What v0 does not take is tried again after a while, by whichever process; others get theirs meanwhile.
    """
    hooks = hooks_of(world.first)
    await hooks.install()
    if replaced:
        await set_key(world, OTHER_KEY)
        await hooks.complete()
    await set_key(world, other_account=True)
    await world.first.context.providers.refresh()
    refusing = list(world.first.context.providers.of_account(ACCOUNT))
    tries = 0

    async def refuse(*_: object) -> str:
        nonlocal tries
        tries += 1
        raise ProviderError("no", code="refused")

    with monkeypatch.context() as patch:
        for provider in refusing:
            patch.setattr(provider, "add_hook", refuse)
        assert [await hooks.complete() for _ in range(3)] == [0, 0, 0]
        assert tries == 2
        assert replaced or await hooks.lacking() == [(ACCOUNT, 1), (ACCOUNT, 2)]
        await set_key(world, OTHER_KEY if not replaced else TEAM_KEY, ANNS)
        assert await hooks.complete() == 2
    world.clock.advance(RETRY.total_seconds())
    assert await hooks.complete() == 2
    assert await hooks.lacking() == []
    assert set(dict(await hooks.list()).values()) == {True}


@on_sqlite
async def test_a_hook_claimed_by_a_dead_process_is_taken_up(world: World) -> None:
    """
    Claimed and not registered: another one takes it up after a while, and until then it is said.
    """
    hooks = hooks_of(world.first)
    await hooks.install()
    await set_key(world)

    async def die(*_: object) -> str:
        raise asyncio.CancelledError

    await world.first.context.providers.refresh()
    first = with_hooks(world.first.context.providers.of_account(ACCOUNT)[0])
    assert first is not None
    first.add_hook = die  # type: ignore[method-assign, assignment]
    with pytest.raises(asyncio.CancelledError):
        await hooks.complete()
    other = hooks_of(await world.node())
    assert await other.complete() == 1
    assert [at[0] for at in await other.lacking()] == [ACCOUNT]
    world.clock.advance(RETRY.total_seconds())
    assert await other.complete() == 1
    assert await other.lacking() == []


@on_sqlite
async def test_one_bad_key_keeps_no_other_account_from_its_hooks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One account that v0 refuses keeps none of the others from their hooks; it is said at the end.
    """
    await set_key(world)

    async def refuse(*_: object) -> str:
        raise ProviderError("this account may have none", code="refused")

    await world.first.context.providers.refresh()
    for provider in world.first.context.providers.of_account("v0:environment"):
        monkeypatch.setattr(provider, "add_hook", refuse)
    hooks = hooks_of(world.first)
    with pytest.raises(ProviderError, match="may have none"):
        await hooks.install()
    assert (at_v0(world, KEY), at_v0(world, TEAM_KEY)) == (0, 2)


@on_sqlite
async def test_hooks_are_removed_where_possible_after_a_key_is_gone(world: World) -> None:
    """
    Hooks are removed wherever that is possible; where the key is gone, their addresses count no more.
    """
    hooks = hooks_of(world.first)
    await set_key(world)
    await hooks.install()
    hook = next(iter(world.sandbox.backend.accounts[account_id(TEAM_KEY)].hooks["v2"].values()))
    await ProviderKeys(world.first.context).remove(ADMIN, WORKSPACE, "v0")

    assert await hooks.remove() == (4, [ACCOUNT, ACCOUNT])
    assert at_v0(world, KEY) == 0
    assert not await hooks_of(world.first).receive(hook.url.rsplit("/", 1)[1], b"{}")


async def test_a_running_server_installs_hooks_of_new_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The jobs of a server or worker see to it, however the key was set.
    """
    monkeypatch.setattr(jobs, "HOOKS_SECONDS", 0.05)
    hooks = hooks_of(world.first)
    await hooks.install()
    other = await world.node()
    async with jobs_of(world.keeper, world.database_url, hooks)[0].running():
        world.clock.advance(1)
        await ProviderKeys(other.context).set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        await until(lambda: at_v0(world, TEAM_KEY) == 2)


async def test_a_hook_whose_registration_lost_its_answer_is_found_again(world: World) -> None:
    """
    v0 made the hook and its answer was lost: the next try uses that one, and registers no second one.
    """
    hooks = hooks_of(world.first)
    await hooks.install()
    await set_key(world)
    world.sandbox.set_knobs(drop_next=[{"operation": name, "times": 1} for name in ("hooks.create", "webhooks.create")])
    assert await hooks.complete() == 0
    assert at_v0(world, TEAM_KEY) == 2

    world.clock.advance(RETRY.total_seconds() + 1)
    assert await hooks.complete() == 2

    assert at_v0(world, TEAM_KEY) == 2
    assert {there for _, there in await hooks.list()} == {True}
    hook = next(iter(world.sandbox.backend.accounts[account_id(TEAM_KEY)].hooks["v2"].values()))
    assert await hooks_of(world.first).receive(hook.url.rsplit("/", 1)[1], b"{}")
