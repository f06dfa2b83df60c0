"""How to get to each page and state that `make screenshots` takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from playwright.async_api import Page

from clean_up_steps import Steps
from gallery_fixture import Scene, minutes, paint
from protokeep.core import errors
from protokeep.core.keep_rules import DeleteRule, Selection
from protokeep.core.principals import Principal, Role
from protokeep.core.prototype import State
from protokeep.store.census_reads import ChatFilters
from protokeep.web.pages.session import VisitorDep
from protokeep.wiring import Application

ANA = Principal("default", "ana", Role.ADMIN, "")
BEN = Principal("default", "ben", Role.MAKER, "")

Step = Callable[[Page, str], Awaitable[object]]


def at(path: str) -> Step:
    """Just the page."""
    return lambda page, url: page.goto(url + path)


async def fill(page: Page, url: str, product: str, prompt: str) -> None:
    """Ask for a prototype by the form."""
    await page.goto(f"{url}/new")
    await page.fill("#product_id", product)
    await page.fill("#prompt", prompt)
    await page.click("main button[data-once]")


async def say_nothing(page: Page, url: str) -> None:
    """Ask for a change with white space."""
    await page.goto(url)
    await page.fill("#message", "  ")
    await page.click("#change button")


async def session_ended(page: Page, url: str) -> None:
    """Send a form after the session has ended."""
    cookies = await page.context.cookies()
    await page.goto(f"{url}/new")
    await page.fill("#product_id", "bakery")
    await page.fill("#prompt", "A bakery that nobody should have to type again")
    await page.context.clear_cookies()
    await page.click("main button[data-once]")
    await page.wait_for_load_state()
    await page.context.add_cookies(cookies)  # type: ignore[arg-type]


async def menu(page: Page, url: str) -> None:
    await page.goto(url)
    await page.locator(".card .menu summary").first.click()


async def focus(page: Page, url: str) -> None:
    await page.goto(url)
    for key in "jjjjj":
        await page.keyboard.press(key)


async def earlier(page: Page, url: str) -> None:
    """The page of a variant that is not the current one."""
    await page.goto(url)
    await page.locator(".variant .go").last.click()
    await page.wait_for_load_state()


async def compare(page: Page, url: str) -> None:
    """Two variants side by side, by the form above them."""
    await page.goto(url)
    await page.get_by_role("button", name="Compare").click()
    await page.wait_for_load_state()


async def invite(page: Page, url: str) -> None:
    """A link that is shown once."""
    await page.goto(f"{url}/people")
    await page.get_by_role("button", name="Create link").click()
    await page.wait_for_load_state()


async def join(page: Page, url: str) -> None:
    """What the receiver of an invitation sees."""
    await invite(page, url)
    await page.goto(await page.locator("#once").inner_text())


async def keys(page: Page, url: str) -> None:
    await page.goto(url)
    await page.keyboard.press("?")


async def sign_in(page: Page, url: str, token: str) -> None:
    await page.goto(f"{url}/sign-in")
    await page.fill("#token", token)
    await page.click("main button")
    await page.wait_for_load_state()


async def wrong_token(page: Page, url: str) -> None:
    await sign_in(page, f"{url}", "pk_not_a_token")


def signed_in_as(token: str, path: str) -> Step:
    """A page as somebody else sees it."""

    async def go(page: Page, url: str) -> None:
        await page.context.clear_cookies()
        await sign_in(page, url, token)
        await page.goto(url + path)

    return go


async def palette(page: Page, url: str, words: str = "") -> None:
    """The palette, with what was typed there."""
    await page.goto(url)
    await page.keyboard.press("Control+k")
    await page.get_by_role("option").first.wait_for()
    if words:
        await page.keyboard.type(words)
        await page.wait_for_timeout(400)


async def opened(page: Page, url: str, *summaries: str) -> None:
    """The page with folds and menus open."""
    await page.goto(url)
    for summary in summaries:
        await page.locator(summary).first.click()
    await page.wait_for_timeout(300)


async def pressed(page: Page, url: str, name: str, role: Any = "button") -> None:
    """What a press of a button leads to."""
    await page.goto(url)
    await page.get_by_role(role, name=name).first.click()
    await page.wait_for_load_state()


async def all_chosen(page: Page, url: str) -> None:
    await page.goto(f"{url}/?select=1")
    await page.get_by_label("All on this page").check()


async def similar(page: Page, url: str) -> None:
    """The form while somebody types a product that exists."""
    await page.goto(f"{url}/new")
    await page.fill("#product_id", "Bakery")
    await page.fill("#prompt", "A landing page for a bakery, with opening hours and a map")
    await page.wait_for_timeout(900)


async def theme_saved(page: Page, url: str) -> None:
    await pressed(page, f"{url}/settings", "Save")
    await page.context.clear_cookies(name="protokeep_preferences")


async def gone(page: Page, url: str) -> None:
    """The page after the server does not answer any more."""
    await page.route("**/live**", lambda route: route.abort())
    await page.goto(url)
    await page.wait_for_timeout(1500)
    await page.unroute("**/live**")


#: What can go wrong, by the word in `/went-wrong/WORD`; only these runs have that address.
WRONG: dict[str, errors.ProtokeepError] = {
    "403": errors.NotAllowed("Only an admin may do this. Ask an admin of your workspace."),
    "409": errors.NotNow("The prototype is still being created. Ask again once it is ready."),
    "429": errors.QuotaReached("20 creates a day are allowed, and 20 were used.", retry_after=timedelta(hours=3)),
    "429-many": errors.TooMany("Too many requests in a minute.", retry_after=timedelta(seconds=20)),
    "503": errors.DatabaseUnavailable(),
}


async def go_wrong(word: str, visitor: VisitorDep) -> None:
    """Fail as the rest of the application may."""
    raise WRONG.get(word) or RuntimeError("nobody expected this")


def add_wrong(app: FastAPI) -> FastAPI:
    """The application with an address that fails on purpose."""
    app.add_api_route("/went-wrong/{word}", go_wrong, include_in_schema=False)
    return app


async def arranged(application: Application) -> dict[str, Any]:
    """The team's prototypes with tags, views, people, and every state that the fixture leaves out."""
    calm = [
        Scene(name, None, "chiara", "A page that a team stopped looking at", state, minutes(60 * 24 * 20), minutes(3))
        for name, state in (
            ("stopped", State.STOPPED),
            ("not-visible", State.NOT_VISIBLE),
            ("unclear", State.UNDECIDED),
            ("old-idea", State.READY),
            ("binned", State.READY),
            ("Ein-Name-" * 20, State.READY),
        )
    ]
    made: dict[str, Any] = dict(await paint(application, tuple(calm))) | dict(await paint(application))
    keeper = application.keeper
    await keeper.arrangement.set_tags(BEN, made["wallet"], ["retail", "spring"])
    await keeper.arrangement.set_favourite(ANA, made["wallet"], favourite=True)
    await keeper.arrangement.set_archived(BEN, made["old-idea"], archived=True)
    await keeper.arrangement.save_view(ANA, "Ready and mine", "state=ready&mine=1")
    await keeper.delete(ANA, made["binned"].id)
    for name, role in (
        ("ben", Role.MAKER),
        ("chiara", Role.MAKER),
        ("a-person-with-a-long-name@company.example", Role.VIEWER),
    ):
        await application.tokens.create(role, user_id=name, name="CI of the web team")
    await application.invitations.invite(ANA, Role.MAKER, 7, "dmitri")
    return made


