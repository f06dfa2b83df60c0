"""What it costs to know who asks: the same JWT again, a new one, and an API token."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from protokeep.core.jwt_claims import ClaimRules
from protokeep.core.principals import Role
from protokeep.core.rate_limit import TokenBucket
from protokeep.identity.jwts import ISSUER_ALGORITHMS, Jwts
from protokeep.settings import Settings
from protokeep.wiring import build_application

ROUNDS = 2000


class Known:
    """Keys that are there already."""

    generation = 0

    def __init__(self, key: RSAKey) -> None:
        self._keys = KeySet([key])

    async def keys_for(self, key_id: str | None) -> KeySet:
        return self._keys


async def main() -> None:
    key = RSAKey.generate_key(2048, parameters={"kid": "a"})
    jwts = Jwts(Known(key), ClaimRules(), issuer="i", audience="a", algorithms=ISSUER_ALGORITHMS)

    def token(number: int) -> str:
        claims = {"iss": "i", "aud": "a", "sub": "ann", "role": "maker", "exp": int(time.time()) + 600, "n": number}
        return jwt.encode({"alg": "RS256", "kid": "a"}, claims, key)

    many = [token(number) for number in range(200)]
    began = time.process_time()
    for text in many:
        await jwts.check(text)
    told("a JWT seen for the first time (RS256)", began, len(many))
    began = time.process_time()
    for _ in range(ROUNDS * 10):
        await jwts.check(many[0])
    told("a JWT that was checked before", began, ROUNDS * 10)
    rate = TokenBucket(6000_000_000, "x")
    began = time.process_time()
    for _ in range(ROUNDS * 10):
        rate.take("somebody", time.monotonic())
    told("the request rate", began, ROUNDS * 10)
    with TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite:///{Path(folder) / 'x.db'}", _env_file=None)  # type: ignore[call-arg, unused-ignore]
        async with build_application(settings) as application:
            text, _ = await application.tokens.create(Role.MAKER)
            await application.authenticator.check(text)
            began = time.process_time()
            for _ in range(ROUNDS):
                await application.authenticator.check(text)
            told("an API token, read at most once a second", began, ROUNDS)


def told(what: str, began: float, rounds: int) -> None:
    print(f"{what}: {(time.process_time() - began) / rounds * 1e6:.1f} us of CPU")


if __name__ == "__main__":
    asyncio.run(main())
