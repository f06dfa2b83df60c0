"""One workspace does not starve another, whatever it has: people, tokens, streams, waits, long prompts, many rows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from people import ANN, BOB, EVE
from protokeep.core.errors import LimitReached, TooMany, TooSlow
from protokeep.core.principals import Principal, Role
from protokeep.core.provider_keys import KeyOwner
from protokeep.core.shares import Shares
from protokeep.core.visible_fields import LISTED_PROMPT
from protokeep.service import provider_keys
from protokeep.service.provider_keys import ProviderKeys
from protokeep.store.gallery import GalleryStore
from protokeep.store.prototypes import Page
from protokeep.web import broadcast as broadcast_module
from protokeep.web import middleware
from protokeep.web.broadcast import Broadcast, Message, Subscriber, Topic
from world import Site, World, on_sqlite, until

LONG = "".join(chr(0x4E00 + number % 5000) for number in range(100_000))


@pytest.fixture(autouse=True)
def _refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "REFUSAL_SECONDS", 0.0)


async def status_of(site: Site, token: str, path: str = "/api/design/mockups/p-1") -> int:
    response = await site.http.get(path, headers={"Authorization": f"Bearer {token}"})
    if response.status_code == 429:
        assert int(response.headers["retry-after"]) >= 1
    return response.status_code


@on_sqlite
class TestRequests:
    async def test_a_person_has_one_rate_for_all_their_tokens(self, world: World) -> None:
        async with world.serving(real=False, requests_per_minute=4, workspace_requests_per_minute=0) as site:
            tokens = [await site.token(user_id="bob") for _ in range(4)]
            assert [await status_of(site, token) for token in tokens] == [200, 200, 429, 429]
            assert await status_of(site, await site.token(user_id="carl")) == 200

    async def test_a_workspace_has_one_rate_for_all_its_people(self, world: World) -> None:
        """
        However many people a workspace makes, another one's requests are answered.
        """
        async with world.serving(real=False, workspace_requests_per_minute=9) as site:
            people = [await site.token(user_id=f"p-{number}", workspace_id="many") for number in range(6)]
            assert [await status_of(site, token) for token in people] == [200, 200, 200, 429, 429, 429]
            assert await status_of(site, await site.token(user_id="eve", workspace_id="few")) == 200

    async def test_people_whose_names_join_to_the_same_text_are_counted_apart(self, world: World) -> None:
        async with world.serving(real=False, requests_per_minute=2, workspace_requests_per_minute=0) as site:
            first = await site.token(user_id="b/c", workspace_id="a")
            second = await site.token(user_id="c", workspace_id="a")
            assert [await status_of(site, token) for token in (first, first, second)] == [200, 429, 200]


@on_sqlite
class TestStreams:
    async def test_a_workspace_leaves_streams_for_another_one(self, world: World) -> None:
        """
        Many people of one workspace cannot open all the streams of a process.
        """
        broadcast = Broadcast(world.first.context.bus, GalleryStore(world.store).cards, Shares(2, 9))  # type: ignore[arg-type]
        crowd = [Principal("many", f"p-{number}", Role.VIEWER, f"t-{number}") for number in range(9)]
        with contextlib.ExitStack() as opened:
            for one in crowd[:3]:
                opened.enter_context(broadcast.subscribed(Topic("many", "api"), one))
            with pytest.raises(TooMany, match="Your workspace"):
                opened.enter_context(broadcast.subscribed(Topic("many", "api"), crowd[3]))
            opened.enter_context(broadcast.subscribed(Topic("elsewhere", "api"), EVE))

    async def test_the_application_takes_its_streams_from_the_settings(self, world: World) -> None:
        async with (
            world.serving(streams_per_person=1, streams_per_process=3) as site,
            site.http.stream("GET", "/api/design/events") as stream,
        ):
            assert stream.status_code == 200
            assert await status_of(site, await site.token(user_id="bob"), "/api/design/events") == 429
            theirs = {"Authorization": f"Bearer {await site.token(user_id='eve', workspace_id='elsewhere')}"}
            async with site.http.stream("GET", "/api/design/events", headers=theirs) as second:
                assert second.status_code == 200

    async def test_a_subscriber_is_handed_a_bounded_piece_at_a_time(self, world: World) -> None:
        subscriber = Subscriber(Topic("default", "api"))
        for number in range(5):
            subscriber.put(Message(f"e-{number}", "change", "x" * 30_000))
        subscriber.put(Message("e-5", "change", "x" * 200_000))
        subscriber.end()
        pieces = []
        while messages := await subscriber.messages(5):
            pieces.append([len(message.data) for message in messages])
        assert pieces == [[30_000, 30_000], [30_000, 30_000], [30_000], [200_000]]

    async def test_remembered_events_are_bounded_and_encoded_again_when_they_are_asked_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broadcast_module, "REMEMBERED_CHARACTERS", 2500)
        async with world.serving(real=False) as site:
            broadcast: Broadcast = site.http._transport.app.state.broadcast  # type: ignore[attr-defined]
            since = broadcast.newest_id("default")
            for number in range(6):
                await site.create(f"p-{number}")
            await asyncio.sleep(0)
            topic = Topic("default", "api")
            async with asyncio.timeout(10):
                while len(messages := await broadcast.replay(topic, since)) < 7:  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(0.01)
            assert [json.loads(one.data).get("product_id") for one in messages[:-1]] == [f"p-{n}" for n in range(6)]
            kept = [
                message for log in broadcast._logs.values() for one in log.events for message in one.messages.values()
            ]
            assert 0 < sum(len(message.data) for message in kept) <= 2500


@on_sqlite
class TestWaits:
    async def test_a_status_is_answered_at_once_where_too_many_wait(self, world: World) -> None:
        """
        One wait too many is answered as if it had not asked to wait; another workspace's waits go on.
        """
        made = await world.make()
        context = world.first.context
        context.waits = Shares(per_person=1, per_process=9)
        first = asyncio.ensure_future(world.status(wait=600))
        await until(lambda: context.waits.full(ANN) is not None, seconds=20)
        async with asyncio.timeout(30):
            assert (await world.status(wait=600)).id == made.id
        assert not first.done()
        assert [context.waits.full(one) for one in (ANN, BOB)] == ["person", None]
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert context.waits.full(ANN) is None

    async def test_a_create_and_a_follow_up_are_answered_at_once_where_too_many_wait(self, world: World) -> None:
        await world.complete("p-1")
        world.first.context.waits = Shares(per_person=0, per_process=9)
        async with asyncio.timeout(30):
            ensured = await world.ensure("p-2", wait=600)
            assert not ensured.accepted
            changed = await world.keeper.iterate(ANN, (await world.status("p-1")).id, "Make it blue", wait=600)
        assert changed.state.value == "queued"


class TestLists:
    async def test_a_list_has_the_beginning_of_a_prompt_and_one_prototype_all_of_it(self, world: World) -> None:
        """
        A hundred prompts of 100,000 characters would be megabytes; the rows that are read hold no more than is shown.
        """
        async with world.serving(real=False) as site:
            made = (await site.create(prompt=LONG)).json()
            world.clock.advance(1)
            await site.create(prompt="short", create_new=True)
            assert (made["prompt"], made["prompt_cut"]) == (LONG, False)
            listed = (await site.listed()).json()["mockups"]
            assert [(len(one["prompt"]), one["prompt_cut"]) for one in listed] == [(5, False), (LISTED_PROMPT, True)]
            assert listed[1]["prompt"] == LONG[:LISTED_PROMPT]
            one = (await site.http.get(f"/api/design/prototypes/{made['id']}")).json()
            assert (one["prompt"], one["prompt_cut"]) == (LONG, False)
            status = (await site.status()).json()
            assert (status["prompt"], status["prompt_cut"]) == ("short", False)
        rows = await world.store.list_of_product("default", "p-1", Page())
        cards = await GalleryStore(world.store).cards("default", [made["id"]])
        read = [rows[1].prompt, cards[made["id"]].prototype.prompt]
        assert [len(prompt or "") for prompt in read] == [LISTED_PROMPT + 1] * 2

    @on_sqlite
    async def test_a_live_event_has_the_beginning_of_a_prompt(self, world: World) -> None:
        async with world.serving(real=False) as site:
            broadcast: Broadcast = site.http._transport.app.state.broadcast  # type: ignore[attr-defined]
            with broadcast.subscribed(Topic("default", "api"), ANN) as subscriber:
                await site.create(prompt=LONG)
                async with asyncio.timeout(10):
                    (message, *_) = await subscriber.messages(5)
        event = json.loads(message.data)
        assert (len(event["prompt"]), event["prompt_cut"]) == (LISTED_PROMPT, True)

    async def test_tokens_and_people_are_listed_in_pages(self, world: World) -> None:
        async with world.serving(real=False) as site:
            headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'root')}"}
            for number in range(7):
                world.clock.advance(number % 2)  # Some are made at the same moment.
                await site.token(user_id=f"p-{number}")
            for path, key in (("tokens", "user_id"), ("people", "user_id")):
                seen, cursor = [], None
                while True:
                    params = {"limit": "4", **({"cursor": cursor} if cursor else {})}
                    page = (await site.http.get(f"/api/design/{path}", params=params, headers=headers)).json()
                    assert len(page[path]) <= 4
                    seen += [one[key] for one in page[path]]
                    if (cursor := page["next_cursor"]) is None:
                        break
                assert sorted(seen) == sorted(["ann", "root", *(f"p-{number}" for number in range(7))]), path
                for bad in ("limit=0", "limit=101", "cursor=%21%21", "cursor=AAAA"):
                    assert (await site.http.get(f"/api/design/{path}?{bad}", headers=headers)).status_code == 422

    @on_sqlite
    async def test_a_search_that_is_ended_is_a_503_with_words(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def ended(*_: Any, **__: Any) -> Any:
            raise TooSlow(3)

        async with world.serving(real=False) as site:
            monkeypatch.setattr(site.node.database, "scan", ended)
            for path in ("/api/design/people", "/api/design/audit?actor=ann", "/api/design/mockups/p-1?mine=true"):
                headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'root')}"}
                refused = await site.http.get(path, headers=headers)
                assert refused.status_code == 503, (path, refused.text)
                assert (refused.status_code, refused.json()["type"]) == (503, "urn:protokeep:problem:too-slow")
                assert "fewer or other words" in refused.json()["detail"]
                assert refused.headers["retry-after"]


class TestKept:
    async def test_a_workspace_has_so_many_valid_tokens_and_revoking_makes_room(self, world: World) -> None:
        async with world.serving(real=False, tokens_per_workspace=3) as site:  # One is the site's own.
            headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'root')}"}

            async def create(**body: Any) -> Any:
                return await site.http.post("/api/design/tokens", json=body, headers=headers)

            made = (await create(days=1)).json()
            refused = await create()
            assert (refused.status_code, refused.json()["type"]) == (409, "urn:protokeep:problem:limit-reached")
            assert "Revoke some" in refused.json()["detail"]
            await site.token(workspace_id="elsewhere")
            await site.http.delete(f"/api/design/tokens/{made['id']}", headers=headers)
            again = await create(days=1)
            assert again.status_code == 201
            world.clock.advance(86_400)  # An expired one makes room, too.
            assert (await create()).status_code == 201
            assert (await create()).status_code == 409
            audit = (await site.http.get("/api/design/audit?action=token_created", headers=headers)).json()
            assert len(audit["entries"]) == 5  # Two of the world's own; none of those that were refused.

    @on_sqlite
    async def test_a_token_over_http_lasts_no_longer_than_the_operator_says(self, world: World) -> None:
        async with world.serving(real=False, token_days_most=30) as site:
            headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'root')}"}
            url = "/api/design/tokens"
            made = (await site.http.post(url, json={}, headers=headers)).json()
            assert made["expires_at"] is not None
            refused = await site.http.post(url, json={"days": 31}, headers=headers)
            assert (refused.status_code, refused.json()["field"]) == (422, "days")

    async def test_a_workspace_has_so_many_idempotency_keys_and_those_it_has_are_replayed(self, world: World) -> None:
        """
        Each key is a row for a week. Without room a key that is known still gets the first answer, and a create without
        a key is made as ever; another workspace has keys of its own.
        """
        world.first.context.key_room._per_workspace = 2
        for number in (1, 2):
            await world.ensure(f"p-{number}", idempotency_key=f"k-{number}")
        world.clock.advance(61)  # The count is a minute old at the most.
        with pytest.raises(TooMany, match="Leave the Idempotency-Key out"):
            await world.ensure("p-3", idempotency_key="k-3")
        assert (await world.ensure("p-1", idempotency_key="k-1")).is_existing
        assert not (await world.ensure("p-3")).is_existing
        await world.ensure("p-1", who=EVE, idempotency_key="k-1")
        ready = await world.complete("p-4")
        with pytest.raises(TooMany):
            await world.keeper.iterate(ANN, ready.id, "Make it blue", idempotency_key="k-4", wait=0)

    @on_sqlite
    async def test_a_workspace_has_so_many_provider_keys(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Each key is an account that is tracked and searched by itself.
        """
        monkeypatch.setattr(provider_keys, "KEYS_PER_WORKSPACE", 1)
        keys = ProviderKeys(world.first.context)
        await keys.set(ANN, KeyOwner("default", "ann"), "v0", "v1:anns:AAAAAAAAAAAA")
        await keys.set(ANN, KeyOwner("default", "ann"), "v0", "v1:anns:BBBBBBBBBBBB")
        with pytest.raises(LimitReached, match="Remove some"):
            await keys.set(BOB, KeyOwner("default", "bob"), "v0", "v1:bobs:AAAAAAAAAAAA")
        await keys.set(EVE, KeyOwner("elsewhere", "eve"), "v0", "v1:eves:AAAAAAAAAAAA")


async def test_a_sweep_takes_up_rows_of_all_workspaces_in_turns(world: World) -> None:
    """
    A workspace with many rows that wait does not keep another one's row from being queued.
    """
    for number in range(5):
        await world.ensure(f"p-{number}")
        world.clock.advance(1)
    theirs = await world.ensure("p-1", who=EVE)
    world.clock.advance(60)
    due = await world.store.due_for_submit(world.clock.now, limit=2)
    assert theirs.prototype.id in [mockup_id for mockup_id, _, _ in due]
    assert len(await world.store.due_for_submit(world.clock.now)) == 6
