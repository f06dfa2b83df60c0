"""The pages of the census and of clean-ups over HTTP: who sees what, forms that act, and names that are only text."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest

from censuses import AT_ONCE, Censuses, old_account
from protokeep.core.principals import Role
from protokeep.service import census_groups
from protokeep.web.pages import clean_up_words
from protokeep.web.pages.plan_forms import PlanForm
from web.test_pages import Browser
from world import Site, World, on_sqlite

pytestmark = pytest.mark.world(timing=AT_ONCE)
HOSTILE = "<script>alert(1)</script>\" onload='x' {{ 7*7 }}"
ADMIN_ONLY = ("/clean-up/adopt", "/clean-up/plans/new")


class People:
    """Browsers of people who have signed in."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.browsers: list[Browser] = []

    async def signed_in(self, role: Role, user: str = "", workspace: str = "default") -> Browser:
        """A browser of somebody with this role."""
        browser = Browser(self._site.url)
        self.browsers.append(browser)
        token = await self._site.token(role, user or role.value, workspace_id=workspace)
        assert (await browser.sign_in(token)).status_code == 200
        return browser


@pytest.fixture
async def people(real_site: Site) -> AsyncIterator[People]:
    """Whoever signs in."""
    found = People(real_site)
    yield found
    for browser in found.browsers:
        await browser.client.aclose()


@pytest.fixture
async def censuses(world: World, real_site: Site, monkeypatch: pytest.MonkeyPatch) -> Censuses:
    """The censuses of the process that serves the pages, of a small old account."""
    monkeypatch.setattr(census_groups, "MOST_PROMPTS", 5)
    old_account(world, 60, seed=4)
    for chat in world.sandbox.chats.values():
        chat.forbidden = False  # A chat that the key may not read pauses a plan.
    return Censuses(world, real_site.node)


async def get(browser: Browser, path: str) -> str:
    """A page that has to be there, without words of the code."""
    answer = await browser.get(path)
    assert answer.status_code == 200, (path, answer.text)
    shown = re.sub(r"<[^>]*>", " ", answer.text)
    assert "/api/" not in shown
    assert "`" not in shown
    return answer.text


async def post(browser: Browser, path: str, **fields: str) -> httpx2.Response:
    """A form of the page, sent with its token."""
    token = re.search(r'data-form-token="([^"]+)"', (await browser.get("/settings")).text)
    assert token is not None
    return await browser.client.post(path, data={"form_token": html.unescape(token[1]), **fields})


async def draft(browser: Browser, **fields: str) -> tuple[str, str]:
    """The address of a new draft of everything, and its digest."""
    kinds = {f"kind_{kind.value}": "1" for kind in clean_up_words.DELETE_KINDS}
    made = await post(browser, "/clean-up/plans", workspace="default", **{**kinds, **fields})
    digest = re.search(r'name="digest" value="([0-9a-f]{64})"', made.text)
    assert made.status_code == 200, made.text
    assert digest is not None
    return made.url.path, digest[1]


async def test_each_role_gets_every_page_and_only_what_it_may(censuses: Censuses, people: People) -> None:
    """
    Before and after a scan each page is there for every role; only admins are offered what changes the account.
    """
    admin, viewer = await people.signed_in(Role.ADMIN), await people.signed_in(Role.VIEWER)
    pages = ["/clean-up", "/clean-up/chats", "/clean-up/groups", "/clean-up/plans"]
    for path in pages:
        assert "has not been scanned yet" in await get(viewer, path) or path == "/clean-up/plans"
    assert "Scan the account" in await get(admin, "/clean-up")
    await censuses.run()
    plan, _ = await draft(admin)
    found = await censuses.chats()

    for path in [*pages, plan, f"{plan}?show=keep", "/clean-up/chats?q=a&kind=duplicate&age=year&sort=credits"]:
        seen = await get(viewer, path)
        await get(admin, path)
        acts = set(re.findall(r'<form[^>]* method="post" action="(/clean-up[^"]*)"', seen))
        assert all(act.endswith("/pin") for act in acts), acts
        assert not [url for url in ADMIN_ONLY if url in seen]
    for path in ADMIN_ONLY:
        assert (await viewer.get(path)).status_code == 403
        await get(admin, path)
    summary = await get(viewer, "/clean-up")
    assert "60 chats. Nothing seems to need" in summary
    assert f'href="/clean-up/chats?author={found[0].record.chat.author_id}"' in summary
    assert "Whom to tell" in await get(admin, plan)
    assert "Whom to tell" not in await get(viewer, plan)
    for form in ("csv", "json"):
        exported = await viewer.get(f"/clean-up/export?format={form}")
        assert found[0].record.chat.chat_id in exported.text
        assert exported.headers["content-disposition"] == f'attachment; filename="census.{form}"'
        assert (await viewer.get(f"{plan}/export?format={form}")).status_code == 200


