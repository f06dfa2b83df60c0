"""A change of any field of the view gives another ETag and is sent to everybody who looks on.

A field that is added to `PrototypeView` has to be added to `CHANGES` here, or the first test fails.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from factories import NOW, with_values
from factories import prototype as tracked_prototype
from protokeep.client.models import Prototype as ClientPrototype
from protokeep.core.prototype import PollingPause, Prototype, Status
from protokeep.core.visible_fields import VOLATILE_FIELDS, visible_fields, visible_version
from protokeep.web.models import ErrorView, PrototypeView, ReasonView
from protokeep.web.serialization import View, etag_of, prototype_json
from tracked import tracked as is_tracked
from world import World, on_sqlite

Change = Callable[[Prototype], Prototype]

PATIENCE = 10.0
SECOND = timedelta(seconds=1)


def own(**values: Any) -> Change:
    """A change of the owner's columns."""
    return lambda prototype: replace(prototype, **values)


def tracked(**values: Any) -> Change:
    """A change of what we track."""
    return lambda prototype: with_values(is_tracked(prototype), **values)


def held(prototype: Prototype) -> Prototype:
    return tracked(hold_code="rate_limited", hold_message="v0 asks for patience.")(prototype)


def failed(prototype: Prototype) -> Prototype:
    return tracked(error_code="failed", error_message="No reason given.")(prototype)


def same(prototype: Prototype) -> Prototype:
    return prototype


#: What is changed, after what was made of the prototype before: each field of the view, and what is inside of some.
CHANGES: Mapping[str, tuple[Change, Change]] = {
    "id": (same, own(id="00000000-0000-4000-8000-00000000000f")),
    "product_id": (same, own(product_id="p-2")),
    "product_name": (same, own(product_name="Another name")),
    "tags": (same, own(tags=("retail",))),
    "archived_at": (same, own(archived_at=NOW)),
    "user_id": (same, own(user_id="bob")),
    "provider": (same, own(provider="v1")),
    "prompt": (same, own(prompt="another one")),
    "v0_chat_id": (same, own(chat_id="c-2")),
    "v0_project_id": (same, own(project_id="pr-2")),
    "project_status": (same, own(status=Status.FAILED)),
    "state": (same, tracked(awaiting_input=True)),
    "reason": (same, held),
    "reason.code": (held, tracked(hold_code="no_credits")),
    "reason.message": (held, tracked(hold_message="v0 asks for more patience.")),
    "reason.next_try_at": (held, lambda one: tracked(next_try_at=one.created_at + SECOND)(one)),
    "project_url": (same, own(project_url="https://v0.app/2")),
    "demo_url": (same, tracked(demo_url="https://demo.example/2")),
    "web_url": (same, tracked(web_url="https://web.example/2")),
    "chat_url": (same, tracked(chat_url="https://chat.example/2")),
    "thumbnail_url": (same, own(thumbnail_url="https://pictures.example/2")),
    "image_url": (same, own(image_url="https://pictures.example/2")),
    "phase_submission_id": (same, own(phase_submission_id="5")),
    "metadata": (same, own(metadata={"note": "of the owner's"})),
    "error": (same, failed),
    "error.code": (failed, tracked(error_code="gone")),
    "error.message": (failed, tracked(error_message="Out of ideas.")),
    "is_current": (same, lambda one: replace(one, is_current=not one.is_current)),
    "created_at": (same, lambda one: replace(one, created_at=one.created_at - SECOND)),
    "updated_at": (same, lambda one: replace(one, updated_at=one.updated_at + SECOND)),
    "credits": (same, tracked(credits=2.5)),
    "key_source": (same, tracked(account="v0:workspace:default")),
    "deletion_due_at": (same, lambda one: tracked(deletion_due_at=one.created_at + SECOND)(one)),
    "archive_id": (same, tracked(archive_id="00000000-0000-4000-8000-00000000000a")),
    "variant": (same, tracked(variant=7)),
    "variant_name": (same, tracked(variant_name="Dark header")),
}
#: Says of a list that it cuts the prompt; the prompt itself has a change above.
OF_LISTS = {"prompt_cut"}
#: Changes that people see and that no field of the view shows, or not by itself.
UNSEEN_IN_JSON: Mapping[str, tuple[Change, Change]] = {
    "another picture at the same address": (tracked(picture_etag="one"), tracked(picture_etag="two")),
}
#: What the store writes with a guarded save, and so tells the viewers of. The other fields never change with one.
SAVED = (
    "v0_chat_id",
    "v0_project_id",
    "project_status",
    "state",
    "reason",
    "reason.code",
    "reason.message",
    "reason.next_try_at",
    "project_url",
    "demo_url",
    "web_url",
    "chat_url",
    "error",
    "error.code",
    "error.message",
    "updated_at",
    "credits",
)


