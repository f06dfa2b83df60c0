"""A workspace as a team would leave it: prototypes in every state, written through the store, at chosen times."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from protokeep.core import continuing as rounds
from protokeep.core import generation as steps
from protokeep.core.errors import ProviderBusy, ProviderRejected, ProviderUnreachable
from protokeep.core.history import Event, Source
from protokeep.core.people import Principal, Role
from protokeep.core.prototype import Observation, Prototype, Seen, State, generation_of
from protokeep.service import NewPrototype
from protokeep.service.context import NoQueue, status_events
from protokeep.wiring import Parts

DEMO = "https://preview.example"


@dataclass(frozen=True)
class Scene:
    """One prototype: what for, who asked, what became of it, how long ago, and how long it took."""

    product_id: str
    name: str | None
    owner: str
    prompt: str
    state: State = State.READY
    ago: timedelta = timedelta(hours=1)
    took: timedelta = timedelta(minutes=3)
    another: bool = False


def minutes(number: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)


SCENES = (
    Scene(
        "loyalty",
        "Loyalty card",
        "ben",
        "A loyalty card for a coffee chain: stamps, rewards, and a share button",
        State.READY,
        timedelta(days=11),
        minutes(4.2),
    ),
    Scene(
        "onboarding",
        "Driver onboarding",
        "chiara",
        "Onboarding for delivery drivers in five steps, with document upload and a progress bar",
        State.READY,
        timedelta(days=9),
        minutes(5.1),
    ),
    Scene(
        "grid-monitor",
        None,
        "dmitri",
        "A dashboard for grid operators: load by region, alarms, and a map",
        State.READY,
        timedelta(days=6),
        minutes(2.4),
    ),
    Scene(
        "gutscheine",
        "Gutschein-App",
        "emi",
        "Gutscheine im Supermarkt: Kategorien, Ablauf, Strichcode",
        State.READY,
        timedelta(days=5),
        minutes(3.3),
    ),
    Scene(
        "wallet",
        "Travel wallet",
        "ana",
        "A wallet for boarding passes and receipts, sorted by trip",
        State.READY,
        timedelta(days=4),
        minutes(2.2),
    ),
    Scene(
        "clinic",
        "Clinic booking",
        "ben",
        "Book a doctor: speciality, calendar, confirmation, reminder",
        State.READY,
        timedelta(days=2),
        minutes(3.7),
    ),
    Scene(
        "playlists",
        "Shared playlists",
        "chiara",
        "Playlists that a party edits together, with votes",
        State.READY,
        timedelta(hours=26),
        minutes(2.8),
    ),
    Scene(
        "tax-2027",
        "Tax filing 2027",
        "dmitri",
        "File taxes in ten questions, and see the refund as you answer",
        State.READY,
        timedelta(hours=9),
        minutes(6),
    ),
    Scene(
        "bakery",
        "Bakery shop",
        "ana",
        "A landing page for a bakery, with opening hours, a map and a form to order a cake",
        State.FAILED,
        timedelta(hours=8),
        minutes(1),
    ),
    Scene(
        "bakery",
        "Bakery shop",
        "ana",
        "A landing page for a bakery, with opening hours, a map and a form to order a cake",
        State.READY,
        timedelta(hours=7),
        minutes(3.2),
    ),
    Scene(
        "bakery",
        "Bakery shop",
        "ben",
        "The bakery again, but warmer: photos first, prices in the middle, and a map at the end",
        State.READY,
        timedelta(hours=5),
        minutes(2.9),
        another=True,
    ),
    Scene(
        "crm-lite",
        "CRM lite",
        "emi",
        "A customer list that fits on a phone, with notes and next steps",
        State.READY,
        timedelta(hours=3),
        minutes(4),
    ),
    Scene(
        "museum",
        "Museum guide",
        "ana",
        "An audio guide for a museum, floor by floor",
        State.TIMED_OUT,
        timedelta(hours=2),
        minutes(10),
    ),
    Scene(
        "payroll",
        "Payroll preview",
        "dmitri",
        "Preview a payslip before it is final, line by line, with questions answered beside it",
        State.FAILED,
        minutes(52),
        minutes(1.2),
    ),
    Scene(
        "festival",
        "Festival planner",
        "chiara",
        "Plan three days of concerts without clashes",
        State.PARKED,
        minutes(12),
    ),
    Scene(
        "greenhouse",
        "Greenhouse",
        "emi",
        "Temperature, humidity and watering of four greenhouses on one screen",
        State.WAITING,
        minutes(9),
    ),
    Scene(
        "returns",
        "Returns portal",
        "ben",
        "Return a parcel in three taps: reason, photo, label",
        State.MAKING,
        minutes(2.2),
    ),
    Scene(
        "bike-share",
        "Bike share",
        "ana",
        "Find and unlock a bike nearby, and see what the ride costs",
        State.MAKING,
        minutes(0.7),
    ),
    Scene(
        "intranet-search",
        None,
        "dmitri",
        "Search over the intranet with people, documents and rooms in one list",
        State.QUEUED,
        minutes(0.05),
    ),
)


async def paint(parts: Parts, scenes: tuple[Scene, ...] = SCENES) -> dict[str, Prototype]:
    """Write the scenes as if they had happened; the last prototype of each product by its id."""
    context = parts.keeper.context
    clock, queue = context.clock, context.queue
    context.queue = NoQueue()
    began = datetime.now(UTC)
    made: dict[str, Prototype] = {}
    try:
        for number, scene in zip(itertools.count(1), scenes, strict=False):
            made[scene.product_id] = await _play(parts, scene, began - scene.ago, number)
    finally:
        context.clock, context.queue = clock, queue
    return made


async def _play(parts: Parts, scene: Scene, at: datetime, number: int) -> Prototype:
    context = parts.keeper.context
    context.clock = lambda: at
    who = Principal("default", scene.owner, Role.MAKER, "")
    wanted = NewPrototype(scene.product_id, scene.prompt, create_new=scene.another, product_name=scene.name)
    prototype = (await parts.keeper.ensure(who, wanted, wait=0)).prototype
    for event, after in _steps(parts, prototype, scene, at, number):
        events = [event] if event else status_events(prototype, after, Source.POLL, after.updated_at)
        version = generation_of(prototype).version
        after = replace(after, generation=replace(generation_of(after), version=version))
        saved = await context.store.save(prototype, after, *events)
        assert saved is not None
        prototype = saved
    return prototype


def _steps(
    parts: Parts, prototype: Prototype, scene: Scene, at: datetime, number: int
) -> list[tuple[Event | None, Prototype]]:
    pace = parts.keeper.context.pace
    soon = at + timedelta(seconds=1)
    if scene.state is State.QUEUED:
        return []
    if scene.state is State.PARKED:
        error = ProviderBusy("The v0 account is out of credits.", code="out_of_credits", status=402)
        until = datetime.now(UTC) + minutes(2)
        held = steps.parked(prototype, soon, until=until, code=error.code, message=str(error))
        return [(Event("parked", Source.SUBMIT, soon, data={"code": error.code, "message": str(error)}), held)]
    sent = steps.about_to_send(prototype, soon)
    told: list[tuple[Event | None, Prototype]] = [(Event("sent", Source.SUBMIT, soon), sent)]
    if scene.state is State.UNDECIDED:
        unknown = ProviderUnreachable("No answer within 30 s.", code="no_answer")
        told.append((Event("undecided", Source.SUBMIT, soon), steps.undecided(sent, unknown, soon, pace)))
        return told
    accepted = steps.accepted(
        sent,
        chat_id=f"chat_{number:04d}{scene.product_id.encode().hex()[:8]}",
        message_id=f"msg_{number:04d}",
        project_id=None,
        seen=None,
        now=soon + timedelta(seconds=2),
        pace=pace,
        batched=False,
    )
    told.append((Event("accepted", Source.SUBMIT, soon + timedelta(seconds=2), status="pending"), accepted))
    running = _seen(accepted, Observation(Seen.RUNNING, chat_url=f"{DEMO}/chat/{number}"), soon + minutes(0.1), pace)
    told.append((None, running))
    end = at + scene.took
    if scene.state is State.READY:
        finished = Observation(Seen.FINISHED, demo_url=f"{DEMO}/demo/{number}", web_url=f"{DEMO}/chat/{number}")
        told.append((None, _seen(running, finished, end, pace)))
    elif scene.state is State.FAILED:
        error_of = ProviderRejected("v0 could not finish: the code it wrote does not build.", code="error")
        gave_up = Observation(Seen.BROKE, error_code=error_of.code, error_message=str(error_of))
        told.append((None, _seen(running, gave_up, end, pace)))
    elif scene.state is State.TIMED_OUT:
        told.append((None, _seen(running, Observation(Seen.EXPIRED), end, pace)))
    elif scene.state is State.WAITING:
        asks = Observation(
            Seen.WAITING,
            error_code="waiting_for_answer",
            error_message="v0 asked a question. Answer it on the chat's page.",
        )
        told.append((None, _seen(running, asks, soon + minutes(1), pace)))
    elif scene.state is State.DELETING:
        refused = ProviderUnreachable("v0 did not answer within 30 s.", code="no_answer")
        removing = rounds.not_removed(rounds.removing(running, end), refused, datetime.now(UTC) + minutes(2))
        told.append((Event("deleting", Source.PERSON, end, actor=scene.owner), removing))
    return told


def _seen(before: Prototype, seen: Observation, now: datetime, pace: object) -> Prototype:
    after = steps.observed(before, seen, now, pace, batched=False, missing=False)  # type: ignore[arg-type]
    return replace(after, updated_at=now)