@on_sqlite
async def test_from_a_scan_to_a_deletion_that_is_taken_back(world: World, censuses: Censuses, people: People) -> None:
    """
    Scan, keep, adopt, plan, approve, apply and undo by forms alone; what does not work is said on the page.
    """
    admin = await people.signed_in(Role.ADMIN)
    await post(admin, "/clean-up/scan")
    assert "<progress" in await get(admin, "/clean-up")
    assert "was cancelled" in (await post(admin, "/clean-up/scan/cancel")).text
    await post(admin, "/clean-up/scan")
    await censuses.finish()

    group = re.search(r'href="(/clean-up/adopt\?group=([^"&]+))', await get(admin, "/clean-up/groups?unclaimed=1"))
    assert group is not None
    form = await get(admin, group[1])
    assert " chosen</h2>" in form
    refused = await post(admin, "/clean-up/adopt", product_id=" ", group=group[2])
    assert (refused.status_code, 'id="product_fault">The product' in refused.text) == (422, True)
    adopted = await post(admin, "/clean-up/adopt", product_id="shop", group=group[2])
    assert 'adopted into <a href="/p/shop">shop</a>' in adopted.text
    assert "it is the current variant now" in adopted.text

    for name, days, fault in (("elsewhere", "14", "Write the name of"), ("default", "1", "grace must be 3 to 365")):
        answer = await post(admin, "/clean-up/plans", workspace=name, grace_days=days, kind_empty="1")
        assert (answer.status_code, fault in answer.text) == (422, True)
    plan, digest = await draft(admin, per_day="1000")
    page = await get(admin, plan)
    assert "This is a draft and deletes nothing" in page
    keep = re.search(r'action="/clean-up/chats/([^/]+)/pin"', page)
    assert keep is not None
    viewer = await people.signed_in(Role.VIEWER)
    kept = await post(viewer, f"/clean-up/chats/{keep[1]}/pin", next=plan)
    assert (kept.url.path, "Pinned by viewer" in kept.text) == (plan, True)

    wrong_name = await post(admin, f"{plan}/approve", digest=digest, workspace="elsewhere")
    assert (wrong_name.status_code, "Write the name of the workspace" in wrong_name.text) == (422, True)
    other_list = await post(admin, f"{plan}/approve", digest="0" * 64, workspace="default")
    assert (other_list.status_code, "so nothing was done" in other_list.text) == (422, True)
    await post(admin, f"{plan}/approve", digest=digest, workspace="default")
    if "Another admin" in await get(admin, plan):
        other = await people.signed_in(Role.ADMIN, "max")
        await post(other, f"{plan}/approve", digest=digest, workspace="default")
    assert "Nothing is deleted before it is applied" in await get(admin, plan)
    await post(admin, f"{plan}/apply", digest=digest)
    assert "It is paused" in (await post(admin, f"{plan}/pause")).text
    assert "nothing is deleted before" in (await post(admin, f"{plan}/resume")).text
    world.clock.advance(timedelta(days=15).total_seconds())
    await censuses.finish()

    admin = await people.signed_in(Role.ADMIN)
    done = await get(admin, plan)
    assert "can be restored from their copies" in done
    assert not world.sandbox.chats[keep[1]].deleted
    gone = re.search(r'name="chat" value="([^"]+)"', done)
    assert gone is not None
    assert world.sandbox.chats[gone[1]].deleted
    assert "Being restored" in (await post(admin, f"{plan}/undo", chat=gone[1])).text
    assert (await admin.get(f"{plan}/receipts")).json()["signature"]
    edited = await post(admin, f"{plan}/import", content="chat_id,action,fingerprint\nx,keep,y")
    assert (edited.status_code, "not in the plan" in edited.text, "x,keep,y" in edited.text) == (422, True, True)


@on_sqlite
async def test_the_standing_policy_is_off_until_an_admin_sets_it_on_the_page(
    censuses: Censuses, people: People
) -> None:
    """
    Members read what it does; its form asks for the workspace's name, keeps what was typed, and tells what is wrong.
    """
    await censuses.run()
    admin, member = await people.signed_in(Role.ADMIN), await people.signed_in(Role.MAKER)
    assert "It is off." in await get(admin, "/clean-up/plans")
    assert "policy_account" not in await get(member, "/clean-up/plans")
    wrong = [
        await post(admin, "/clean-up/plans/policy", older_than_days=days, workspace=name)
        for days, name in (("0", "default"), ("45", "Default"))
    ]
    assert [one.status_code for one in wrong] == [422, 422]
    assert ["The age must be 1 to" in wrong[0].text, 'value="45"' in wrong[1].text] == [True, True]
    done = await post(admin, "/clean-up/plans/policy", older_than_days="45", workspace="default")
    assert "The standing policy is set." in done.text
    shown = await get(member, "/clean-up/plans")
    assert "older than 45 days go into a new draft" in shown
    assert "Set by admin" in shown
    account = re.search(r'name="policy_account" value="([^"]+)"', done.text)
    assert account is not None
    assert (await post(member, "/clean-up/plans/policy/off", policy_account=account[1])).status_code == 403
    assert "is off. Drafts" in (await post(admin, "/clean-up/plans/policy/off", policy_account=account[1])).text
    assert (await post(admin, "/clean-up/plans/policy/off", policy_account=account[1])).status_code == 200
    assert "It is off." in await get(member, "/clean-up/plans")


