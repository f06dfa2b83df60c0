"""Changing a prototype from its page: follow-ups, stop, delete, pictures; and forms that outlive a session."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import pytest

from gallery_fixture import Scene, minutes, paint
from owner_schemas import MOCKUP, run
from protokeep.core.principals import Role
from protokeep.core.prototype import Prototype, State
from protokeep.service.context import NoQueue
from protokeep.settings import Settings
from protokeep.store.prototypes import Page
from protokeep.web.app import create_app
from protokeep.web.server import address_of, listen, serving
from protokeep.wiring import build_application
from web.test_pages import Site, hidden, principal

PROMPT = "A landing page for a bakery"
LOVABLE_ROW = (
    "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, project_status, created_at)"
    f" VALUES ('{MOCKUP}', 'shop', 'ana', 'lovable', 'a shop', 'completed', CURRENT_TIMESTAMP)"
)


@pytest.fixture
async def site(sqlite_url: str) -> AsyncIterator[Site]:
    """A server without jobs: what is written stays as it is."""
    settings = Settings(database_url=sqlite_url, secret_key="a test's own", v0_api_key="k", _env_file=None)
    async with build_application(settings, migrating=False) as application:
        application.keeper.context.queue = NoQueue()
        app = create_app(settings, application)
        listener = listen("127.0.0.1", 0)
        async with serving(app, listener):
            site = Site(address_of(listener), application, app)
            yield site
            for browser in site.browsers:
                await browser.client.aclose()


async def scene(site: Site, state: State = State.READY, **more: object) -> Prototype:
    """One prototype in a state."""
    made = await paint(site.application, (Scene("shop", None, "ana", PROMPT, state, minutes(20), **more),))  # type: ignore[arg-type]
    return made["shop"]


def change_form(text: str) -> dict[str, str]:
    """The hidden fields of the form for a change."""
    return hidden(text[text.index('id="change"') :])


async def reload(site: Site, prototype: Prototype) -> Prototype:
    return await site.application.keeper.get(principal(), prototype.id)


class TestFollowUp:
    async def test_a_double_click_sends_one_message_and_the_page_names_its_author(self, site: Site) -> None:
        """
        A double click sends one message, and the page tells who asked for what.
        """
        prototype = await scene(site)
        browser = await site.signed_in()
        fields = change_form((await browser.get(f"/prototypes/{prototype.id}")).text)
        assert re.fullmatch(r"page-[0-9a-f]{32}", fields["key"])

        sent = {**fields, "message": "Make it <blue>\r\nplease"}
        await browser.client.post(f"/prototypes/{prototype.id}/messages", data=sent)
        page = await browser.client.post(f"/prototypes/{prototype.id}/messages", data=sent)

        after = await reload(site, prototype)
        assert after.generation is not None
        assert (after.generation.follow_up.turn, after.generation.follow_up.message) == (2, "Make it <blue>\nplease")
        assert after.state is State.QUEUED
        assert page.status_code == 200
        assert "ana asked for a change" in page.text
        assert "Make it &lt;blue&gt; please" in page.text
        assert "The last change has not reached v0 yet" in page.text

    async def test_a_used_key_with_another_message_keeps_the_form_with_a_new_key(self, site: Site) -> None:
        """
        What is sent with a key that was used is kept in the form, with a key of its own.
        """
        prototype = await scene(site)
        browser = await site.signed_in()
        address = f"/prototypes/{prototype.id}/messages"
        fields = change_form((await browser.get(f"/prototypes/{prototype.id}")).text)
        await browser.client.post(address, data={**fields, "message": "Make it blue"})

        page = await browser.client.post(address, data={**fields, "message": "Make it red"})

        assert page.status_code == 409
        assert ">\nMake it red</textarea>" in page.text
        assert change_form(page.text)["key"] != fields["key"]

    @pytest.mark.parametrize("message", ["", "  ", "x" * 100_001])
    async def test_an_empty_message_is_refused_at_its_field(self, site: Site, message: str) -> None:
        """
        A message that cannot be sent is said at the field.
        """
        prototype = await scene(site)
        browser = await site.signed_in()
        fields = change_form((await browser.get(f"/prototypes/{prototype.id}")).text)

        page = await browser.client.post(f"/prototypes/{prototype.id}/messages", data={**fields, "message": message})

        assert page.status_code == 422
        assert 'id="message_fault">The change' in page.text

    async def test_while_it_is_made_the_page_has_no_form_and_loses_no_message(self, site: Site) -> None:
        """
        While it is being made the page says so instead of a form; what is sent all the same is not lost.
        """
        prototype = await scene(site, State.MAKING)
        browser = await site.signed_in()
        page = await browser.get(f"/prototypes/{prototype.id}")
        assert 'name="message"' not in page.text
        assert "It is still being generated. Wait until it is ready, or stop it." in page.text

        answer = await browser.send(f"/prototypes/{prototype.id}/messages", page, message="Make it blue")

        assert answer.status_code == 409
        assert ">\nMake it blue</textarea>" in answer.text

    async def test_a_refused_message_is_shown_and_the_prototype_stays_ready(self, site: Site) -> None:
        """
        A message that the builder did not take is shown as that, and the prototype stays ready.
        """
        prototype = await scene(site, asked=False)
        browser = await site.signed_in()

        page = await browser.get(f"/prototypes/{prototype.id}")

        assert "v0 did not accept the change" in page.text
        assert "v0 did not accept the change, and nothing changed." in page.text
        assert "Ready" in page.text

    async def test_the_time_shown_is_the_last_turns_and_credits_are_of_all_turns(self, site: Site) -> None:
        """
        The time it took is the last round's, and the credits are those of all.
        """
        prototype = await scene(site, asked=True)
        browser = await site.signed_in()

        page = await browser.get(f"/prototypes/{prototype.id}")

        assert "took 3 min 0 s · 0.52 credits" in page.text
        assert "v0 accepted the change" in page.text


class TestRoles:
    async def test_each_role_is_offered_its_actions_and_refused_the_others(self, site: Site) -> None:
        """
        Viewers look, makers ask and stop, admins delete; what is not offered is refused too.
        """
        prototype = await scene(site, State.MAKING)
        address = f"/prototypes/{prototype.id}"
        for role, can_make, can_delete in (
            (Role.VIEWER, False, False),
            (Role.MAKER, True, False),
            (Role.ADMIN, True, True),
        ):
            browser = await site.signed_in(role, role.value)
            page = await browser.get(address)
            assert (f'action="{address}/stop"' in page.text) is can_make
            assert ("Ask for a change" in page.text) is can_make
            assert (f'href="{address}/delete"' in page.text) is can_delete
            if not can_make:
                assert (await browser.send(f"{address}/messages", page, message="x")).status_code == 403
                assert (await browser.send(f"{address}/stop", page)).status_code == 403
            if not can_delete:
                assert (await browser.get(f"{address}/delete")).status_code == 403
                assert (await browser.send(f"{address}/delete", page)).status_code == 403

    @pytest.mark.parametrize("action", ["messages", "stop", "delete"])
    async def test_an_unsigned_form_changes_nothing(self, site: Site, action: str) -> None:
        """
        A form that is not ours changes nothing, and another workspace's prototype is not there.
        """
        prototype = await scene(site)
        browser = await site.signed_in(Role.ADMIN)
        forged = {"form_token": "0" * 64, "message": "Make it blue"}
        elsewhere = {"sec-fetch-site": "cross-site", "origin": "https://elsewhere.example"}

        answer = await browser.client.post(f"/prototypes/{prototype.id}/{action}", data=forged, headers=elsewhere)
        stranger = await site.signed_in(Role.ADMIN, workspace="other")
        page = await stranger.get("/settings")
        missing = await stranger.send(f"/prototypes/{prototype.id}/{action}", page, message="x")

        assert (answer.status_code, missing.status_code) == (403, 404)
        assert "Make it blue" not in answer.text
        assert (await reload(site, prototype)).generation == prototype.generation


class TestDelete:
    async def test_a_deletion_is_confirmed_and_stays_in_sight_until_it_is_done(self, site: Site) -> None:
        """
        A page of its own asks first. What the builder does not delete yet stays in sight, at home too.
        """
        prototype = await scene(site)
        browser = await site.signed_in(Role.ADMIN)
        page = await browser.get(f"/prototypes/{prototype.id}/delete")
        assert "can be taken back until then" in page.text

        page = await browser.send(f"/prototypes/{prototype.id}/delete", page, now="1")

        assert str(page.url).endswith(f"/prototypes/{prototype.id}")
        assert "ana asked to delete it" in page.text
        assert "v0 has not deleted it yet" in page.text
        assert 'name="message"' not in page.text
        home = await browser.get("/")
        assert re.search(r'data-state="deleting"', home.text)
        assert home.text.count("Deleting") >= 1

    async def test_a_prototype_that_was_never_sent_is_deleted_at_once(self, site: Site) -> None:
        """
        One that was never sent goes at once, and its address says what became of it.
        """
        prototype = await scene(site, State.QUEUED)
        browser = await site.signed_in(Role.ADMIN)
        await paint(site.application, (Scene("other", None, "ana", PROMPT),))

        page = await browser.get(f"/prototypes/{prototype.id}/delete")
        site.application.keeper.context.clock = lambda: prototype.created_at
        heartbeat = site.application.keeper.context.heartbeat
        await heartbeat.started()
        heartbeat.trusted_from = prototype.created_at  # This process knows its database since then.
        page = await browser.send(f"/prototypes/{prototype.id}/delete", page)

        assert "Deleted." in page.text
        gone = await browser.get(f"/prototypes/{prototype.id}")
        assert (gone.status_code, "This prototype was deleted" in gone.text) == (404, True)

    async def test_of_a_row_that_nothing_tracks_only_the_row_is_deleted_and_the_page_says_so(self, site: Site) -> None:
        """
        An old row, or one of another app builder: its chat stays, and nobody is told otherwise.
        """
        await run(site.application.settings.database_url, LOVABLE_ROW)
        browser = await site.signed_in(Role.ADMIN)

        page = await browser.get(f"/prototypes/{MOCKUP}/delete")
        gone = await browser.send(f"/prototypes/{MOCKUP}/delete", page)

        assert "Deletes it here only. If it has a chat in lovable, the chat stays there." in page.text
        assert "Deleted." in gone.text
        assert (await browser.get(f"/prototypes/{MOCKUP}")).status_code == 404


class TestPicture:
    async def test_a_picture_is_served_to_its_workspace_and_fetched_once(self, site: Site) -> None:
        """
        Cards and pages show the picture from our own origin; only its workspace sees it, and nobody fetches it twice.
        """
        prototype = await scene(site, pictured=True)
        browser = await site.signed_in(Role.VIEWER)
        source = html.unescape(re.findall(r'class="shot" src="([^"]+)"', (await browser.get("/")).text)[0])
        assert source.startswith(f"/prototypes/{prototype.id}/picture?v=")

        picture = await browser.get(source, accept="image/*")
        again = await browser.get(source, **{"if-none-match": picture.headers["etag"]})
        plain = await browser.get(source.partition("?")[0])
        stranger = await (await site.signed_in(workspace="other")).get(source, accept="image/*")
        nobody = await site.browser().get(source, accept="image/*")

        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
        assert picture.content.startswith(b"\x89PNG")
        assert picture.headers["cache-control"].startswith("private")
        assert "sandbox" in picture.headers["content-security-policy"]
        assert again.status_code == 304
        assert plain.headers["cache-control"] == "private, max-age=0, must-revalidate"
        assert (stranger.status_code, nobody.status_code) == (404, 401)

    async def test_without_a_picture_a_cover_stands_in(self, site: Site) -> None:
        """
        Where there is none, a cover stands in, and the address says 404.
        """
        prototype = await scene(site)
        browser = await site.signed_in()

        assert 'class="shot"' not in (await browser.get("/")).text
        assert (await browser.get(f"/prototypes/{prototype.id}/picture", accept="image/*")).status_code == 404


class TestNothingIsLost:
    async def test_a_form_sent_after_the_session_ended_is_kept_through_the_sign_in(self, site: Site) -> None:
        """
        What was written when the session had ended is there after the sign-in, and is sent when they say so.
        """
        browser = await site.signed_in()
        page = await browser.get("/new")
        words = {"product_id": "bread", "product_name": "Bread", "prompt": 'A "bakery"\r\n<b>again</b>'}
        key = hidden(page.text)["key"]
        browser.client.cookies.clear()

        gate = await browser.send("/new", page, **words)
        assert gate.status_code == 401
        assert "Your draft is saved" in gate.text
        kept = dict(re.findall(r'<textarea name="(draft_\w+)"[^>]*>\n(.*?)</textarea>', gate.text, re.DOTALL))
        kept = {name: html.unescape(value) for name, value in kept.items()}
        wrong = await browser.client.post("/sign-in", data={**hidden(gate.text), **kept, "token": "pk_wrong"})
        assert wrong.status_code == 401
        assert 'name="draft_prompt"' in wrong.text
        back = await browser.client.post("/sign-in", data={**hidden(wrong.text), **kept, "token": await site.token()})

        assert back.status_code == 200
        assert "Send your draft?" in back.text
        assert hidden(back.text)["key"] == key
        assert "&lt;b&gt;again&lt;/b&gt;" in back.text
        form = {**hidden(back.text), "prompt": words["prompt"]}
        made = await browser.client.post("/new", data=form)
        assert "/prototypes/" in str(made.url)
        found, _ = await site.application.keeper.list(principal(), "bread", Page(1))
        assert [one.prompt for one in found] == ['A "bakery"\n<b>again</b>']

    async def test_a_form_of_an_older_session_is_refused_and_kept(self, site: Site) -> None:
        """
        A form of an older session is not taken, and not lost either.
        """
        prototype = await scene(site)
        browser = await site.signed_in()
        page = await browser.get(f"/prototypes/{prototype.id}")
        browser.client.cookies.clear()
        await browser.sign_in(await site.token())

        again = await browser.send(f"/prototypes/{prototype.id}/messages", page, message="Make it blue")

        assert again.status_code == 403
        assert ">\nMake it blue</textarea>" in again.text
        sent = await browser.send(f"/prototypes/{prototype.id}/messages", again, message="Make it blue")
        assert "asked for a change" in sent.text

    async def test_another_site_cannot_fill_the_sign_in_form(self, site: Site) -> None:
        """
        Another site cannot put words into the sign-in form, nor lead anywhere with it.
        """
        browser = site.browser()
        origin = {"origin": "https://elsewhere.example"}

        answer = await browser.client.post("/new", data={"prompt": "Buy now", "product_id": "x"}, headers=origin)
        gate = await browser.get("/sign-in")
        token = await site.token()
        led = await browser.client.post(
            "/sign-in",
            data={**hidden(gate.text), "token": token, "draft_target": "//elsewhere.example/new", "draft_prompt": "x"},
        )

        assert "Buy now" not in answer.text
        assert str(led.url) == f"{site.url}/"

    async def test_a_form_that_is_too_large_is_a_page_or_a_problem(self, site: Site) -> None:
        """
        Too much at once is said as a page to a browser, and as a problem to a program.
        """
        browser = await site.signed_in()
        page = await browser.get("/new")

        long = "x" * (Settings().max_body_bytes + 1)
        answer = await browser.send("/new", page, prompt=long)
        program = await browser.client.post("/new", content=long.encode(), headers={"accept": "*/*"})

        assert (answer.status_code, program.status_code) == (413, 413)
        assert "<h1>That is too long</h1>" in answer.text
        assert answer.headers["content-security-policy"]
        assert program.headers["content-type"] == "application/problem+json"
