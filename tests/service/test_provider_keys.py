"""Whose key pays: chosen at the claim, kept with the prototype, changed while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from owner_schemas import run
from protokeep.core.errors import InvalidInput, NotAllowed, NotConfigured, NotNow
from protokeep.core.generation import RecoveryPoint
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import UNFINISHED, State, Status
from protokeep.core.provider_keys import KeyOwner
from protokeep.sandbox.state import account_id
from protokeep.service import provider_accounts
from protokeep.service.provider_keys import ProviderKeys
from protokeep.store.provider_keys import KeyStore
from tracked import generation_of
from world import ANN, BOB, KEY, MASTER, Node, Site, World, on_sqlite

ADMIN = Principal("default", "root", Role.ADMIN, "t")
WORKSPACE = KeyOwner("default")
ANNS = KeyOwner("default", "ann")
EVE = Principal("other", "eve", Role.MAKER, "t")
TEAM_KEY, ANNS_KEY = "v1:team:AAAAAAAAAAAA", "v1:anns:BBBBBBBBBBBB"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes know of a change at their next use, not within a second."""
    monkeypatch.setattr(provider_accounts, "REFRESH_SECONDS", 0.0)


def keys_of(node: Node) -> ProviderKeys:
    return ProviderKeys(node.context)


async def payer(world: World, product: str = "p-1", who: Principal = ANN, **more: Any) -> str:
    """Which key v0 was asked with, and what is written about it, for a new prototype."""
    made = await world.make(product, who=who, **more)
    chat = world.sandbox.chats[made.chat_id or ""]
    known = {account_id(key): name for key, name in ((KEY, "ours"), (TEAM_KEY, "team"), (ANNS_KEY, "ann"))}
    return f"{known[chat.account]} {generation_of(made).account}"


class TestChoice:
    async def test_ones_own_key_pays_then_the_workspaces_then_the_environments(self, world: World) -> None:
        keys = keys_of(world.first)
        assert await payer(world, "p-1") == "ours v0:environment"
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        assert await payer(world, "p-2") == "team v0:workspace:default"
        await keys.set(ANN, ANNS, "v0", ANNS_KEY)
        assert await payer(world, "p-3") == "ann v0:person:default:ann"
        assert await payer(world, "p-4", BOB) == "team v0:workspace:default"

    async def test_there_is_no_fall_back_to_somebody_elses_key(self, world: World) -> None:
        """
        A workspace without a key makes nothing, unless the environment's is for it.
        """
        node = await world.node(ours_for=["default"])
        await keys_of(node).set(ADMIN, ANNS, "v0", ANNS_KEY)
        with pytest.raises(NotConfigured, match="This workspace has no v0 API key"):
            node.context.providers.choose("v0", "other", "eve")
        assert node.context.providers.choose("v0", "default", "bob").account == "v0:environment"
        assert (await world.node()).context.providers.choose("v0", "other", "eve").account == "v0:environment"

    async def test_a_key_that_cannot_be_opened_is_not_passed_over(self, world: World) -> None:
        await keys_of(world.first).set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        node = await world.node(masters=["another master key of at least 32 characters"])
        await node.context.providers.refresh()
        with pytest.raises(NotConfigured, match="cannot be opened"):
            node.context.providers.choose("v0", "default", "bob")

    async def test_a_key_set_by_another_process_pays(self, world: World) -> None:
        other = await world.node()
        await world.make()
        await keys_of(other).set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        assert await payer(world, "p-2") == "team v0:workspace:default"
        await keys_of(other).remove(ADMIN, WORKSPACE, "v0")
        assert await payer(world, "p-3") == "ours v0:environment"


