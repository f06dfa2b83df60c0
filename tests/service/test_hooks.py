"""Hooks: a reason to look, never the truth; harmless whatever comes in."""

from __future__ import annotations

import json

import pytest

from protokeep.core.errors import NotConfigured
from protokeep.core.prototype import Status
from protokeep.core.webhook_payload import MAX_DELIVERY, chats_named
from protokeep.providers.base import with_hooks
from protokeep.service.hook_deliveries import MAX_PENDING, HookDeliveries
from protokeep.service.hooks import Hooks
from tracked import generation_of
from world import ANN, ENVIRONMENT_ACCOUNT, SECRET, World, both_versions, every_version_and_database

pytestmark = pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=10.0)


@pytest.fixture
def hooks(world: World) -> Hooks:
    """The hooks of the first process, which v0 may call at an address where nobody is."""
    return Hooks(world.keeper.context, SECRET, "http://127.0.0.1:9")


async def installed(world: World, hooks: Hooks) -> str:
    """The secret part of the address that the emulator calls in the world's version."""
    await hooks.install()
    account = next(one for one in world.sandbox.backend.accounts.values() if one.hooks["v1"] or one.hooks["v2"])
    hook = next(iter(account.hooks["v1" if world.api_version == 1 else "v2"].values()))
    return hook.url.rsplit("/", 1)[1]


def delivery(chat_id: str | None, event: str = "message.finished") -> bytes:
    return json.dumps({"id": "evt_1", "event": event, "chatId": chat_id}).encode()


@every_version_and_database
async def test_a_delivery_brings_the_poll_forward(world: World, hooks: Hooks) -> None:
    """
    A delivery brings the look forward; what the look finds is written, and its history says that a hook told.
    """
    secret = await installed(world, hooks)
    made = await world.make()
    await world.pass_time(10)
    world.clock.advance(12)  # It ended two seconds ago; the next look by itself is not due before eight more.
    calls = world.calls()

    assert await hooks.receive(secret, delivery(made.chat_id))
    await hooks.settled()
    await world.keeper.track(ENVIRONMENT_ACCOUNT)

    assert (await world.get(made.id)).status is Status.COMPLETED
    assert world.calls() - calls <= 2
    history, _ = await world.keeper.history(made)
    assert [(row["kind"], row["source"]) for row in history][-1:] == [("status", "hook")]


@both_versions
async def test_a_deliverys_body_is_not_believed(world: World, hooks: Hooks) -> None:
    """
    A delivery that says finished too early, or failed, or about somebody else's chat, changes nothing.
    """
    secret = await installed(world, hooks)
    made = await world.make()
    await world.pass_time(10)
    lie = {"event": "message.finished", "chatId": made.chat_id, "status": "failed", "url": "https://evil.example"}
    for body in (json.dumps(lie).encode(), delivery("another"), b"[]", b"", b"\xff\xfe", b"{", b"null", b"7"):
        assert await hooks.receive(secret, body)
    await hooks.settled()
    await world.keeper.track(ENVIRONMENT_ACCOUNT)

    assert (await world.get(made.id)).status is Status.IN_PROGRESS


@both_versions
async def test_only_the_secret_address_counts(world: World, hooks: Hooks) -> None:
    """
    Only the secret address counts, to the last character; after a rotation the old one does not.
    """
    secret = await installed(world, hooks)
    for wrong in (secret[:-1], secret + "A", "", "ü", secret.swapcase()):
        assert not await hooks.receive(wrong, delivery("x"))
    await hooks.install(rotate=True)
    fresh = Hooks(world.keeper.context, SECRET, "http://127.0.0.1:9")
    assert not await fresh.receive(secret, delivery("x"))
    again = await installed(world, hooks)
    assert await fresh.receive(again, delivery("x"))


@both_versions
async def test_a_flood_of_deliveries_costs_a_few_calls(world: World, hooks: Hooks) -> None:
    """
    Thousands of deliveries about one chat cost at most a look a second.
    """
    secret = await installed(world, hooks)
    made = await world.make()
    await world.pass_time(10)
    calls = world.calls()
    for _ in range(5000):
        await hooks.receive(secret, delivery(made.chat_id))
    for index in range(2000):
        await hooks.receive(secret, delivery(f"foreign-{index}"))
    await hooks.settled()
    for _ in range(5):
        await world.keeper.track(ENVIRONMENT_ACCOUNT)

    assert world.calls() - calls <= 2


@both_versions
async def test_polls_are_rarer_once_hooks_reach_us(world: World, hooks: Hooks) -> None:
    """
    Once a hook has spoken of a chat, looks are rarer, also while somebody watches; a lost hook costs time only.
    """
    if world.api_version == 1:
        pytest.skip("one list call reports all v1 chats, so hooks save nothing there")
    secret = await installed(world, hooks)
    world.sandbox.set_knobs(generation_seconds=40)
    made = await world.make()
    await hooks.receive(secret, delivery(made.chat_id, "message.created"))
    await hooks.settled()
    calls = world.calls()
    for _ in range(13):
        world.clock.advance(3)
        for _viewer in range(5):
            await world.keeper.status(ANN, "p-1", "v0")
        await world.keeper.track(ENVIRONMENT_ACCOUNT)
    assert world.calls() - calls <= 1
    world.clock.advance(25)
    await world.keeper.track(ENVIRONMENT_ACCOUNT)  # No hook came: the next look by itself finds the end.
    assert (await world.get(made.id)).status is Status.COMPLETED
    assert world.calls() - calls <= 3


