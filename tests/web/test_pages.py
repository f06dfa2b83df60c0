"""The page over HTTP, without a browser: sessions, forms, filters, roles, paging and live events."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from gallery_fixture import SCENES, Scene, minutes, paint
from protokeep.bus import Change
from protokeep.core import follow_up as rounds
from protokeep.core.adoption import AdoptionProgress
from protokeep.core.follow_up import follow_up_blocked_reason
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import NO_TIME, State
from protokeep.core.shares import Shares
from protokeep.service import NewPrototype
from protokeep.service.context import NoQueue
from protokeep.settings import Settings
from protokeep.store.sql import Statement
from protokeep.web import broadcast, sse
from protokeep.web.app import create_app
from protokeep.web.pages import formatting
from protokeep.web.server import address_of, listen, serving
from protokeep.wiring import Application, build_application

HTML = {"accept": "text/html"}


class Browser:
    """What a browser without script does: cookies, redirects, forms with their hidden fields."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx2.AsyncClient(base_url=url, headers=HTML, follow_redirects=True, timeout=20)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers=headers)

    async def sign_in(self, token: str) -> httpx2.Response:
        page = await self.get("/sign-in")
        return await self.client.post("/sign-in", data={**hidden(page.text), "token": token})

    async def send(self, path: str, page: httpx2.Response, **fields: str) -> httpx2.Response:
        return await self.client.post(path, data={**hidden(page.text), **fields})


class Site:
    """A running server, its application, and people."""

    def __init__(self, url: str, application: Application, app: Any) -> None:
        self.url = url
        self.application = application
        self.app = app
        self.browsers: list[Browser] = []

    def browser(self) -> Browser:
        self.browsers.append(Browser(self.url))
        return self.browsers[-1]

    async def token(self, role: Role = Role.MAKER, user: str = "ana", workspace: str = "default") -> str:
        text, _ = await self.application.tokens.create(role, user_id=user, workspace_id=workspace)
        return text

    async def signed_in(self, role: Role = Role.MAKER, user: str = "ana", workspace: str = "default") -> Browser:
        browser = self.browser()
        assert (await browser.sign_in(await self.token(role, user, workspace))).status_code == 200
        return browser


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    """A server without jobs: what is written stays as it is."""
    settings = Settings(
        database_url=database_url,
        secret_key="a test's own",
        v0_api_key="k",
        environment_key_for="*",
        _env_file=None,
    )
    async with build_application(settings, migrating=False) as application:
        application.keeper.context.queue = NoQueue()
        app = create_app(settings, application)
        listener = listen("127.0.0.1", 0)
        async with serving(app, listener):
            site = Site(address_of(listener), application, app)
            yield site
            for browser in site.browsers:
                await browser.client.aclose()


def hidden(text: str) -> dict[str, str]:
    """The first hidden fields of each name in a page."""
    found: dict[str, str] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text):
        if name not in ("live", "next", "another", "everywhere"):
            found.setdefault(name, html.unescape(value))
    return found


def titles(text: str) -> list[str]:
    """The cards of a page, in order."""
    return [html.unescape(title) for title in re.findall(r'<a class="go"[^>]*>([^<]*)</a>', text)]


def principal(user: str = "ana", workspace: str = "default") -> Principal:
    return Principal(workspace, user, Role.MAKER, "")


async def count(site: Site, table: str) -> int:

    async with site.application.keeper.context.store.database.reading() as connection:
        row = await connection.fetch_one(Statement(f"SELECT count(*) AS number FROM {table}"))
    assert row is not None
    return int(row["number"])


