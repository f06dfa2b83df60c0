"""Chats of ours that no row knows: taken back when we signed them, and never when they were deleted here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from foreign_chats import list_again, plant
from owner_schemas import run
from protokeep.core.audit import ITSELF
from protokeep.core.call_budget import Limits
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Status, TrackedPrototype
from protokeep.core.provider_keys import KeyOwner
from protokeep.core.validation import person_of
from protokeep.service.account_search import MOST_NAMED
from protokeep.service.chat_metadata import SIGNATURE, Signer
from protokeep.service.provider_keys import ProviderKeys
from protokeep.store import orphans
from protokeep.store.mapping import tracked_prototype_of
from protokeep.store.orphans import OrphanChat
from protokeep.store.postgresql import PostgresqlConnection
from protokeep.store.sql import NO_VALUES, LostRace, Row, Statement, Values, query
from world import (
    ANN,
    ENVIRONMENT_ACCOUNT,
    World,
    both_versions,
    every_version_and_database,
    on_postgresql,
    on_sqlite,
)

SIGNER = Signer(b"secret-of-the-tests")
MARKER = "0d0f1c1e-6f4f-4a4e-9d5c-0a1b2c3d4e5f"
ADMIN = Principal("default", "root", Role.ADMIN, "token-of-root")


async def marks(world: World, **changes: Any) -> dict[str, str]:
    """Marks of this installation that name a prototype, signed after the changes; None takes one away."""
    keeper_id, _ = await world.store.installation()
    made = {
        "protokeep": keeper_id,
        "protokeep_marker": MARKER,
        "protokeep_workspace": "default",
        "protokeep_product": "p-1",
        "protokeep_user": "ann",
    }
    made |= {f"protokeep_{name}": value for name, value in changes.items()}
    return {**made, SIGNATURE: SIGNER.sign(made)}


async def restart(world: World) -> None:
    """A process that comes up alone, a minute later, looks after its account."""
    world.clock.advance(60)
    node = await world.node(single_process=True)
    await node.keeper.reconcile()


class TestDeleted:
    @both_versions
    async def test_a_deleted_chat_stays_deleted_while_lists_still_show_it(self, world: World) -> None:
        """
        Deleted here and at v0; v0's lists lag, and the process starts again.
        """
        made = await world.complete()
        await world.keeper.delete(ANN, made.id)
        list_again(world, world.chat)

        await restart(world)
        await world.live(700, step=100)
        await world.keeper.reconcile()

        assert await world.rows("SELECT id FROM design_mockups") == []
        assert await world.rows("SELECT * FROM protokeep_slots") == []

    @both_versions
    async def test_a_deleted_chat_that_is_back_is_deleted_again(self, world: World) -> None:
        """
        A deleted chat is back at v0, and the first try to delete it there fails: it is not left to itself.
        """
        made = await world.complete()
        await world.keeper.delete(ANN, made.id)
        list_again(world, world.chat)
        world.chat.deleted = False

        with world.knobs(fail_next=[{"operation": "chats.delete", "status": 500}]):
            await restart(world)
        world.clock.advance(world.timing.recent_search_interval.total_seconds() + 1)
        await world.nodes[-1].keeper.reconcile()

        assert world.chat.deleted

    @both_versions
    async def test_a_chat_deleted_by_the_owners_own_sql_stays_deleted(self, world: World) -> None:
        made = await world.complete()
        await run(world.database_url, f"DELETE FROM design_mockups WHERE id = '{made.id}'")

        await restart(world)

        assert await world.rows("SELECT id FROM design_mockups") == []

    @both_versions
    async def test_a_second_chat_of_a_deleted_prototype_is_nobodys(self, world: World) -> None:
        made = await world.complete()
        await world.keeper.delete(ANN, made.id)
        plant(world, metadata=dict(world.chat.metadata))

        await restart(world)

        assert await world.rows("SELECT id FROM design_mockups") == []
        assert await world.rows("SELECT * FROM protokeep_surplus_chats") == []


class TestSecondChats:
    @both_versions
    async def test_a_second_chat_is_found_within_minutes(self, world: World) -> None:
        """
        A second chat with the marker of a prototype is recorded by the next search of the newest chats.
        """
        made = await world.complete()
        await world.keeper.reconcile()
        (second,) = plant(world, metadata=dict(world.chat.metadata))
        world.clock.advance(world.timing.recent_search_interval.total_seconds() + 1)

        await world.keeper.reconcile()

        _, surplus = await world.keeper.history(await world.get(made.id))
        assert list(surplus) == [second.id]

    @both_versions
    async def test_one_process_searches_the_newest_chats_in_a_few_calls(self, world: World) -> None:
        """
        Three processes, an hour, chats of others: a few calls every five minutes, and nothing is read twice.
        """
        await world.complete()
        plant(world, timedelta(minutes=10), 20)
        nodes = [world.first, await world.node(), await world.node()]
        for node in nodes:
            await node.keeper.reconcile()
        before = world.calls()

        for _ in range(60):
            world.clock.advance(60)
            for node in nodes:
                await node.keeper.reconcile()

        details = 3 * 20 if world.api_version == 1 else 0
        assert world.calls() - before <= 12 * 2 + details

    @both_versions
    async def test_nothing_is_searched_while_calls_are_short(self, world: World) -> None:
        await world.complete()
        world.first.context.limits = Limits(per_minute=1)
        world.clock.advance(3600)
        await world.keeper.reconcile()  # Every other search comes first.
        before = world.calls()
        world.clock.advance(301)

        await world.keeper.reconcile()

        assert world.calls() == before


class TestMarks:
    @both_versions
    async def test_a_signed_chat_gets_its_row(self, world: World) -> None:
        (chat,) = plant(world, metadata=await marks(world))

        await restart(world)

        (found,) = await world.listed("p-1")
        assert (found.id, found.chat_id, found.user_id) == (MARKER, chat.id, "ann")

    @pytest.mark.parametrize("word", ["cafe\u0301", "caf\u00e9", " shop ", "\U0001f600" * 200], ids=ascii)
    async def test_any_name_that_a_caller_may_send_comes_back_signed(self, world: World, word: str) -> None:
        """
        Names of products and people are signed as they are written here, in whatever form of Unicode they were sent.
        """
        person = person_of(word)
        made = await world.make(word, who=replace(ANN, user_id=person))
        await run(
            world.database_url, "DELETE FROM protokeep_slots; DELETE FROM design_mockups; DELETE FROM protokeep_events;"
        )

        await restart(world)
        again = await world.ensure(word)

        assert (again.prototype.id, again.prototype.user_id) == (made.id, person)
        assert world.chats_created == 1

    @both_versions
    @pytest.mark.parametrize(
        "bad",
        [
            {"marker": MARKER.upper()},
            {"marker": "0" * 32},
            {"marker": "not one"},
            {"marker": ""},
            {"product": ""},
            {"product": "x" * 300},
            {"product": "a\x07b"},
            {"product": "a\x00b"},
            {"product": "a\x1b]0;PWN\x07"},
            {"product": "\ud800"},
            {"user": "a\x00b"},
            {"user": "a\u0085b"},
            {"marker": f"urn:uuid:{MARKER}"},
            {"user": "x" * 300},
            {"user": "a\nb"},
            {"workspace": ""},
            {"workspace": "../etc"},
            {"workspace": "x" * 65},
        ],
        ids=str,
    )
    async def test_metadata_that_no_caller_might_send_makes_no_row(self, world: World, bad: dict[str, str]) -> None:
        """
        Even signed ones; and they keep no other chat, and no create, from anything.
        """
        plant(world, metadata=await marks(world, **bad))
        good = "1d0f1c1e-6f4f-4a4e-9d5c-0a1b2c3d4e5f"
        plant(world, metadata=await marks(world, marker=good, product="p-2"))

        await restart(world)
        made = await world.make("p-3")

        rows = await world.rows("SELECT id FROM design_mockups")
        assert {str(row["id"]) for row in rows} == {good, made.id}
        assert made.chat_id is not None

    @both_versions
    @pytest.mark.parametrize("signature", ["", "x", "0" * 43, "\u00e9", None], ids=repr)
    async def test_a_chat_that_we_did_not_sign_makes_no_row(self, world: World, signature: str | None) -> None:
        """
        Whoever has a key of the account can plant any marks: they become no product, no person and no prototype.
        """
        planted = {**await marks(world), SIGNATURE: signature or ""}
        if signature is None:
            del planted[SIGNATURE]
        plant(world, metadata=planted)

        await restart(world)

        assert await world.rows("SELECT id FROM design_mockups") == []

    @both_versions
    async def test_a_signature_holds_for_its_own_metadata_only(self, world: World) -> None:
        """
        Marks of another chat are copied, and one of them is changed.
        """
        planted = {**await marks(world), "protokeep_user": "alice", "protokeep_marker": MARKER.replace("0d", "1d")}
        plant(world, metadata=planted)

        await restart(world)

        assert await world.rows("SELECT id FROM design_mockups") == []

    @both_versions
    async def test_metadata_must_name_the_owner_of_the_key(self, world: World) -> None:
        """
        In the account of a person's own key only that person's prototypes are taken back.
        """
        key = "a-key-of-anns-own"
        await ProviderKeys(world.first.context).set(ANN, KeyOwner("default", "ann"), "v0", key)
        plant(world, key=key, metadata=await marks(world, user="bob"))
        plant(world, key=key, metadata=await marks(world, marker=MARKER.replace("0d", "1d"), workspace="other"))
        plant(world, key=key, metadata=await marks(world, marker=MARKER.replace("0d", "2d"), product="p-2"))
        world.clock.advance(3600)
        node = await world.node()

        await node.keeper.reconcile()

        rows = await world.rows("SELECT product_id, user_id FROM design_mockups")
        assert rows == [{"product_id": "p-2", "user_id": "ann"}]

    @both_versions
    async def test_an_unsigned_chat_speaks_for_no_prototype_that_is_there(self, world: World) -> None:
        """
        Whoever sees a prototype knows its marker, because that is its id. It takes more to write into its history.
        """
        made = await world.complete()
        planted = dict(world.chat.metadata)
        del planted[SIGNATURE]
        (second,) = plant(world, metadata=planted)

        await restart(world)

        _, surplus = await world.keeper.history(await world.get(made.id))
        assert list(surplus) == []
        (noted,) = await world.store.searches.unreadable(world.clock())
        assert noted.chat_id == second.id

    @every_version_and_database
    async def test_an_unsigned_chat_takes_no_place_of_a_create_that_waits(self, world: World) -> None:
        """
        The create waits, and a chat at the builder names it: it would show somebody else's page in ann's name.
        """
        claimed = await world.ensure("p-1")
        keeper_id, _ = await world.store.installation()
        (planted,) = plant(world, metadata={"protokeep": keeper_id, "protokeep_marker": claimed.prototype.id})

        await restart(world)
        world.clock.advance(world.timing.claim_is_fresh.total_seconds() + 1)
        await world.live(60)

        made = await world.get(claimed.prototype.id)
        assert made.chat_id not in (None, planted.id)
        assert made.status is Status.COMPLETED

    @on_sqlite
    async def test_many_planted_chats_fill_no_log(self, world: World) -> None:
        """
        Each of them is named once, and one search names no more than a few.
        """
        keeper_id, _ = await world.store.installation()
        for number in range(3 * MOST_NAMED):
            plant(world, metadata={"protokeep": keeper_id, "protokeep_marker": f"m-{number}"})

        named = []
        with capture_logs() as entries:
            await restart(world)  # It searches all chats, and then the newest ones.
            for _ in range(3):
                named.append(len(entries))
                world.clock.advance(world.timing.recent_search_interval.total_seconds() + 1)
                await world.nodes[-1].keeper.reconcile()

        assert named == [2 * MOST_NAMED, 3 * MOST_NAMED, 3 * MOST_NAMED]
        assert await world.rows("SELECT id FROM design_mockups") == []

    @both_versions
    async def test_a_copy_of_signed_marks_comes_after_the_chat_that_it_copies(self, world: World) -> None:
        """
        The owner of the account copies a chat's marks, signature and all, before the database loses the row.
        """
        made = await world.complete()
        original = world.chat
        world.clock.advance(30)
        (copy,) = plant(world, metadata=dict(original.metadata))
        await run(
            world.database_url, "DELETE FROM protokeep_slots; DELETE FROM design_mockups; DELETE FROM protokeep_events;"
        )

        await restart(world)

        found = await world.get(made.id)
        _, surplus = await world.keeper.history(found)
        assert (found.chat_id, list(surplus)) == (original.id, [copy.id])

    @both_versions
    async def test_a_copy_of_signed_marks_in_another_account_makes_no_row(self, world: World) -> None:
        """
        Not while their prototype is known, whoever owns the other account.
        """
        made = await world.complete()
        key = "a-key-of-anns-own"
        await ProviderKeys(world.first.context).set(ANN, KeyOwner("default", "ann"), "v0", key)
        plant(world, key=key, metadata=dict(world.chat.metadata))

        await restart(world)

        _, surplus = await world.keeper.history(await world.get(made.id))
        assert ([one.id for one in await world.listed()], list(surplus)) == ([made.id], [])

    @both_versions
    async def test_an_adoption_is_in_the_audit(self, world: World) -> None:
        """
        In the name of nobody who asked, with the person whose prototype it is.
        """
        (chat,) = plant(world, metadata=await marks(world))

        await restart(world)

        ((entry,), _) = await world.keeper.context.audit.list(ADMIN, 10, action="adopted")
        assert (entry.entry.actor, entry.entry.subject) == (ITSELF, MARKER)
        assert entry.entry.data == {
            "product_id": "p-1",
            "provider": "v0",
            "outcome": "adopted",
            "chat_id": chat.id,
            "user_id": "ann",
            "account": ENVIRONMENT_ACCOUNT,
        }

    @both_versions
    async def test_a_chat_that_a_waiting_create_takes_over_is_in_the_audit(self, world: World) -> None:
        claimed = await world.ensure("p-1")
        (chat,) = plant(world, metadata=await marks(world))

        await restart(world)

        ((entry,), _) = await world.keeper.context.audit.list(ADMIN, 10, action="adopted")
        assert (entry.entry.subject, entry.entry.data["outcome"]) == (claimed.prototype.id, "recorded")
        assert entry.entry.data["chat_id"] == chat.id


class TestOthers:
    @both_versions
    async def test_an_account_in_trouble_keeps_no_other_waiting(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Whatever goes wrong with the first account, the second one is looked after.
        """
        await ProviderKeys(world.first.context).set(ANN, KeyOwner("default", "ann"), "v0", "a-key-of-anns-own")
        (_, first), _ = world.keeper.context.providers.for_new()

        async def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("a bug of ours")

        monkeypatch.setattr(first, "find", broken)
        plant(world, key="a-key-of-anns-own", metadata=await marks(world))
        world.clock.advance(3600)

        await world.keeper.reconcile()

        assert [one.id for one in await world.listed("p-1")] == [MARKER]

    @both_versions
    async def test_a_chat_in_trouble_keeps_no_other_waiting(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plant(world, metadata=await marks(world))
        plant(world, metadata=await marks(world, marker=MARKER.replace("0d", "1d"), product="p-2"))
        adopt = world.store.adopt_orphan
        broke: list[str] = []

        async def adopting(stray: OrphanChat, poll_timeout: timedelta) -> str:
            if not broke:
                broke.append(stray.product_id)
                raise RuntimeError("a bug of ours")
            return await adopt(stray, poll_timeout)

        monkeypatch.setattr(world.store, "adopt_orphan", adopting)
        world.clock.advance(3600)

        await world.keeper.reconcile()

        (row,) = await world.rows("SELECT product_id FROM design_mockups")
        assert {row["product_id"], *broke} == {"p-1", "p-2"}

    @both_versions
    async def test_a_chat_whose_row_moves_at_every_try_keeps_no_other_waiting(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The others get their rows, and the account does not count as compared.
        """
        plant(world, timedelta(seconds=2), metadata=await marks(world))
        plant(world, metadata=await marks(world, marker=MARKER.replace("0d", "1d"), product="p-2"))
        world.clock.advance(3600)
        node = await world.node(single_process=True)
        adopt = node.store.adopt_orphan

        async def adopting(orphan: OrphanChat, poll_timeout: timedelta) -> str:
            if orphan.product_id == "p-1":
                raise LostRace
            return await adopt(orphan, poll_timeout)

        monkeypatch.setattr(node.store, "adopt_orphan", adopting)

        await node.keeper.reconcile()

        assert await world.rows("SELECT product_id FROM design_mockups") == [{"product_id": "p-2"}]
        assert not node.keeper._orphans.has_verified([(ENVIRONMENT_ACCOUNT, world.provider())])


class TestAtOnce:
    async def test_two_processes_that_adopt_one_chat_make_one_row(self, world: World) -> None:
        """
        One row, one slot, and no error that anybody sees.
        """
        plant(world, metadata=await marks(world))
        world.clock.advance(3600)
        nodes = [await world.node(), await world.node()]

        await asyncio.gather(*(node.keeper.reconcile() for node in nodes))

        assert [one.id for one in await world.listed("p-1")] == [MARKER]
        assert len(await world.rows("SELECT * FROM protokeep_slots")) == 1

    @on_postgresql
    async def test_a_chat_is_not_given_to_a_claim_and_to_a_row_of_its_own(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Another process gives the chat to the waiting claim between two statements of this one, or waits until it has.
        """
        await world.ensure("p-1")
        plant(world, metadata=await marks(world))
        other = await world.node()
        others: list[asyncio.Task[str]] = []
        read = PostgresqlConnection.fetch_one

        async def row(self: PostgresqlConnection, statement: Statement, values: Values = NO_VALUES) -> Row | None:
            if statement is query("find_waiting_claim") and not others:
                others.append(
                    asyncio.create_task(other.store.adopt_orphan(_orphan(world, MARKER), world.timing.poll_timeout))
                )
                await asyncio.wait(others, timeout=0.5)
            return await read(self, statement, values)

        monkeypatch.setattr(PostgresqlConnection, "fetch_one", row)
        await world.store.adopt_orphan(_orphan(world, MARKER), world.timing.poll_timeout)
        await others[0]

        assert len(await world.rows("SELECT id FROM design_mockups WHERE v0_chat_id IS NOT NULL")) == 1

    async def test_a_chat_is_given_to_no_row_that_moved_meanwhile(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The row was moved between being read and being written: nothing at all is written.
        """
        with world.knobs(drop_next_answers=1):
            lost = await world.make()
        before = await world.contents()
        read = tracked_prototype_of

        def older(row: Row) -> TrackedPrototype:
            return read(row).with_generation(version=0)

        monkeypatch.setattr(orphans, "tracked_prototype_of", older)
        with pytest.raises(LostRace):
            await world.store.adopt_orphan(_orphan(world, lost.id), world.timing.poll_timeout)

        assert await world.contents() == before

    async def test_a_chat_whose_row_moved_once_is_given_to_it_all_the_same(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Otherwise the account would count as compared, and the chat's create would be sent again.
        """
        with world.knobs(drop_next_answers=1):
            lost = await world.make()
        read = tracked_prototype_of
        moved: list[str] = []

        def older_once(row: Row) -> TrackedPrototype:
            prototype = read(row)
            if moved:
                return prototype
            moved.append(prototype.id)
            return prototype.with_generation(version=0)

        monkeypatch.setattr(orphans, "tracked_prototype_of", older_once)
        assert await world.store.adopt_orphan(_orphan(world, lost.id), world.timing.poll_timeout) == "recorded"

        assert (await world.get(lost.id)).chat_id == world.chat.id
        assert moved == [lost.id]

    async def test_viewers_hear_of_the_adopted_prototype_and_of_the_one_before(self, world: World) -> None:
        """
        The younger of the two is the current one, so that the other one changed as well.
        """
        before = await world.complete()
        world.clock.advance(60)
        (chat,) = plant(world, metadata=await marks(world))

        with world.first.context.bus.subscribed() as changes:
            outcome = await world.store.adopt_orphan(_orphan(world, MARKER, chat.id), world.timing.poll_timeout)
            heard = [changes.get_nowait().mockup_id for _ in range(changes.qsize())]

        assert (outcome, heard) == ("adopted", [MARKER, before.id])
        assert not (await world.get(before.id)).is_current

    async def test_a_chat_is_given_to_no_row_that_has_one(self, world: World) -> None:
        made = await world.complete()
        (second,) = plant(world, metadata=dict(world.chat.metadata))

        outcome = await world.store.adopt_orphan(_orphan(world, made.id, second.id), world.timing.poll_timeout)

        assert outcome == "surplus"
        after = await world.get(made.id)
        assert (after.chat_id, after.status) == (made.chat_id, Status.COMPLETED)

    @on_sqlite
    async def test_a_claim_that_is_being_deleted_adopts_no_chat(self, world: World) -> None:
        """
        Its product gets a row of its own back.
        """
        ensured = await world.ensure("p-1")
        moment = world.clock.now.isoformat()
        await run(
            world.database_url,
            f"UPDATE protokeep_generations SET deletion_requested_at = '{moment}'"
            f" WHERE mockup_id = '{ensured.prototype.id}'",
        )
        plant(world, metadata=await marks(world))

        await restart(world)

        assert MARKER in {one.id for one in await world.listed("p-1")}


def _orphan(world: World, marker: str, chat_id: str | None = None) -> OrphanChat:
    now = world.clock.now
    return OrphanChat(
        chat_id=chat_id or next(iter(world.sandbox.chats)),
        marker=marker,
        workspace_id="default",
        product_id="p-1",
        user_id="ann",
        provider="v0",
        account="v0:environment",
        api_version=world.api_version,
        prompt=None,
        made_at=now,
        now=now,
    )
