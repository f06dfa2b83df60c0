"""Hostile words, addresses, pictures and packets."""

from __future__ import annotations

import asyncio
import gzip
import html
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protokeep.core.errors import OutcomeUnknown
from protokeep.core.principals import Role
from protokeep.core.validation import is_invisible
from protokeep.core.visible_fields import LISTED_PROMPT
from protokeep.providers.public_transport import PrivateAddress, PublicOnlyTransport, is_public
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_v1 import V0V1
from world import PROMPT, Site, World, on_sqlite

#: What has broken other programs.
WORDS = (
    "'; DROP TABLE design_mockups; --",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% raw %}${7*7}#{7*7}<%= 7*7 %>",
    "\u202eevil\u202c \u2066x\u2069 \u200f",
    "../../etc/passwd",
    "%00%0d%0aSet-Cookie: a=b",
    "\ufeff\ufffd\U0010ffff",
    "a" * 100_000,
    "</textarea></title></style><svg onload=alert(1)>",
    "javascript:alert(1)",
    "\\u0000 %s %n %x",
)


@pytest.fixture
async def site(world: World) -> Any:
    """The application called directly."""
    async with world.serving(real=False, requests_per_minute=0, sign_ins_per_minute=0) as served:
        yield served


async def signed_in(site: Site, token: str) -> httpx2.AsyncClient:
    """A browser of whoever holds the token."""
    browser = httpx2.AsyncClient(
        base_url=site.url, headers={"accept": "text/html"}, transport=site.http._transport, follow_redirects=False
    )
    form = await browser.get("/sign-in")
    signature = re.search(r'name="form_token" value="([^"]+)"', form.text)
    assert signature is not None
    answer = await browser.post("/sign-in", data={"form_token": html.unescape(signature[1]), "token": token})
    assert answer.status_code == 303
    return browser


class TestWords:
    @pytest.mark.parametrize("words", WORDS, ids=lambda words: ascii(words[:20]))
    async def test_hostile_text_is_kept_as_it_is_and_shown_as_text(self, site: Site, world: World, words: str) -> None:
        """
        What people write is kept as it is and shown as text, whatever it looks like.
        """
        name = "".join(character for character in words[:150] if not is_invisible(character))
        product = name.strip() or "p-1"
        if name != words[:150]:
            for hidden in ({"product_id": words[:150]}, {"product_name": words[:150]}):
                assert (await site.create(**{"product_id": "p-1", "prompt": words, **hidden})).status_code == 422
        answer = await site.create(product, words, product_name=name)
        assert answer.status_code == 201, answer.text
        browser = await signed_in(site, await site.token())

        kept = await world.get(answer.json()["id"])
        listed = await site.listed(quote(product, safe=""))
        pages = [
            await browser.get(path)
            for path in ("/", f"/prototypes/{kept.id}", f"/p?product={quote(product, safe='')}", f"/new?like={kept.id}")
        ]

        assert (kept.prompt, kept.product_id) == (words, product)
        assert listed.json()["mockups"][0]["prompt"] == words[:LISTED_PROMPT]
        for page in pages:
            assert page.status_code == 200
            for danger in ("<script>alert", "<img src=x", "<svg onload", "</textarea></title>"):
                assert danger not in page.text
            assert "49" not in re.findall(r"(?<=\s)49(?=[{$#<])", page.text)
            assert "script-src 'self'" in page.headers["content-security-policy"]
        await browser.aclose()

    @on_sqlite
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(words=st.text(max_size=300))
    @example("\x00")
    @example("\x1b[31m")
    async def test_no_id_cursor_filter_or_key_breaks_anything(self, site: Site, words: str) -> None:
        """
        No id, cursor, filter or key that anybody can type breaks anything.
        """
        coded = quote(words, safe="", errors="surrogatepass")
        for path in (
            f"mockups/{coded or '-'}",
            f"mockups/p-1?cursor={coded}",
            f"mockups/p-1?provider={coded}&status={coded}",
            f"mockups/{coded or '-'}/status?provider={coded}",
            f"prototypes/{coded or '-'}",
        ):
            answer = await site.http.get(f"/api/design/{path}")
            assert answer.status_code < 500, (path, answer.text)
        answer = await site.create(words, words)
        assert answer.status_code < 500

    @on_sqlite
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(words=st.text(max_size=200))
    async def test_no_page_address_breaks_it_or_is_echoed_as_markup(self, site: Site, words: str) -> None:
        """
        No address of a page breaks it, and none is echoed as markup.
        """
        browser = await signed_in(site, await site.token())
        coded = quote("<b>" + words, safe="", errors="surrogatepass")
        for path in (f"/?q={coded}", f"/?state={coded}&cursor={coded}", f"/p/{coded}", f"/prototypes/{coded}"):
            answer = await browser.get(path)
            assert answer.status_code < 500, path
            assert "<b>" + words not in answer.text or not words.strip(" <>")
        await browser.aclose()


