"""The web application of a test's world, and a client of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2

from clock import Clock
from node import Node
from people import ANN, PROMPT, SECRET
from protokeep.core.principals import Role
from protokeep.core.token_limits import TokenLimits
from protokeep.service.hooks import Hooks
from protokeep.service.sessions import Sessions
from protokeep.service.tokens import Tokens
from protokeep.settings import Settings
from protokeep.store.sessions import SessionStore
from protokeep.store.tokens import TokenStore
from protokeep.web.app import create_app
from protokeep.web.protocol import RequestBounds
from protokeep.web.server import address_of, listen, serving
from protokeep.wiring import Application


@dataclass
class Site:
    """The web application on a real port, and a client with a maker's token."""

    url: str
    http: httpx2.AsyncClient
    tokens: Tokens
    node: Node

    async def token(self, role: Role = Role.MAKER, user_id: str = "ann", **values: Any) -> str:
        """A new token as its owner holds it."""
        text, _ = await self.tokens.create(role, user_id=user_id, **values)
        return text

    async def create(self, product_id: str = "p-1", prompt: str = PROMPT, **more: Any) -> httpx2.Response:
        """`POST /api/design/create-project`; `headers` go beside the token, all else into the body."""
        headers = more.pop("headers", {})
        body = {"product_id": product_id, "prompt": prompt, **more}
        return await self.http.post("/api/design/create-project", json=body, headers=headers)

    async def listed(self, product_id: str = "p-1", **params: Any) -> httpx2.Response:
        """`GET /api/design/mockups/{product_id}`."""
        return await self.http.get(f"/api/design/mockups/{product_id}", params=params)

    async def status(
        self, product_id: str = "p-1", provider: str = "v0", headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        """`GET /api/design/mockups/{product_id}/status`."""
        path = f"/api/design/mockups/{product_id}/status"
        return await self.http.get(path, params={"provider": provider}, headers=headers)


@contextlib.asynccontextmanager
async def serve(node: Node, settings: Settings, clock: Clock, *, real: bool) -> AsyncIterator[Site]:
    """The web application of a process, on a real port or called directly."""
    limits = TokenLimits(settings.tokens_per_workspace, settings.token_days_most)
    tokens = Tokens(TokenStore(node.database), SECRET, clock, limits, node.context.scans)
    sign_on_lasts = timedelta(hours=settings.sign_on_hours)
    sessions = Sessions(SessionStore(node.database), tokens, SECRET, clock, sign_on_lasts)
    hooks = Hooks(node.context, SECRET, settings.public_url)
    app = create_app(settings, Application(settings, node.keeper, tokens, sessions, hooks))
    token, _ = await tokens.create(Role.MAKER, user_id=ANN.user_id)
    headers = {"Authorization": f"Bearer {token}"}
    async with contextlib.AsyncExitStack() as stack:
        transport = None
        if real:
            listener = listen("127.0.0.1", 0)
            url = address_of(listener)
            bounds = RequestBounds(settings.max_header_bytes, settings.header_seconds, settings.body_seconds)
            await stack.enter_async_context(serving(app, listener, bounds=bounds))
        else:
            url = "http://protokeep.test"
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        client = httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30, transport=transport)
        yield Site(url, await stack.enter_async_context(client), tokens, node)


def settings_of(**values: Any) -> Settings:
    """Settings of a test's own: neither a `.env` nor the environment has a say in what is given here."""
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, unused-ignore]