class TestSession:
    async def test_a_page_without_a_session_leads_to_sign_in_and_back(self, site: Site) -> None:
        """
        Whoever is not signed in is led to the form, and back to where they wanted to go.
        """
        browser = site.browser()

        page = await browser.get("/p/shop?cursor=x")

        assert "/sign-in?next=%2Fp%2Fshop%3Fcursor%3Dx" in str(page.url)
        assert 'value="/p/shop?cursor=x"' in page.text

    async def test_the_session_cookie_is_out_of_reach_and_holds_no_token(self, site: Site) -> None:
        """
        The cookie is out of reach of script and of other sites, and the token is nowhere in it.
        """
        browser, token = site.browser(), await site.token()
        page = await browser.get("/sign-in")

        answer = await browser.client.post(
            "/sign-in", data={**hidden(page.text), "token": token}, follow_redirects=False
        )

        cookie = next(line for line in answer.headers.get_list("set-cookie") if line.startswith("protokeep_session="))
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        assert token not in cookie

    async def test_a_wrong_token_is_refused_in_words(self, site: Site) -> None:
        """
        A token that does not count is refused with words, and opens nothing.
        """
        browser = site.browser()

        answer = await browser.sign_in("pk_of-nobody-at-all-really")

        assert answer.status_code == 401
        assert "unknown, expired or revoked" in answer.text
        assert "/sign-in" in str((await browser.get("/")).url)

    async def test_signing_out_ends_the_session_on_the_server(self, site: Site) -> None:
        """
        Signing out ends the session on the server: the old cookie opens nothing any more.
        """
        browser = await site.signed_in()
        held = browser.client.cookies["protokeep_session"]

        await browser.send("/sign-out", await browser.get("/settings"))

        browser.client.cookies.set("protokeep_session", held, domain="127.0.0.1")
        assert "/sign-in" in str((await browser.get("/")).url)

    async def test_signing_out_everywhere_ends_the_persons_sessions_only(self, site: Site) -> None:
        """
        Every session of the person ends; other people's go on.
        """
        one, other = await site.signed_in(), await site.signed_in()
        stranger = await site.signed_in(user="ben")

        await one.send("/sign-out", await one.get("/settings"), everywhere="1")

        assert "/sign-in" in str((await other.get("/")).url)
        assert "/sign-in" not in str((await stranger.get("/")).url)

    async def test_a_revoked_token_takes_its_sessions_with_it(self, site: Site) -> None:
        """
        A revoked token takes its sessions with it.
        """
        browser, token = site.browser(), await site.token()
        await browser.sign_in(token)

        await site.application.tokens.revoke("default", token[:9])

        assert "/sign-in" in str((await browser.get("/")).url)

    async def test_a_session_ends_after_a_day_without_use(self, site: Site) -> None:
        """
        A session ends after a day without use.
        """
        browser = await site.signed_in()
        began = site.application.keeper.context.clock()

        site.application.sessions._clock = lambda: began + timedelta(days=1)

        assert "/sign-in" in str((await browser.get("/")).url)

    async def test_use_renews_a_session_and_tells_the_browser(self, site: Site) -> None:
        """
        Use moves the end on, and the browser is told.
        """
        browser = await site.signed_in()
        began = site.application.keeper.context.clock()

        site.application.sessions._clock = lambda: began + timedelta(hours=8)

        assert "protokeep_session=" in (await browser.get("/")).headers["set-cookie"]
        site.application.sessions._clock = lambda: began + timedelta(hours=16)
        assert "/sign-in" not in str((await browser.get("/")).url)

    async def test_a_sign_in_link_works_once_and_looking_uses_nothing_up(self, site: Site) -> None:
        """
        A sign-in link is a button that works once; looking at it uses nothing up.
        """
        _, token = await site.application.tokens.create(Role.MAKER, user_id="ana")
        code = await site.application.sessions.create_sign_in_code(token.id)
        first, second = site.browser(), site.browser()

        pages = [await browser.get(f"/sign-in?code={code}") for browser in (first, second)]
        answers = [await browser.send("/sign-in", page) for browser, page in zip((first, second), pages, strict=True)]

        assert [answer.status_code for answer in answers] == [200, 401]

    @pytest.mark.parametrize("onward", ["//evil.example", "https://evil.example", "/\\evil.example", "/ok\r\nx: y"])
    async def test_signing_in_leads_to_a_page_of_ours(self, site: Site, onward: str) -> None:
        """
        Signing in leads to a page of ours, whatever the link said.
        """
        browser, token = site.browser(), await site.token()
        page = await browser.get("/sign-in")

        answer = await browser.client.post(
            "/sign-in", data={**hidden(page.text), "token": token, "next": onward}, follow_redirects=False
        )

        assert answer.headers["location"] == "/"


