"""Both clients against a served protokeep."""

from __future__ import annotations

import asyncio

import pytest

from live_server import Demo
from protokeep.client import (
    AsyncProtokeep,
    InvalidInput,
    KeyReused,
    NoAnswer,
    NotAllowed,
    NotAuthenticated,
    NotFinished,
    NotFound,
    NotProtokeep,
    OtherEventLoop,
    Protokeep,
    Prototype,
)
from protokeep.core import errors as core


def test_asking_twice_gives_one_prototype(served: Demo) -> None:
    """
    Asking twice gives one prototype, and says the second time that it was there.
    """
    with Protokeep(served.url, served.token) as keep:
        first = keep.ensure("shop", "A landing page")
        second = keep.ensure("shop", "a  LANDING page")

    assert (first.is_existing, first.decision.outcome) == (False, "created")
    assert (second.is_existing, second.decision.outcome, second.decision.prompt_differs) == (True, "reused", False)
    assert first.id == second.id
    assert served.chats_created == 1


async def test_a_hundred_coroutines_get_one_prototype(served: Demo) -> None:
    """
    A hundred coroutines that want the same product's prototype get one.
    """
    async with AsyncProtokeep(served.url, served.token) as keep:
        prototypes = await asyncio.gather(*(keep.ensure("shop", "A landing page") for _ in range(100)))
        detail = await keep.get(prototypes[0].id)

    assert len({prototype.id for prototype in prototypes}) == 1
    assert sum(prototype.is_existing for prototype in prototypes) == 99
    assert served.chats_created == 1
    assert detail.history[0].kind == "claimed"
    assert detail.history[0].actor == "ana"


def test_list_yields_every_prototype_through_all_pages(served: Demo) -> None:
    """
    `list` yields every prototype, newest first, however small the pages are.
    """
    with Protokeep(served.url, served.token) as keep:
        ids = [keep.ensure("shop", f"Version {number}", create_new=True).id for number in range(5)]
        prototypes = list(keep.list("shop", limit=2))

    assert ids[::-1] == [prototype.id for prototype in prototypes]
    assert [prototype.is_current for prototype in prototypes] == [True, False, False, False, False]
    assert prototypes[0].created_at.tzinfo is not None


def test_wait_reports_progress_until_the_prototype_is_ready(served: Demo) -> None:
    """
    `wait` calls back while it is being made, and returns it once it can be opened.
    """
    seen: list[Prototype] = []

    def progress(prototype: Prototype) -> None:
        seen.append(prototype)
        if len(seen) == 1:
            served.finish()

    with Protokeep(served.url, served.token) as keep:
        keep.ensure("shop", "A landing page")
        done = keep.wait("shop", seconds=20, progress=progress)

    assert seen[0].state == "making"
    assert done.ready
    assert (done.project_url or "").startswith("http")


def test_wait_gives_up_in_time_and_says_how_far_it_got(served: Demo) -> None:
    """
    When the time is over `wait` says so, and hands over how far it got.
    """
    with Protokeep(served.url, served.token) as keep:
        prototype = keep.ensure("shop", "A landing page")
        with pytest.raises(NotFinished) as caught:
            keep.wait("shop", seconds=0.5)

    assert prototype.id == caught.value.prototype.id


def test_a_failed_generation_is_finished_not_ready_and_says_why(served: Demo) -> None:
    """
    A generation that failed is finished, not ready, and says why.
    """
    with Protokeep(served.url, served.token) as keep:
        keep.ensure("shop", "A landing page")
        served.finish("error")
        done = keep.wait("shop", seconds=20)

    assert (done.finished, done.ready) == (True, False)
    assert done.error is not None
    assert done.trouble


