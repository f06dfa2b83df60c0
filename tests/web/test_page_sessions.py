"""What a browser holds: session cookies that tell their age, and forms that are signed for this browser alone."""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from protokeep.core.principals import Role
from protokeep.service.sessions import IDLE, RENEW_AFTER
from protokeep.web import sse
from world import Site, World, on_sqlite

HTML = {"accept": "text/html"}
HOUR = 3600.0


@contextlib.asynccontextmanager
async def browser(site: Site, token: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser, signed in if it is given a token."""
    client = httpx2.AsyncClient(base_url=site.url, headers=HTML, transport=site.http._transport, trust_env=False)
    try:
        if token is not None:
            form = signature(await client.get("/sign-in"))
            answer = await client.post("/sign-in", data={"form_token": form, "token": token})
            assert answer.status_code == 303
        yield client
    finally:
        await client.aclose()


def signature(page: httpx2.Response) -> str:
    """The form token of a page."""
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


def sent_cookie(answer: httpx2.Response) -> str | None:
    """The session cookie that an answer sets, with its attributes; None: it sets none."""
    return next((line for line in answer.headers.get_list("set-cookie") if line.startswith("protokeep_session=")), None)


def hold(client: httpx2.AsyncClient, name: str, value: str) -> None:
    """Put a cookie into a browser, in place of what it has under this name."""
    client.cookies.delete(name) if name in client.cookies else None
    client.cookies.set(name, value, domain="protokeep.test")


class TestCookie:
    async def test_somebody_who_works_all_day_is_sent_the_cookie_again(self, site: Site, world: World) -> None:
        """
        However many streams and pictures a page asks for between, pages send the cookie before it ends.
        """
        async with browser(site, await site.token()) as client:
            lasts = IDLE.total_seconds()
            for _ in range(30):
                world.clock.advance(HOUR)
                # The stream is the first to come after each hour, as it is in a window that stays open.
                await client.get("/live?on=none")
                page = await client.get("/settings")
                assert page.status_code == 200
                cookie = sent_cookie(page)
                assert cookie is not None
                age = re.search(r"Max-Age=(\d+)", cookie)
                assert age is not None
                assert int(age[1]) > lasts - HOUR
                assert sent_cookie(await client.get("/settings")) is None

    async def test_a_window_that_is_only_open_lets_the_session_end(self, site: Site, world: World) -> None:
        """
        Live events, pictures, and pages that our script reads again are no use of a session by a person.
        """
        made = await world.make("p-1")
        async with browser(site, await site.token()) as client:
            for _ in range(11):
                world.clock.advance(HOUR)
                assert (await client.get("/live?on=none")).status_code == 422
                assert (await client.get(f"/prototypes/{made.id}/picture")).status_code == 404
                assert (await client.get("/", headers={"x-reload": "1"})).status_code == 200
            world.clock.advance(HOUR)

            assert (await client.get("/live?on=none")).status_code == 401
            assert (await client.get("/")).headers["location"] == "/sign-in"

    @on_sqlite
    @pytest.mark.parametrize("sent_at", ["", ".", ".x", ".-1", "." + "9" * 30, ".99999999999"])
    async def test_a_cookie_of_unknown_age_is_sent_again(self, site: Site, sent_at: str) -> None:
        """
        A cookie without a time that can be read, or of a time to come, is replaced.
        """
        async with browser(site, await site.token()) as client:
            hold(client, "protokeep_session", client.cookies["protokeep_session"].partition(".")[0] + sent_at)

            assert sent_cookie(await client.get("/settings")) is not None
            assert sent_cookie(await client.get("/settings")) is None

    async def test_an_open_stream_ends_with_its_idle_session(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A stream asks again whether its session is valid, without making it last, and ends when it does.
        """
        monkeypatch.setattr(sse, "REAUTHORIZE_SECONDS", 0.02)
        async with world.serving() as site, browser(site, await site.token()) as client:
            async with client.stream("GET", "/live?on=home") as stream:
                assert stream.status_code == 200
                world.clock.advance(RENEW_AFTER.total_seconds() + 1)
                read = asyncio.ensure_future(stream.aread())
                for _ in range(12):
                    world.clock.advance(HOUR)
                    await asyncio.sleep(0.03)
                await asyncio.wait_for(read, 10)

            assert (await client.get("/")).headers["location"] == "/sign-in"


@on_sqlite
class TestForms:
    PATHS = ("/sign-out", "/settings", "/settings/live", "/new", "/sign-in")

    async def test_with_a_session_only_its_own_signature_is_taken(self, site: Site) -> None:
        """
        A form cookie that another host or port has planted, even one of ours with its signature, signs nothing here.
        """
        async with browser(site) as stranger, browser(site, await site.token()) as client:
            planted = signature(await stranger.get("/sign-in"))
            hold(client, "protokeep_form", stranger.cookies["protokeep_form"])
            fields = {"form_token": planted, "product_id": "p", "prompt": "x", "token": await site.token(Role.ADMIN)}

            answers = [(await client.post(path, data=fields)).status_code for path in self.PATHS]

            assert answers == [403] * len(self.PATHS)
            assert (await client.get("/settings")).status_code == 200

    async def test_a_planted_form_cookie_is_replaced_by_one_of_ours(self, site: Site) -> None:
        """
        The sign-in page signs no cookie that it has not made, so that nobody learns the signature of a chosen one.
        """
        async with browser(site) as client:
            hold(client, "protokeep_form", "CHOSEN")
            page = await client.get("/sign-in")
            ours = re.search(r"protokeep_form=([^;]+)", page.headers["set-cookie"])
            assert ours is not None
            signed = signature(page)
            hold(client, "protokeep_form", "CHOSEN")
            refused = await client.post("/sign-in", data={"form_token": signed, "token": await site.token()})
            hold(client, "protokeep_form", ours[1])
            taken = await client.post("/sign-in", data={"form_token": signed, "token": await site.token()})
            again = await client.get("/settings")

        assert ours[1] != "CHOSEN"
        assert (refused.status_code, taken.status_code, again.status_code) == (403, 303, 200)

    async def test_somebody_signed_in_may_sign_in_as_somebody_else(self, site: Site) -> None:
        """
        With a session the sign-in form is signed by the session, and works.
        """
        async with browser(site, await site.token()) as client:
            form = signature(await client.get("/sign-in"))
            answer = await client.post("/sign-in", data={"form_token": form, "token": await site.token(user_id="bob")})
            page = await client.get("/settings")

        assert (answer.status_code, "bob" in page.text) == (303, True)

    async def test_a_session_that_has_ended_does_not_stand_in_the_way(self, site: Site, world: World) -> None:
        """
        With the cookie of a session that has ended, somebody is a stranger, whose form cookie is taken.
        """
        async with browser(site, await site.token()) as client:
            world.clock.advance(IDLE.total_seconds())
            form = signature(await client.get("/sign-in"))
            answer = await client.post("/sign-in", data={"form_token": form, "token": await site.token()})

        assert answer.status_code == 303


@on_sqlite
class TestAddresses:
    async def tries(self, site: Site, address: str, count: int) -> list[int]:
        """So many wrong tokens from an address."""
        assert isinstance(site.http._transport, httpx2.ASGITransport)
        there: Any = httpx2.ASGITransport(site.http._transport.app, client=(address, 1), raise_app_exceptions=False)
        async with httpx2.AsyncClient(base_url=site.url, transport=there) as client:
            wrong = {"Authorization": "Bearer wrong"}
            return [(await client.get("/api/design/mockups/p", headers=wrong)).status_code for _ in range(count)]

    async def test_clients_of_a_dual_stack_socket_do_not_share_one_limit(self, world: World) -> None:
        """
        An IPv4 address is counted by itself, also where the socket spells it as IPv6; both spellings are one.
        """
        async with world.serving(real=False, sign_ins_per_minute=6) as site:
            first = await self.tries(site, "::ffff:192.0.2.1", 4)
            same = await self.tries(site, "192.0.2.1", 1)
            other = await self.tries(site, "::ffff:192.0.2.2", 1)

        assert (first, same, other) == ([401] * 3 + [429], [429], [401])

    async def test_the_audit_names_an_ipv4_address_as_ipv4(self, site: Site) -> None:
        """
        Whoever reads the audit finds an address in one spelling.
        """
        await self.sign_in_from(site, "::ffff:192.0.2.9")
        admin = {"Authorization": f"Bearer {await site.token(Role.ADMIN)}"}

        entries = (await site.http.get("/api/design/audit?action=signed_in", headers=admin)).json()["entries"]

        assert [entry["address"] for entry in entries] == ["192.0.2.9"]

    async def sign_in_from(self, site: Site, address: str) -> None:
        """Sign in from an address."""
        assert isinstance(site.http._transport, httpx2.ASGITransport)
        there: Any = httpx2.ASGITransport(site.http._transport.app, client=(address, 1))
        async with httpx2.AsyncClient(base_url=site.url, headers=HTML, transport=there) as client:
            form = signature(await client.get("/sign-in"))
            answer = await client.post("/sign-in", data={"form_token": form, "token": await site.token()})
            assert answer.status_code == 303


@on_sqlite
class TestHosts:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", "/api/design/keys/"),
            ("GET", "/api/design/tokens/"),
            ("POST", "/mcp/"),
            ("GET", "/sign-in/"),
            ("POST", "/hooks/v0/x/"),
            ("GET", "/new"),
            ("GET", "/p/shop?cursor=x"),
            ("POST", "/new"),
        ],
    )
    async def test_no_redirect_leads_where_the_host_header_says(self, site: Site, method: str, path: str) -> None:
        """
        An address with a slash too many is not found, and where we lead somebody is a path of ours.
        """
        headers = {**HTML, "Host": "evil.example", "Authorization": ""}
        answer = await site.http.request(method, path, headers=headers, json={} if method == "PUT" else None)

        assert "evil.example" not in str(answer.headers)
        assert answer.status_code == (404 if path.endswith("/") else 303)
        assert answer.headers.get("location", "/").startswith("/")

    @pytest.mark.parametrize("host", ["[", "a/b", "a?b", "[::1", "", "x" * 300, "a@b", "a:99999"])
    async def test_no_host_or_origin_breaks_anything(self, site: Site, host: str) -> None:
        """
        What is no host changes neither the answer nor the path that it names.
        """
        answer = await site.http.get("/api/design/nothing", headers={"Host": host})
        posted = await site.http.post(
            "/new", data={"prompt": "x", "product_id": "p"}, headers={**HTML, "Host": host, "Origin": f"http://{host}"}
        )

        assert (answer.status_code, answer.json()["instance"]) == (404, "/api/design/nothing")
        assert posted.status_code in (303, 401)

    async def test_cookies_with_escapes_are_not_decoded(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Some Pythons decode escapes in cookies in quadratic time, before anything else of a request is looked at.
        """
        decoded: list[str] = []

        def unquote(text: str) -> str:
            decoded.append(text)
            return text

        monkeypatch.setattr("http.cookies._unquote", unquote)
        async with browser(site, await site.token()) as client:
            held = client.cookies["protokeep_session"]
            escapes = '"' + "\\\\" * 15_000 + '"'
            cookies = f"a={escapes}; protokeep_session={escapes}; b=c; protokeep_session={held}"
            page = await client.get("/settings", headers={"Cookie": cookies})

        assert page.status_code == 200
        assert decoded
        assert not any("\\" in text for text in decoded)