class TestForms:
    @pytest.mark.parametrize("path", ["/new", "/sign-out", "/settings", "/settings/live"])
    async def test_a_form_without_its_sessions_signature_does_nothing(self, site: Site, path: str) -> None:
        """
        A form without the page's signature, or with another session's, does nothing.
        """
        browser, other = await site.signed_in(), await site.signed_in(user="ben")
        stolen = hidden((await other.get("/settings")).text)["form_token"]

        for token in ("", "0" * 64, stolen):
            answer = await browser.client.post(
                path, data={"form_token": token, "product_id": "p", "prompt": "x", "key": "k"}
            )
            assert answer.status_code == 403

        assert await count(site, "design_mockups") == 0

    async def test_a_form_that_another_site_sends_is_refused(self, site: Site) -> None:
        """
        A form that another site sends is refused even with a signature.
        """
        browser = await site.signed_in()
        page = await browser.get("/settings")

        answer = await browser.client.post(
            "/settings", data=hidden(page.text), headers={"sec-fetch-site": "cross-site"}
        )

        assert answer.status_code == 403

    async def test_one_rendering_of_the_form_makes_one_prototype(self, site: Site) -> None:
        """
        One rendering of the form makes one prototype, however often it is sent, also for "another one".
        """
        browser = await site.signed_in()
        page = await browser.get("/new")

        answers = await asyncio.gather(
            *(browser.send("/new", page, product_id="shop", prompt="a shop", another="1") for _ in range(4))
        )

        assert {200} == {answer.status_code for answer in answers}
        assert len({str(answer.url) for answer in answers}) == 1
        assert await count(site, "design_mockups") == 1

    async def test_a_reuse_is_shown_with_its_author_and_offers_another_one(self, site: Site) -> None:
        """
        A create that reused says who made it and whether the prompt differs, and offers another one.
        """
        first, second = await site.signed_in(user="ana"), await site.signed_in(user="ben")
        await first.send("/new", await first.get("/new"), product_id="shop", prompt="a shop")

        same = await second.send("/new", await second.get("/new"), product_id="shop", prompt="A  shop")
        other = await second.send("/new", await second.get("/new"), product_id="shop", prompt="a zoo")
        another = await second.send("/new", other, product_id="shop", prompt="a zoo", another="1")

        assert "This product already has a prototype" in same.text
        assert "<b>ana</b> asked for" in same.text
        assert "Your prompt differs" not in same.text
        assert "Your prompt differs" in other.text
        assert "/prototypes/" in str(another.url)
        assert await count(site, "design_mockups") == 2

    async def test_a_wrong_value_is_told_at_its_field_and_nothing_is_lost(self, site: Site) -> None:
        """
        What cannot be used is said at its field, and nothing that was typed is lost.
        """
        browser = await site.signed_in()
        page = await browser.get("/new")

        answer = await browser.send("/new", page, product_id=" ", prompt="a shop with <b>")

        assert answer.status_code == 422
        assert "The product is empty" in answer.text
        assert "a shop with &lt;b&gt;</textarea>" in answer.text

    async def test_the_same_form_with_another_prompt_is_refused_not_guessed(self, site: Site) -> None:
        """
        Going back and sending the same form with another prompt is said, not guessed.
        """
        browser = await site.signed_in()
        page = await browser.get("/new")
        await browser.send("/new", page, product_id="shop", prompt="a shop")

        answer = await browser.send("/new", page, product_id="shop", prompt="another shop")

        assert answer.status_code == 409
        assert "before with other words" in answer.text

    async def test_retry_makes_a_failed_prototype_again_once(self, site: Site) -> None:
        """
        What failed is made again once, however often Retry is pressed.
        """
        made = await paint(site.application, (Scene("shop", None, "ana", "a shop", State.FAILED),))
        browser = await site.signed_in()
        page = await browser.get(f"/prototypes/{made['shop'].id}")

        answers = [await browser.send(f"/prototypes/{made['shop'].id}/retry", page) for _ in range(3)]

        assert len({str(answer.url) for answer in answers}) == 1
        assert await count(site, "design_mockups") == 2

    async def test_a_viewer_is_offered_no_create_and_refused_when_trying(self, site: Site) -> None:
        """
        A viewer sees no action that creates, and is refused with words when trying.
        """
        made = await paint(site.application, (Scene("shop", None, "ana", "a shop", State.FAILED),))
        browser = await site.signed_in(Role.VIEWER)

        pages = [await browser.get(path) for path in ("/", "/p/shop", f"/prototypes/{made['shop'].id}")]

        for page in pages:
            assert "Create another" not in page.text
            assert "Retry" not in page.text
            assert 'href="/new' not in page.text
        assert (await browser.get("/new")).status_code == 403
        refused = await browser.send("/new", pages[0], product_id="x", prompt="y", key="k")
        assert refused.status_code == 403
        assert "role maker" in refused.text


