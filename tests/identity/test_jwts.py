"""JWTs: what counts, what does not, and how seldom the issuer is asked."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from fake_issuer import AUDIENCE, FakeIssuer, signed_with_public_key, unsigned
from protokeep.core.errors import IssuerUnavailable, NotAllowed, NotAuthenticated
from protokeep.core.jwt_claims import ClaimRules, roles_of
from protokeep.core.principals import Role
from protokeep.identity.issuer import KEYS_LAST, KEYS_SURVIVE, Issuer
from protokeep.identity.jwts import Jwts
from world import Site, World, on_sqlite

LIST = "/api/design/mockups/p-1"
SECRET = "a shared secret of more than thirty-two characters"


async def asked(site: Site, token: str, path: str = LIST) -> httpx2.Response:
    return await site.http.get(path, headers={"Authorization": f"Bearer {token}"})


class Ticking:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@on_sqlite
class TestCounts:
    async def test_claims_become_person_workspace_and_role(self, world: World, issuer: FakeIssuer) -> None:
        """
        Claims become the row's person, in the workspace that they name and in no other.
        """
        settings = {**issuer.settings, "claim_workspace": "org.id", "claim_roles": "designers=maker,all=viewer"}
        async with world.serving(real=False, claim_role="groups", **settings) as site:
            token = issuer.token(sub="eve", org={"id": "acme"}, groups=["all", "designers", "others"])
            answer = await site.http.post(
                "/api/design/create-project",
                json={"product_id": "p-1", "prompt": "x"},
                headers={"Authorization": f"Bearer {token}"},
            )
            other = await asked(site, issuer.token(sub="eve", org={"id": "other"}, groups=["all"]))

        assert answer.status_code == 201
        assert answer.json()["user_id"] == "eve"
        assert other.json()["mockups"] == []

    @pytest.mark.parametrize(
        ("claims", "status"),
        [
            ({"role": None}, 403),
            ({"role": "owner"}, 403),
            ({"role": ["x", 1, None]}, 403),
            ({"role": {"maker": True}}, 403),
            ({"sub": None}, 401),
            ({"sub": "a\x00b"}, 401),
            ({"sub": 17}, 401),
            ({"sub": "x" * 201}, 401),
        ],
    )
    async def test_missing_claims_are_refused(
        self, site: Site, issuer: FakeIssuer, claims: dict[str, Any], status: int
    ) -> None:
        """
        No role is no entry, unless a default role is set; nobody is nobody.
        """
        assert (await asked(site, issuer.token(**claims))).status_code == status

    async def test_a_default_role_lets_those_without_a_role_look(self, world: World, issuer: FakeIssuer) -> None:
        """
        With a default role whoever has none may look, and no more.
        """
        async with world.serving(real=False, default_role="viewer", **issuer.settings) as site:
            token = issuer.token(role=None)
            assert (await asked(site, token)).status_code == 200
            headers = {"Authorization": f"Bearer {token}"}
            answer = await site.http.post("/api/design/create-project", json={}, headers=headers)

        assert answer.status_code in (403, 422)

    async def test_api_tokens_count_beside_jwts(self, site: Site) -> None:
        """
        API tokens count beside JWTs.
        """
        assert (await asked(site, await site.token())).status_code == 200


@on_sqlite
class TestRefused:
    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": "another"},
            {"aud": ["a", "b"]},
            {"aud": None},
            {"iss": "https://elsewhere.example"},
            {"iss": None},
            {"exp": 1_000_000_000},
            {"exp": None},
            {"exp": "tomorrow"},
            {"nbf": 4_000_000_000},
            {"iat": 4_000_000_000},
        ],
        ids=str,
    )
    async def test_claims_for_others_or_another_time_are_refused(
        self, site: Site, issuer: FakeIssuer, claims: dict[str, Any]
    ) -> None:
        """
        For somebody else, by somebody else, too late or too early.
        """
        assert (await asked(site, issuer.token(**claims))).status_code == 401

    async def test_clocks_may_differ_by_a_minute(self, site: Site, issuer: FakeIssuer) -> None:
        """
        Clocks may differ by a minute.
        """
        assert (await asked(site, issuer.token(exp=int(time.time()) - 20))).status_code == 200
        assert (await asked(site, issuer.token(nbf=int(time.time()) + 20))).status_code == 200

    async def test_unsigned_and_public_key_signed_tokens_are_refused(self, site: Site, issuer: FakeIssuer) -> None:
        """
        No signature, and a signature with the public key as a secret, are refused before any key is looked for.
        """
        claims = {"iss": issuer.address, "aud": AUDIENCE, "exp": int(time.time()) + 300, "sub": "eve", "role": "admin"}
        forged = [
            unsigned(claims),
            signed_with_public_key(issuer, claims, "pem"),
            signed_with_public_key(issuer, claims, "jwk"),
            issuer.token(key=RSAKey.generate_key(2048, parameters={"kid": str(issuer.keys[0].kid)})),
        ]

        answers = [(await asked(site, token)).status_code for token in forged]

        assert answers == [401] * len(forged)

    async def test_a_key_that_the_token_brings_is_not_used(self, site: Site, issuer: FakeIssuer) -> None:
        """
        A key, or the address of one, that the token itself names is not used.
        """
        own = RSAKey.generate_key(2048, parameters={"kid": "own"})
        for header in ({"jwk": own.as_dict(private=False)}, {"jku": "http://127.0.0.1:1/keys"}):
            assert (await asked(site, issuer.token(key=own, header=header))).status_code == 401

    async def test_a_tampered_token_is_refused(self, site: Site, issuer: FakeIssuer) -> None:
        """
        Every part is covered by the signature.
        """
        header, claims, signature = issuer.token().split(".")
        more = json.loads(base64.urlsafe_b64decode(claims + "=="))
        admin = base64.urlsafe_b64encode(json.dumps({**more, "role": "admin"}).encode()).rstrip(b"=").decode()
        flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
        for parts in ((header, admin, signature), (header, claims, flipped), (header, claims, ""), ("eyJ", "", "")):
            assert (await asked(site, ".".join(parts))).status_code == 401


@on_sqlite
class TestSecret:
    async def test_under_a_shared_secret_only_hs256_counts(self, world: World) -> None:
        """
        Under a shared secret only HS256 counts, whatever keys somebody brings.
        """
        role = {"app_metadata": {"protokeep": "maker"}, "role": "authenticated"}
        claims = {"sub": "ann", "aud": "authenticated", "exp": int(time.time()) + 60, **role}
        async with world.serving(real=False, jwt_secret=SECRET, claim_role="app_metadata.protokeep") as site:
            good = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
            rsa = RSAKey.generate_key(2048, parameters={"kid": "a"})
            bad = [
                jwt.encode({"alg": "RS256", "kid": "a"}, claims, rsa),
                jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET + "x")),
                jwt.encode({"alg": "HS256"}, {**claims, "aud": "anon"}, OctKey.import_key(SECRET)),
                unsigned(claims),
            ]
            assert (await asked(site, good)).status_code == 200
            assert [(await asked(site, token)).status_code for token in bad] == [401] * len(bad)


class TestKeys:
    async def test_a_new_key_counts_at_once_and_a_withdrawn_one_stops(self, issuer: FakeIssuer) -> None:
        """
        A new key counts at once; one that was withdrawn stops within ten minutes, what was checked before included.
        """
        seconds = Ticking()
        known = Issuer(issuer.address, seconds=seconds)
        jwts = Jwts.of_issuer(known, AUDIENCE, ClaimRules())
        old = issuer.token()
        await jwts.check(old)

        issuer.rotate()
        seconds.now += 31
        await jwts.check(issuer.token())
        await jwts.check(old)
        issuer.rotate(keep=False)
        seconds.now += KEYS_LAST + 1
        await jwts.check(issuer.token())

        with pytest.raises(NotAuthenticated):
            await jwts.check(old)

    async def test_a_flood_of_unknown_keys_asks_the_issuer_once(self, issuer: FakeIssuer) -> None:
        """
        A flood of made-up key names asks the issuer once in 30 seconds.
        """
        seconds = Ticking()
        known = Issuer(issuer.address, seconds=seconds)
        jwts = Jwts.of_issuer(known, AUDIENCE, ClaimRules())
        await jwts.check(issuer.token())
        own = RSAKey.generate_key(2048, parameters={"kid": "x"})

        for number in range(500):
            with pytest.raises(NotAuthenticated):
                await jwts.check(issuer.token(key=own, header={"kid": f"made-up-{number}"}))
        in_one_go = known.fetches
        seconds.now += 31
        await asyncio.gather(
            *(jwts.check(issuer.token(key=own, header={"kid": f"again-{number}"})) for number in range(100)),
            return_exceptions=True,
        )

        assert (in_one_go, known.fetches) == (1, 2)

    async def test_known_keys_count_for_a_day_while_the_issuer_is_away(self, issuer: FakeIssuer) -> None:
        """
        Known keys go on counting for a day; without any, nobody is let in and nobody is told that they are wrong.
        """
        seconds = Ticking()
        known = Issuer(issuer.address, seconds=seconds)
        jwts = Jwts.of_issuer(known, AUDIENCE, ClaimRules())
        issuer.down = True
        with pytest.raises(IssuerUnavailable):
            await jwts.check(issuer.token())

        issuer.down = False
        seconds.now += 31
        await jwts.check(issuer.token())
        issuer.down = True
        seconds.now += KEYS_LAST + 1
        await jwts.check(issuer.token(jti="other"))
        seconds.now += KEYS_SURVIVE

        with pytest.raises(IssuerUnavailable):
            await jwts.check(issuer.token(jti="another"))

    async def test_a_checked_token_is_remembered_no_longer_than_it_lasts(self, issuer: FakeIssuer) -> None:
        """
        What was checked is not checked again, but no longer than it lasts.
        """
        now = Ticking()
        now.now = time.time()
        jwts = Jwts.of_issuer(Issuer(issuer.address), AUDIENCE, ClaimRules(), now=now)
        token = issuer.token(exp=int(now.now) + 5)

        first = await jwts.check(token)
        again = await jwts.check(token)
        now.now += 66

        assert first is again
        with pytest.raises(NotAuthenticated):
            await jwts.check(token)

    @pytest.mark.parametrize(
        "answer",
        [b"", b"[]", b"{}", b'{"issuer": "https://other.example"}', b"x" * 600_000, b'{"issuer": 5}'],
        ids=lambda answer: repr(answer[:20]),
    )
    async def test_a_description_of_another_issuer_is_not_believed(self, answer: bytes) -> None:
        """
        A description that is not the issuer's own is not believed.
        """
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=answer))

        with pytest.raises(IssuerUnavailable):
            await Issuer("https://sso.example", transport=transport).keys_for(None)

    async def test_keys_come_over_https_without_redirects(self) -> None:
        """
        Keys come over https, and no redirect is followed.
        """
        seen: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            seen.append(str(request.url))
            body = {"issuer": "https://sso.example", "jwks_uri": "http://169.254.169.254/keys"}
            return httpx2.Response(200, json=body) if len(seen) == 1 else httpx2.Response(302)

        with pytest.raises(IssuerUnavailable):
            await Issuer("https://sso.example", transport=httpx2.MockTransport(answer)).keys_for(None)
        assert seen == ["https://sso.example/.well-known/openid-configuration"]

    async def test_a_symmetric_key_among_public_ones_is_left_out(self) -> None:
        """
        A symmetric key in a public list would let everybody sign: it is left out.
        """
        oct_key = OctKey.generate_key(256, parameters={"kid": "s"}).as_dict(private=True)

        def answer(request: httpx2.Request) -> httpx2.Response:
            body: dict[str, Any] = {"issuer": "https://sso.example", "jwks_uri": "https://sso.example/keys"}
            return httpx2.Response(200, json={"keys": [oct_key]} if request.url.path == "/keys" else body)

        with pytest.raises(IssuerUnavailable):
            await Issuer("https://sso.example", transport=httpx2.MockTransport(answer)).keys_for("s")


class TestRules:
    def test_the_highest_role_of_several_groups_counts(self) -> None:
        """
        Of several groups the one that gives most counts.
        """
        rules = ClaimRules(role_claim="groups", roles=roles_of("a=viewer, b = admin ,c=maker"))

        assert rules.principal_of({"sub": "x", "groups": ["a", "b", "c"]}).role is Role.ADMIN

    def test_a_claim_that_is_an_address_is_found_by_its_name(self) -> None:
        """
        A claim that is an address is found by its whole name.
        """
        rules = ClaimRules(role_claim="https://example.com/role")

        assert rules.principal_of({"sub": "x", "https://example.com/role": "maker"}).role is Role.MAKER

    def test_without_the_workspace_claim_nobody_falls_into_the_default(self) -> None:
        """
        When a workspace claim is set, nobody falls into the default one.
        """
        with pytest.raises(NotAllowed):
            ClaimRules(workspace_claim="org").principal_of({"sub": "x", "role": "admin"})

    @pytest.mark.parametrize("text", ["a", "a=", "=maker", "a=owner"])
    def test_a_bad_role_mapping_is_reported_at_start(self, text: str) -> None:
        """
        A mapping that cannot be read is said at start.
        """
        with pytest.raises(ValueError, match="is not of the form"):
            roles_of(text)
