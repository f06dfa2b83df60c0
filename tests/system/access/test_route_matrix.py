"""Every route, tried by everybody: made from the application's own table of routes."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from protokeep.core.principals import Role
from protokeep.web.app import create_app
from system.access.route_policy import RULES, Rule, Way, routes_of
from world import Site, World, on_sqlite, settings_of

CALLERS = ("nobody", "garbage", "expired", "revoked", "stranger", "viewer", "maker", "admin")
ROLES = {"stranger": Role.ADMIN, "viewer": Role.VIEWER, "maker": Role.MAKER, "admin": Role.ADMIN}
UNSEEN = "Words that only this workspace may read"


@dataclass
class Person:
    """Somebody who tries: with a token, with the session that it opened, and with the session's signature of forms."""

    token: str | None = None
    browser: httpx2.AsyncClient = field(default_factory=httpx2.AsyncClient)
    form_token: str = ""


@pytest.fixture
async def site(world: World) -> Any:
    """The application on a real port, for streams do not end without one."""
    async with world.serving(requests_per_minute=0, sign_ins_per_minute=0) as served:
        yield served


async def people_of(site: Site, world: World) -> dict[str, Person]:
    """Everybody, signed in where they can be, before some of them stop counting."""
    people = {name: Person() for name in CALLERS}
    people["garbage"].token = "pk_" + "x" * 43
    people["expired"].token = await site.token(Role.ADMIN, "exa", days=1)
    people["revoked"].token, kept = await site.tokens.create(Role.ADMIN, user_id="rea")
    people["stranger"].token = await site.token(Role.ADMIN, "sam", workspace_id="other")
    for name in ("viewer", "maker", "admin"):
        people[name].token = await site.token(Role(name), f"{name}-person")
    for name, person in people.items():
        person.browser = httpx2.AsyncClient(base_url=site.url, headers={"accept": "text/html"}, trust_env=False)
        if person.token is None or name == "garbage":
            person.browser.cookies.set("protokeep_session", "x" * 43)
            continue
        form = await person.browser.get("/sign-in")
        signature = re.search(r'name="form_token" value="([^"]+)"', form.text)
        assert signature is not None
        data = {"form_token": html.unescape(signature[1]), "token": person.token}
        assert (await person.browser.post("/sign-in", data=data)).status_code == 303
        if name != "expired":
            person.form_token = await _form_token(person.browser)
    world.clock.advance(timedelta(days=1, seconds=1).total_seconds())
    await site.tokens.revoke("default", kept.id)
    # Sessions that were left alone for a day are over, too: everybody who counts comes back.
    for name in ROLES:
        person = people[name]
        form = await person.browser.get("/sign-in")
        signature = re.search(r'name="form_token" value="([^"]+)"', form.text)
        assert signature is not None
        data = {"form_token": html.unescape(signature[1]), "token": str(person.token)}
        assert (await person.browser.post("/sign-in", data=data)).status_code == 303
        person.form_token = await _form_token(person.browser)
    return people


async def _form_token(browser: httpx2.AsyncClient) -> str:
    found = re.search(r'data-form-token="([^"]+)"', (await browser.get("/settings")).text)
    assert found is not None
    return html.unescape(found[1])


async def _kept(world: World) -> dict[str, list[dict[str, Any]]]:
    """What is in the database, but for the audit: reuse is written there a moment later."""
    return {table: rows for table, rows in (await world.contents()).items() if table != "protokeep_audit"}


def _ends_things(route: str) -> bool:
    return route.startswith("DELETE") or route.endswith(("/delete", "/sign-out"))


async def tried(site: Site, route: str, rule: Rule, person: Person, prototype_id: str, *, signed: bool) -> Any:
    """The answer to one try: status, where it leads, and the text unless it is a stream."""
    method, _, path = route.partition(" ")
    for name, value in {
        "product_id:path": "seen",
        "product_id": "seen",
        "secret": "x",
        "name": "app.css",
        "token_id": "none",
        "invitation_id": "none",
        "plan_id": "none",
        "archive_id": "none",
    }.items():
        path = path.replace("{" + name + "}", value)
    path = path.replace("{prototype_id}", prototype_id) + rule.query
    method = "POST" if method == "*" else method
    if rule.way is Way.PAGE or rule.way is Way.OPEN:
        data = {**(rule.body or {}), **({"form_token": person.form_token} if signed else {})}
        asked = person.browser.stream(method, path, data=data if method == "POST" else None)
    else:
        headers = {"Authorization": f"Bearer {person.token}"} if person.token else {}
        asked = site.http.stream(method, path, headers={"Authorization": "", **headers}, json=rule.body)
    async with asked as answer:
        stream = answer.headers.get("content-type", "").startswith("text/event-stream")
        text = "" if stream else (await answer.aread()).decode("utf-8", "replace")
        return answer.status_code, answer.headers.get("location", ""), text


