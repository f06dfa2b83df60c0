"""Every parser that takes somebody else's text, with the texts to try it with.

Those of the web application are tried through the whole application, as a server calls it; the others directly. Each
has a few errors that it may answer with: any other exception is a fault, and so is a status of 500 and above.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from hypothesis import strategies as st

from system.access.hostile_texts import CODECS, changed, cursors, octets, texts
from world import Site, World

NO_HEADERS: Mapping[str, bytes] = {}
KNOWN = "3d8e7646-ef1d-54ec-bbea-61227ced90d6"


@dataclass
class Stage:
    """A world with its application, and what signs somebody in."""

    world: World
    site: Site
    token: str
    cookie: str
    form_token: str
    #: By answer: how many there were. "refused" and "taken" are of parsers that are tried directly.
    answers: Counter[str] = field(default_factory=Counter)

    async def ask(
        self,
        method: str,
        path: bytes,
        body: bytes = b"",
        headers: Mapping[str, bytes] = NO_HEADERS,
        query: bytes = b"",
    ) -> int:
        """The status of a request whose bytes are as given, passed to the application as a server passes it."""
        started: list[int] = []
        given = {"host": b"keep.example", "accept": b"text/html", "authorization": b"Bearer " + self.token.encode()}
        given |= {"cookie": f"protokeep_session={self.cookie}".encode(), **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [
                (name.encode(), value.replace(b"\r", b"").replace(b"\n", b"")) for name, value in given.items()
            ],
            "client": ("192.0.2.1", 1),
            "server": ("127.0.0.1", 80),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.append(message["status"])

        app: Any = self.site.http._transport.app  # type: ignore[attr-defined]
        await app({**scope, "state": {}}, receive, send)
        self.answers[str(started[0])] += 1
        if started[0] >= 500:
            raise AssertionError(
                f"{started[0]} for {method} {path[:80]!r} {query[:80]!r} {body[:200]!r} {given!r:.500}"
            )
        return started[0]


Try = Callable[[Stage, Any], Awaitable[object]]


@dataclass(frozen=True)
class Parser:
    """A parser: what it is tried with, how, and the errors that it may answer with."""

    name: str
    inputs: st.SearchStrategy[Any]
    attempt: Try
    may_raise: tuple[type[Exception], ...] = ()

    async def take(self, stage: Stage, given: Any) -> float:
        """Try one input. Returns for how many seconds it held the event loop's thread. Raises what is a fault."""
        began = time.thread_time()
        try:
            await self.attempt(stage, given)
        except self.may_raise:
            stage.answers["refused"] += 1
        return time.thread_time() - began


def _quoted(text: str) -> bytes:
    return quote(text, safe="", errors="surrogatepass").encode()


# -- forms -----------------------------------------------------------------------------------------------------------

PAGES = ("/sign-in", "/new", "/sign-out", "/settings", "/settings/live", "/settings/v0-key")
FIELDS = (
    "form_token",
    "token",
    "code",
    "next",
    "prompt",
    "product_id",
    "message",
    "key",
    "draft_target",
    "draft_prompt",
)


@st.composite
def _forms(draw: st.DrawFn) -> tuple[str, str, bytes, bool]:
    """(path, Content-Type, body, whether it is signed and of somebody with a session)."""
    codec = draw(st.sampled_from(CODECS))
    charset = f"; charset={codec}" if codec and draw(st.booleans()) else ""
    fields = draw(st.dictionaries(st.sampled_from(FIELDS), octets(440_000), max_size=4))
    path = draw(st.sampled_from((*PAGES, f"/prototypes/{KNOWN}/messages")))
    signed = draw(st.booleans()) and path != "/sign-out"
    if draw(st.booleans()):
        kind = "multipart/form-data; boundary=X" + charset
        head = b'--X\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        body = b"".join(head % (name.encode(), value) for name, value in fields.items()) + b"--X--\r\n"
    else:
        kind = "application/x-www-form-urlencoded" + charset
        body = b"&".join(name.encode() + b"=" + value for name, value in fields.items())
    whole = draw(st.booleans() | st.just(True))
    return path, kind if whole else draw(texts(400)), body if whole else draw(octets(440_000)), signed


async def _form(stage: Stage, given: tuple[str, str, bytes, bool]) -> None:
    path, kind, body, signed = given
    if signed:
        body = body.replace(b"form_token", b"x") + f"&form_token={stage.form_token}".encode()
    headers = {"content-type": kind.encode("latin-1", "replace"), **({} if signed else {"cookie": b""})}
    await stage.ask("POST", path.encode(), body, headers)