class TestFollowing:
    async def test_a_prototype_stays_with_the_account_it_was_made_with(self, world: World) -> None:
        """
        What was made with one key is followed with that one, whatever is set afterwards.
        """
        first = await world.make("p-1")
        await keys_of(world.first).set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        second = await world.make("p-2")
        world.clock.advance(20)
        await world.sweep()
        for made in (first, second):
            assert (await world.get(made.id)).status is Status.COMPLETED

    async def test_a_removed_key_holds_prototypes_and_a_new_one_resumes_them(self, world: World) -> None:
        keys = keys_of(world.first)
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        made = await world.make("p-1")
        waiting = (await world.ensure("p-2")).prototype
        await keys.remove(ADMIN, WORKSPACE, "v0")
        calls = world.calls()
        world.clock.advance(20)
        await world.sweep()

        held, parked = await world.get(made.id), await world.get(waiting.id)
        assert held.status in UNFINISHED
        assert held.polling_pause is not None
        assert held.polling_pause.code == "no_key"
        assert "was removed" in held.polling_pause.message
        assert parked.state is State.PARKED
        assert generation_of(parked).hold.code == "no_key"
        assert world.calls() == calls

        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        await world.sweep()
        assert (await world.get(made.id)).status is Status.COMPLETED
        assert (await world.get(made.id)).polling_pause is None
        assert (await world.get(waiting.id)).chat_id is not None

    async def test_an_unknown_outcome_is_looked_up_when_the_key_is_back(self, world: World) -> None:
        """
        An unknown outcome stays one while there is no key: nothing is sent a second time.
        """
        keys = keys_of(world.first)
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        with world.knobs(drop_next_answers=1):
            made = await world.make("p-1")
        assert generation_of(made).submission.recovery_point is RecoveryPoint.SENT
        await keys.remove(ADMIN, WORKSPACE, "v0")
        world.clock.advance(5)
        await world.sweep()
        held = generation_of(await world.get(made.id))
        assert (held.submission.recovery_point, held.hold.code, held.submission.sent_at is not None) == (
            RecoveryPoint.SENT,
            "no_key",
            True,
        )

        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        await world.live(200)
        assert world.chats_created == 1
        assert (await world.get(made.id)).status is Status.COMPLETED

    async def test_a_deletion_waits_for_the_key(self, world: World) -> None:
        keys = keys_of(world.first)
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        made = await world.complete("p-1")
        await keys.remove(ADMIN, WORKSPACE, "v0")
        left = await world.keeper.delete(ADMIN, made.id)
        assert left is not None
        assert generation_of(left).hold.code == "no_key"
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        await world.keeper.finalize()
        assert await world.store.get_unscoped(made.id) is None

    async def test_nobody_spends_another_persons_key(self, world: World) -> None:
        await keys_of(world.first).set(ANN, ANNS, "v0", ANNS_KEY)
        made = await world.complete("p-1")
        with pytest.raises(NotAllowed, match="ann's own key"):
            await world.keeper.iterate(BOB, made.id, "bigger", wait=0)
        await world.keeper.iterate(ANN, made.id, "bigger", wait=0)
        assert (await world.ensure("p-1", who=BOB)).is_existing

    async def test_metadata_of_another_workspace_is_not_believed(self, world: World) -> None:
        """
        Whoever owns an account at v0 can write any mark there; it gives nobody a row in another workspace.
        """
        eves = KeyOwner("other", "eve")
        await keys_of(world.first).set(EVE, eves, "v0", ANNS_KEY)
        made = await world.make("p-1", who=EVE)
        chat = world.sandbox.chats[made.chat_id or ""]
        forged = {**chat.metadata, "protokeep_workspace": "default", "protokeep_marker": "0" * 32}
        chat.metadata = forged
        await run(world.database_url, f"DELETE FROM design_mockups WHERE id = '{made.id}'")
        world.clock.advance(3600)
        node = await world.node()
        await node.context.providers.refresh()
        await node.keeper.reconcile()
        assert await world.rows("SELECT * FROM protokeep_generations") == []