def team_steps(made: dict[str, Any], code: str, viewer: str) -> dict[str, Step]:
    """Every page of a workspace in which a team works."""
    return {**_home(code), **_products(made), **_forms(made), **_administration(made), **_seen_by(viewer), **_wrong()}


def readme_steps(made: dict[str, Any]) -> dict[str, Step]:
    """The pages of which the README shows pictures."""
    return {**_home(""), **_forms(made)}


def _home(code: str) -> dict[str, Step]:
    columns = "state,person,made,updated,took,variants,tags,provider,credits,id"
    return {
        "sign-in": at("/sign-in?next=/#out"),
        "sign-in-link": at(f"/sign-in?code={code}#out"),
        "sign-in-wrong": wrong_token,
        "home": at("/"),
        "home-table": at("/?view=table"),
        "home-table-all": at(f"/?view=table&columns={columns}"),
        "home-table-columns": lambda page, url: opened(page, f"{url}/?view=table", ".columns summary"),
        "home-filtered": at("/?q=a&state=ready&mine=1"),
        "home-attention": at("/?state=attention"),
        "home-archive": at("/?archived=only"),
        "home-no-match": at("/?q=zeppelin&mine=1"),
        "home-select": at("/?select=1"),
        "home-select-all": all_chosen,
        "home-select-table": at("/?select=1&view=table"),
        "home-filter-panel": lambda page, url: opened(page, url, ".filter summary"),
        "home-me": lambda page, url: opened(page, url, ".who summary"),
        "home-live-lost": gone,
        "filters": at("/filters?person=ben"),
        "views": at("/views"),
        "views-save": at("/views?state=ready&mine=1"),
        "home-menu": menu,
        "home-focus": focus,
        "keys": keys,
        "palette": palette,
        "palette-typed": lambda page, url: palette(page, url, "ba"),
        "palette-nothing": lambda page, url: palette(page, url, "zeppelin"),
        "docs": at("/docs"),
    }