def test_each_problem_becomes_its_own_typed_error(served: Demo) -> None:
    """
    Each problem is an error of its own, which is also the service's error of that name.
    """
    with Protokeep(served.url, served.token) as keep:
        with pytest.raises(NotFound, match="create-project"):
            keep.status("nothing")
        with pytest.raises(InvalidInput) as bad:
            keep.ensure("shop", " ")
        keep.ensure("shop", "A landing page", idempotency_key="k")
        with pytest.raises(KeyReused):
            keep.ensure("shop", "Another page", idempotency_key="k")
    with Protokeep(served.url, served.viewer_token) as viewer, pytest.raises(NotAllowed, match="maker"):
        viewer.ensure("shop", "A landing page")
    with Protokeep(served.url, "pk_wrong") as nobody, pytest.raises(NotAuthenticated) as unknown:
        nobody.status("shop")

    assert bad.value.field == "prompt"
    assert isinstance(bad.value, core.InvalidInput)
    assert isinstance(unknown.value, core.NotAuthenticated)
    assert unknown.value.problem.status == 401
    assert unknown.value.problem.request_id


def test_without_a_server_the_error_says_what_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When no server listens the error says what to start and which variable says where.
    """
    monkeypatch.setattr("protokeep.client.operations.FIRST_PAUSE", 0.001)
    with Protokeep("http://127.0.0.1:9", "t") as keep, pytest.raises(NoAnswer, match=r"protokeep serve.*PROTOKEEP_URL"):
        keep.status("shop")


def test_another_service_at_the_address_is_told_from_a_refusal(served: Demo) -> None:
    """
    An address that is another service's is told apart from a refusal.
    """
    with Protokeep(served.v0_url, "t") as keep, pytest.raises((NotProtokeep, NotFound)):
        keep.status("shop")


def test_address_and_token_come_from_the_environment(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without arguments, PROTOKEEP_URL and PROTOKEEP_TOKEN say where and as whom.
    """
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)

    with Protokeep() as keep:
        assert keep.ensure("shop", "A landing page").user_id == "ana"


@pytest.mark.parametrize("stream", [True, False])
def test_changes_are_told_from_a_stream_or_by_polling(
    served: Demo, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A product's changes are told from how it stands at first; where the server has no stream, by asking for it.
    """
    if not stream:
        monkeypatch.setattr("protokeep.client.sync.EVENTS_PATH", "/api/design/no-such-thing")
        monkeypatch.setattr("protokeep.client.sync.POLL_SECONDS", 0.1)
    with Protokeep(served.url, served.token) as keep:
        prototype = keep.ensure("shop", "A landing page")
        states = []
        for change in keep.events("shop"):
            assert change.id == prototype.id
            states.append(change.state)
            if len(states) == 1:
                served.finish()
            if change.state == "ready":
                break

    assert states[0] == "making"


def test_an_asynchronous_client_in_a_second_event_loop_says_what_to_do(served: Demo) -> None:
    """
    Its connections belong to the first loop. Every call in another one says so, and closing it there is no error.
    """

    async def use(keep: AsyncProtokeep, *, close: bool = False) -> str:
        try:
            return (await keep.ensure("shop", "A landing page")).product_id
        finally:
            if close:
                await keep.aclose()

    async def first_change(keep: AsyncProtokeep) -> object:
        return await anext(aiter(keep.events("shop")))

    async def both() -> None:
        keep = AsyncProtokeep(served.url, served.token)
        assert await use(keep) == "shop"
        for call in (use(keep, close=True), first_change(keep)):
            with pytest.raises(OtherEventLoop, match="Make one inside each"):
                await asyncio.to_thread(asyncio.run, call)
        await keep.aclose()

    asyncio.run(both())
    assert served.chats_created == 1


async def test_what_cannot_be_sent_is_refused_before_anything_is_sent(served: Demo) -> None:
    """
    Half a character in a value, in a path or in a query, and letters that no header takes, are input like any other.
    """
    async with AsyncProtokeep(served.url, served.token) as keep:
        for call in (
            keep.ensure("shop", "\udce9"),
            keep.ensure("\udce9", "A page"),
            keep.ensure("shop", "A page", idempotency_key="é"),
            keep.iterate("00000000-0000-4000-8000-000000000000", "\ud800"),
            keep.status("\udce9"),
            keep.status("shop", provider="\udce9"),
        ):
            with pytest.raises(InvalidInput) as refused:
                await call
            assert not refused.value.may_have_acted

    assert served.chats_created == 0
