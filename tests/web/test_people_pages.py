"""The pages for admins: people, tokens, invitations, the audit and its export."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import NotAuthenticated
from protokeep.core.principals import Principal, Role
from protokeep.store.audit import AuditRecord
from protokeep.web import census_export
from protokeep.web.pages.audit import details_of, plain_cell
from web.test_page_actions import site  # noqa: F401 - a fixture
from web.test_pages import Browser, Site, hidden

ADMIN = Principal("default", "ada", Role.ADMIN, "")


def shown(page: httpx2.Response) -> str:
    """What a page shows this once."""
    found = re.search(r'id="once">([^<]*)<', page.text)
    assert found is not None
    return html.unescape(found[1])


async def invited(site: Site, **fields: str) -> str:  # noqa: F811
    """The path of a new invitation's link."""
    admin = await site.signed_in(Role.ADMIN, "ada")
    page = await admin.get("/people")
    made = await admin.send("/people/invite", page, **{"role": "maker", "days": "7", **fields})
    link = shown(made)
    assert link.startswith(site.url)
    assert "code=" not in (await admin.get("/people")).text
    return link.removeprefix(site.url)


async def join(browser: Browser, path: str, name: str = "") -> httpx2.Response:
    page = await browser.get(path)
    return await browser.client.post("/join", data={**hidden(page.text), **({"user_id": name} if name else {})})


async def test_an_invitation_lets_one_person_in_once_under_a_name_of_their_own(site: Site) -> None:  # noqa: F811
    """
    Looking uses nothing up; whoever is first is in with the role that was chosen, and has a token to come back with.
    """
    path = await invited(site)
    first, second, back = site.browser(), site.browser(), site.browser()
    await second.get(path)

    welcome = await join(first, path, "mia")
    late = await join(second, path, "max")

    assert "Welcome, mia" in welcome.text
    assert "maker in default" in (await first.get("/")).text
    assert late.status_code == 401
    assert "used already" in late.text
    assert (await back.sign_in(shown(welcome))).url.path == "/"
    assert "Signed in as <b>mia</b>" in (await back.get("/")).text


@pytest.mark.parametrize("name", ["ada", "ADA", " ada ", "Élise", "élise", "ŁUKASZ"])
async def test_nobody_joins_under_a_name_that_is_there(site: Site, name: str) -> None:  # noqa: F811
    """
    A name opens what its owner has, so a taken one is refused, whatever letters it is written with, and the invitation
    stays open.
    """
    path = await invited(site)
    for taken in ("Élise", "Łukasz"):
        await site.token(user=taken)
    browser = site.browser()

    refused = await join(browser, path, name)

    assert refused.status_code == 422
    assert "has this name already" in refused.text
    assert (await join(browser, path, "mia")).status_code == 200


async def test_two_people_do_not_join_at_once_under_one_name(site: Site) -> None:  # noqa: F811
    """
    Each has an invitation, and both choose the same name at the same moment: one of them is in, the others are told.
    """
    paths = [await invited(site) for _ in range(3)]

    answers = await asyncio.gather(*(join(site.browser(), path, "mia") for path in paths))

    assert sorted(answer.status_code for answer in answers) == [200, 422, 422]


@pytest.mark.parametrize("name", ["command line", "Protokeep", " command  line"])
async def test_nobody_joins_under_a_name_that_the_audit_uses_itself(site: Site, name: str) -> None:  # noqa: F811
    """
    The audit says "command line" of an operator's commands, which nobody who was invited can look like.
    """
    path = await invited(site)

    refused = await join(site.browser(), path, name)

    assert (refused.status_code, "a name that protokeep itself has" in html.unescape(refused.text)) == (422, True)
    assert (await join(site.browser(), path, "mia")).status_code == 200


async def test_an_admin_lets_a_named_person_in_again(site: Site) -> None:  # noqa: F811
    """
    The invitation names the person, who cannot choose another name.
    """
    path = await invited(site, user_id="ben")
    browser = site.browser()
    await site.token(user="ben")

    welcome = await join(browser, path, "ada")

    assert "Welcome, ben" in welcome.text


async def test_an_invitation_ends_with_its_time_by_hand_and_with_its_inviters_access(site: Site) -> None:  # noqa: F811
    """
    None of the three lets anybody in.
    """
    application = site.application
    by_hand, by_access, by_time = [(await application.invitations.invite(ADMIN, Role.MAKER, 1))[0] for _ in range(3)]
    newest = {(await application.invitations.find(code)).digest: code for code in (by_hand, by_access, by_time)}
    await application.invitations.take_back(ADMIN, next(one for one, code in newest.items() if code == by_hand))
    with pytest.raises(NotAuthenticated):
        await application.invitations.accept(by_hand, "mia")

    clock = application.sessions._clock
    application.sessions._clock = lambda: clock() + timedelta(days=1, seconds=1)
    with pytest.raises(NotAuthenticated):
        await application.invitations.accept(by_time, "mia")
    application.sessions._clock = clock
    await application.tokens.revoke_access(ADMIN, "ada")
    with pytest.raises(NotAuthenticated):
        await application.invitations.accept(by_access, "mia")