def _products(made: dict[str, Any]) -> dict[str, Step]:
    ready, long_name = made["bakery"].id, next(one.id for name, one in made.items() if name.startswith("Ein-Name"))
    states = {
        "ready": "wallet", "failed": "payroll", "making": "returns", "queued": "intranet-search", "parked": "festival",
        "timed-out": "museum", "deleting": "seat-map", "waiting": "greenhouse", "stopped": "stopped",
        "not-visible": "not-visible", "unclear": "unclear", "refused-change": "gutscheine", "in-bin": "binned",
        "archived": "old-idea",
    }  # fmt: skip
    return {
        "product": at("/p/bakery"),
        "product-folds": lambda page, url: opened(page, f"{url}/p/bakery", ".fold summary", ".dots summary"),
        "product-earlier": lambda page, url: earlier(page, f"{url}/p/bakery"),
        **{f"product-{state}": at(f"/prototypes/{made[name].id}") for state, name in states.items()},
        "product-long-name": at(f"/prototypes/{long_name}"),
        "product-no-message": lambda page, url: say_nothing(page, f"{url}/prototypes/{ready}"),
        "compare": lambda page, url: compare(page, f"{url}/p/bakery"),
        "delete": at(f"/prototypes/{ready}/delete"),
        "delete-now": at(f"/prototypes/{made['binned'].id}/delete"),
    }


def _forms(made: dict[str, Any]) -> dict[str, Step]:
    ready, ids = made["bakery"].id, "&".join(f"id={one.id}" for one in list(made.values())[5:9])
    return {
        "session-ended": session_ended,
        "new": at("/new"),
        "new-more": lambda page, url: opened(page, f"{url}/new", "main .more summary"),
        "new-similar": similar,
        "new-another": at(f"/new?like={ready}&another=1"),
        "new-wrong": lambda page, url: fill(page, url, " ", "Something that nobody can make without a product"),
        "new-read-alike": lambda page, url: fill(page, url, "Bakery_", "A bakery that is another one"),
        "reused": lambda page, url: fill(page, url, "bakery", made["bakery"].prompt),
        "reused-differs": lambda page, url: fill(page, url, "bakery", "A bakery, but as a game about bread"),
        "chosen": at(f"/chosen?{ids}"),
        "chosen-delete": at(f"/chosen/delete?{ids}"),
        "chosen-done": lambda page, url: pressed(page, f"{url}/chosen?{ids}", "Bring back from the archive"),
    }