@both_versions
async def test_a_delivery_before_the_chat_was_written_counts(world: World, hooks: Hooks) -> None:
    """
    A delivery that comes before the create's own answer was written still counts.
    """
    secret = await installed(world, hooks)
    made = await world.make()
    store = world.keeper.context.store
    known = store.poll_soon
    calls = 0

    async def late(*args: object, **more: object) -> int:
        nonlocal calls
        calls += 1
        return 0 if calls == 1 else await known(*args, **more)  # type: ignore[arg-type]

    async def unknown(*_: object) -> set[str]:
        return set()

    store.poll_soon = late  # type: ignore[method-assign]
    store.known_chats = unknown  # type: ignore[method-assign, assignment]
    await hooks.receive(secret, delivery(made.chat_id, "message.created"))
    await hooks.settled()

    assert generation_of(await world.get(made.id)).polling.hook_received_at == world.clock()


@both_versions
async def test_one_hook_is_installed_per_account_and_version_and_removed(world: World, hooks: Hooks) -> None:
    """
    One hook per account and version, however often it is installed; removing takes all away.
    """
    await hooks.install()
    again = await hooks.install()
    assert {1, 2} == {hook.api_version for hook in again}
    assert [there for _, there in await hooks.list()] == [True, True]
    provider = with_hooks(world.provider(1))
    assert provider is not None
    await provider.remove_hook(again[0].hook)
    assert [there for _, there in await hooks.list()] == [False, True]
    await hooks.install()
    assert [there for _, there in await hooks.list()] == [True, True]

    assert await hooks.remove() == (2, [])
    assert not await hooks.list()
    for version in (1, 2):
        supporting = with_hooks(world.provider(version))
        assert supporting is not None
        assert not await supporting.hooks()


@both_versions
async def test_installing_without_a_public_address_names_the_setting(world: World) -> None:
    """
    Without a public address nothing is registered, and the setting is named.
    """
    with pytest.raises(NotConfigured, match="PROTOKEEP_PUBLIC_URL"):
        await Hooks(world.keeper.context, SECRET, None).install()


@pytest.mark.parametrize(
    ("body", "chats"),
    [
        (b'{"chatId": "a"}', ["a"]),
        (b'{"chat": {"id": "a"}}', ["a"]),
        (b'{"data": {"chat_id": "a", "chat": {"id": "b"}}}', ["a", "b"]),
        (b'[{"chatId": "a"}]', ["a"]),
        (b'{"id": "a"}', []),
        (b'{"chatId": 7}', []),
        (b'{"chatId": "a\\u0000b"}', []),
        (b'{"chatId": "' + b"x" * 300 + b'"}', []),
        (b'{"chatId": "a", "filler": "' + b"x" * MAX_DELIVERY + b'"}', []),
        (b"[" * 60_000, []),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, []),
        (json.dumps([{"chatId": str(index)} for index in range(5000)]).encode()[:MAX_DELIVERY], []),
        (json.dumps([{"chatId": str(index)} for index in range(50)]).encode(), [str(index) for index in range(8)]),
    ],
)
def test_a_delivery_names_a_few_possible_chats_and_never_raises(body: bytes, chats: list[str]) -> None:
    """
    A few possible chat ids and nothing else, whatever the body; it never raises.
    """
    assert chats == chats_named(body)[0]


class TestShares:
    async def test_a_flood_at_one_address_takes_no_place_of_another(
        self, world: World, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The owner of one account sees its address at v0, and sends as many deliveries as there are places, and more.
        """
        secret = await installed(world, hooks)
        made = await world.make()
        asked: dict[str, list[str]] = {}

        async def poll_soon(account: str, chats: list[str], *_: object, **__: object) -> int:
            asked.setdefault(account, []).extend(chats)
            return len(chats)

        async def account_of(address: str) -> str | None:
            return {secret: ENVIRONMENT_ACCOUNT, "flooded": "v0:person:default:eve"}.get(address)

        monkeypatch.setattr(world.store, "poll_soon", poll_soon)
        deliveries = HookDeliveries(world.keeper.context, account_of)
        for number in range(3 * MAX_PENDING // 8):
            chats = [{"chatId": f"c-{number}-{part}"} for part in range(8)]
            assert await deliveries.receive("flooded", json.dumps(chats).encode())
        assert await deliveries.receive(secret, delivery(made.chat_id))
        await deliveries.settled()

        assert asked[ENVIRONMENT_ACCOUNT] == [made.chat_id]
        assert len(asked["v0:person:default:eve"]) == MAX_PENDING

    async def test_an_account_in_trouble_keeps_no_other_waiting(
        self, world: World, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Deliveries of both are written together, and the write for one of them fails.
        """
        secret = await installed(world, hooks)
        made = await world.make()
        write = world.store.poll_soon
        asked: list[str] = []

        async def poll_soon(account: str, chats: list[str], *args: object, **kwargs: object) -> int:
            if account != ENVIRONMENT_ACCOUNT:
                raise RuntimeError("a bug of ours")
            asked.extend(chats)
            return await write(account, chats, *args, **kwargs)  # type: ignore[arg-type]

        async def account_of(address: str) -> str | None:
            return ENVIRONMENT_ACCOUNT if address == secret else "v0:person:default:eve"

        monkeypatch.setattr(world.store, "poll_soon", poll_soon)
        deliveries = HookDeliveries(world.keeper.context, account_of)
        await deliveries.receive("another", delivery("c-1"))
        await deliveries.receive(secret, delivery(made.chat_id))
        await deliveries.settled()

        assert asked == [made.chat_id]