# -- the API: headers, queries, ids, bodies ---------------------------------------------------------------------------

HEADERS = (
    *("prefer", "idempotency-key", "if-none-match", "authorization", "cookie", "host", "origin", "content-length"),
    *("content-type", "accept", "sec-fetch-site", "x-reload", "last-event-id"),
)
REQUESTS = (
    ("GET", b"/api/design/mockups/p-1/status", b""),
    ("GET", b"/settings", b""),
    ("GET", b"/sign-in", b""),
    ("POST", b"/new", b"prompt=x&product_id=p"),
    ("POST", b"/api/design/create-project", b'{"product_id": "p-1", "prompt": "x"}'),
)
QUERIES = {
    b"/api/design/mockups/p-1": ("limit", "cursor", "provider", "status", "mine"),
    b"/api/design/mockups/p-1/status": ("provider",),
    b"/api/design/audit": ("limit", "cursor", "action", "actor"),
    b"/": ("q", "state", "product", "provider", "mine", "view", "cursor", "deleted"),
    b"/p": ("product", "cursor"),
    b"/new": ("product", "another", "like"),
    b"/sign-in": ("code", "next"),
    b"/settings": ("saved",),
}
LISTS = (b"/api/design/mockups/p-1", b"/api/design/audit", b"/")
PATHS = (
    ("GET", "/api/design/prototypes/{}"),
    ("DELETE", "/api/design/prototypes/{}"),
    ("GET", "/api/design/prototypes/{}/picture"),
    ("GET", "/api/design/mockups/{}"),
    ("GET", "/api/design/mockups/{}/status"),
    ("DELETE", "/api/design/tokens/{}"),
    ("GET", "/prototypes/{}"),
    ("GET", "/prototypes/{}/delete"),
    ("GET", "/p/{}"),
    ("GET", "/static/{}"),
    ("POST", "/hooks/v0/{}"),
    ("POST", "/hooks/{}/x"),
)
BODIES: Mapping[str, dict[str, Any]] = {
    "/api/design/create-project": {"product_id": "p-1", "prompt": "x", "product_name": "n", "create_new": False},
    f"/api/design/prototypes/{KNOWN}/messages": {"message": "x"},
    "/api/design/tokens": {"role": "viewer", "user_id": "bob", "name": "n", "days": 7},
    "/api/design/people/revoke": {"user_id": "nobody"},
    "/mcp": {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_prototype", "arguments": {"product_id": "p-1"}},
    },
}


async def _header(stage: Stage, given: tuple[tuple[str, bytes, bytes], str, str]) -> None:
    (method, path, body), name, text = given
    headers = {"content-type": b"application/json", name: text.encode("utf-8", "surrogatepass")}
    await stage.ask(method, path, body, headers)


async def _query(stage: Stage, given: tuple[bytes, str, str]) -> None:
    path, name, text = given
    await stage.ask("GET", path, query=name.encode() + b"=" + _quoted(text))


async def _path(stage: Stage, given: tuple[tuple[str, str], str]) -> None:
    (method, pattern), text = given
    before, _, after = pattern.partition("{}")
    await stage.ask(method, before.encode() + _quoted(text) + after.encode())


async def _body(stage: Stage, given: tuple[str, bytes]) -> None:
    path, body = given
    headers = {"content-type": b"application/json", "host": b"localhost"}
    headers |= {"accept": b"application/json, text/event-stream"} if path == "/mcp" else {}
    await stage.ask("POST", path.encode(), body, headers)


PARSERS = (
    Parser("forms in every codec", _forms(), _form),
    Parser("headers", st.tuples(st.sampled_from(REQUESTS), st.sampled_from(HEADERS), texts(8_000)), _header),
    Parser(
        "queries",
        st.sampled_from([(path, name) for path, names in QUERIES.items() for name in names]).flatmap(
            lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), texts(2_000))
        ),
        _query,
    ),
    Parser(
        "cursors",
        st.tuples(
            st.sampled_from([b"/api/design/mockups/p-1", b"/api/design/audit", b"/"]), st.just("cursor"), cursors()
        ),
        _query,
    ),
    Parser("ids in paths", st.tuples(st.sampled_from(PATHS), texts(2_000).filter(bool)), _path),
    Parser(
        "JSON bodies",
        st.sampled_from(list(BODIES)).flatmap(lambda path: st.tuples(st.just(path), changed(BODIES[path], 90_000))),
        _body,
    ),
)
