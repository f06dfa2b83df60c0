"""Every refusal is a problem of its own: stable type, what to do next, a request id, and no row changed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx2
import pytest
from fastapi.routing import iter_route_contexts

from owner_schemas import MOCKUP, PRODUCT, make_owner, run
from protokeep.core.errors import DatabaseUnavailable
from protokeep.core.principals import Role
from protokeep.settings import Settings
from protokeep.store import sqlite
from protokeep.store.migrate import migrate
from protokeep.store.store import Store
from protokeep.web import openapi
from protokeep.web.app import create_app
from protokeep.web.dependencies import Prefer
from protokeep.web.problem_kinds import KINDS
from world import PROMPT, Site, World, on_sqlite

URN = "urn:protokeep:problem:"
CREATE = "/api/design/create-project"
AT_ONCE = {"Prefer": "respond-async"}


def problem(answer: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem document of an answer, which must be complete."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["type"], found["status"]) == (URN + kind, status)
    assert found["title"]
    assert found["detail"].endswith((".", "?", "}", '"'))
    assert found["request_id"] == answer.headers["x-request-id"]
    assert unquote(found["instance"]).replace("\n", "") == answer.request.url.path.replace("\n", "")
    return found


@contextlib.asynccontextmanager
async def held(url: str) -> AsyncIterator[None]:
    """Another program that holds what a change needs: SQLite's lock for writing, or the rows on PostgreSQL."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield
        return
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM protokeep_generations FOR UPDATE")
            yield
    finally:
        await connection.close()


def body(**changes: Any) -> dict[str, Any]:
    """A good request, with changes."""
    return {"product_id": "p-2", "prompt": PROMPT, **changes}


#: What is sent, the problem's type, and the field it names.
BAD_BODIES: dict[str, tuple[Any, str, str | None]] = {
    "unknown provider": (body(provider="figma"), "invalid-input", "provider"),
    "empty prompt": (body(prompt=""), "invalid-input", "prompt"),
    "blank prompt": (body(prompt=" \n "), "invalid-input", "prompt"),
    "prompt of 100,001": (body(prompt="x" * 100_001), "invalid-input", "prompt"),
    "prompt with NUL": (body(prompt="a\x00b"), "invalid-input", "prompt"),
    "prompt with half a character": (rb'{"product_id": "p-2", "prompt": "\ud800"}', "invalid-input", "prompt"),
    "product id of 201": (body(product_id="x" * 201), "invalid-input", "product_id"),
    "empty product id": (body(product_id=""), "invalid-input", "product_id"),
    "product id with a line break": (body(product_id="a\nb"), "invalid-input", "product_id"),
    "product id with an escape": (body(product_id="a\x1bb"), "invalid-input", "product_id"),
    "product id is a number": (body(product_id=17), "invalid-input", "product_id"),
    "create_new is a text": (body(create_new="yes"), "invalid-input", "create_new"),
    "misspelt field": ({"product_id": "p-2", "promt": "x"}, "invalid-input", "promt"),
    "unknown field": (body(createNew=True), "invalid-input", "createNew"),
    "no prompt": ({"product_id": "p-2"}, "invalid-input", "prompt"),
    "name of 201": (body(product_name="x" * 201), "invalid-input", "product_name"),
    "list": ([body()], "invalid-input", "body"),
    "null": (b"null", "invalid-input", "body"),
    "nothing": (b"", "invalid-input", "body"),
    "no json": (b"product_id=p-2", "invalid-json", None),
    "cut json": (b'{"product_id": "p-2", "prompt', "invalid-json", None),
    "no utf-8": (b'{"product_id": "\xff\xfe"}', "invalid-json", None),
    "too deep": (b"[" * 3_000, "invalid-json", None),
}