def value_of(name: str, view: Mapping[str, Any]) -> Any:
    outer, _, inner = name.partition(".")
    return view[outer][inner] if inner else view[outer]


def accepted() -> Prototype:
    """A prototype as a create leaves it that the builder has accepted."""
    return tracked_prototype(id="p", prompt="a shop", chat_id="c-1", chat_url="https://chat.example/1")


def test_every_field_of_the_view_is_changed_here() -> None:
    inner: list[tuple[str, type[BaseModel]]] = [("error", ErrorView), ("reason", ReasonView)]
    names = {*PrototypeView.model_fields, *(f"{name}.{part}" for name, view in inner for part in view.model_fields)}
    assert names == set(CHANGES) | VOLATILE_FIELDS | OF_LISTS


def test_the_view_and_the_client_have_every_visible_field() -> None:
    """
    A visible field that the view lacks would be in the ETag and not in the JSON.
    """
    visible = set(visible_fields(accepted(), NOW))
    client = {field.name for field in fields(ClientPrototype)}

    assert visible == set(PrototypeView.model_fields)
    assert visible <= client


@pytest.mark.parametrize("name", [*CHANGES, *UNSEEN_IN_JSON])
def test_a_changed_field_gives_another_etag_and_is_worth_telling(name: str) -> None:
    before_that, change = {**CHANGES, **UNSEEN_IN_JSON}[name]
    before = before_that(accepted())
    after = change(before)

    if name in CHANGES:
        shown = [value_of(name, json.loads(prototype_json(View.of(one, NOW)))) for one in (before, after)]
        assert shown[0] != shown[1]
    assert etag_of([View.of(before, NOW)]) != etag_of([View.of(after, NOW)])
    assert visible_version(before) != visible_version(after)


def test_a_pause_of_polling_gives_another_etag_when_it_begins_and_when_it_ends() -> None:
    """
    It is written at the account, and ends by the clock: nothing of the prototype changes.
    """
    ends = NOW + timedelta(hours=1)
    paused = replace(accepted(), polling_pause=PollingPause(ends, "slowed", "Polls are paused."))

    assert etag_of([View.of(accepted(), NOW)]) != etag_of([View.of(paused, NOW)])
    assert etag_of([View.of(accepted(), ends)]) == etag_of([View.of(paused, ends)])


def test_a_poll_that_changed_nothing_keeps_the_etag() -> None:
    polled = tracked(observed_at=NOW + SECOND, poll_count=1)(accepted())

    assert etag_of([View.of(accepted(), NOW)]) == etag_of([View.of(polled, NOW + SECOND)])
    assert visible_version(accepted()) == visible_version(polled)


@on_sqlite
async def test_each_saved_field_is_sent_to_who_looks_on(world: World) -> None:
    """
    Over HTTP: the stream of the workspace has the new value, and the list another ETag.
    """
    changed: dict[str, Prototype] = {}
    async with world.serving() as site, site.http.stream("GET", "/api/design/events") as stream:
        lines = stream.aiter_lines()
        for name in SAVED:
            prepare, change = CHANGES[name]
            before = await world.make(name)
            if prepare is not same:
                before = await saved(world, before, prepare(before))
            etag = (await site.listed(name)).headers["etag"]
            changed[name] = await saved(world, before, change(before))

            answer = await site.listed(name)
            assert answer.headers["etag"] != etag, name
            (expected,) = answer.json()["mockups"]
            async with asyncio.timeout(PATIENCE):
                while value_of(name, await next_change(lines, changed[name].id)) != value_of(name, expected):
                    pass


async def saved(world: World, before: Prototype, after: Prototype) -> Prototype:
    """Save on the side of the server's process, where its stream hears of it; as it is written then."""
    assert await world.nodes[-1].store.save(is_tracked(before), is_tracked(after)) is not None
    return await world.get(after.id)


async def next_change(lines: AsyncIterator[str], prototype_id: str) -> dict[str, Any]:
    """The next event of a prototype. What was saved before it was followed may come first."""
    while True:
        line = await anext(lines)
        if line.startswith("data: ") and f'"id":"{prototype_id}"' in line:
            data: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return data
