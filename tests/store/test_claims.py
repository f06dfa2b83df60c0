"""Claims: what they say that they have written, and the short way for a product that nothing was made for."""

from __future__ import annotations

from typing import Any

import pytest

from protokeep.core.errors import QuotaReached
from protokeep.core.quotas import Quotas
from protokeep.core.reuse import Outcome
from protokeep.service import NewPrototype
from protokeep.store import claims
from store.owner import run
from tracked import generation_of, tracked
from world import BOB, PROMPT, World, on_postgresql


@pytest.fixture
def no_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that goes the long way fails the test."""

    async def taken(*_: Any) -> None:
        raise AssertionError("this claim took more than one statement")

    monkeypatch.setattr(claims, "claim", taken)


@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("more", [{}, {"create_new": True}, {"idempotency_key": "k"}])
async def test_told_as_written(world: World, holds: bool, more: dict[str, Any]) -> None:
    """
    What a claim gives back is what is read afterwards, to the last field; also of one that is held.
    """
    node = await world.node(holds=holds)
    ensured = await node.keeper.ensure(BOB, NewPrototype("p-1", PROMPT, **more), wait=0)

    written = tracked(ensured.prototype).with_generation(explicitly_new=False)  # No column holds it.
    assert written == await world.get(ensured.prototype.id)
    generation = generation_of(ensured.prototype)
    assert (generation.submission.fence, generation.submission.lease_until is not None) == (int(holds), holds)


@on_postgresql
@pytest.mark.usefixtures("no_long_way")
async def test_one_statement(world: World) -> None:
    """
    On PostgreSQL a product's first prototype takes one statement, with all that a claim writes.
    """
    world.first.context.quotas = Quotas(per_person=3, per_product=2, per_workspace=4)

    ensured = await world.ensure("p-1", who=BOB)

    assert ensured.decision.outcome is Outcome.CREATED
    assert await world.kinds(ensured.prototype) == ["claimed"]
    audited = await world.rows("SELECT action, actor, subject FROM protokeep_audit")
    assert audited == [{"action": "created", "actor": "bob", "subject": ensured.prototype.id}]
    counted = await world.rows("SELECT kind, subject, creates FROM protokeep_create_counts ORDER BY kind")
    assert [(row["kind"], row["subject"], row["creates"]) for row in counted] == [
        ("person", "bob", 1), ("product", "p-1", 1), ("workspace", "default", 1),
    ]  # fmt: skip
    assert (await world.ensure("p-1")).is_existing


@on_postgresql
async def test_cap_reached_in_this_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever finds a cap reached only when it counts has written nothing.
    """
    world.first.context.quotas = Quotas(per_person=1, per_workspace=5)
    await world.ensure("p-1")
    # As if the look at the counts had come before the other one's commit.
    monkeypatch.setattr("protokeep.store.prototype_queries.PrototypeQueries.claim_free_slot", _unlooked)

    with pytest.raises(QuotaReached, match="has made 1 prototypes today"):
        await world.ensure("p-2")
    assert [row["product_id"] for row in await world.rows("SELECT product_id FROM protokeep_slots")] == ["p-1"]
    counted = await world.rows("SELECT kind, creates FROM protokeep_create_counts ORDER BY kind")
    assert [(row["kind"], row["creates"]) for row in counted] == [("person", 1), ("workspace", 1)]


def _unlooked(self: Any, caps: int) -> Any:
    return self._owners("claim_free_slot", also="")


async def test_what_changed_is_not_kept(world: World) -> None:
    """
    A row that did not change is the same prototype; any value that did, also by somebody else's hand, makes another.
    """
    first = await world.ensure("p-1")
    (one,) = await world.listed("p-1")
    (again,) = await world.listed("p-1")
    assert again is one

    await run(world.database_url, "UPDATE design_mockups SET image_url = 'https://pictures.example/new.png'")
    (changed,) = await world.listed("p-1")
    assert (changed.id, changed.image_url) == (first.prototype.id, "https://pictures.example/new.png")
    assert changed == await world.get(first.prototype.id)