class TestBadInput:
    @on_sqlite
    @pytest.mark.parametrize(("sent", "kind", "field"), BAD_BODIES.values(), ids=BAD_BODIES)
    async def test_a_body_that_cannot_be_used_is_refused(
        self, site: Site, world: World, sent: Any, kind: str, field: str | None
    ) -> None:
        """
        A body that cannot be used.
        """
        await site.create("p-1")
        before = await world.contents()
        content = {"content": sent} if isinstance(sent, bytes) else {"json": sent}

        answer = await site.http.post(CREATE, headers={"Content-Type": "application/json"}, **content)

        found = problem(answer, 400 if kind == "invalid-json" else 422, kind)
        assert found.get("field") == field
        assert (await world.contents(), world.creates) == (before, 1)

    @on_sqlite
    @pytest.mark.parametrize("chunked", [False, True], ids=["told", "chunked"])
    async def test_a_body_of_more_than_a_mebibyte_is_not_read(
        self, real_site: Site, world: World, chunked: bool
    ) -> None:
        """
        More than 1 MiB is not read, whether its length was told or not.
        """
        text = b'{"product_id": "p-2", "prompt": "' + b"x" * 2**20 + b'"}'

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(text), 65_536):
                yield text[start : start + 65_536]

        answer = await real_site.http.post(
            CREATE, content=pieces() if chunked else text, headers={"Content-Type": "application/json"}
        )

        assert "1024 KiB" in problem(answer, 413, "too-large")["detail"]
        assert await world.rows("SELECT id FROM design_mockups") == []

    @pytest.mark.parametrize("path", [CREATE, "/api/design/tokens", "/mcp"])
    @pytest.mark.parametrize("field", ['"%d": 1', '"a": {}, "%d": []', '"\\\\": 1, "\\"%d": 1'], ids=ascii)
    @pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
    async def test_a_body_of_very_many_values_is_not_parsed(
        self, site: Site, path: str, field: str, coding: str
    ) -> None:
        """
        Each value costs a parser, and the check of types, many times its own length.
        """
        text = "{" + ", ".join(field % number for number in range(2000)) + "}"

        answer = await site.http.post(path, content=text.encode(coding), headers={"Content-Type": "application/json"})

        assert "1,000 values" in problem(answer, 413, "too-large")["detail"]

    async def test_a_prompt_that_looks_like_very_many_values_is_one(self, site: Site) -> None:
        """
        Commas, brackets and quotation marks within a text are no values.
        """
        answer = await site.http.post(CREATE, json={"product_id": "p-1", "prompt": '{"a": [1, "\\"], ' * 5000})

        assert answer.status_code in {201, 202}, answer.text

    @on_sqlite
    async def test_the_longest_prompt_in_its_longest_encoding_fits(self, site: Site, world: World) -> None:
        """
        100,000 characters of four bytes each, all escaped, fit.
        """
        answer = await site.http.post(CREATE, json=body(prompt="🍞" * 80_000))

        assert answer.status_code == 201
        assert (await world.get(answer.json()["id"])).prompt == "🍞" * 80_000

    @on_sqlite
    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("mockups/p-1?limit=0", "limit"),
            ("mockups/p-1?limit=101", "limit"),
            ("mockups/p-1?limit=x", "limit"),
            ("mockups/p-1?cursor=nonsense", "cursor"),
            ("mockups/p-1?cursor=" + "A" * 301, "cursor"),
            ("mockups/p-1?cursor=WyJ4IiwgInkiXQ", "cursor"),
            ("mockups/p-1?cursor=", "cursor"),
            ("mockups/p-1?cursor=%C3%A4", "cursor"),
            ("mockups/p-1?status=done", "status"),
            ("mockups/p-1?mine=perhaps", "mine"),
            ("mockups/p-1?provider=%0A", "provider"),
            ("mockups/p-1/status?provider=", "provider"),
            ("check-status/a%0Ab", "product_id"),
            ("mockups/" + "x" * 201, "product_id"),
            ("mockups/a%0Ab", "product_id"),
            ("mockups/a%00b/status", "product_id"),
        ],
    )
    async def test_a_bad_query_is_refused_and_named(self, site: Site, path: str, field: str) -> None:
        """
        A query that cannot be used names what is wrong with it.
        """
        found = problem(await site.http.get(f"/api/design/{path}"), 422, "invalid-input")

        assert found["field"] == field

    @pytest.mark.parametrize(
        ("header", "wait"),
        [
            ("wait=7", 7),
            ('respond-async, wait="0"', 0),
            ("wait=60", 25),
            ("wait=" + "9" * 490, 25),
            ("wait", None),
            ("wait=", None),
            ("wait=-1", None),
            ("wait=1e3", None),
            ("wait=\xb2", None),
            ("wait=5, wait=soon", 5),
        ],
    )
    def test_a_wait_that_cannot_be_met_is_shortened_or_ignored(self, header: str, wait: int | None) -> None:
        """
        RFC 7240, 2: a preference is no demand, so no request fails because of one.
        """
        assert Prefer.of(header).wait == wait

    @on_sqlite
    async def test_no_header_is_longer_than_any_route_reads(self, site: Site) -> None:
        """
        Preferences and keys have the same longest length at every route.
        """
        made = (await site.create("p-1")).json()["id"]
        messages = f"/api/design/prototypes/{made}/messages"
        for header in ({"Prefer": "wait=" + "0" * 5001}, {"Idempotency-Key": "x" * 301}):
            problem(await site.create("p-2", headers=header), 422, "invalid-input")
            problem(await site.http.post(messages, json={"message": "x"}, headers=header), 422, "invalid-input")
        problem(await site.status("p-1", headers={"Prefer": "wait=" + "0" * 5001}), 422, "invalid-input")

    @pytest.mark.parametrize(
        "position",
        [
            '["0001-01-01T00:00:00+23:59", "3d8e7646-ef1d-54ec-bbea-61227ced90d6"]',
            '["9999-12-31T23:59:59-23:59", "3d8e7646-ef1d-54ec-bbea-61227ced90d6"]',
            '["0001-01-01", "ff"]',
            '["2025-01-01T00:00:00+00:00", "3-d8e7646ef1d54ecbbea61227ced90d6"]',
            '["2025-01-01T00:00:00+00:00", "urn:uuid:3d8e7646-ef1d-54ec-bbea-61227ced90d6"]',
            '["2025-01-01T00:00:00+00:00", 7]',
            '["2025-01-01T00:00:00+00:00", "\\ud800"]',
            "[" * 200,
            "9" * 200,
            '{"a": 1, "b": 2}',
            "[1e999, NaN]",
        ],
    )
    async def test_a_cursor_that_somebody_wrote_is_refused(self, site: Site, position: str) -> None:
        """
        A cursor is read like any other text: moments at the edge of time, ids that are none, and nesting are refused.
        """
        cursor = base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")
        admin = {"Authorization": f"Bearer {await site.token(Role.ADMIN)}"}

        for path in ("mockups/p-1", "audit"):
            answer = await site.http.get(f"/api/design/{path}", params={"cursor": cursor}, headers=admin)
            assert problem(answer, 422, "invalid-input")["field"] == "cursor"

    @on_sqlite
    @pytest.mark.parametrize("prefer", ["handling=lenient", "return=minimal; foo", "", ",;="])
    async def test_unknown_preferences_are_ignored(self, site: Site, prefer: str) -> None:
        """
        Preferences that are not known here are ignored, as RFC 7240 wants it.
        """
        assert (await site.create(headers={"Prefer": prefer})).status_code == 201

    @on_sqlite
    @pytest.mark.parametrize("key", ["", '""', "x" * 256, "x" * 400])
    async def test_an_empty_or_too_long_idempotency_key_is_refused(self, site: Site, world: World, key: str) -> None:
        """
        A key that names nothing or too much is refused.
        """
        problem(await site.create(headers={"Idempotency-Key": key}), 422, "invalid-input")
        assert world.creates == 0

    @on_sqlite
    async def test_unknown_paths_and_methods_are_refused(self, site: Site) -> None:
        """
        Nothing is served elsewhere, nor by other methods.
        """
        problem(await site.http.get("/api/design/nothing"), 404, "not-found")
        problem(await site.http.get(CREATE), 405, "method-not-allowed")
        problem(await site.http.put("/api/design/mockups/p-1"), 405, "method-not-allowed")


