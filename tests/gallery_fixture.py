"""A workspace as a team would leave it: prototypes in every state, written through the store, at chosen times."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from protokeep.core import deletion, polling
from protokeep.core import follow_up as rounds
from protokeep.core import submission as steps
from protokeep.core.conversation import Conversation
from protokeep.core.errors import ProviderBusy, ProviderRejected, ProviderUnreachable
from protokeep.core.events import Event, Source
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import Observation, ObservedState, Prototype, State, TrackedPrototype
from protokeep.core.timing import Timing
from protokeep.sandbox.site.screenshot import screenshot_of
from protokeep.sandbox.site.theme import theme_of
from protokeep.sandbox.state import Chat
from protokeep.service import NewPrototype
from protokeep.service.context import NoQueue, status_events
from protokeep.store.pictures import Picture, save_picture
from protokeep.store.slots import free_slot
from protokeep.store.sql import Connection
from protokeep.wiring import Application
from tracked import tracked

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
    pictured: bool = False
    #: A follow-up that the builder took (True) or refused (False).
    asked: bool | None = None


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
        pictured=True,
    ),
    Scene(
        "onboarding",
        "Driver onboarding",
        "chiara",
        "Onboarding for delivery drivers in five steps, with document upload and a progress bar",
        State.READY,
        timedelta(days=9),
        minutes(5.1),
        pictured=True,
    ),
    Scene(
        "grid-monitor",
        None,
        "dmitri",
        "A dashboard for grid operators: load by region, alarms, and a map",
        State.READY,
        timedelta(days=6),
        minutes(2.4),
        pictured=True,
    ),
    Scene(
        "gutscheine",
        "Gutschein-App",
        "emi",
        "Gutscheine im Supermarkt: Kategorien, Ablauf, Strichcode",
        State.READY,
        timedelta(days=5),
        minutes(3.3),
        asked=False,
    ),
    Scene(
        "wallet",
        "Travel wallet",
        "ana",
        "A wallet for boarding passes and receipts, sorted by trip",
        State.READY,
        timedelta(days=4),
        minutes(2.2),
        pictured=True,
    ),
    Scene(
        "clinic",
        "Clinic booking",
        "ben",
        "Book a doctor: speciality, calendar, confirmation, reminder",
        State.READY,
        timedelta(days=2),
        minutes(3.7),
        pictured=True,
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
        pictured=True,
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
        pictured=True,
        asked=True,
    ),
    Scene(
        "crm-lite",
        "CRM lite",
        "emi",
        "A customer list that fits on a phone, with notes and next steps",
        State.READY,
        timedelta(hours=3),
        minutes(4),
        pictured=True,
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
        "seat-map",
        "Seat map",
        "dmitri",
        "A seat map of a theatre, with prices by row",
        State.DELETING,
        minutes(31),
        minutes(3),
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


async def paint(application: Application, scenes: tuple[Scene, ...] = SCENES) -> dict[str, Prototype]:
    """Write the scenes as if they had happened; the last prototype of each product by its id."""
    context = application.keeper.context
    clock, queue = context.clock, context.queue
    context.queue = NoQueue()
    began = datetime.now(UTC)
    made: dict[str, Prototype] = {}
    try:
        for number, scene in zip(itertools.count(1), scenes, strict=False):
            made[scene.product_id] = await _play(application, scene, began - scene.ago, number)
    finally:
        context.clock, context.queue = clock, queue
    return made


async def _play(application: Application, scene: Scene, at: datetime, number: int) -> TrackedPrototype:
    context = application.keeper.context
    context.clock = lambda: at
    who = Principal("default", scene.owner, Role.MAKER, "")
    wanted = NewPrototype(scene.product_id, scene.prompt, create_new=scene.another, product_name=scene.name)
    prototype = tracked((await application.keeper.ensure(who, wanted, wait=0)).prototype)
    for event, after in _steps(application, prototype, scene, at, number):
        events = [event] if event else status_events(prototype, after, Source.POLL, after.updated_at)
        after = after.with_generation(version=prototype.generation.version)
        saved = await context.store.save(prototype, after, *events)
        assert saved is not None
        prototype = saved
    if scene.state is State.DELETING:
        async with context.store.database.transaction() as connection:
            await free_slot(connection, prototype.id)
    return await _pictured(application, prototype, at) if scene.pictured else prototype


async def _pictured(application: Application, prototype: TrackedPrototype, at: datetime) -> TrackedPrototype:
    """As the end of v1's prototypes leaves them: with a picture that is kept here."""
    prompt = prototype.prompt or ""
    body = screenshot_of(theme_of(Chat(prototype.product_id, "v1", "", prompt, at, at, at, 1)))
    picture = Picture("image/png", body, hashlib.sha256(body).hexdigest()[:32])

    async def keep(connection: Connection) -> None:
        await save_picture(connection, prototype.id, picture, at)

    after = prototype.with_generation(picture_etag=f"00000000-{picture.etag}")
    saved = await application.keeper.context.store.save(prototype, after, belongs=keep)
    assert saved is not None
    return saved


