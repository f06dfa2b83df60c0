"""Parsers of what other programs send: issuers, app builders, hooks, servers, and what tokens and marks say."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx2
from hypothesis import strategies as st

from protokeep.client import AsyncProtokeep
from protokeep.core.errors import InvalidInput, NotAllowed, NotAuthenticated, ProtokeepError, ProviderError
from protokeep.core.jwt_claims import ClaimRules
from protokeep.core.principals import Principal, Role
from protokeep.core.validation import is_invisible
from protokeep.core.webhook_payload import chats_named
from protokeep.identity.issuer import Issuer
from protokeep.identity.jwts import Jwts
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_v1 import V0V1
from protokeep.providers.v0_v2 import V0V2
from protokeep.service.chat_metadata import SIGNATURE, Signer, parse_metadata
from protokeep.web.broadcast import Topic
from system.access.hostile_texts import changed, objects, texts
from system.access.parsers import KNOWN, Parser, Stage


def _is_seen(*words: str) -> bool:
    return not any(is_invisible(character) for text in words for character in text)


async def _hook(stage: Stage, body: bytes) -> None:
    chats, _ = chats_named(body)
    assert all(chat.isprintable() for chat in chats)


async def _last_event(stage: Stage, text: str) -> None:
    broadcast = stage.site.http._transport.app.state.broadcast  # type: ignore[attr-defined]
    epoch = broadcast.newest_id("default").partition("-")[0]
    for since in (text, f"{epoch}-{text}"):
        await broadcast.replay(Topic("default", "api"), since)


# -- identity ---------------------------------------------------------------------------------------------------------


async def _jwt(stage: Stage, parts: tuple[bytes, bytes, bytes]) -> None:
    jwts = Jwts.of_secret("a shared secret of more than thirty-two characters", "authenticated", ClaimRules())
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    for token in (text, parts[0].decode("latin-1") + text):
        try:
            await jwts.check(token)
        except (NotAuthenticated, NotAllowed):
            continue


async def _claims(stage: Stage, given: bytes) -> None:
    try:
        claims = json.loads(given)
        if not isinstance(claims, dict):  # The library has checked that.
            return
        principal = ClaimRules(workspace_claim="org.id", default_role=Role.VIEWER).principal_of(claims)
    except (ValueError, RecursionError, NotAuthenticated, NotAllowed):
        return
    assert _is_seen(principal.user_id, principal.workspace_id)


ISSUER = {
    "issuer": "https://sso.example",
    "jwks_uri": "https://sso.example/keys",
    "token_endpoint": "https://x.example",
    "authorization_endpoint": "https://sso.example/auth",
    "use": "sig",
    "keys": [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "1"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "\ud800", "kid": 7, "alg": []},
    ],
}


async def _issuer(stage: Stage, document: bytes) -> None:
    issuer = Issuer(
        "https://sso.example", transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=document))
    )
    await issuer.keys_for(None)


# -- app builders -----------------------------------------------------------------------------------------------------

CHAT = {
    "id": "chat-1",
    "chatId": "chat-1",
    "messageId": "m-1",
    "object": "chat",
    "status": "completed",
    "name": "x",
    "createdAt": "2026-01-02T03:04:05Z",
    "webUrl": "https://v0.app/x",
    "demoUrl": "https://x.vusercontent.net",
    "latestVersion": {"id": "v-1", "status": "completed", "demoUrl": "https://x.vusercontent.net"},
    "messages": [{"id": "m-1", "role": "user", "content": "x", "createdAt": "2026-01-02T03:04:05Z"}],
    "data": [{"id": "chat-1", "metadata": {}}],
    "metadata": {},
    "pagination": {"hasMore": False, "nextCursor": None},
    "error": None,
    "finishReason": "stop",
    "url": "https://v0.app/x",
    "events": ["message.finished"],
}

BUILDER_CALLS: Sequence[Callable[[V0V1 | V0V2], Awaitable[object]]] = (
    lambda provider: provider.create("x", {"protokeep_marker": KNOWN}),
    lambda provider: provider.send("chat", "x"),
    lambda provider: provider.conversation("chat"),
    lambda provider: provider.recent_chats(),
    lambda provider: provider.prompt_of("chat"),
    lambda provider: provider.hooks(),
)


async def _builder(stage: Stage, given: tuple[type[V0V1 | V0V2], Any, int, bytes, Mapping[str, str]]) -> None:
    kind, call, status, body, headers = given
    answer = httpx2.MockTransport(lambda _: httpx2.Response(status, content=body, headers=headers))
    config = V0Config.of(api_key="k", base_url="https://v0.example", scope=None, web_url=None, timeout_seconds=5)
    provider = kind(config, answer)
    try:
        await call(provider)
    finally:
        await provider.aclose()


MARKS = ("protokeep_marker", "protokeep_workspace", "protokeep_product", "protokeep_user", SIGNATURE)


async def _metadata(stage: Stage, metadata: dict[str, str]) -> None:
    signer = Signer(b"secret")
    table = await stage.world.store.owner_table()
    for marks in (metadata, {**metadata, SIGNATURE: signer.sign(metadata)}):
        try:
            parsed = parse_metadata(marks, signer, "v0:environment", table)
        except (ValueError, InvalidInput):
            continue
        assert _is_seen(parsed.workspace_id, parsed.product_id, parsed.user_id)


VIEW = {
    "id": KNOWN,
    "product_id": "p-1",
    "user_id": "ann",
    "provider": "v0",
    "prompt": "x",
    "project_status": "failed",
    "state": "failed",
    "is_current": True,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
    "error": {"code": "x", "message": "y"},
    "reason": None,
    "observed_at": None,
    "poll_count": 1,
    "credits": 1.0,
    "type": "urn:protokeep:problem:not-found",
    "title": "x",
    "status": 404,
    "detail": "y",
    "field": None,
}


async def _server(stage: Stage, given: tuple[int, bytes, str]) -> None:
    status, body, kind = given
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=body, headers={"content-type": kind}))
    async with AsyncProtokeep("https://keep.example", "token", transport=transport) as client:
        await client.status("p-1")


async def _ids(stage: Stage, text: str) -> None:
    """Names and ids through every door that takes them, without HTTP between."""
    tokens = stage.site.tokens
    by = Principal("default", "ann", Role.ADMIN, "")
    _, token = await tokens.create(Role.VIEWER, name=text, user_id=text, by=by)
    assert _is_seen(token.user_id, token.name)
    assert (token.user_id, token.name) == (token.user_id.strip(), token.name.strip())


PARSERS = (
    Parser("ids and names", texts(300), _ids, (ProtokeepError,)),
    Parser("hook deliveries", objects(("event", "type", "chat", "chatId", "chat_id", "data", "id"), 60_000), _hook),
    Parser("ids of events", texts(60), _last_event),
    Parser("JWTs", st.tuples(*[objects(("alg", "kid", "sub", "aud", "exp", "role"), 2_000)] * 3), _jwt),
    Parser("claims", changed({"sub": "ann", "org": {"id": "team"}, "role": "maker", "org.id": "team"}, 300), _claims),
    Parser(
        "issuers' documents",
        changed(ISSUER, 9_000),
        _issuer,
        (ProtokeepError,),
    ),
    Parser(
        "builders' answers",
        st.tuples(
            st.sampled_from([V0V1, V0V2]),
            st.sampled_from(BUILDER_CALLS),
            st.sampled_from([200, 201, 400, 404, 409, 422, 429, 500]),
            changed(CHAT, 9_000),
            st.dictionaries(st.sampled_from(["retry-after", "date", "content-type"]), texts(60).map(ascii), max_size=2),
        ),
        _builder,
        (ProviderError,),
    ),
    Parser(
        "chat metadata",
        st.dictionaries(
            st.sampled_from(
                ["protokeep_marker", "protokeep_workspace", "protokeep_product", "protokeep_user", SIGNATURE]
            ),
            texts(500),
        ),
        _metadata,
    ),
    Parser(
        "servers' answers to our client",
        st.tuples(
            st.sampled_from([200, 202, 404, 422]),
            changed(VIEW, 9_000),
            st.sampled_from(["application/json", "application/problem+json", "text/html"]),
        ),
        _server,
        (ProtokeepError,),
    ),
)