class TestWho:
    ROUTES = (
        ("POST", CREATE),
        ("GET", "/api/design/mockups/p-1"),
        ("GET", "/api/design/mockups/p-1/status"),
        ("GET", f"/api/design/prototypes/{MOCKUP}"),
    )

    @on_sqlite
    async def test_every_route_needs_a_token_and_does_not_say_what_is_wrong(self, site: Site, world: World) -> None:
        """
        Every route needs a token that counts; the answer does not tell what is wrong with it.
        """
        expired = await site.token(days=1)
        revoked = await site.token()
        await site.tokens.revoke("default", revoked[:9])
        world.clock.advance(timedelta(days=1).total_seconds())
        details = set()
        for value in ("", "Bearer", "Bearer wrong", "Basic YTpi", f"Bearer {expired}", f"Bearer {revoked}"):
            for method, path in self.ROUTES:
                answer = await site.http.request(method, path, json=body(), headers={"Authorization": value})
                found = problem(answer, 401, "not-authenticated")
                told = 'Bearer error="invalid_token"' if value.startswith("Bearer ") else "Bearer"
                assert answer.headers["www-authenticate"] == told
                if value.startswith("Bearer "):
                    details.add(found["detail"])
        assert len(details) == 1
        assert await world.rows("SELECT id FROM design_mockups") == []

    @on_sqlite
    async def test_a_token_of_kilobytes_is_not_looked_up(self, site: Site) -> None:
        """
        A token of kilobytes is not even looked up.
        """
        answer = await site.listed()
        assert answer.status_code == 200
        headers = {"Authorization": "Bearer " + "x" * 4000}
        problem(await site.http.get("/api/design/mockups/p-1", headers=headers), 401, "not-authenticated")

    @on_sqlite
    async def test_a_viewer_reads_and_makers_and_admins_create(self, site: Site, world: World) -> None:
        """
        A viewer sees and does not create; maker and admin do.
        """
        for role, status in ((Role.VIEWER, 403), (Role.MAKER, 201), (Role.ADMIN, 200)):
            headers = {"Authorization": f"Bearer {await site.token(role)}"}
            answer = await site.create("p-2", headers=headers)
            if status == 403:
                assert "viewer" in problem(answer, 403, "not-allowed")["detail"]
                assert world.creates == 0
            assert answer.status_code == status
            assert (await site.http.get("/api/design/mockups/p-2", headers=headers)).status_code == 200


