"""The spec's three routes, over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from people import ANN
from protokeep.core.principals import Role
from world import GENERATION_SECONDS, PROMPT, Site, World, both_versions, on_sqlite

#: The prototype view of the design, and what tells where it stands.
VIEW = {
    *(
        "id",
        "product_id",
        "product_name",
        "user_id",
        "provider",
        "prompt",
        "prompt_cut",
        "v0_chat_id",
        "v0_project_id",
        "project_status",
    ),
    *("project_url", "demo_url", "web_url", "chat_url", "thumbnail_url", "image_url", "error", "is_current"),
    *("created_at", "updated_at", "observed_at", "poll_count", "elapsed_seconds", "state", "reason", "credits"),
    *("key_source", "phase_submission_id", "metadata", "deletion_due_at", "archive_id", "variant", "variant_name"),
    *("tags", "archived_at"),
}


class TestCreate:
    @both_versions
    async def test_the_first_create_is_201_and_the_next_200_with_the_same_one(
        self, real_site: Site, world: World
    ) -> None:
        """
        201 with the new one, then 200 with the same one.
        """
        first, second = await real_site.create(), await real_site.create()

        assert (first.status_code, second.status_code) == (201, 200)
        made, again = first.json(), second.json()
        assert set(made) == VIEW | {"is_existing", "decision"}
        assert (made["is_existing"], again["is_existing"]) == (False, True)
        assert (made["decision"]["outcome"], again["decision"]["outcome"]) == ("created", "reused")
        assert made["id"] == again["id"]
        assert (made["v0_chat_id"], made["user_id"], made["prompt"]) == (world.chat.id, "ann", PROMPT)
        assert first.headers["location"] == f"/api/design/prototypes/{made['id']}"
        assert world.chats_created == 1

    @on_sqlite
    async def test_times_are_aware_and_in_utc(self, site: Site) -> None:
        """
        Times are aware, in UTC.
        """
        made = (await site.create()).json()

        for name in ("created_at", "updated_at"):
            assert datetime.fromisoformat(made[name]).utcoffset() is not None

    @on_sqlite
    async def test_prefer_respond_async_answers_202_and_the_prototype_is_made(self, site: Site, world: World) -> None:
        """
        `Prefer: respond-async` answers 202 at once, and the prototype is made all the same.
        """
        with world.knobs(hold_creates=True):
            answer = await site.create(headers={"Prefer": "respond-async"})
            assert (answer.status_code, answer.json()["project_status"]) == (202, "pending")
            assert (answer.json()["v0_chat_id"], answer.json()["is_existing"]) == (None, False)
        await site.node.work()

        assert (await site.status()).json()["v0_chat_id"] == world.chat.id

    @on_sqlite
    async def test_prefer_wait_bounds_the_wait_for_the_builder(self, site: Site, world: World) -> None:
        """
        `Prefer: wait=n` bounds the wait for the builder: 202 when it is over.
        """
        with world.knobs(hold_creates=True):
            async with asyncio.timeout(5):
                answer = await site.create(headers={"Prefer": "wait=1"})
            assert answer.status_code == 202

    @on_sqlite
    async def test_a_parked_create_is_202_with_the_reason_and_the_next_try(self, site: Site, world: World) -> None:
        """
        Out of credits: 202 with a reason that says so and when it goes on.
        """
        world.sandbox.set_knobs(fail_next=[{"status": 402, "message": "Top up."}])

        answer = await site.create()

        assert (answer.status_code, answer.json()["state"]) == (202, "parked")
        reason = answer.json()["reason"]
        assert (reason["code"], "Top up." in reason["message"]) == ("out_of_credits", True)
        assert datetime.fromisoformat(reason["next_try_at"]) > world.clock.now

    @on_sqlite
    async def test_a_refused_key_is_a_failed_row_that_says_why(self, site: Site, world: World) -> None:
        """
        A refused key: the row says why, in words, and the next request tries again.
        """
        world.sandbox.set_knobs(fail_next=[{"status": 401}])

        first, second = await site.create(), await site.create()

        assert (first.json()["project_status"], first.json()["error"]["code"]) == ("failed", "key_refused")
        assert "Set a key that v0 accepts" in first.json()["error"]["message"]
        assert (second.status_code, second.json()["decision"]["outcome"]) == (201, "replaced")

    @on_sqlite
    @pytest.mark.parametrize("body", ["<html>", '{"id": "abc", "chatId": "ab'], ids=["html", "cut"])
    async def test_an_unreadable_answer_is_told_in_the_row_as_undecided(
        self, site: Site, world: World, body: str
    ) -> None:
        """
        v0 answers HTML or cuts the body: the row says what it was, and that it is being looked for.
        """
        world.sandbox.set_knobs(answer_next=[{"body": body}])

        made = (await site.create()).json()

        assert (made["state"], made["error"]["code"]) == ("undecided", "bad_answer")
        assert "JSON" in made["error"]["message"]
        assert made["reason"]["code"] == "outcome_unknown"

    async def test_create_new_makes_a_second_newest_first(self, site: Site, world: World) -> None:
        """
        `create_new` makes a second, newest first.
        """
        first = (await site.create()).json()
        world.clock.advance(1)
        second = await site.create(create_new=True)

        assert second.status_code == 201
        listed = (await site.listed()).json()["mockups"]
        assert [one["id"] for one in listed] == [second.json()["id"], first["id"]]
        assert [one["is_current"] for one in listed] == [True, False]

    @on_sqlite
    async def test_another_prompt_gets_the_existing_one_and_is_told_so(self, site: Site) -> None:
        """
        Another prompt gets the existing one, and the answer says that it differs.
        """
        await site.create()

        decision = (await site.create(prompt="Something else")).json()["decision"]

        assert (decision["outcome"], decision["prompt_differs"]) == ("reused", True)
        assert "create_new=true" in decision["reason"]

    async def test_a_repeated_key_is_the_first_answer_or_a_422(self, site: Site, world: World) -> None:
        """
        A repeated click with a key is the first answer; the same key with another body is a 422 of its own type.
        """
        headers = {"Idempotency-Key": '"click-1"'}
        first = await site.create(create_new=True, headers=headers)
        again = await site.create(create_new=True, headers={"Idempotency-Key": "click-1"})
        other = await site.create(create_new=True, prompt="B", headers=headers)

        assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
        assert (again.json()["id"], again.json()["decision"]["outcome"]) == (first.json()["id"], "replayed")
        assert other.json()["type"] == "urn:protokeep:problem:idempotency-key-reused"
        assert world.chats_created == 1

    @on_sqlite
    @pytest.mark.parametrize(
        "product_id",
        [
            *("a b", "a/b", "a/status", "ä?x#y", "日本", "..", "%2F", "x" * 200),
        ],
        ids=ascii,
    )
    async def test_a_product_id_of_any_characters_works_in_paths(self, real_site: Site, product_id: str) -> None:
        """
        An id of any characters is created, and found again through its escaped path.
        """
        await real_site.create(product_id)
        found = await real_site.listed(quote(product_id, safe="").replace(".", "%2E"))

        assert [one["product_id"] for one in found.json()["mockups"]] == [product_id]

    async def test_forty_clicks_at_once_are_one_201_and_one_chat(self, real_site: Site, world: World) -> None:
        """
        Forty clicks at once over HTTP: one 201, thirty-nine 200, one chat.
        """
        answers = await asyncio.gather(*(real_site.create() for _ in range(40)))

        assert sorted(answer.status_code for answer in answers) == [200] * 39 + [201]
        assert len({answer.json()["id"] for answer in answers}) == world.chats_created == 1


class TestList:
    async def test_a_product_without_prototypes_has_an_empty_list(self, site: Site) -> None:
        """
        A product without prototypes has an empty list.
        """
        answer = await site.listed("nothing")

        assert (answer.status_code, answer.json()) == (200, {"mockups": [], "next_cursor": None})

    async def test_pages_list_every_prototype_once_newest_first(self, real_site: Site, world: World) -> None:
        """
        Page after page, newest first, none twice and none left out, whatever is created meanwhile.
        """
        made = []
        for _ in range(7):
            made.append((await real_site.create(create_new=True)).json()["id"])
            world.clock.advance(0 if len(made) < 4 else 1)  # Four of them at the same moment.
        seen: list[str] = []
        params = {"limit": "3"}
        while True:
            page = (await real_site.http.get("/api/design/mockups/p-1", params=params)).json()
            seen += [one["id"] for one in page["mockups"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
            world.clock.advance(1)
            await real_site.create(create_new=True)

        assert len(page["mockups"]) == 1
        assert sorted(seen) == sorted(made)
        assert seen[:3] == made[:3:-1]

    async def test_a_list_is_filtered_by_provider_status_and_person(self, site: Site, world: World) -> None:
        """
        By provider, status and whose; a filter that fits none is an empty list.
        """
        ann = (await site.create()).json()["id"]
        world.clock.advance(GENERATION_SECONDS)
        await site.status()
        bob = await site.token(user_id="bob")
        headers = {"Authorization": f"Bearer {bob}"}
        bobs = (await site.create(create_new=True, headers=headers)).json()["id"]

        async def ids(**params: Any) -> list[str]:
            return [one["id"] for one in (await site.listed(**params)).json()["mockups"]]

        assert await ids() == [bobs, ann]
        assert await ids(mine=True) == [ann]
        assert await ids(status="completed") == [ann]
        assert await ids(status="failed") == []
        assert await ids(provider="v0") == [bobs, ann]
        assert await ids(provider="v0", status="pending", mine=False) == [bobs]

    async def test_an_unchanged_list_is_a_304(self, site: Site, world: World) -> None:
        """
        What a caller has already is a 304 without a body, until something changes.
        """
        await site.create()
        first = await site.listed()
        known = {"If-None-Match": first.headers["etag"]}

        same = await site.http.get("/api/design/mockups/p-1", headers=known)
        world.clock.advance(GENERATION_SECONDS)
        await site.status()
        changed = await site.http.get("/api/design/mockups/p-1", headers=known)

        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
        assert changed.status_code == 200
        assert changed.headers["etag"] != first.headers["etag"]
        assert "private" in changed.headers["cache-control"]


class TestStatus:
    @both_versions
    async def test_status_goes_from_pending_to_completed_for_who_only_asks(self, real_site: Site, world: World) -> None:
        """
        From pending to completed with something that opens, for somebody who only asks.
        """
        await real_site.create()
        seen = []
        for _ in range(5):
            world.clock.advance(3)
            seen.append((await real_site.status()).json()["project_status"])

        assert seen == ["in_progress"] * 3 + ["completed"] * 2
        done = (await real_site.status()).json()
        assert set(done) == VIEW
        assert (await real_site.http.get(done["project_url"])).status_code == 200
        assert done["observed_at"] is not None
        assert done["elapsed_seconds"] == 12

    @on_sqlite
    async def test_a_product_without_prototypes_is_404_and_nothing_is_made(self, site: Site, world: World) -> None:
        """
        A product without prototypes: 404, and nothing is made.
        """
        answer = await site.status("nothing")

        assert (answer.status_code, answer.json()["type"]) == (404, "urn:protokeep:problem:not-found")
        assert "create-project" in answer.json()["detail"]
        assert world.calls() == 0

    async def test_an_unchanged_status_is_a_304_though_it_was_polled(self, site: Site, world: World) -> None:
        """
        A status that did not change is a 304, though it was looked at meanwhile.
        """
        await site.create()
        world.clock.advance(3)
        first = await site.status()
        world.clock.advance(3)

        same = await site.status(headers={"If-None-Match": f"W/{first.headers['etag']}"})
        world.clock.advance(6)
        changed = await site.status(headers={"If-None-Match": first.headers["etag"]})

        assert (same.status_code, changed.status_code) == (304, 200)
        assert changed.json()["project_status"] == "completed"

    @on_sqlite
    async def test_prefer_wait_holds_a_status_until_something_changes(self, real_site: Site, world: World) -> None:
        """
        `Prefer: wait=n` holds the answer until something changes.
        """
        await real_site.create()
        world.clock.advance(3)
        await real_site.status()
        held = asyncio.create_task(real_site.status(headers={"Prefer": "wait=20"}))
        while not real_site.node.context.bus._by_mockup:  # noqa: ASYNC110 - until the request has come in
            await asyncio.sleep(0.005)
        world.clock.advance(GENERATION_SECONDS)

        await real_site.node.sweep()

        async with asyncio.timeout(5):
            assert (await held).json()["project_status"] == "completed"

    @on_sqlite
    async def test_a_settled_prototype_is_answered_at_once_unless_the_caller_has_it(
        self, real_site: Site, world: World
    ) -> None:
        """
        Nothing will change by itself there: only who names what is known by its ETag waits for the next change.
        """
        await real_site.create()
        world.clock.advance(GENERATION_SECONDS)
        await real_site.node.sweep()

        async with asyncio.timeout(5):
            ready = await real_site.status(headers={"Prefer": "wait=20"})
        known = {"Prefer": "wait=20", "If-None-Match": ready.headers["etag"]}
        held = asyncio.create_task(real_site.status(headers=known))
        while not real_site.node.context.bus._by_mockup:  # noqa: ASYNC110 - until the request has come in
            await asyncio.sleep(0.005)
        await world.keeper.iterate(ANN, ready.json()["id"], "Make it blue", wait=0.0)

        assert ready.json()["project_status"] == "completed"
        async with asyncio.timeout(5):
            assert (await held).status_code == 200


@on_sqlite
class TestOne:
    async def test_one_prototype_is_shown_with_its_history(self, site: Site, world: World) -> None:
        """
        One prototype with what happened to it, oldest first.
        """
        made = (await site.create()).json()
        world.clock.advance(GENERATION_SECONDS)
        await site.status()

        one = (await site.http.get(f"/api/design/prototypes/{made['id']}")).json()

        assert set(one) == VIEW | {"history", "surplus_chat_ids"}
        assert [line["kind"] for line in one["history"]][:3] == ["claimed", "sent", "accepted"]
        assert (one["history"][0]["actor"], one["history"][-1]["status"]) == ("ann", "completed")

    @pytest.mark.parametrize("prototype_id", ["nothing", "00000000-0000-4000-8000-000000000000", "'", "%00"])
    async def test_a_prototype_that_is_not_there_is_a_404(self, site: Site, prototype_id: str) -> None:
        """
        One that is not there is a 404, whatever was asked for.
        """
        answer = await site.http.get(f"/api/design/prototypes/{prototype_id}")

        assert (answer.status_code, answer.json()["type"]) == (404, "urn:protokeep:problem:not-found")

    async def test_a_prototype_of_another_workspace_is_not_there(self, site: Site) -> None:
        """
        Another workspace's token sees none of it.
        """
        made = (await site.create()).json()
        headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, workspace_id='another')}"}

        for path in (f"prototypes/{made['id']}", "mockups/p-1/status"):
            assert (await site.http.get(f"/api/design/{path}", headers=headers)).status_code == 404
        listed = await site.http.get("/api/design/mockups/p-1", headers=headers)
        assert listed.json()["mockups"] == []