async def test_deleting_a_malformed_id_is_not_found(site: Site) -> None:
    """
    An id that is none is not found, also where ids are uuids.
    """
    headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN)}"}
    for name in ("x", "%00", "'--", "%F0%9F%8D%9E"):
        assert (await site.http.delete(f"/api/design/prototypes/{name}", headers=headers)).status_code == 404


@on_sqlite
class TestTampering:
    async def test_a_changed_token_is_nobodys(self, site: Site) -> None:
        """
        A token with anything changed is nobody's.
        """
        token = await site.token(Role.ADMIN)
        changed = [token[:-1], token + "A", token.swapcase(), token[::-1], f"{token}\x7f", "pk_", " ", token[:9]]
        for text in changed:
            answer = await site.http.get("/api/design/mockups/x", headers={"Authorization": f"Bearer {text}"})
            assert answer.status_code == 401, text
        for scheme in ("Basic", "Token", ""):
            answer = await site.http.get("/api/design/mockups/x", headers={"Authorization": f"{scheme} {token}"})
            assert answer.status_code == 401

    async def test_a_changed_session_cookie_is_no_session(self, site: Site) -> None:
        """
        A session's cookie with anything changed is no session.
        """
        browser = await signed_in(site, await site.token())
        held = browser.cookies["protokeep_session"].partition(".")[0]  # Behind it stands when the cookie was sent.
        for text in (held[:-1], held + "x", held.swapcase(), "x" * 5000, "a\tb", "%00"):
            headers = {"Cookie": f"protokeep_session={text}", "accept": "text/html"}
            async with httpx2.AsyncClient(base_url=site.url, transport=site.http._transport) as other:
                assert (await other.get("/settings", headers=headers)).status_code == 303
        await browser.aclose()

    async def test_too_many_requests_or_tokens_make_only_their_sender_wait(self, world: World) -> None:
        """
        Who asks too often, or tries too many tokens, waits; others do not.
        """
        async with world.serving(real=False, requests_per_minute=20, sign_ins_per_minute=10) as site:
            own = [(await site.listed()).status_code for _ in range(12)]
            late = await site.listed()
            other = await site.http.get(
                "/api/design/mockups/p-1", headers={"Authorization": f"Bearer {await site.token(user_id='bob')}"}
            )
            wrong = [
                (await site.http.get("/api/design/mockups/p-1", headers={"Authorization": "Bearer wrong"})).status_code
                for _ in range(7)
            ]

        assert own == [200] * 10 + [429] * 2
        assert int(late.headers["retry-after"]) >= 1
        assert late.json()["type"] == "urn:protokeep:problem:too-many"
        assert other.status_code == 200
        assert wrong == [401] * 5 + [429] * 2