class TestNotReady:
    async def test_without_a_key_a_create_is_503_and_names_the_setting(self, world: World) -> None:
        """
        Without V0_API_KEY the server runs, reads work, and a create is a 503 that names the setting.
        """
        made = await world.make()
        async with world.serving(await world.node(key=None)) as site:
            found = problem(await site.create("p-2"), 503, "not-configured")
            assert "V0_API_KEY" in found["detail"]
            assert [one["id"] for one in (await site.listed()).json()["mockups"]] == [made.id]
            assert (await site.status()).json()["id"] == made.id
            assert (await site.http.get("/readyz")).status_code == 200
            problem(await site.create("p-2", provider="figma"), 422, "invalid-input")
        assert len(await world.rows("SELECT id FROM design_mockups")) == 1

    async def test_before_the_migration_a_create_is_503_and_names_the_command(self, empty_pg_url: str) -> None:
        """
        Before the migration reads answer with nulls; a create is a 503 that names the command.
        """
        await make_owner(empty_pg_url)
        await migrate(empty_pg_url, "own")
        async with World.open(empty_pg_url) as world, world.serving() as site:
            found = problem(await site.create(PRODUCT), 503, "not-migrated")
            assert "protokeep migrate" in found["detail"]
            problem(await site.http.get("/readyz"), 503, "not-migrated")
            (newest, _) = (await site.listed(PRODUCT)).json()["mockups"]
            assert (newest["id"], newest["v0_chat_id"], newest["project_status"]) == (MOCKUP, None, "pending")
            assert (await site.status(PRODUCT)).json()["state"] == "untracked"
            assert world.calls() == 0

    async def test_a_product_that_the_owner_does_not_have_is_a_422_of_its_own(self, empty_pg_url: str) -> None:
        """
        A product that the owner does not have is a 422 of its own type; one that is no uuid is another.
        """
        await make_owner(empty_pg_url, tenant=True)
        await migrate(empty_pg_url)
        async with World.open(empty_pg_url) as world, world.serving() as site:
            problem(await site.create("99999999-0000-4000-8000-000000000000"), 422, "product-unknown")
            problem(await site.create("shop"), 422, "invalid-input")
            problem(await site.listed("shop"), 422, "invalid-input")
            assert (await site.create(PRODUCT)).status_code == 201

    @on_sqlite
    async def test_a_commit_whose_answer_was_lost_is_503_and_says_how_to_repeat(
        self, site: Site, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A create is written and the database goes away: the 503 says how to repeat it. A read's says nothing of that.
        """
        claim = Store.claim

        async def lost(self: Store, *arguments: Any, **named: Any) -> Any:
            await claim(self, *arguments, **named)
            raise DatabaseUnavailable

        async def away(self: Store, *arguments: Any, **named: Any) -> Any:
            raise DatabaseUnavailable

        key = {"Idempotency-Key": "k"}
        with monkeypatch.context() as patched:
            patched.setattr(Store, "claim", lost)
            patched.setattr(Store, "current", away)
            created = problem(await site.create(headers=key, create_new=True), 503, "not-ready")
            read = problem(await site.status(), 503, "not-ready")
        again = (await site.create(headers=key, create_new=True)).json()

        assert "repeat it with the same Idempotency-Key" in created["detail"]
        assert "Idempotency-Key" not in read["detail"]
        assert again["decision"]["outcome"] == "replayed"
        assert len(await world.listed()) == 1

    async def test_a_change_that_the_database_undid_is_503_and_says_that_nothing_was_written(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Another program holds the row, or SQLite's file: the 503 asks to come back, and nothing has changed.
        """
        monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
        if not database_url.startswith("sqlite"):
            name = database_url.rpartition("/")[2]
            await run(database_url, f"ALTER DATABASE \"{name}\" SET lock_timeout = '100ms'")
        async with World.open(database_url) as world, world.serving() as site:
            messages = f"/api/design/prototypes/{(await world.complete()).id}/messages"
            before = await world.contents()
            async with held(database_url):
                answer = await site.http.post(messages, json={"message": "in blue"})

            refused = problem(answer, 503, "not-ready")
            assert answer.headers["retry-after"]
            assert "Nothing was written" in refused["detail"]
            assert "may have been done" not in refused["detail"]
            assert await world.contents() == before
            assert (await site.http.post(messages, json={"message": "in blue"}, headers=AT_ONCE)).is_success

    async def test_without_its_database_everything_but_livez_is_503(self, pg_url: str) -> None:
        """
        Without its database everything but /livez is a 503 that asks to come back; then it works again.
        """
        async with Wire.to(pg_url) as wire, World.open(wire.url) as world, world.serving() as site:
            await site.create()
            await wire.cut()

            for answer in (await site.create(), await site.listed(), await site.http.get("/readyz")):
                problem(answer, 503, "not-ready")
                assert answer.headers["retry-after"]
            assert (await site.http.get("/livez")).status_code == 200

            await wire.mend()
            assert (await site.create()).status_code == 200
            assert world.chats_created == 1


class Wire:
    """A TCP connection to a database that can be cut."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._url = url
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Wire]:
        """A wire to the server at `url`."""
        wire = cls(url)
        await wire.mend()
        try:
            yield wire
        finally:
            await wire.cut()

    @property
    def url(self) -> str:
        """The address at this end of the wire."""
        return self._url.replace(f":{self._target[1]}/", f":{self.port}/")

    async def mend(self) -> None:
        """Take connections, at the same address as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Close every connection, and take no new one."""
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        with contextlib.suppress(OSError):
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        self._writers -= {writer, back}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.close()


@on_sqlite
class TestWords:
    """What a person reads of a problem: our own words, and a page that has more of them."""

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            ({"product_id": "p", "promt": "x"}, "promt is not a field of this request. Did you mean prompt?"),
            (body(createNew=True), "Did you mean create_new?"),
            (body(projectName="x"), "projectName is not a field of this request. Did you mean product_name?"),
            (body(colour="red"), "colour is not a field of this request. Take it out, or check its spelling."),
            (body(create_new="yes"), "create_new must be true or false."),
            (body(context=[]), "context must be a JSON object."),
        ],
    )
    async def test_a_misspelt_field_is_told_as_such(self, site: Site, sent: Any, words: str) -> None:
        """
        A field that is not known comes before one that is missing because of it, with the one that was meant.
        """
        assert problem(await site.http.post(CREATE, json=sent), 422, "invalid-input")["detail"].endswith(words)

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=101", "limit=x", "status=done", "mine=perhaps", "cursor=" + "A" * 301]
    )
    async def test_no_problem_speaks_in_the_words_of_a_library(self, site: Site, query: str) -> None:
        """
        What Pydantic says of a value is written for those who program with it.
        """
        detail = problem(await site.http.get(f"/api/design/mockups/p-1?{query}"), 422, "invalid-input")["detail"]

        assert detail.startswith(f"{query.partition('=')[0]} ")
        assert not any(word in detail for word in ("should be", "Input", "Unable", "/docs"))

    async def test_every_problem_links_to_the_page_that_describes_it(self, site: Site) -> None:
        """
        `help` and the `Link` header lead to the page of this server that anybody can read, which has each kind.
        """
        found = problem(await site.http.get("/api/design/nothing"), 404, "not-found")
        answer = await site.http.get("/api/design/prototypes/none", headers={"Authorization": "Bearer x"})
        page = await site.http.get(found["help"].partition("#")[0], headers={"Authorization": ""})

        assert answer.headers["link"] == '</docs#not-authenticated>; rel="help"'
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        for kind in (*KINDS, "error"):
            assert f'id="{kind}"' in page.text
        assert 'id="prototypes"' in page.text
        assert "POST /api/design/create-project" in page.text
        assert "For the board" in page.text  # The example of a body that may be left out.

    @pytest.mark.parametrize(
        ("sent", "challenge"),
        [("", "Bearer"), ("Basic eA==", "Bearer"), ("Bearer ", "Bearer"), ("Bearer x", 'Bearer error="invalid_token"')],
    )
    async def test_a_token_that_is_refused_is_told_apart_from_none(self, site: Site, sent: str, challenge: str) -> None:
        """
        RFC 6750, 3.1: with `invalid_token` an assistant says that its token is wrong, and begins no sign-in of its own.
        """
        answer = await site.http.get("/api/design/mockups/p-1", headers={"Authorization": sent})

        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)

    @pytest.mark.parametrize("sent", ["${PROTOKEEP_TOKEN}", "$PROTOKEEP_TOKEN", "<token>", "Bearer pk_x", "{{token}}"])
    async def test_a_placeholder_that_was_not_filled_in_is_told(self, site: Site, sent: str) -> None:
        """
        The words say that a program has not put the token in, and repeat nothing of it.
        """
        answer = await site.http.get("/api/design/mockups/p-1", headers={"Authorization": f"Bearer {sent}"})

        assert "placeholder" in problem(answer, 401, "not-authenticated")["detail"]
        assert sent not in answer.text


@on_sqlite
class TestHealth:
    async def test_health_and_description_need_no_token(self, real_site: Site) -> None:
        """
        Health and description need no token.
        """
        async with httpx2.AsyncClient(base_url=real_site.url, trust_env=False) as nobody:
            for path in ("/livez", "/readyz", "/openapi.json"):
                assert (await nobody.get(path)).status_code == 200
            assert (await nobody.get("/livez")).json() == {"status": "ok"}

    async def test_the_description_names_routes_problems_and_token(self, real_site: Site) -> None:
        """
        The description names the spec's routes, their problems and the token.
        """
        described = (await real_site.http.get("/openapi.json")).json()

        assert {CREATE, "/api/design/mockups/{product_id}", "/api/design/mockups/{product_id}/status"} <= set(
            described["paths"]
        )
        create = described["paths"][CREATE]["post"]
        assert {"200", "201", "202", "401", "403", "409", "422", "503"} <= set(create["responses"])
        assert create["security"] == [{"token": ["maker"]}]
        assert "application/problem+json" in create["responses"]["422"]["content"]

    async def test_every_answer_has_a_request_id_and_forbids_sniffing(self, real_site: Site) -> None:
        """
        Every answer carries a request id of its own, and tells browsers not to guess.
        """
        answers = [
            await real_site.create(),
            await real_site.listed(),
            await real_site.status("none"),
            await real_site.http.get("/livez"),
        ]

        assert len({answer.headers["x-request-id"] for answer in answers}) == 4
        assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


def test_the_description_leaves_nothing_without_words() -> None:
    """
    Each operation has a group and a summary, each parameter and field a description, each body an example that
    its model takes.
    """
    app = create_app(Settings(database_url="sqlite:////nowhere.db"))
    described = app.openapi()
    fields = [getattr(route, "body_field", None) for route in iter_route_contexts(app.routes)]
    annotations = {field.field_info.annotation for field in fields if field is not None}
    # A body that may be left out is a model or None.
    bodies = {model for one in annotations for model in get_args(one) or (one,) if model is not type(None)}

    for path, operation in openapi.operations_of(described):
        assert operation["summary"], path
        assert set(operation["tags"]) <= {tag["name"] for tag in described["tags"]}, path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (path, parameter["name"])
    for name, schema in described["components"]["schemas"].items():
        for field, words in schema.get("properties", {}).items():
            assert words.get("description"), (name, field)
    for model in bodies:
        assert model.model_config["json_schema_extra"]["examples"], model
        for example in model.model_config["json_schema_extra"]["examples"]:
            model.model_validate_json(json.dumps(example))
    assert described["servers"] == [{"url": "/", "description": "This server."}]
