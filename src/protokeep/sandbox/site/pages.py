"""Pages for people: the emulator's own page, and a chat's page, preview and picture. No scripts."""

from __future__ import annotations

from datetime import datetime
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ..emulator import Emulator
from ..http import stamp
from ..state import Chat, account_id
from .preview import preview_page
from .screenshot import screenshot_of
from .theme import theme_of

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--dim:#5b6577;--line:#dfe4ec;--paper:#fff;--back:#f5f7fa;
--link:#1d5bd8}@media(prefers-color-scheme:dark){:root{--ink:#e7ebf2;--dim:#9aa5b8;--line:#303846;
--paper:#1a202b;--back:#12161e;--link:#8ab4ff}}*{box-sizing:border-box}body{margin:0;
background:var(--back);color:var(--ink);font:16px/1.55 system-ui,sans-serif}main{max-width:62rem;
margin:0 auto;padding:2.5rem 1.25rem}h1{font-size:1.6rem;margin:0 0 .5rem}p{margin:.4rem 0 1rem}
a{color:var(--link)}.dim{color:var(--dim)}.card{background:var(--paper);border:1px solid var(--line);
border-radius:10px;padding:1rem 1.25rem;margin:1rem 0;overflow-wrap:anywhere}.scroll{overflow-x:auto;
padding:0}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.55rem .9rem;
border-bottom:1px solid var(--line);vertical-align:top}tr:last-child td{border-bottom:0}
th{font-weight:600}pre{white-space:pre-wrap;font:inherit;margin:0}code{font-family:ui-monospace,monospace;
font-size:.9em}.button{display:inline-block;background:var(--link);color:var(--paper);padding:.5rem 1rem;
border-radius:8px;text-decoration:none}
"""

_NEWEST = 100


class Pages:
    """The pages need no key, as v0's shared links need none. The picture needs one, as `screenshotUrl` does."""

    def __init__(self, sandbox: Emulator) -> None:
        self._sandbox = sandbox

    def app(self) -> Starlette:
        """The ASGI app of the pages."""
        routes = [
            Route("/", self.home),
            Route("/chat/{chat_id}", self.chat),
            Route("/preview/{chat_id}", self.preview),
            Route("/screenshot/{chat_id}/{version_id}.png", self.screenshot),
        ]
        return Starlette(routes=routes, exception_handlers={404: _missing})

    async def home(self, _: Request) -> Response:
        """The list of chats."""
        return _page("v0 sandbox", _home(self._sandbox, self._sandbox.clock()))

    async def chat(self, request: Request) -> Response:
        """The page of a chat."""
        chat = self._find(request)
        if chat is None:
            return _not_found()
        now = self._sandbox.clock()
        if chat.preview_ready(now):  # As v0's page does, it shows what was made; the chat is beside it.
            return HTMLResponse(preview_page(theme_of(chat), _beside(chat)), headers=_HEADERS)
        return _page(chat.name or chat.title or "Chat", _chat(chat, now))

    async def preview(self, request: Request) -> Response:
        """The made-up prototype; 404 before there is one."""
        chat = self._find(request)
        if chat is None:
            return _not_found()
        if not chat.preview_ready(self._sandbox.clock()):
            return _page("Not ready", "<h1>Not ready yet</h1><p>This prototype is still being generated.</p>", 404)
        return HTMLResponse(preview_page(theme_of(chat)), headers=_HEADERS)

    async def screenshot(self, request: Request) -> Response:
        """The picture of a completed version, for the key of its account."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return JSONResponse({"error": {"message": "Unauthorized", "type": "unauthorized_error"}}, 401)
        chat = self._find(request)
        if chat is None or not self._may_see(chat, key.strip(), request.path_params["version_id"]):
            return JSONResponse({"error": {"message": "Not found", "type": "not_found_error"}}, 404)
        headers = {"cache-control": "private, max-age=604800", "x-content-type-options": "nosniff"}
        return Response(screenshot_of(theme_of(chat)), media_type="image/png", headers=headers)

    def _find(self, request: Request) -> Chat | None:
        chat = self._sandbox.chats.get(request.path_params["chat_id"])
        return None if chat is None or chat.deleted else chat

    def _may_see(self, chat: Chat, key: str, version_id: str) -> bool:
        """Whether the chat is of the key's account and has that version, completed."""
        versions = chat.versions(self._sandbox.clock())
        is_completed = any(version.id == version_id and version.status == "completed" for version in versions)
        return is_completed and chat.account == account_id(key)


async def _missing(_: Request, __: Exception) -> Response:
    return _not_found()


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    text = (
        f'<!doctype html><html lang="en"><head>{head}<title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )
    return HTMLResponse(text, status, headers=_HEADERS)


def _not_found() -> HTMLResponse:
    return _page("Not found", "<h1>Not found</h1><p>There is no such chat, or it was deleted.</p>", 404)


def _home(sandbox: Emulator, now: datetime) -> str:
    chats = [chat for chat in reversed(list(sandbox.chats.values())) if not chat.deleted]
    intro = (
        "<h1>v0 sandbox</h1><p>This emulates the parts of v0's Platform API that build prototypes: "
        "<code>/v1</code> and <code>/v2</code>, any bearer key, nothing is kept after it stops. "
        "Nothing here was made by v0.</p>"
        '<p class="dim">Counters: <a href="/_sandbox/stats">/_sandbox/stats</a> · '
        'knobs: <a href="/_sandbox/knobs">/_sandbox/knobs</a></p>'
    )
    if not chats:
        return intro + '<p class="card">No chats yet.</p>'
    rows = "".join(
        f'<tr><td><a href="/chat/{chat.id}">{escape(chat.name or chat.title or chat.id)}</a></td>'
        f"<td>{chat.status(now)}</td><td>{chat.api}</td><td>{stamp(chat.created_at)}</td></tr>"
        for chat in chats[:_NEWEST]
    )
    more = f'<p class="dim">The newest {_NEWEST} of {len(chats)}.</p>' if len(chats) > _NEWEST else ""
    head = "<tr><th>Chat</th><th>Status</th><th>API</th><th>Created</th></tr>"
    return f'{intro}<div class="card scroll"><table>{head}{rows}</table></div>{more}'


def _messages(chat: Chat) -> list[str]:
    return [escape(message.content) for message in chat.messages if message.role == "user"]


def _beside(chat: Chat) -> str:
    """The chat of a prototype, folded above it."""
    asked = "".join(f"<p>{text}</p>" for text in _messages(chat))
    return (
        f'<details class="chat"><summary>Emulated v0: the chat of this prototype</summary>{asked}'
        f'<p><a href="/preview/{chat.id}">Without the chat</a> · <a href="/">All chats</a></p></details>'
    )


def _chat(chat: Chat, now: datetime) -> str:
    messages = "".join(f'<div class="card"><p class="dim">user</p><pre>{text}</pre></div>' for text in _messages(chat))
    link = '<p class="dim">Still being generated. Reload to look again.</p>'
    if chat.status(now) != "pending":
        link = '<p class="dim">Nothing to open.</p>'
    title = escape(chat.name or chat.title or "Chat")
    about = f'<p class="dim">{chat.status(now)} · API {chat.api} · {stamp(chat.created_at)}</p>'
    return f'<p><a href="/">v0 sandbox</a></p><h1>{title}</h1>{about}{link}{messages}'