async def test_another_workspace_sees_nothing_of_it(censuses: Censuses, people: People) -> None:
    """
    An admin of another workspace sees no chat, no plan and no number, and changes nothing.
    """
    await censuses.run()
    admin, stranger = await people.signed_in(Role.ADMIN), await people.signed_in(Role.ADMIN, "eve", "elsewhere")
    plan, digest = await draft(admin)
    names = {found.record.chat.chat_id for found in await censuses.chats()}
    chat = min(names)

    for path in ("/clean-up", "/clean-up/chats", "/clean-up/groups", "/clean-up/plans", "/clean-up/export"):
        seen = (await stranger.get(path)).text
        assert not [name for name in names if name in seen]
        assert "60 chats" not in seen
        assert plan not in seen
    for path in (plan, f"{plan}/export", f"{plan}/receipts"):
        assert (await stranger.get(path)).status_code == 404
    sent = [("approve", {"digest": digest, "workspace": "elsewhere"}), ("cancel", {}), ("undo", {"all": "1"})]
    for act, fields in sent:
        assert (await post(stranger, f"{plan}/{act}", **fields)).status_code == 404
    assert (await post(stranger, f"/clean-up/chats/{chat}/pin")).status_code == 404
    assert (await post(stranger, "/clean-up/adopt", product_id="x", chats=chat)).status_code in (404, 503)
    assert not await censuses.chats(pinned=True)
    assert "This is a draft" in await get(admin, plan)


@on_sqlite
async def test_what_an_app_builder_sends_is_text_on_every_page(
    world: World, censuses: Censuses, people: People
) -> None:
    """
    Names, prompts and authors with markup are shown as they are, and run nothing.
    """
    for chat in world.sandbox.chats.values():
        chat.name = HOSTILE
    await censuses.run()
    admin = await people.signed_in(Role.ADMIN)
    plan, _ = await draft(admin)
    chat_id = (await censuses.ids())[0]

    for path in ("/clean-up/chats", "/clean-up/groups", plan, f"/clean-up/adopt?chat={chat_id}"):
        seen = await get(admin, path)
        assert "<script>alert" not in seen
        assert "onload='x'" not in seen
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in seen
        assert "{{ 7*7 }}" in html.unescape(seen)
    filters = await get(admin, "/clean-up/chats?q=%3Cscript%3E&author=%22x&product=%3Cb%3E&cursor=")
    assert "<script>" not in filters
    assert "<b>&" not in filters


def test_a_form_that_was_cut_switches_no_rule_off() -> None:
    """
    Only a form that showed the rules can switch one off: a request without them keeps all of them.
    """
    assert PlanForm.of_fields({}).options.rules_off == frozenset()
    shown = PlanForm.of_fields({"shown": "1", "keep_favorite": "1", "grace_days": "14"})
    assert "favorite" not in shown.options.rules_off
    assert shown.options.rules_off >= {"shared", "recent"}
    assert replace(shown, chosen=("chat a", "group b")).chosen_text == "1 chat and 1 group"


@on_sqlite
async def test_a_chats_picture_is_read_once_for_everybody_and_for_nobody_else(
    world: World, censuses: Censuses, people: People
) -> None:
    """
    Two people look at a picture: it is read once, from our own origin; a chat without one, and a stranger, get none.
    """
    viewer, other = await people.signed_in(Role.VIEWER), await people.signed_in(Role.MAKER)
    stranger = await people.signed_in(Role.ADMIN, "sam", workspace="another")
    await censuses.run()
    page = await get(viewer, "/clean-up/chats")
    pictured = html.unescape(re.findall(r'<img class="shot" src="([^"]+)"', page)[0])
    plain = next(one.record.chat.chat_id for one in await censuses.chats() if one.record.chat.picture_url is None)
    provider = censuses.node.context.providers.serving("v0:environment", 1)
    assert provider is not None

    calls = provider.calls
    answers = [await browser.get(pictured) for browser in (viewer, viewer, other)]
    assert provider.calls - calls == 1
    assert {(answer.status_code, answer.headers["content-type"]) for answer in answers} == {(200, "image/png")}
    assert "default-src 'none'" in answers[0].headers["content-security-policy"]
    assert (await viewer.get(f"/clean-up/chats/{plain}/picture")).status_code == 404
    assert (await stranger.get(pictured)).status_code == 404
