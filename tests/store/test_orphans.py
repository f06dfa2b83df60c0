"""Chats of ours that no row knows: each goes to its own account, product and place, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from owner_schemas import run
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import Prototype
from protokeep.store.orphans import OrphanChat
from protokeep.store.postgresql import PostgresqlConnection
from protokeep.store.sql import NO_VALUES, Statement, Values, query
from tracked import generation_of, tracked
from world import PROMPT, World, on_postgresql

ACCOUNT, OTHER_ACCOUNT = "v0:environment", "v0:workspace:elsewhere"


def stray_of(world: World, product_id: str = "p-1", **marks: str) -> OrphanChat:
    """A chat that was made a moment ago and that no row knows."""
    stray = OrphanChat(
        chat_id=f"chat-{uuid4().hex[:8]}",
        marker=str(uuid4()),
        workspace_id="default",
        product_id=product_id,
        user_id="ann",
        provider="v0",
        account=ACCOUNT,
        api_version=2,
        prompt=PROMPT,
        made_at=world.clock.now - timedelta(seconds=5),
        now=world.clock.now,
    )
    return replace(stray, **marks)  # type: ignore[arg-type]


async def adopted(world: World, stray: OrphanChat) -> str:
    """What became of it, in a word."""
    return await world.store.adopt_orphan(stray, world.timing.poll_timeout)


async def claimed(world: World, product_id: str = "p-1", **more: Any) -> Prototype:
    """A claim that was not sent yet."""
    return (await world.ensure(product_id, **more)).prototype


async def in_slot(world: World, product_id: str) -> str:
    """The prototype that has a product's place."""
    (row,) = await world.rows(f"SELECT mockup_id FROM protokeep_slots WHERE product_id = '{product_id}'")
    return str(row["mockup_id"])


async def test_an_orphan_whose_builder_names_no_real_time_can_be_read_and_polled(world: World) -> None:
    """
    The zero of some clocks is the year 1: the chat is adopted as an old one, and disturbs nobody.
    """
    stray = replace(stray_of(world), made_at=datetime(1, 1, 1, tzinfo=UTC))

    assert await adopted(world, stray) == "adopted"
    await world.live(6)

    (found,) = await world.listed()
    assert found.created_at == generation_of(found).created_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert (await world.status()).id == found.id


async def test_an_orphan_goes_to_the_row_that_its_marker_names(world: World) -> None:
    """
    A chat whose marker names a row that has none goes there, and to no other row of that product.
    """
    mine, _ = await claimed(world), await claimed(world, create_new=True)
    reasons = "hold_code = 'x', hold_message = 'Why it waits', error_code = 'x', error_message = 'What went wrong'"
    await run(world.database_url, f"UPDATE protokeep_generations SET {reasons} WHERE mockup_id = '{mine.id}'")
    stray = stray_of(world, marker=generation_of(mine).marker)

    assert await adopted(world, stray) == "recorded"

    found = await world.get(mine.id)
    assert (found.chat_id, generation_of(found).submission.recovery_point) == (stray.chat_id, RecoveryPoint.ACCEPTED)
    assert generation_of(found).version > generation_of(mine).version
    assert (generation_of(found).submission.lease_until, generation_of(found).submission.next_try_at) == (None, None)
    assert generation_of(found).polling.next_poll_at == world.clock.now
    left = generation_of(found)
    assert (left.hold.code, left.hold.message, left.error.code, left.error.message) == (None, None, None, None)
    assert [one.chat_id for one in await world.listed() if one.id != mine.id] == [None]
    assert await adopted(world, stray) == "known"