def _follow_up(
    ready: TrackedPrototype, scene: Scene, at: datetime, pace: Any
) -> list[tuple[Event | None, TrackedPrototype]]:
    if scene.asked is None:
        return []
    words = "Photos first, prices in the middle, and a darker header"
    asked = rounds.requested(ready, words, at)
    sent = rounds.about_to_send_follow_up(asked, at, pace, Conversation([], None, whole=True))
    told: list[tuple[Event | None, TrackedPrototype]] = [
        (Event("asked", Source.PERSON, at, actor=scene.owner, data={"message": words}), asked),
        (Event("sent", Source.SUBMIT, at), sent),
    ]
    if scene.asked:
        taken = rounds.follow_up_accepted(
            sent, message_id="msg_2", observation=None, now=at, timing=pace, batched=False
        )
        end = Observation(ObservedState.FINISHED, message_id="msg_2", credits=0.4)
        told += [(Event("continued", Source.SUBMIT, at), taken), (None, _seen(taken, end, at + scene.took, pace))]
    else:
        error = ProviderRejected("v0 refused it: the message is about something it does not make.", code="refused")
        after = rounds.rejected(sent, error, at, pace, batched=False)
        told.append((Event("refused", Source.SUBMIT, at, data={"code": error.code, "message": str(error)}), after))
    return told


def _steps(
    application: Application, prototype: TrackedPrototype, scene: Scene, at: datetime, number: int
) -> list[tuple[Event | None, TrackedPrototype]]:
    pace = application.keeper.context.timing
    soon = at + timedelta(seconds=1)
    if scene.state is State.QUEUED:
        return []
    if scene.state is State.PARKED:
        error = ProviderBusy("The v0 account is out of credits.", code="out_of_credits", status=402)
        until = datetime.now(UTC) + minutes(2)
        held = steps.parked(prototype, until=until, code=error.code, message=str(error))
        return [(Event("parked", Source.SUBMIT, soon, data={"code": error.code, "message": str(error)}), held)]
    sent = steps.about_to_send(prototype, soon, pace)
    told: list[tuple[Event | None, TrackedPrototype]] = [(Event("sent", Source.SUBMIT, soon), sent)]
    if scene.state is State.UNDECIDED:
        unknown = ProviderUnreachable("No answer within 30 s.", code="no_answer")
        told.append((Event("undecided", Source.SUBMIT, soon), steps.outcome_unknown(sent, unknown, soon, pace)))
        return told
    accepted = steps.accepted(
        sent,
        chat_id=f"chat_{number:04d}{scene.product_id.encode().hex()[:8]}",
        message_id=f"msg_{number:04d}",
        project_id=None,
        observation=None,
        now=soon + timedelta(seconds=2),
        timing=pace,
        batched=False,
    )
    told.append((Event("accepted", Source.SUBMIT, soon + timedelta(seconds=2), status="pending"), accepted))
    running = _seen(
        accepted, Observation(ObservedState.RUNNING, chat_url=f"{DEMO}/chat/{number}"), soon + minutes(0.1), pace
    )
    told.append((None, running))
    end = at + scene.took
    if scene.state is State.READY:
        finished = Observation(
            ObservedState.FINISHED, demo_url=f"{DEMO}/demo/{number}", web_url=f"{DEMO}/chat/{number}"
        )
        finished = replace(finished, credits=0.12 * number)
        ready = _seen(running, finished, end, pace)
        told.append((None, ready))
        told += _follow_up(ready, scene, end + minutes(1), pace)
    elif scene.state is State.FAILED:
        error_of = ProviderRejected("v0 could not finish: the code it wrote does not build.", code="error")
        gave_up = Observation(ObservedState.BROKE, error_code=error_of.code, error_message=str(error_of))
        told.append((None, _seen(running, gave_up, end, pace)))
    elif scene.state in (State.STOPPED, State.TIMED_OUT):
        told.append((None, _ended_early(running, scene.state, end, pace)))
    elif scene.state is State.NOT_VISIBLE:
        told.append((None, polling.polled(running, polling.ChatMissing(), end, pace, batched=False)))
    elif scene.state is State.WAITING:
        asks = Observation(
            ObservedState.WAITING,
            error_code="waiting_for_answer",
            error_message="v0 asked a question. Answer it to continue.",
        )
        told.append((None, _seen(running, asks, soon + minutes(1), pace)))
    elif scene.state is State.DELETING:
        refused = ProviderUnreachable("v0 did not answer within 30 s.", code="no_answer")
        removing = deletion.deletion_failed(
            deletion.deletion_requested(running, end), refused, datetime.now(UTC) + minutes(2)
        )
        told.append((Event("deleting", Source.PERSON, end, actor=scene.owner), removing))
    return told


def _ended_early(running: TrackedPrototype, state: State, end: datetime, pace: Timing) -> TrackedPrototype:
    if state is State.STOPPED:
        return rounds.stopped(running, end, "ann")
    return _seen(running, Observation(ObservedState.EXPIRED), end, pace)


def _seen(before: TrackedPrototype, seen: Observation, now: datetime, pace: Timing) -> TrackedPrototype:
    after = polling.polled(before, polling.ChatShown(seen), now, pace, batched=False)
    return replace(after, updated_at=now)