#: Filters of the home page, and the cards that they leave.
FILTERED = {
    "q=dashboard": ["grid-monitor"],
    "q=BAKERY+photos": ["Bakery shop"],
    "q=100%25": [],
    "q=_": [],
    "state=failed": ["Payroll preview"],
    "state=attention": ["Greenhouse", "Festival planner", "Payroll preview", "Museum guide"],
    "state=progress&mine=1": ["Bike share"],
    "product=bakery": ["Bakery shop"],
    "provider=v0&state=ready&q=wallet": ["Travel wallet"],
    "state=no-such-state&q=museum": ["Museum guide"],
}


class TestHome:
    async def test_the_home_page_shows_trouble_first_then_running_then_newest(self, site: Site) -> None:
        """
        What needs somebody comes first, then what is being made, then the newest.
        """
        await paint(site.application)
        browser = await site.signed_in()

        page = await browser.get("/")

        sections = re.findall(r'<h2 id="s_(\w+)"', page.text)
        assert sections == ["attention", "progress", "rest"]
        assert titles(page.text)[:4] == ["Greenhouse", "Festival planner", "Payroll preview", "Museum guide"]
        assert titles(page.text)[4:8] == ["intranet-search", "Bike share", "Returns portal", "Seat map"]

    async def test_every_filter_is_in_the_address_and_works_on_the_server(self, site: Site) -> None:
        """
        Every filter is in the URL and works on the server, alone and together.
        """
        await paint(site.application)
        browser = await site.signed_in()

        for query, expected in FILTERED.items():
            page = await browser.get(f"/?{query}")

            assert expected == titles(page.text), query
            if not expected:
                assert "No prototype matches" in page.text, query

    async def test_counts_beside_the_states_count_cards_and_follow_the_filters(self, site: Site) -> None:
        """
        The numbers beside the states count cards, not variants, and follow the other filters.
        """
        await paint(site.application)
        browser = await site.signed_in()

        page = await browser.get("/")
        mine = await browser.get("/?mine=1")

        def number(label: str, text: str) -> str:
            found = re.search(rf'>{label} <span class="num">([^<]+)<', text)
            return found.group(1) if found else ""

        products = {scene.product_id for scene in SCENES}
        assert str(len(products)) == number("All", page.text)
        assert number("Ready", page.text) == "10"
        assert number("All", mine.text) == "3"

    async def test_paging_shows_every_card_once(self, site: Site) -> None:
        """
        Cursor after cursor shows every card once.
        """
        await paint(site.application, tuple(Scene(f"p-{n:02}", None, "ana", "x", ago=minutes(n)) for n in range(55)))
        browser = await site.signed_in()
        seen: list[str] = []
        path: str | None = "/"

        while path:
            page = await browser.get(path)
            seen += titles(page.text)
            found = re.search(r'href="([^"]+)" rel="next"', page.text)
            path = html.unescape(found.group(1)) if found else None

        assert [f"p-{n:02}" for n in range(55)] == seen

    async def test_an_empty_workspace_shows_one_form_and_an_empty_filter_does_not(self, site: Site) -> None:
        """
        An empty workspace shows one form; a filter that matches nothing does not look like that.
        """
        browser = await site.signed_in()

        assert "Nothing here yet" in (await browser.get("/")).text
        assert "Nothing here yet" not in (await browser.get("/?q=x")).text

    async def test_another_workspace_sees_none_of_it(self, site: Site) -> None:
        """
        Another workspace sees none of it: not in lists, counts, pages, nor by id.
        """
        made = await paint(site.application)
        browser = await site.signed_in(workspace="elsewhere")

        assert "Nothing here yet" in (await browser.get("/")).text
        assert "Bakery" not in (await browser.get("/?q=bakery")).text
        for path in ("/p/bakery", f"/prototypes/{made['bakery'].id}", f"/live?on=prototype&id={made['bakery'].id}"):
            assert (await browser.get(path)).status_code == 404

    async def test_rows_that_were_there_before_us_are_cards_too(self, site: Site) -> None:
        """
        Rows that were in the table before us are cards too, also while they have no slot.
        """

        database = site.application.keeper.context.store.database
        insert = Statement(
            "INSERT INTO design_mockups (id, product_id, user_id, provider, prompt, project_status) "
            "VALUES (:id, 'old', 'zoe', 'v0', 'an older shop', :status)"
        )
        async with database.transaction() as connection:
            await connection.execute(insert, {"id": "00000000-0000-4000-8000-000000000001", "status": "pending"})
        store = site.application.keeper.context.store
        await store.texts.index_missing(await store.owner_table(), 100)  # As it does every minute.
        browser = await site.signed_in()

        page = await browser.get("/?q=older")

        assert titles(page.text) == ["old"]
        assert "Untracked" in page.text
        assert "Untracked" in (await browser.get("/p/old")).text
        assert "Nothing here yet" not in (await browser.get("/")).text


