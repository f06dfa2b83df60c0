"""Signing in on the page at the company's sign-in service, over real HTTP from end to end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from fake_issuer import FakeIssuer, query_of
from world import Site, World, on_sqlite

BEGIN = "/sign-in/begin?next=%2Fp%2Fshop"


@pytest.fixture
async def site(world: World, issuer: FakeIssuer) -> AsyncIterator[Site]:
    """The application on a real port."""
    async with world.serving(**issuer.settings) as served:
        yield served


def browser(site: Site) -> httpx2.AsyncClient:
    """Keeps cookies, follows nothing by itself."""
    return httpx2.AsyncClient(base_url=site.url, headers={"accept": "text/html"}, trust_env=False, timeout=20)


async def answer_of(address: str) -> str:
    """Where the sign-in service sends the browser back to."""
    async with httpx2.AsyncClient(trust_env=False) as elsewhere:
        return str((await elsewhere.get(address)).headers["location"])


def fault_of(answer: httpx2.Response) -> str:
    found = re.search(r'role="alert"><p>([^<]*)', answer.text)
    assert found is not None, answer.text
    return found[1]


class TestSignOn:
    async def test_signing_in_leads_back_to_where_it_was_wanted(
        self, site: Site, issuer: FakeIssuer, world: World
    ) -> None:
        """
        Whoever the sign-in service names is signed in, led to where they wanted to go, and can sign out.
        """
        async with browser(site) as page:
            form = await page.get("/sign-in?next=/p/shop")
            assert "/sign-in/begin?next=%2Fp%2Fshop" in form.text.replace("/p/", "%2Fp%2F")
            begun = await page.get(BEGIN)
            back = await answer_of(begun.headers["location"])
            done = await page.get(back)
            assert (done.status_code, done.headers["location"]) == (303, "/p/shop")
            home = await page.get("/settings")
            assert "Signed in as <b>ann</b>" in home.text
            row = (await world.rows("SELECT * FROM protokeep_sessions"))[0]
            assert (row["token_id"], row["user_id"], row["role"]) == (None, "ann", "maker")
            fields = {"form_token": re.search(r'data-form-token="([^"]+)"', home.text)[1], "everywhere": "1"}  # type: ignore[index]
            assert (await page.post("/sign-out", data=fields)).status_code == 303
            assert (await page.get("/settings")).status_code == 303
            assert await world.rows("SELECT * FROM protokeep_sessions") == []

    @on_sqlite
    async def test_each_sign_in_carries_its_own_proof_state_and_nonce(self, site: Site) -> None:
        """
        What is asked carries a proof, and two sign-ins share nothing.
        """
        async with browser(site) as page:
            first, second = [query_of((await page.get(BEGIN)).headers["location"]) for _ in range(2)]

        assert first["code_challenge_method"] == "S256"
        assert first["redirect_uri"] == f"{site.url}/sign-in/finish"
        for name in ("state", "nonce", "code_challenge"):
            assert len(first[name]) >= 43
            assert first[name] != second[name]

    @on_sqlite
    async def test_an_answer_in_another_browser_signs_nobody_in(self, site: Site, world: World) -> None:
        """
        An answer that was begun elsewhere signs nobody in: no stranger's account slips into your browser.
        """
        async with browser(site) as mine, browser(site) as theirs:
            back = await answer_of((await theirs.get(BEGIN)).headers["location"])
            empty = await mine.get(back)
            await mine.get(BEGIN)
            mixed = await mine.get(back)

        for answer in (empty, mixed):
            assert answer.status_code == 401
            assert "started in another browser" in fault_of(answer)
        assert await world.rows("SELECT * FROM protokeep_sessions") == []

    @on_sqlite
    async def test_an_answer_works_once(self, site: Site) -> None:
        """
        An answer works once.
        """
        async with browser(site) as page:
            back = await answer_of((await page.get(BEGIN)).headers["location"])
            assert (await page.get(back)).status_code == 303
            assert (await page.get(back)).status_code == 401

    @on_sqlite
    async def test_a_sign_in_expires_after_ten_minutes(self, site: Site, world: World) -> None:
        """
        After ten minutes one begins again.
        """
        async with browser(site) as page:
            back = await answer_of((await page.get(BEGIN)).headers["location"])
            world.clock.advance(601)
            assert (await page.get(back)).status_code == 401

    @on_sqlite
    @pytest.mark.parametrize(
        ("spoil", "status"),
        [
            ({"nonce": "another"}, 401),
            ({"nonce": None}, 401),
            ({"aud": "protokeep-api"}, 401),
            ({"aud": ["protokeep-page", "x"]}, 401),
            ({"iss": "https://elsewhere.example"}, 401),
            ({"exp": 1}, 401),
            ({"role": "nothing"}, 403),
        ],
        ids=str,
    )
    async def test_a_bad_id_token_opens_nothing(
        self, site: Site, issuer: FakeIssuer, world: World, spoil: dict[str, Any], status: int
    ) -> None:
        """
        An ID token for somebody else, or for another sign-in, opens nothing; the page says so.
        """
        issuer.spoil = spoil
        async with browser(site) as page:
            answer = await page.get(await answer_of((await page.get(BEGIN)).headers["location"]))

        assert answer.status_code == status
        assert fault_of(answer)
        assert await world.rows("SELECT * FROM protokeep_sessions") == []

    @on_sqlite
    async def test_a_refusal_is_told_in_our_own_words(self, site: Site, issuer: FakeIssuer) -> None:
        """
        What the sign-in service answers is said in our words, never in what the address holds.
        """
        issuer.error = "access_denied"
        async with browser(site) as page:
            back = await answer_of((await page.get(BEGIN)).headers["location"])
            answer = await page.get(back)
            odd = await page.get("/sign-in/finish?error=<script>&error_description=<b>call+me")

        assert "did not let you in" in fault_of(answer)
        assert "<script>" not in odd.text
        assert "call me" not in odd.text

    @on_sqlite
    async def test_while_the_service_is_away_the_page_offers_the_token(self, site: Site, issuer: FakeIssuer) -> None:
        """
        Without the sign-in service the page says so, and offers the token.
        """
        issuer.down = True
        async with browser(site) as page:
            answer = await page.get(BEGIN)

        assert answer.status_code == 503
        assert "does not answer" in fault_of(answer)
        assert 'name="token"' in answer.text

    @on_sqlite
    async def test_signing_in_never_leads_to_another_site(self, site: Site) -> None:
        """
        After signing in one stays here, wherever the link wanted to lead.
        """
        async with browser(site) as page:
            begun = await page.get("/sign-in/begin?next=https://evil.example/")
            done = await page.get(await answer_of(begun.headers["location"]))

        assert done.headers["location"] == "/"

    @on_sqlite
    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "[", "::1"])
    async def test_the_host_header_does_not_say_where_to_come_back_to(self, site: Site, host: str) -> None:
        """
        Without a public address only this machine's own names are believed; the way back is never one that was sent.
        """
        async with browser(site) as page:
            refused = await page.get(BEGIN, headers={"Host": host})
            taken = await page.get(BEGIN, headers={"Host": "localhost:8400"})

        assert refused.status_code == 503
        assert "PROTOKEEP_PUBLIC_URL" in refused.text
        assert "location" not in refused.headers
        assert query_of(taken.headers["location"])["redirect_uri"] == "http://localhost:8400/sign-in/finish"

    @on_sqlite
    async def test_behind_https_address_and_cookies_are_https_only(self, world: World, issuer: FakeIssuer) -> None:
        """
        With a public address over https that is where one comes back to, and every cookie is for https only.
        """
        async with world.serving(public_url="https://keep.example", **issuer.settings) as site, browser(site) as page:
            begun = await page.get(BEGIN)

        assert query_of(begun.headers["location"])["redirect_uri"] == "https://keep.example/sign-in/finish"
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-protokeep_flow=")
        assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=lax", "Max-Age=600"))
        assert begun.headers["strict-transport-security"] == "max-age=31536000"

    @on_sqlite
    async def test_the_sign_in_service_is_asked_again_after_sign_on_hours(
        self, world: World, issuer: FakeIssuer
    ) -> None:
        """
        However busy, after `sign_on_hours` one goes to the sign-in service again, which may say no by then.
        """
        async with world.serving(sign_on_hours=2, **issuer.settings) as site, browser(site) as page:
            await page.get(await answer_of((await page.get(BEGIN)).headers["location"]))
            for _ in range(3):
                world.clock.advance(timedelta(minutes=38).total_seconds())
                assert (await page.get("/settings")).status_code == 200
            world.clock.advance(timedelta(minutes=38).total_seconds())

            assert (await page.get("/settings")).status_code == 303

    @on_sqlite
    async def test_without_an_issuer_there_is_no_single_sign_on(self, world: World) -> None:
        """
        Without an issuer there is no such door.
        """
        async with world.serving() as site, browser(site) as page:
            assert "company account" not in (await page.get("/sign-in")).text
            assert (await page.get(BEGIN)).status_code == 404