async def test_a_token_is_shown_once_and_revoked(site: Site) -> None:  # noqa: F811
    """
    The page lists who has which token, and ends it at once.
    """
    admin, holder = await site.signed_in(Role.ADMIN, "ada"), site.browser()
    page = await admin.get("/people/tokens")
    made = await admin.send("/people/tokens", page, user_id="ci", role="maker", name="Nightly", days="30")
    await holder.sign_in(shown(made))
    row = next(row for row in (await admin.get("/people/tokens")).text.split("<tr>") if "Nightly" in row)
    token_id = hidden(row)["token_id"]

    done = await admin.client.post("/people/tokens/revoke", data={**hidden(page.text), "token_id": token_id})

    assert "The token was revoked" in done.text
    assert "/sign-in" in str((await holder.get("/")).url)
    fault = await admin.send("/people/tokens", page, user_id="ci", role="maker", days="many")
    assert (fault.status_code, "whole number" in fault.text) == (422, True)


async def test_access_of_another_person_ends_and_ones_own_does_not(site: Site) -> None:  # noqa: F811
    """
    One press ends all tokens and sessions of a person; an admin cannot shut themselves out.
    """
    admin, ben = await site.signed_in(Role.ADMIN, "ada"), await site.signed_in(user="ben")
    page = await admin.get("/people")
    assert "ben" in page.text

    await admin.send("/people/revoke", page, user_id="ben")
    refused = await admin.send("/people/revoke", page, user_id="ada")

    assert "/sign-in" in str((await ben.get("/")).url)
    assert refused.status_code == 403


async def test_the_audit_is_filtered_and_exported_as_plain_text(site: Site) -> None:  # noqa: F811
    """
    Filters stand in the address and count for the file, too; no cell is a formula; others' entries are in neither.
    """
    admin = await site.signed_in(Role.ADMIN, "ada")
    context = site.application.keeper.context
    now = context.clock()
    for at, actor, workspace in (
        (now, "=cmd()", "default"),
        (now, "stranger", "else"),
        (now - timedelta(days=9), "old", "default"),
    ):
        await context.audit.add(AuditEntry(workspace, at, Action.STOPPED, actor, data={"note": "=1+1"}))

    page = await admin.get(f"/audit?action=stopped&since={now:%Y-%m-%d}&until={now:%Y-%m-%d}")
    file = await admin.get(f"/audit/export?action=stopped&since={now:%Y-%m-%d}")
    everything = await admin.get("/audit/export?since=yesterday")

    assert "=cmd()" in page.text
    assert "stranger" not in page.text
    assert ">old<" not in page.text
    assert file.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(file.text))
    assert [row[header.index("person")] for row in rows] == ["'=cmd()"]
    people = {row[1] for row in csv.reader(io.StringIO(everything.text))}
    assert {"old", "ada"} <= people
    assert "stranger" not in people


def test_no_cell_begins_like_a_formula() -> None:
    """
    Whatever a spreadsheet would calculate is text.
    """
    cells = [plain_cell(f"{blank}{sign}1") for sign in "=+-@\uff1d\uff20\t\r\n" for blank in ("", " ")]

    assert all(cell.startswith("'") for cell in cells)
    assert plain_cell("ana") == "ana"
    assert (census_export._cell(" =1"), census_export._cell("ana")) == ("' =1", "ana")


def test_the_details_of_an_entry_are_words() -> None:
    """
    A list and a time read as people write them; anything else is as it was written.
    """
    details = {
        "added": ["retail", "spring"],
        "due_at": "2026-05-03T14:05:09.120000+00:00",
        "reason": "Take two",
        "days": 7,
    }
    entry = AuditEntry("default", datetime(2026, 5, 1, tzinfo=UTC), Action.STOPPED, "ana", data=details)

    assert details_of(AuditRecord("1", entry)) == [
        ("added", "retail, spring"),
        ("due at", "3 May 2026, 14:05 UTC"),
        ("reason", "Take two"),
        ("days", "7"),
    ]


async def test_an_admin_chooses_on_the_settings_page_and_others_do_not_see_the_choice(site: Site) -> None:  # noqa: F811
    """
    The form shows what was chosen, and what the server does where nothing is; a word that is none changes nothing.
    """
    admin, maker = await site.signed_in(Role.ADMIN, "ada"), await site.signed_in(Role.MAKER, "ben")
    page = await admin.get("/settings")
    saved = await admin.send("/settings/workspace", page, unclear_product="ask")
    wrong = await admin.send("/settings/workspace", page, unclear_product="never")
    refused = await maker.send("/settings/workspace", await maker.get("/settings"), unclear_product="take")

    assert re.search(r'value="" checked> <span>As the server is set up: create it<', page.text)
    assert "Saved for the workspace." in saved.text
    assert 'value="ask" checked' in (await admin.get("/settings")).text
    assert (wrong.status_code, refused.status_code) == (422, 403)
    assert "unclear_product" not in (await maker.get("/settings")).text
    assert await site.application.keeper.context.asks_first("default")