async def test_the_home_page_says_how_far_the_adoption_of_older_rows_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    While accounts are asked about older rows, people read how far that is; otherwise nothing.
    """
    browser = await site.signed_in()
    assert "is adopting your older prototypes" not in (await browser.get("/")).text

    progress = AdoptionProgress(to_adopt=10, looking=10, adopted=15, not_in_any_account=5)
    monkeypatch.setattr(site.application.keeper, "adoption_under_way", lambda: progress)
    assert "is adopting your older prototypes: 50 % so far" in (await browser.get("/")).text


class TestSafety:
    NASTY = "</textarea><script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }} {% raw %}"

    async def test_prompts_names_and_ids_are_shown_as_text(self, site: Site) -> None:
        """
        Prompts, names and ids are shown as they are, wherever they are shown.
        """
        await paint(
            site.application, (Scene("a<b>'\"/../c", self.NASTY[:190], "<i>ana</i>", self.NASTY + " \u202e\u2028"),)
        )
        browser = await site.signed_in()
        card = titles((await browser.get("/")).text)
        made, _ = await site.application.keeper.list(principal(), "a<b>'\"/../c", live_page())
        wanted = [
            "/",
            "/?view=table",
            "/?q=<script>",
            formatting.product_path("a<b>'\"/../c"),
            f"/prototypes/{made[0].id}",
        ]
        wanted.append(f"/new?like={made[0].id}&product=<script>")

        for path in wanted:
            page = await browser.get(path)
            assert page.status_code == 200
            assert "<script>alert" not in page.text
            assert "<img src=x" not in page.text
            assert "49" not in re.sub(r"[0-9a-f-]{12,}", "", page.text) or "{{ 7*7 }}" in page.text
        assert [self.NASTY[:190].strip()] == [title.strip() for title in card]

    @pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example/x", "ftp://x/y", "x"])
    async def test_only_web_addresses_become_links(self, url: str) -> None:
        """
        Nothing that a builder sends becomes a link unless it is a web address.
        """
        assert (None if ":" not in url or not url.startswith("http") else url) == formatting.safe_link(url)

    def test_a_day_within_a_sentence_reads_as_one(self) -> None:
        """
        A row of the owner's may have no time: "on" stands before days only.
        """
        now = datetime(2026, 5, 4, tzinfo=UTC)
        assert formatting.on_day(datetime(2025, 5, 3, tzinfo=UTC), now) == "on 3 May 2025"
        assert formatting.on_day(NO_TIME, now) == "at an unknown time"

    async def test_only_pictures_of_our_own_origin_are_shown(self) -> None:
        """
        Only pictures that our own origin serves are shown.
        """
        assert None is formatting.own_picture("https://tracker.example/x.png", "//tracker.example/x.png", None)
        assert formatting.own_picture("https://tracker.example/x.png", "/pictures/x") == "/pictures/x"

    async def test_every_page_forbids_frames_inline_code_and_caching(self, site: Site) -> None:
        """
        Every page, also an error, forbids frames, inline code, other origins and keeping.
        """
        browser = await site.signed_in()

        for path in ("/", "/new", "/settings", "/sign-in", "/p/none", "/nowhere"):
            headers = (await browser.get(path)).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["cache-control"] == "private, no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"

    async def test_links_to_prototypes_open_apart_and_send_no_referrer(self, site: Site) -> None:
        """
        Links to prototypes open apart from us and tell nothing.
        """
        await paint(site.application)
        browser = await site.signed_in()

        leaving = re.findall(r'<a [^>]*href="https?://[^>]*>', (await browser.get("/")).text)

        assert leaving
        assert all('rel="noopener noreferrer"' in link for link in leaving)


class TestErrors:
    async def test_an_error_is_a_page_for_people_and_a_problem_for_programs(self, site: Site) -> None:
        """
        A person gets a page, a program a problem; both carry the request id.
        """
        browser = await site.signed_in()

        page = await browser.get("/p/none")
        problem = await browser.get("/api/design/nothing", accept="application/json")

        assert page.status_code == 404
        assert page.headers["x-request-id"] in page.text
        assert problem.headers["content-type"] == "application/problem+json"
        assert (await browser.get("/api/design/mockups/x")).status_code == 401

    async def test_an_unreachable_database_never_looks_like_an_empty_workspace(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A database that does not answer never looks like an empty workspace.
        """
        await paint(site.application)
        browser = await site.signed_in()

        @contextlib.asynccontextmanager
        async def broken() -> AsyncIterator[None]:
            raise_unavailable()
            yield

        monkeypatch.setattr(site.application.gallery._store._prototypes.database, "reading", broken)
        page = await browser.get("/")

        assert page.status_code == 503
        assert "Nothing here yet" not in page.text
        assert page.headers["x-request-id"] in page.text
        assert "Nothing is made twice" in page.text

    async def test_a_cursor_of_somebody_elses_is_refused(self, site: Site) -> None:
        """
        A cursor that is none of ours is said to be so.
        """
        browser = await site.signed_in()

        assert (await browser.get("/?cursor=nonsense")).status_code == 422


