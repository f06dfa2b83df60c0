"""A sign-in service of the tests' own, over real HTTP: it issues valid and invalid tokens."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from protokeep.web.server import address_of, listen, serving

AUDIENCE = "protokeep-api"
CLIENT_ID = "protokeep-page"
CLIENT_SECRET = "secret-of-the-client"


@dataclass
class FakeIssuer:
    """The issuer's keys, its person, and the requests that it got."""

    address: str = ""
    keys: list[RSAKey] = field(default_factory=list)
    #: What the next sign-in is told of.
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "ann", "role": "maker"})
    #: Answers the authorization request with this error.
    error: str | None = None
    #: Changes what the ID token says.
    spoil: dict[str, Any] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def rotate(self, *, keep: bool = True) -> RSAKey:
        """Sign with a new key from now on; without `keep` the old ones stop counting."""
        key = RSAKey.generate_key(2048, parameters={"kid": f"key-{time.monotonic_ns()}", "use": "sig", "alg": "RS256"})
        self.keys = [key, *(self.keys if keep else [])]
        return key

    def token(self, *, key: RSAKey | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of this issuer's for the API; `claims` change it, None takes one out."""
        now = int(time.time())
        made = {"iss": self.address, "aud": AUDIENCE, "iat": now, "exp": now + 300, **self.claims, **claims}
        key = key or self.keys[0]
        made = {name: value for name, value in made.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": key.kid, **(header or {})}, made, key)

    def public(self) -> dict[str, Any]:
        """What everybody may know."""
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _describe(self, request: Request) -> Response:
        self.asked.append("description")
        return self._answer(
            {
                "issuer": self.address,
                "jwks_uri": f"{self.address}/keys",
                "authorization_endpoint": f"{self.address}/authorize",
                "token_endpoint": f"{self.address}/token",
            }
        )

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        return self._answer(self.public())

    async def _authorize(self, request: Request) -> Response:
        """Signs every browser in without a form, or answers with `error`."""
        query = dict(request.query_params)
        assert query["code_challenge_method"] == "S256"
        assert (query["client_id"], query["response_type"]) == (CLIENT_ID, "code")
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        answer = {"error": self.error} if self.error else {"code": code, "iss": self.address}
        return RedirectResponse(query["redirect_uri"] + "?" + urlencode({**answer, "state": query["state"]}), 302)

    async def _token(self, request: Request) -> Response:
        """RFC 6749, 4.1.3, with the proof of RFC 7636: a code works once, for whoever began."""
        self.asked.append("token")
        fields = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        assert request.headers["authorization"] == f"Basic {basic}"
        begun = self.codes.pop(fields.get("code", ""), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if begun is None or begun["code_challenge"] != proof or begun["redirect_uri"] != fields["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {"aud": CLIENT_ID, "nonce": begun["nonce"], **self.spoil}
        return self._answer(
            {
                "access_token": self.token(),
                "token_type": "Bearer",
                "expires_in": 300,
                "id_token": self.token(**claims),
            }
        )

    def _answer(self, body: dict[str, Any]) -> Response:
        return JSONResponse({"error": "temporarily_unavailable"}, 503) if self.down else JSONResponse(body)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with which protokeep trusts this issuer."""
        return {
            "oidc_issuer": self.address,
            "oidc_audience": AUDIENCE,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
        }


@contextlib.asynccontextmanager
async def issuing() -> AsyncIterator[FakeIssuer]:
    """A running issuer with one key."""
    issuer = FakeIssuer()
    issuer.rotate()
    listener = listen("127.0.0.1", 0)
    issuer.address = address_of(listener)
    async with serving(issuer.app, listener):
        yield issuer


def unsigned(claims: dict[str, Any]) -> str:
    """A token with `alg: none`."""
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def signed_with_public_key(issuer: FakeIssuer, claims: dict[str, Any], form: str) -> str:
    """A token signed by HS256 with the issuer's public key for a secret: the classic confusion."""
    key = issuer.keys[0]
    secret = key.as_pem(private=False) if form == "pem" else json.dumps(key.as_dict(private=False)).encode()
    return jwt.encode({"alg": "HS256", "kid": key.kid}, claims, OctKey.import_key(base64.urlsafe_b64encode(secret)))


def query_of(address: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