class TestSetting:
    async def test_a_refused_key_is_not_kept(self, world: World) -> None:
        with (
            world.knobs(answer_next=[{"status": 401}]),
            pytest.raises(InvalidInput, match="v0 rejected this key"),
        ):
            await keys_of(world.first).set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        assert await keys_of(world.first).list("default") == []

    async def test_a_key_of_another_v0_account_is_refused_unless_meant(self, world: World) -> None:
        """
        A key that does not see what was made before would turn it into `gone`; it is refused unless meant.
        """
        keys = keys_of(world.first)
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        await world.make("p-1")
        with pytest.raises(NotNow, match="another app builder account"):
            await keys.set(ADMIN, WORKSPACE, "v0", ANNS_KEY)
        await keys.set(ADMIN, WORKSPACE, "v0", ANNS_KEY, other_account=True)
        assert (await keys.list("default"))[0].sealed.hint == ANNS_KEY[-4:]

    async def test_master_keys_are_rotated_while_everything_runs(self, world: World) -> None:
        """
        Both master keys everywhere, then the new one first, then `rotate`, then the old one goes; nothing stops.
        """
        fresh = "a fresh master key of the tests, long enough"
        await keys_of(world.first).set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        await keys_of(world.first).set(ANN, ANNS, "v0", ANNS_KEY)
        both = await world.node(masters=[fresh, MASTER])
        assert await keys_of(both).rotate(ADMIN) == (2, 0)
        assert await keys_of(both).rotate(ADMIN) == (0, 0)
        after = await world.node(masters=[fresh])
        await after.context.providers.refresh()
        assert after.context.providers.choose("v0", "default", "ann").account == "v0:person:default:ann"
        assert [one.opens for one in await keys_of(world.first).list("default")] == [False, False]

    async def test_calls_are_counted_on_when_a_key_changes(self, world: World) -> None:
        keys, providers = keys_of(world.first), world.first.context.providers
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        await world.make("p-1")
        before = providers.calls("v0:workspace:default")
        assert before > 0
        await keys.set(ADMIN, WORKSPACE, "v0", TEAM_KEY)
        assert providers.calls("v0:workspace:default") == before

    async def test_keys_are_read_once_a_second_at_most(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        However often it is asked, the database is once a second.
        """
        monkeypatch.setattr(provider_accounts, "REFRESH_SECONDS", 60.0)
        asked = 0
        version = KeyStore.version

        async def counted(self: KeyStore) -> str:
            nonlocal asked
            asked += 1
            return await version(self)

        monkeypatch.setattr(KeyStore, "version", counted)
        node = await world.node()
        for _ in range(1000):
            await node.context.providers.refresh()
        assert asked == 1


class TestHttp:
    async def test_a_key_goes_in_over_http_and_never_comes_out(
        self, world: World, site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        token = await site.token(Role.ADMIN, "root")
        headers = {"Authorization": f"Bearer {token}"}
        answers = [
            await site.http.put("/api/design/keys", json={"key": TEAM_KEY}, headers=headers),
            await site.http.put("/api/design/keys/mine", json={"key": ANNS_KEY}, headers=headers),
            await site.http.put("/api/design/keys/mine", json={"key": ANNS_KEY + "\n\x00", "x": 1}, headers=headers),
            await site.http.put("/api/design/keys/mine", json={"key": {"a": ANNS_KEY}}, headers=headers),
            await site.http.put("/api/design/keys/mine", json={"key": f"{ANNS_KEY} {ANNS_KEY}"}, headers=headers),
            await site.http.get("/api/design/keys", headers=headers),
            await site.http.get("/api/design/keys/mine", headers=headers),
        ]
        assert [one.status_code for one in answers] == [200, 200, 422, 422, 422, 200, 200]
        body = {"product_id": "p-1", "prompt": "A shop"}
        made = await site.http.post("/api/design/create-project", json=body, headers=headers)
        assert made.json()["key_source"] == "own"
        answers.append(made)
        answers.append(await site.http.get(f"/api/design/prototypes/{made.json()['id']}", headers=headers))
        answers.append(await site.http.get("/api/design/audit", headers=headers))
        assert {"created", "key_set"} <= {line["action"] for line in answers[-1].json()["entries"]}

        shown = "".join(one.text for one in answers)
        out = capsys.readouterr()
        tables = await world.rows("SELECT * FROM protokeep_provider_keys")
        everything = shown + out.out + out.err + repr(await world.contents()) + repr(tables)
        for key in (TEAM_KEY, ANNS_KEY):
            assert key not in everything
            assert key[3:] not in everything

    async def test_each_role_may_set_its_keys(self, site: Site) -> None:
        body = {"key": TEAM_KEY}
        headers: dict[str, str] = {}
        for role, workspaces, own in ((Role.VIEWER, 403, 403), (Role.MAKER, 403, 200), (Role.ADMIN, 200, 200)):
            headers = {"Authorization": f"Bearer {await site.token(role, role.value)}"}
            assert (await site.http.put("/api/design/keys", headers=headers, json=body)).status_code == workspaces
            assert (await site.http.put("/api/design/keys/mine", headers=headers, json=body)).status_code == own
        mine = await site.http.get("/api/design/keys/mine", headers=headers)
        assert mine.json()["last4"] == TEAM_KEY[-4:]
        removed = await site.http.delete("/api/design/keys", params={"user_id": "maker"}, headers=headers)
        assert removed.status_code == 204


@on_sqlite
async def test_a_key_that_is_refused_later_shows_and_polling_goes_on(world: World) -> None:
    """
    A key that stops counting is told on what is being made, and the looks go on.
    """
    made = await world.make("p-1")
    world.clock.advance(4)
    with world.knobs(answer_next=[{"status": 401} for _ in range(3)]):
        await world.sweep()
    shown = (await world.get(made.id)).polling_pause
    assert shown is not None
    assert (shown.code, "401" in shown.message) == ("polling_fails", True)
    world.clock.advance(20)
    await world.sweep()
    assert (await world.get(made.id)).status is Status.COMPLETED