@on_sqlite
class TestSizes:
    async def test_headers_and_addresses_are_bounded(self, world: World) -> None:
        """
        Headers, and addresses, have an end.
        """
        async with world.serving() as site:
            many = await site.http.get("/livez", headers={f"x-{number}": "y" * 900 for number in range(40)})
            long = await site.http.get("/livez?" + "x" * 9000)

        assert (many.status_code, long.status_code) == (431, 414)
        assert long.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("start", [b"GET /livez HTTP/1.1\r\nx: ", b"GET /", b"POST /x HTTP/1.1\r\n"], ids=ascii)
    async def test_a_request_whose_head_never_ends_is_cut_off(self, world: World, start: bytes) -> None:
        """
        A request whose head never ends is cut off, not kept in memory.
        """
        async with world.serving() as site:
            parts = urlsplit(site.url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            sent = 0
            line = b"y" * 8192 if b"x:" in start or start.endswith(b"/") else b"a: " + b"y" * 8000 + b"\r\n"
            writer.write(start)
            try:
                while sent < 4 * 1024 * 1024 and not reader.at_eof():
                    writer.write(line)
                    sent += len(line)
                    await writer.drain()
                    await asyncio.sleep(0)
            except ConnectionError:
                pass
            writer.close()

            assert sent < 4 * 1024 * 1024
            assert (await site.http.get("/livez")).status_code == 200


class Answers(httpx2.AsyncByteStream):
    """A body that comes in pieces, and says how much of it was taken."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.taken = 0

    async def __aiter__(self) -> Any:
        for piece in self.pieces:
            self.taken += len(piece)
            yield piece

    async def aclose(self) -> None:
        return None


def provider_of(answer: Callable[[httpx2.Request], httpx2.Response], **config: Any) -> V0V1:
    """A builder whose network is a function."""
    made = V0Config.of(
        **{
            "api_key": "the-key-itself",
            "base_url": "https://api.v0.dev",
            "scope": None,
            "web_url": None,
            "timeout_seconds": 5,
            **config,
        }
    )
    return V0V1(made, httpx2.MockTransport(answer))


class TestPictures:
    @pytest.mark.parametrize(
        "address",
        [
            "http://169.254.169.254/latest/meta-data/",
            "https://169.254.169.254/",
            "http://127.0.0.1:8400/",
            "http://[::1]/",
            "http://v0.dev.evil.example/",
            "https://v0.dev@evil.example/x.png",
            "https://evil.example#@v0.dev/",
            "https://v0.dev:8443/x.png",
            "http://v0.dev/x.png",
            "file:///etc/passwd",
            "gopher://v0.dev/",
            "//v0.dev/x.png",
            "https://[::ffff:127.0.0.1]/",
            "https://v0.dev\\@evil.example/",
            "https://2130706433/",
        ],
    )
    async def test_a_picture_address_leads_only_to_the_builder(self, address: str) -> None:
        """
        No address that a builder's answer names leads anywhere but to the builder.
        """
        asked: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(str(request.url))
            return httpx2.Response(200, content=b"x")

        provider = provider_of(answer)
        assert await provider.picture(address) is None
        assert await provider.opens(address) is None
        await provider.aclose()

        assert asked == []

    async def test_redirects_are_not_followed_with_the_key(self) -> None:
        """
        The key goes to the builder's host and nowhere that it points to.
        """
        asked: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(request.url.host)
            return httpx2.Response(302, headers={"location": "http://169.254.169.254/"})

        provider = provider_of(answer)
        assert await provider.picture("https://v0.dev/x.png") is None
        await provider.aclose()

        assert asked == ["v0.dev"]

    @pytest.mark.parametrize("packing", ["gzip", "br", "zstd", "deflate", "gzip, gzip"])
    async def test_zip_bombs_are_given_up_at_the_limit(self, packing: str) -> None:
        """
        A few kB that unpack to gigabytes are given up at the limit, or not unpacked at all.
        """
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = packer.compress(b"\x89PNG" + bytes(64 * 1024 * 1024)) + packer.flush()
        body = Answers(*(bomb[start : start + 16_384] for start in range(0, len(bomb), 16_384)))
        provider = provider_of(lambda request: httpx2.Response(200, headers={"content-encoding": packing}, stream=body))

        with pytest.raises(OutcomeUnknown):
            await provider.picture("https://v0.dev/x.png")
        await provider.aclose()

        assert body.taken <= 16_384

    async def test_an_honest_compressed_answer_is_read(self) -> None:
        """
        An honest packed answer is read.
        """
        packed = gzip.compress(b"not a picture")
        provider = provider_of(
            lambda request: httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Answers(packed))
        )

        assert await provider.picture("https://v0.dev/x.png") is None
        await provider.aclose()

    async def test_an_answer_with_endless_headers_is_an_unknown_outcome(self) -> None:
        """
        An answer whose headers do not end is an outcome that is not known, and soon.
        """

        async def bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n")
            try:
                for number in range(200_000):
                    writer.write(b"x-%d: " % number + b"y" * 1000 + b"\r\n")
                    await writer.drain()
            except ConnectionError:
                pass
            writer.close()

        server = await asyncio.start_server(bomb, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        config = V0Config.of(api_key="k", base_url=address, scope=None, web_url=None, timeout_seconds=5)
        provider = V0V1(config)
        with pytest.raises(OutcomeUnknown):
            await provider.picture(f"{address}/x.png")
        await provider.aclose()
        server.close()

    async def test_a_picture_of_too_many_pixels_is_not_shown(self) -> None:
        """
        A small file that says it is 60,000 by 60,000 is not shown to anybody's browser.
        """
        huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 60_000, 60_000) + bytes(9)
        provider = provider_of(lambda request: httpx2.Response(200, content=huge))

        assert await provider.picture("https://v0.dev/x.png") is None
        await provider.aclose()


class TestOutward:
    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),  # noqa: S104 - not to listen at
            *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1"),
            *("2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "ff02::1", "nonsense"),
        ],
    )
    async def test_a_public_name_with_a_private_address_is_not_called(self, address: str) -> None:
        """
        A public name with a private address behind it is not called.
        """
        called: list[str] = []

        async def resolve(host: str, port: int) -> list[str]:
            return ["93.184.215.14", address]

        def inner(request: httpx2.Request) -> httpx2.Response:
            called.append(str(request.url))
            return httpx2.Response(200)

        assert not is_public(address)
        outward = PublicOnlyTransport(httpx2.MockTransport(inner), "api.v0.dev", resolve)
        async with httpx2.AsyncClient(transport=outward) as client:
            with pytest.raises(PrivateAddress):
                await client.get("https://x.vusercontent.net/")
        assert called == []

    async def test_the_address_that_was_checked_is_the_one_that_is_called(self) -> None:
        """
        The address that was looked at is the one that is called; the name stays in `Host` and in the certificate.
        """
        answers = [["93.184.215.14"], ["127.0.0.1"]]
        called: list[httpx2.Request] = []

        async def resolve(host: str, port: int) -> list[str]:
            return answers.pop(0)

        def inner(request: httpx2.Request) -> httpx2.Response:
            called.append(request)
            return httpx2.Response(200)

        async with httpx2.AsyncClient(
            transport=PublicOnlyTransport(httpx2.MockTransport(inner), "own", resolve)
        ) as client:
            assert (await client.get("https://x.vusercontent.net/a?b")).status_code == 200
        (request,) = called
        assert str(request.url) == "https://93.184.215.14/a?b"
        assert request.headers["host"] == "x.vusercontent.net"
        assert request.extensions["sni_hostname"] == "x.vusercontent.net"

    async def test_the_operators_own_host_is_called_wherever_it_is(self) -> None:
        """
        What the operator has set is called wherever it is, as the demo's sandbox on this machine.
        """

        async def resolve(host: str, port: int) -> list[str]:
            raise AssertionError("not looked up")

        inner = httpx2.MockTransport(lambda request: httpx2.Response(200))
        async with httpx2.AsyncClient(transport=PublicOnlyTransport(inner, "127.0.0.1", resolve)) as client:
            assert (await client.get("http://127.0.0.1:8500/v1/chats")).status_code == 200


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder: the database, its journal, and what else was written."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def kept_by(world: World, folder: Path) -> dict[str, bytes]:
    """All that is kept: SQLite's files, or every row of every table of PostgreSQL's."""
    if world.first.database.is_sqlite:
        return files_in(folder)
    tables = await world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        name: repr([list(row.values()) for row in await world.rows(f'SELECT * FROM "{name}"')]).encode()
        for name in (table["tablename"] for table in tables)
    }


async def test_no_secret_is_in_logs_or_database(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Logs and database hold no token, cookie, key or code that was used, not even a half of one.
    """
    team_key = "v1:team:hJ4kQz8WmX2nR7pLtY5c"
    async with world.serving(real=False) as site:
        maker, admin = await site.token(), await site.token(Role.ADMIN)
        revoked, token = await site.tokens.create(Role.MAKER, user_id="bob")
        await site.tokens.revoke("default", token.id)
        browser = await signed_in(site, admin)
        held = browser.cookies["protokeep_session"]
        for text in (maker, admin, revoked, "pk_" + "w" * 43):
            await site.http.get("/api/design/mockups/p-1", headers={"Authorization": f"Bearer {text}"})
        await site.create("p-1", PROMPT)
        headers = {"Authorization": f"Bearer {admin}"}
        assert (await site.http.put("/api/design/keys", json={"key": team_key}, headers=headers)).status_code == 200
        await browser.get("/sign-in?code=a-code-that-nobody-gave-out")
        await browser.aclose()
        for text in (revoked, "pk_" + "w" * 43):
            with pytest.raises(AssertionError):
                await signed_in(site, text)
        await site.node.context.audit.flush()
    await world.work()

    written = capsys.readouterr()
    secrets = {"key-of-the-tests", "secret-of-the-tests", "nobody-gave-out", maker, admin, revoked, held, "w" * 43}
    halves = {secret[len(secret) // 2 :] for secret in (maker, admin, revoked, held)} | {team_key[:-4], team_key[8:-4]}
    kept = await kept_by(world, tmp_path)
    assert any(b"sign_in_failed" in body for body in kept.values())
    for name, body in kept.items():
        assert not [secret for secret in secrets | halves if secret.encode() in body], name
    for text in (written.out, written.err):
        assert not [secret for secret in secrets | halves if secret in text]
        assert PROMPT not in text