def _administration(made: dict[str, Any]) -> dict[str, Step]:
    return {
        "bin": at("/bin"),
        "settings": at("/settings"),
        "settings-saved": theme_saved,
        "v0-key": at("/settings/v0-key"),
        "people": at("/people"),
        "people-menu": lambda page, url: opened(page, f"{url}/people", "main .menu summary"),
        "people-invited": invite,
        "people-join": join,
        "people-tokens": at("/people/tokens"),
        "people-audit": at("/audit"),
        "people-audit-filtered": at("/audit?actor=ana&since=2026-01-01"),
        "people-audit-none": at("/audit?actor=nobody"),
    }


def _seen_by(viewer: str) -> dict[str, Step]:
    """What a person sees who may only look."""
    paths = {"viewer-home": "/", "viewer-product": "/p/bakery", "viewer-settings": "/settings"}
    return {name: signed_in_as(viewer, path) for name, path in paths.items()}


def _wrong() -> dict[str, Step]:
    return {
        "error-404": at("/p/nothing-of-the-kind"),
        "error-500": at("/went-wrong/500"),
        **{f"error-{word}": at(f"/went-wrong/{word}") for word in WRONG},
    }


def empty_steps() -> dict[str, Step]:
    """The pages of a workspace in which nothing has happened yet."""
    paths = {"bin": "/bin", "people": "/people", "audit": "/audit", "clean-up": "/clean-up", "views": "/views"}
    return {"first-run": at("/")} | {f"first-{name}": at(path) for name, path in paths.items()}


async def policy_wrong(page: Page, url: str) -> None:
    await page.goto(f"{url}/clean-up/plans")
    await page.fill("#policy_workspace", "another")
    await page.locator("#policy .sheet button").click()
    await page.wait_for_load_state()


async def policy_set(page: Page, url: str) -> None:
    await page.goto(f"{url}/clean-up/plans")
    await page.fill("#older_than_days", "90")
    await page.fill("#policy_workspace", "default")
    await page.locator("#policy .sheet button").click()
    await page.wait_for_load_state()


async def clean_up_steps(application: Application) -> dict[str, Step]:
    who, max_ = ANA, Principal("default", "max", Role.ADMIN, "")
    steps = Steps(application)
    await steps.run()
    groups, _ = await application.census.groups(who, 1, unclaimed=True)
    chats, _ = await application.census.chats(who, ChatFilters(), 2)
    await application.census.pin(who, chats[0].record.chat.chat_id, reason="The board looks at it in May")
    plans = [
        await application.plans.propose(who, "default", None, Selection(kinds=frozenset({kind})))
        for kind in (DeleteRule.NOT_CLAIMED, DeleteRule.FAILED)
    ]
    for plan in plans:
        for admin in (who, max_)[: plan.approvals_needed]:
            await application.plans.approve(admin, plan.id, plan.digest, "default")
    await application.plans.apply(who, plans[1].id, plans[1].digest)
    steps.put_forward(timedelta(days=15))
    await steps.run()
    plans.append(await application.plans.propose(who, "default"))
    chosen = "&".join(f"chat={one.record.chat.chat_id}" for one in chats)
    return {
        "clean-up": at("/clean-up"),
        "clean-up-chats": at("/clean-up/chats"),
        "clean-up-chats-filtered": at("/clean-up/chats?kind=duplicate&pinned=no&q=a"),
        "clean-up-groups": at("/clean-up/groups"),
        "clean-up-pin-open": lambda page, url: opened(page, f"{url}/clean-up/chats", "main details summary"),
        "clean-up-adopt": at(f"/clean-up/adopt?group={groups[0].group.id}"),
        "clean-up-plans": at("/clean-up/plans"),
        "clean-up-policy-wrong": policy_wrong,
        "clean-up-plan-new": at("/clean-up/plans/new"),
        "clean-up-plan-chosen": at(f"/clean-up/plans/new?{chosen}"),
        "clean-up-plan-draft": at(f"/clean-up/plans/{plans[-1].id}"),
        "clean-up-plan-approved": at(f"/clean-up/plans/{plans[0].id}"),
        "clean-up-plan-done": at(f"/clean-up/plans/{plans[1].id}"),
        "clean-up-plan-stays": at(f"/clean-up/plans/{plans[-1].id}?show=keep"),
        "clean-up-policy": policy_set,
    }
