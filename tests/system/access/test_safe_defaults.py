"""Where serve refuses to listen, what doctor finds, and what is believed of proxies."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from fake_issuer import FakeIssuer
from processes import run
from protokeep.core.principals import Principal, Role
from protokeep.core.provider_keys import KeyOwner
from protokeep.doctor import examine, reasons_not_to_serve
from protokeep.web.server import serving
from protokeep.wiring import build_application
from world import World, on_sqlite, settings_of

STRONG = "kH3-2jdPq0aZ81LmNbVcXxSwEeRrTtYyUuIi"
OPEN = "0.0.0.0"  # noqa: S104 - what the tests are about


@pytest.mark.parametrize(
    "address",
    [
        "api.v0.dev",
        "api.v0.dev:443",
        "localhost:8500",
        "//api.v0.dev",
        "ftp://api.v0.dev",
        "https:/api.v0.dev",
        "https://",
        "",
        " https://api.v0.dev",
        "https://api.v0.dev\n",
        "https://api v0.dev",
        "https://api\u200b.v0.dev",
        "https://api..v0.dev",
        "https://" + "x" * 64 + ".dev",
        "https://[::1",
        "https://api.v0.dev:99999",
        "https://api.v0.dev:0",
        "https://api.v0.dev:https",
        "https://ann:secret@api.v0.dev",
        "https://api.v0.dev?scope=x",
        "https://api.v0.dev#v2",
    ],
)
def test_an_address_that_cannot_be_called_is_refused_by_setting(address: str) -> None:
    """
    They are refused with the setting's name and what would do, and without the value, which may hold a password.
    """
    for name in ("v0_base_url", "v0_web_url", "public_url") if address else ("v0_base_url",):
        with pytest.raises(ValidationError) as caught:
            settings_of(**{name: address})
        (fault,) = caught.value.errors()
        assert fault["loc"] == (name,)
        assert "Give an address such as https://" in fault["msg"]
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://api.v0.dev",
        "https://api.v0.dev/v2/",
        "http://127.0.0.1:8500",
        "http://[::1]:8500",
        "http://v0_emulator",
    ],
)
def test_usual_addresses_of_v0_are_taken_as_they_are(address: str) -> None:
    """
    Addresses with or without a version, a port, or a name that only a container network knows are taken as they are.
    """
    assert settings_of(v0_base_url=address, v0_web_url="").v0_base_url == address


async def test_settings_that_cannot_work_are_one_line_at_start(tmp_path: Path) -> None:
    """
    An address without https://, and a key that no request can carry, are one line each, which names the setting.
    """
    address = await run(tmp_path, "serve", "--port", "0", V0_BASE_URL="api.v0.dev")
    key = await run(tmp_path, "serve", "--port", "0", V0_API_KEY="k\u00e9y")

    assert (address.code, key.code) == (2, 2)
    assert address.err.startswith("protokeep: V0_BASE_URL: ")
    assert key.err.startswith("protokeep: V0_API_KEY: ")
    assert "k\u00e9y" not in key.err
    assert [said.err.count("\n") for said in (address, key)] == [1, 1]


async def test_serve_refuses_to_be_reachable_without_secret_and_sign_in(tmp_path: Path) -> None:
    """
    Where others can reach it, it starts only with a secret that cannot be guessed and somebody who can sign in.
    """
    nobody = await run(tmp_path, "serve", "--host", OPEN, "--port", "0")
    weak = await run(tmp_path, "serve", "--host", OPEN, "--port", "0", PROTOKEEP_SECRET_KEY="a" * 40)
    (tmp_path / "protokeep.db.secret").chmod(0o644)
    readable = await run(tmp_path, "serve", "--host", OPEN, "--port", "0")

    assert (nobody.code, weak.code, readable.code) == (2, 2, 2)
    assert "nobody can sign in; run `protokeep token create" in nobody.err
    assert "PROTOKEEP_SECRET_KEY can be guessed" in weak.err
    assert "chmod 600" in readable.err
    assert weak.err.strip().count("\n") == 0


@on_sqlite
async def test_nothing_is_refused_on_loopback_or_with_a_sign_in_service(world: World, issuer: FakeIssuer) -> None:
    """
    On loopback nothing is refused; elsewhere a sign-in service is as good as a token.
    """
    here = settings_of(database_url=world.database_url, secret_key="short")
    there = settings_of(database_url=world.database_url, secret_key=STRONG, host=OPEN)
    service = settings_of(database_url=world.database_url, secret_key=STRONG, host=OPEN, **issuer.settings)

    assert await reasons_not_to_serve(here) == []
    assert len(await reasons_not_to_serve(there)) == 1
    assert await reasons_not_to_serve(service) == []


async def test_doctor_names_what_is_unsafe_or_broken_and_its_remedy(
    database_url: str, issuer: FakeIssuer, world: World
) -> None:
    """
    Doctor names what is unsafe and what is broken, each with what mends it.
    """
    settings = settings_of(
        database_url=database_url,
        secret_key="short",
        host=OPEN,
        public_url="https://keep.example",
        v0_api_key="k",
        v0_base_url=world.v0_url,
        **issuer.settings,
    )
    world.sandbox.set_knobs(accept_seconds=0)

    found = {finding.name: finding for finding in await examine(settings)}

    assert (found["secret"].level, found["address"].level, found["proxies"].level) == ("unsafe", "fine", "unsafe")
    assert (found["database"].level, found["sign-in"].level, found["clock"].level) == ("fine", "fine", "fine")
    assert found["v0"].level == "fine"
    assert all(finding.fix for finding in found.values() if finding.level != "fine")


@on_sqlite
async def test_doctor_names_an_account_without_hooks(world: World) -> None:
    """
    Where hooks are used, an account without one is named with what mends it, until it has one.
    """
    settings = settings_of(
        database_url=world.database_url,
        secret_key=STRONG,
        public_url="http://127.0.0.1:9",
        v0_api_key="k",
        v0_base_url=world.v0_url,
    )

    async def hooks_found() -> list[tuple[str, str]]:
        return [(finding.text, finding.fix) for finding in await examine(settings) if finding.name == "hooks"]

    async with build_application(settings) as application:
        admin = Principal("default", "root", Role.ADMIN, "")
        await application.hooks.install()
        await application.provider_keys.set(admin, KeyOwner("default", "ann"), "v0", "v1:anns:BBBBBBBBBBBB")
        lacking = await hooks_found()
        assert await application.hooks.complete() == 2
        complete = await hooks_found()

    assert [what[:38] for what, _ in lacking] == ["v0:person:default:ann has no hook, API"] * 2
    assert {mend for _, mend in lacking} == {"run `protokeep hooks install`"}
    assert complete == []


async def test_doctor_exits_with_an_error_at_a_broken_database(tmp_path: Path) -> None:
    """
    A database that is not migrated, or not there, is broken: the exit code says so.
    """
    ended = await run(tmp_path, "doctor", "--json")
    gone = await run(tmp_path, "doctor", PROTOKEEP_DATABASE_URL="postgresql://127.0.0.1:1/x")

    assert {row["name"]: row["level"] for row in json.loads(ended.out)}["database"] == "broken"
    assert (ended.code, gone.code) == (1, 1)
    assert "BROKEN  database" in gone.out
    assert not (tmp_path / "protokeep.db").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"oidc_issuer": "https://a.example", "oidc_audience": "x", "jwt_secret": "s" * 32}, "not both"),
        ({"oidc_issuer": "http://a.example", "oidc_audience": "x"}, "https"),
        ({"oidc_issuer": "https://a.example"}, "PROTOKEEP_OIDC_AUDIENCE"),
        ({"jwt_secret": "short"}, "32 characters"),
        ({"claim_roles": "x=boss"}, "PROTOKEEP_CLAIM_ROLES"),
        ({"trusted_proxies": "*"}, "neither an address nor a network"),
        ({"default_role": "boss"}, "viewer"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_lets_the_wrong_people_in_is_refused(values: dict[str, str], words: str) -> None:
    """
    A setting that would let the wrong people in is refused at start.
    """
    with pytest.raises(ValidationError, match=words):
        settings_of(**values)


@on_sqlite
@pytest.mark.parametrize(
    ("proxies", "secure"),
    [
        ((), False),
        (("127.0.0.1",), True),
        (("127.0.0.9/8",), True),
        (("::ffff:127.0.0.1",), True),
        (("10.0.0.0/8",), False),
    ],
)
async def test_only_listed_proxies_are_believed_about_https(
    world: World, proxies: tuple[str, ...], secure: bool
) -> None:
    """
    Only a proxy of the list is believed when it says that somebody came over https.
    """
    from protokeep.web.server import address_of, listen

    async with world.serving(real=False) as site:
        app = site.http._transport.app  # type: ignore[attr-defined]
        listener = listen("127.0.0.1", 0)
        async with serving(app, listener, proxies=proxies), httpx2.AsyncClient(trust_env=False) as client:
            headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "accept": "text/html"}
            answer = await client.get(f"{address_of(listener)}/sign-in", headers=headers)

    assert ("Secure" in answer.headers["set-cookie"]) is secure


@on_sqlite
async def test_every_kind_of_answer_has_its_security_headers(world: World) -> None:
    """
    Pages, data and errors all say what a browser may do with them.
    """
    async with world.serving(real=False, public_url="https://keep.example") as site:
        answers = [
            await site.http.get(path, headers={"accept": kind})
            for path in (
                "/livez",
                "/sign-in",
                "/nowhere",
                "/api/design/mockups/x",
                "/api/design/tokens",
                "/api/design/audit",
                "/prototypes/x/picture",
                "/static/nothing",
                "/openapi.json",
            )
            for kind in ("text/html", "application/json")
        ]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] in {"no-store", "private, no-store", "private, no-cache"}
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
