"""Sign-in at the issuer: authorization code flow with PKCE (RFC 7636), state and nonce, by Authlib's client."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from protokeep.core.addresses import is_loopback
from protokeep.core.errors import IssuerUnavailable, NotAuthenticated
from protokeep.core.jwt_claims import ClaimRules
from protokeep.core.principals import Principal
from protokeep.identity.issuer import Issuer, tls_context
from protokeep.identity.jwt_format import FlowSecrets
from protokeep.identity.jwts import Jwts

TIMEOUT_SECONDS = 10.0


class OidcClient:
    """This installation as a client of one issuer."""

    def __init__(
        self, issuer: Issuer, client_id: str, client_secret: str | None, scope: str, rules: ClaimRules, **checks: Any
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._rules = rules
        # An ID token is for the client, whatever the audience of access tokens is.
        self._id_tokens = Jwts.of_issuer(issuer, client_id, rules, **checks)

    async def authorization_url(self, redirect_uri: str, flow: FlowSecrets) -> str:
        """Where the browser has to go. Raises `IssuerUnavailable`."""
        description = await self._issuer.description()
        if description.authorization_endpoint is None:
            raise IssuerUnavailable("The sign-in service offers no way for browsers. Sign in with a token.")
        async with self._client(redirect_uri) as client:
            url, _ = client.create_authorization_url(
                description.authorization_endpoint, state=flow.state, nonce=flow.nonce, code_verifier=flow.verifier
            )
        return str(url)

    async def principal(self, redirect_uri: str, flow: FlowSecrets, code: str) -> Principal:
        """The principal of an authorization code. Raises `NotAuthenticated`, `NotAllowed`, `IssuerUnavailable`."""
        description = await self._issuer.description()
        if description.token_endpoint is None:
            raise IssuerUnavailable("The sign-in service offers no way for browsers. Sign in with a token.")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._client(redirect_uri) as client:
                answer = await client.fetch_token(
                    description.token_endpoint, code=code, code_verifier=flow.verifier, withhold_token=True
                )
        except AuthlibBaseError as error:
            raise NotAuthenticated("The sign-in service did not take this sign-in. Try again.") from error
        except (httpx2.HTTPError, TimeoutError, ValueError, RecursionError) as error:
            raise IssuerUnavailable("The sign-in service does not answer. Try again in a moment.") from error
        id_token = answer.get("id_token") if isinstance(answer, dict) else None
        if not isinstance(id_token, str):
            raise NotAuthenticated("The sign-in service did not say who you are. Ask the operator of protokeep.")
        claims = await self._id_tokens.claims_of(id_token)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode("utf-8", "replace"), flow.nonce.encode()):
            raise NotAuthenticated("This sign-in was started in another browser. Try again.")
        if isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1 and claims.get("azp") != self._client_id:
            raise NotAuthenticated("This sign-in was meant for another application.")
        return self._rules.principal_of(claims)

    def _client(self, redirect_uri: str) -> AsyncOAuth2Client:
        trust_env = not is_loopback(urlsplit(self._issuer.url).hostname or "")
        return AsyncOAuth2Client(
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method="client_secret_basic" if self._client_secret else "none",
            scope=self._scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=trust_env,
            verify=tls_context(trust_env),
        )