def _may(rule: Rule, caller: str) -> bool:
    """Whether somebody with a token may do it with the prototype that is tried: it is nobody's own of these."""
    return ROLES[caller].covers(Role.ADMIN if rule.own else rule.role)


def wrong(rule: Rule, caller: str, status: int, location: str, text: str) -> str | None:
    """What is wrong with an answer, in words; None: nothing."""
    counts = caller in ROLES
    if status >= 500 and status != 503:
        return f"a server error, {status}"
    if UNSEEN in text and (not counts or caller == "stranger"):
        return "it shows another workspace's words"
    if rule.way is Way.OPEN:
        return None
    led_away = location.startswith("/sign-in")
    if not counts:
        refused = status == 401 or (rule.way is Way.PAGE and status == 303 and led_away)
        return None if refused else f"let in with {status}"
    if not _may(rule, caller):
        return None if status == 403 else f"{status} where the role does not cover it"
    if caller == "stranger" and rule.of_workspace:
        return None if status == 404 else f"{status} for what is in another workspace"
    return f"{status} where it is allowed" if status in (401, 403) else None


async def test_every_caller_gets_what_the_policy_says_at_every_route(
    site: Site, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Who may not is refused, in the same way everywhere; who may is let through; other workspaces are not there.
    """
    people = await people_of(site, world)
    made = await world.complete("seen", UNSEEN)
    cells, faults = 0, []
    try:
        # What ends things comes last, and whoever may end them: all others have something to be refused.
        for route, rule in sorted(RULES.items(), key=lambda row: _ends_things(row[0])):
            if rule.own:  # The route before may have ended the last one.
                made = await world.complete("seen", UNSEEN, create_new=True)
            for caller in CALLERS:
                await site.node.work()
                may_change = caller == "admin" or (caller == "maker" and not rule.own)
                before = await _kept(world) if rule.of_workspace and not may_change else None
                answer = await tried(site, route, rule, people[caller], made.id, signed=True)
                cells += 1
                if (fault := wrong(rule, caller, *answer)) is not None:
                    faults.append(f"{route} by {caller}: {fault}")
                if before is not None and rule.role is not Role.VIEWER and await _kept(world) != before:
                    faults.append(f"{route} by {caller}: it changed something")
    finally:
        for person in people.values():
            await person.browser.aclose()

    with capsys.disabled():
        print(f"\nmatrix: {cells} cells, {len(faults)} wrong")  # noqa: T201 - docs/security.md has this figure
    assert not faults, "\n".join(faults)


@on_sqlite
async def test_a_form_of_another_site_is_refused_at_every_route(site: Site, world: World) -> None:
    """
    Every form that changes something needs our signature, whoever is signed in; a wrong one is as good as none.
    """
    people = await people_of(site, world)
    made = await world.complete("seen", UNSEEN)
    before = await world.contents()
    forms = [(route, rule) for route, rule in RULES.items() if rule.way is Way.PAGE and route.startswith("POST")]
    faults = []
    for route, rule in forms:
        for signature in ("", people["admin"].form_token, "x" * 64):
            maker = Person(people["maker"].token, people["maker"].browser, signature)
            status, _, _ = await tried(site, route, rule, maker, made.id, signed=True)
            if status != 403:
                faults.append(f"{route} with {signature[:8]!r}: {status}")
    for person in people.values():
        await person.browser.aclose()

    assert not faults, "\n".join(faults)
    assert len(forms) >= 5
    assert await world.contents() == before


def test_every_route_has_a_policy() -> None:
    """
    A new route says here who may use it; a rule without a route is an old one.
    """
    routes = set(routes_of(create_app(settings_of())))

    assert routes - set(RULES) == set(), "say in tests/system/access/route_policy.py who may use these"
    assert set(RULES) - routes == set()