@on_postgresql
async def test_a_claim_that_is_made_during_the_adoption_adopts_the_orphan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The first click after a restore is committed when the chat was already on its way to a row of its own. It gets the
    chat, and nothing is sent for it.
    """
    read, waiting = PostgresqlConnection.fetch_one, list[Prototype]()

    async def read_before_the_claim(
        self: PostgresqlConnection, statement: Statement, values: Values = NO_VALUES
    ) -> Any:
        found = await read(self, statement, values)
        if statement is query("find_waiting_claim") and not waiting:
            waiting.append(await claimed(world))
        return found

    monkeypatch.setattr(PostgresqlConnection, "fetch_one", read_before_the_claim)
    stray = stray_of(world)

    assert await adopted(world, stray) == "recorded"
    assert [one.chat_id for one in await world.listed()] == [stray.chat_id]
    assert await in_slot(world, "p-1") == waiting[0].id


async def test_an_orphan_goes_to_no_row_of_another_account(world: World) -> None:
    """
    A chat of one account whose marker names another account's row is given to nobody.
    """
    mine = await claimed(world)
    stray = stray_of(world, marker=generation_of(mine).marker, account=OTHER_ACCOUNT)

    with pytest.raises(LookupError, match="another account"):
        await adopted(world, stray)
    assert await world.get(mine.id) == mine


async def test_a_waiting_claim_of_the_product_adopts_the_orphan(world: World) -> None:
    """
    A claim of the same account for the same product, made because there seemed to be none, takes the chat over.
    """
    waiting, other = await claimed(world), await claimed(world, "p-2")
    stray = stray_of(world)

    assert await adopted(world, stray) == "recorded"
    assert (await world.get(waiting.id)).chat_id == stray.chat_id
    assert await world.get(other.id) == other


async def test_a_claim_of_another_account_adopts_no_orphan(world: World) -> None:
    """
    A claim that another account pays for takes no chat over; the chat gets a row of its own.
    """
    waiting = await claimed(world)
    stray = stray_of(world, account=OTHER_ACCOUNT)

    assert await adopted(world, stray) == "adopted"
    assert await world.get(waiting.id) == replace(waiting, is_current=True)
    row = await world.get(stray.marker)
    assert (row.chat_id, generation_of(row).account) == (stray.chat_id, OTHER_ACCOUNT)


@pytest.mark.parametrize("marks", [{"product_id": "p-2"}, {"workspace_id": "elsewhere"}, {"provider": "stitch"}])
async def test_a_claim_of_another_product_workspace_or_builder_is_left_alone(
    world: World, marks: dict[str, str]
) -> None:
    """
    A claim for another product, in another workspace or at another builder is left alone.
    """
    waiting = await claimed(world)

    assert await adopted(world, stray_of(world, **marks)) == "adopted"
    assert await world.get(waiting.id) == waiting


@pytest.mark.parametrize(
    "moved",
    ["attempts = 1", "recovery_point = 'sent'", "turn = 2"],
)
async def test_a_claim_that_may_have_been_sent_keeps_its_own_marker(world: World, moved: str) -> None:
    """
    A claim for which something may have been sent keeps to its own marker.
    """
    waiting = await claimed(world)
    await run(world.database_url, f"UPDATE protokeep_generations SET {moved}")

    assert await adopted(world, stray_of(world)) == "adopted"
    assert (await world.get(waiting.id)).chat_id is None


async def test_a_claim_of_create_new_adopts_no_orphan(world: World) -> None:
    """
    A claim that was made because another one was wanted is not what the chat was made for.
    """
    waiting = await claimed(world, create_new=True)

    assert await adopted(world, stray_of(world)) == "adopted"
    assert (await world.get(waiting.id)).chat_id is None


async def test_an_older_orphan_takes_no_slot_and_a_newer_one_does(world: World) -> None:
    """
    A chat that is older than what its product has is added and takes no place; a newer one takes it.
    """
    current = await world.make()
    older, newer = stray_of(world), stray_of(world, product_id="p-1")
    older = replace(older, made_at=current.created_at - timedelta(hours=1))
    newer = replace(newer, made_at=current.created_at + timedelta(seconds=1))

    assert await adopted(world, older) == "adopted"
    assert await in_slot(world, "p-1") == current.id
    assert await adopted(world, newer) == "adopted"
    assert await in_slot(world, "p-1") == newer.marker


async def test_a_second_chat_of_a_row_is_noted_as_surplus_once(world: World) -> None:
    """
    A second chat with a row's marker is noted as a surplus of that row, once.
    """
    made = await world.make()
    stray = stray_of(world, marker=generation_of(made).marker)

    assert [await adopted(world, stray) for _ in range(2)] == ["surplus", "surplus"]
    assert await world.store.surplus(made.id) == [stray.chat_id]
    assert (await world.kinds(made)).count("surplus") == 1


class TestKnownChats:
    async def test_chats_of_rows_and_surplus_chats_of_the_account_are_known(self, world: World) -> None:
        """
        Known is what a row has, and what was noted beside it in the same account; nothing else.
        """
        made = await world.make()
        await world.store.note_surplus(tracked(made), "noted", world.clock.now)
        asked = [made.chat_id or "", "noted", "nobody's"]

        assert await world.store.known_chats(ACCOUNT, asked) == {made.chat_id, "noted"}
        assert await world.store.known_chats(OTHER_ACCOUNT, asked) == {made.chat_id}
        assert await world.store.known_chats(ACCOUNT, ["nobody's"]) == set()
        assert await world.store.known_chats(ACCOUNT, []) == set()