class Events:
    """A stream of events, read line by line."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self, *wanted: str) -> dict[str, Any]:
        """The next event of a kind that is wanted."""
        event: dict[str, Any] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name in ("id", "event", "data"):
                    event[name] = value
                elif not line and event.get("event") in wanted:
                    return {**event, "data": json.loads(event["data"])}
                elif not line:
                    event = {}
        raise AssertionError("the stream ended")


@contextlib.asynccontextmanager
async def stream(client: httpx2.AsyncClient, path: str, **headers: str) -> AsyncIterator[Events]:
    async with client.stream("GET", path, headers={"accept": "text/event-stream", **headers}) as response:
        assert response.status_code == 200, await response.aread()
        yield Events(response)


class TestLive:
    async def test_every_viewer_hears_of_a_change_as_their_page_shows_it(self, site: Site) -> None:
        """
        Everybody who looks on hears of a change, each as their page shows it.
        """
        maker, viewer = await site.signed_in(), await site.signed_in(Role.VIEWER, "zoe")

        async with stream(maker.client, "/live?on=home") as one, stream(viewer.client, "/live?on=home") as other:
            await one.next("hello")
            await other.next("hello")
            await site.application.keeper.ensure(principal(), NewPrototype("shop", "a shop"), wait=0)
            told, seen = await one.next("change"), await other.next("change")

        assert "queued" == told["data"]["state"] == seen["data"]["state"]
        assert "Create another" in told["data"]["html"]
        assert "Create another" not in seen["data"]["html"]

    async def test_a_viewer_who_comes_back_hears_what_was_missed(self, site: Site) -> None:
        """
        Whoever comes back with the last id hears what was missed; with an unknown one, to read again.
        """
        browser = await site.signed_in()
        async with stream(browser.client, "/live?on=home") as events:
            last = (await events.next("hello"))["id"]
        await site.application.keeper.ensure(principal(), NewPrototype("shop", "a shop"), wait=0)

        async with stream(browser.client, f"/live?on=home&since={last}") as events:
            assert (await events.next("change"))["data"]["say"] == "shop: Queued."
        async with stream(browser.client, "/live?on=home", **{"last-event-id": "other-7"}) as events:
            assert (await events.next("resync", "hello"))["event"] == "resync"

    async def test_a_page_hears_only_of_its_prototype_or_product(self, site: Site) -> None:
        """
        A page of one prototype or product hears of nothing else.
        """
        made = await paint(site.application, (Scene("shop", None, "ana", "a shop", State.MAKING),))
        browser = await site.signed_in()

        async with stream(browser.client, f"/live?on=prototype&id={made['shop'].id}") as events:
            await events.next("hello")
            await site.application.keeper.ensure(principal(), NewPrototype("zoo", "a zoo"), wait=0)
            site.application.keeper.context.bus.publish(Change("default", "shop", made["shop"].id, "", "changed"))
            told = await events.next("change")

        assert made["shop"].id == told["data"]["id"]
        assert 'id="timeline"' in told["data"]["html"]
        assert "Generating" in told["data"]["html"]
        assert "polled" not in told["data"]["html"]

    async def test_nobody_hears_of_another_workspace(self, site: Site) -> None:
        """
        Nobody hears of another workspace.
        """
        browser = await site.signed_in(workspace="elsewhere")

        async with stream(browser.client, "/live?on=home") as events:
            await events.next("hello")
            await site.application.keeper.ensure(principal(), NewPrototype("ours", "x"), wait=0)
            await site.application.keeper.ensure(principal(workspace="elsewhere"), NewPrototype("theirs", "x"), wait=0)
            told = await events.next("change")
            counts = await events.next("counts")

        assert told["data"]["say"] == "theirs: Queued."
        assert (counts["data"][""], counts["data"]["progress"], counts["data"]["ready"]) == ("1", "1", "0")
        assert "id" not in counts  # What comes after the change is still sent to a page that comes back.

    async def test_products_are_offered_by_their_words_and_to_their_workspace_only(self, site: Site) -> None:
        """
        Products are found by id or name, as text of a list's options, and by nobody of another workspace.
        """
        ours = NewPrototype("moon-base", "x", product_name="<b>Base</b>", product_is_new=True)
        await site.application.keeper.ensure(principal(), ours, wait=0)
        inside, outside = await site.signed_in(), await site.signed_in(workspace="elsewhere")

        found = (await inside.client.get("/find?q=base")).text
        assert 'data-go="/p/moon-base" data-product="moon-base"><b>&lt;b&gt;Base&lt;/b&gt;</b>' in found
        for query in ("q=base", "q=", ""):
            assert (await outside.client.get(f"/find?{query}")).text.strip() == ""
        assert (await inside.client.get("/find?q=zeppelin")).text.strip() == ""

    async def test_style_is_sent_compressed_to_browsers_that_take_it_and_pages_never_are(self, site: Site) -> None:
        """
        Text of our own files is compressed; a page, which holds a secret, is not: its length would tell of it.
        """
        browser = await site.signed_in()
        style = re.findall(r'href="(/static/app[^"]+)"', (await browser.client.get("/")).text)[0]
        packed = await browser.client.get(style, headers={"accept-encoding": "gzip"})
        plain = await browser.client.get(style, headers={"accept-encoding": "identity"})

        assert (packed.headers["content-encoding"], packed.content) == ("gzip", plain.content)
        assert packed.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in plain.headers
        page = await browser.client.get("/", headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in page.headers

    async def test_a_program_hears_of_prototypes_as_the_api_shows_them(self, site: Site) -> None:
        """
        A program with a token hears of prototypes as the API shows them.
        """
        headers = {"authorization": f"Bearer {await site.token()}"}
        client = site.browser().client

        async with stream(client, "/api/design/events?product_id=shop", **headers) as events:
            await events.next("hello")
            await site.application.keeper.ensure(principal(), NewPrototype("zoo", "a zoo"), wait=0)
            await site.application.keeper.ensure(principal(), NewPrototype("shop", "a shop"), wait=0)
            told = await events.next("change")

        assert (told["data"]["product_id"], told["data"]["state"]) == ("shop", "queued")
        assert (await client.get("/api/design/events")).status_code == 401

    async def test_a_stop_of_the_server_ends_every_stream_at_once(self, site: Site) -> None:
        """
        A stop ends every stream at once.
        """
        browser = await site.signed_in()

        async with stream(browser.client, "/live?on=home") as events:
            await events.next("hello")
            site.application.keeper.context.bus.close()
            with pytest.raises(AssertionError, match="the stream ended"):
                await events.next("change")

    async def test_a_viewer_who_takes_nothing_is_dropped_and_comes_back_for_all(self) -> None:
        """
        A viewer who takes nothing is dropped, and has nothing left to send: it comes back for all of it.
        """
        subscriber = broadcast.Subscriber(broadcast.Topic("default", "api"))

        for number in range(broadcast.BACKLOG + 1):
            subscriber.put(broadcast.Message(f"e-{number}", "change", "{}"))

        assert subscriber.ended
        assert await subscriber.messages(5) == []

    async def test_a_quiet_stream_has_heartbeats(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A proxy sees a line now and then, though nothing happens; a message is sent as soon as there is one.
        """
        monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.01)
        subscriber = broadcast.Subscriber(broadcast.Topic("default", "api"))

        assert await sse.next_body(subscriber) == sse.HEARTBEAT
        subscriber.put(broadcast.Message("e-1", "hello", "{}"))
        assert await sse.next_body(subscriber) == b"id: e-1\nevent: hello\ndata: {}\n\n"
        subscriber.end()
        assert await sse.next_body(subscriber) == b""

    async def test_a_stream_ends_after_its_lifetime(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Clients come back now and then, and show again who they are.
        """
        monkeypatch.setattr(sse, "LIFETIME_SECONDS", 0.1)
        browser = await site.signed_in()

        async with stream(browser.client, "/live?on=home") as events:
            await events.next("hello")
            with pytest.raises(AssertionError, match="the stream ended"):
                await events.next("change")

    async def test_one_person_cannot_hold_all_the_streams(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        One person cannot hold all the streams there are.
        """
        monkeypatch.setattr(site.app.state.broadcast, "_shares", Shares(1, 30))
        browser = await site.signed_in()

        async with stream(browser.client, "/live?on=home") as events:
            await events.next("hello")
            assert (await browser.client.get("/live?on=home")).status_code == 429


async def test_the_databases_state_column_agrees_with_the_core(site: Site) -> None:
    """
    The database's word for a state is the core's, for every state that there is, also while a follow-up waits.

    What is in the bin keeps the word that it had: no list asks for it by its state.
    """
    shown = [state for state in State if state not in (State.UNTRACKED, State.IN_BIN)]
    scenes = [Scene(state.value, None, "ana", "x", state) for state in shown]
    made = await paint(site.application, tuple(scenes))
    store = site.application.keeper.context.store

    for scene in scenes:
        prototype = await store.get_unscoped(made[scene.product_id].id)
        assert prototype is not None
        assert prototype.state is scene.state
        assert await word_of_the_database(site, prototype.id) == scene.state.value
        if follow_up_blocked_reason(prototype) is None:
            asked = await store.save(prototype, rounds.requested(prototype, "Make it blue", prototype.updated_at))
            assert asked is not None
            assert asked.state is State.QUEUED
            assert await word_of_the_database(site, prototype.id) == State.QUEUED.value


async def word_of_the_database(site: Site, prototype_id: str) -> str:
    async with site.application.keeper.context.store.database.reading() as connection:
        statement = Statement("SELECT state FROM protokeep_generations WHERE mockup_id = :mockup_id")
        row = await connection.fetch_one(statement, {"mockup_id": prototype_id})
    assert row is not None
    return str(row["state"])


def live_page() -> Any:
    from protokeep.store.prototypes import Page

    return Page(1)


def raise_unavailable() -> None:
    from protokeep.core.errors import DatabaseUnavailable

    raise DatabaseUnavailable


async def test_cached_counts_follow_every_change_of_their_workspace(site: Site) -> None:
    """
    Counts that are kept while nothing changes are counted anew after a change, and are one workspace's own.
    """
    gallery = site.application.gallery
    ann = Principal("default", "ann", Role.MAKER, "t")
    other = Principal("elsewhere", "ann", Role.MAKER, "t")
    await paint(site.application, (Scene("one", None, "ann", "x", State.READY),))
    before = (await gallery.home_page(ann, 10)).counts

    await paint(site.application, (Scene("two", None, "ann", "x", State.READY),))
    await asyncio.sleep(1.0)
    after = (await gallery.home_page(ann, 10)).counts

    assert after[State.READY] == before[State.READY] + 1
    assert not any((await gallery.home_page(other, 10)).counts.values())
