"""Sign-ins that failed stand in the audit: of whom nobody knows, in few lines, and with nothing of what was shown."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_issuer import FakeIssuer
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.failed_sign_ins import SEPARATE_LINES, WINDOW_SECONDS, FailedSignInCounter
from protokeep.core.principals import Role
from protokeep.service.audit import Audit
from protokeep.store.audit import AuditStore
from protokeep.store.database import Database
from world import Site, World, on_sqlite

AT = datetime(2026, 3, 4, tzinfo=UTC)
WRONG = "pk_of-nobody-at-all-and-long-enough-to-be-one"
FAILED = "SELECT * FROM protokeep_audit WHERE action = 'sign_in_failed' ORDER BY at, data"


def browser_of(site: Site) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=site.url, headers={"accept": "text/html"}, transport=site.http._transport)


async def tried(browser: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    """One try to sign in with what `fields` hold."""
    form = await browser.get("/sign-in")
    signature = re.search(r'name="form_token" value="([^"]+)"', form.text)
    assert signature is not None
    return await browser.post("/sign-in", data={"form_token": html.unescape(signature[1]), **fields})


async def failed(site: Site, workspace: str = "default") -> list[dict[str, Any]]:
    """What an admin of a workspace reads of it."""
    await site.node.context.audit.flush()
    headers = {"Authorization": f"Bearer {await site.token(Role.ADMIN, 'auditor', workspace_id=workspace)}"}
    answer = await site.http.get("/api/design/audit", params={"action": "sign_in_failed"}, headers=headers)
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


async def ended_tokens(world: World, site: Site) -> dict[str, tuple[str, str]]:
    """An expired and a revoked token of workspace `team`, and their ids."""
    expired, kept = await site.tokens.create(Role.MAKER, user_id="bob", workspace_id="team", days=1)
    world.clock.advance(86_400)
    revoked, other = await site.tokens.create(Role.MAKER, user_id="eve", workspace_id="team")
    await site.tokens.revoke("team", other.id)
    return {"expired": (expired, kept.id), "revoked": (revoked, other.id)}


class TestAtThePage:
    async def test_an_unknown_token_is_told_to_the_default_workspace_only(self, world: World, site: Site) -> None:
        """
        A token of nobody's is told to the default workspace; one that counted once to its own, and to no other.
        """
        tokens = await ended_tokens(world, site)
        async with browser_of(site) as browser:
            for token in (WRONG, tokens["expired"][0], tokens["revoked"][0], "x" * 2000):
                assert (await tried(browser, token=token)).status_code == 401

        ours, theirs = await failed(site), await failed(site, "team")
        assert [(one["actor"], one["data"]) for one in ours] == [("", {"reason": "token_unknown"})]
        assert {one["address"] for one in ours + theirs} == {"127.0.0.1"}
        assert {(one["data"]["reason"], one["data"]["whose"], one["token_id"]) for one in theirs} == {
            ("token_expired", "bob", tokens["expired"][1]),
            ("token_revoked", "eve", tokens["revoked"][1]),
        }

    async def test_nothing_of_a_token_is_in_the_audit(self, world: World, site: Site) -> None:
        tokens = await ended_tokens(world, site)
        async with browser_of(site) as browser:
            for token in (WRONG, tokens["expired"][0], tokens["revoked"][0]):
                await tried(browser, token=token)
            await tried(browser, code=WRONG)
        await site.node.context.audit.flush()

        written = repr(await world.rows(FAILED))
        for token in (WRONG, tokens["expired"][0], tokens["revoked"][0]):
            assert not any(token[start : start + 6] in written for start in range(3, len(token) - 6))
        assert {one["data"]["reason"] for one in await failed(site)} == {"token_unknown", "link_unknown"}

    async def test_only_attempts_within_the_rate_limit_are_written(self, world: World) -> None:
        """
        Whoever is told to wait is not written down; what is alike within a minute is one line and a number.
        """
        async with world.serving(real=False, sign_ins_per_minute=10) as site:
            async with browser_of(site) as browser:
                answers = [(await tried(browser, token=WRONG)).status_code for _ in range(9)]
            await site.node.context.audit.close()
            lines = await world.rows(FAILED)

        assert answers == [401] * 5 + [429] * 4
        assert sorted(map(_times, lines)) == [1, 4]

    async def test_unknown_expired_and_revoked_tokens_cost_the_same(
        self, world: World, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Unknown, expired and revoked tokens are answered with the same words after the same reads, and no write.
        """
        tokens = await ended_tokens(world, site)
        steps: list[str] = []
        for name in ("read", "reading", "transaction"):
            original = getattr(Database, name)

            def counted(self: Database, *args: Any, _name: str = name, _original: Any = original) -> Any:
                steps.append(_name)
                return _original(self, *args)

            monkeypatch.setattr(Database, name, counted)
        told: list[tuple[int, str, list[str]]] = []
        async with browser_of(site) as browser:
            for token in (WRONG, tokens["expired"][0], tokens["revoked"][0]):
                steps.clear()
                answer = await tried(browser, token=token)
                told.append((answer.status_code, answer.text, list(steps)))

        assert told[0] == told[1] == told[2]
        assert told[0][2] == ["read"]


@on_sqlite
class TestAtTheService:
    @pytest.fixture
    async def site(self, world: World, issuer: FakeIssuer) -> Any:
        async with world.serving(**issuer.settings) as served:
            yield served

    async def test_a_failed_callback_is_audited_without_its_address(self, site: Site) -> None:
        """
        An answer of no sign-in of ours, and one that says no, are told; nothing of its address is.
        """
        async with browser_of_real(site) as page:
            for said in ("code=made-up-code&state=made-up-state", "error=made-up-error"):
                assert (await page.get(f"/sign-in/finish?{said}")).status_code == 401

        found = await failed(site)
        assert [(one["data"]["reason"], one["address"]) for one in found] == [("not_taken", "127.0.0.1")]
        assert "made-up" not in repr(found)

    @pytest.mark.parametrize(("spoil", "reason"), [({"role": "nothing"}, "no_role"), ({"nonce": "x"}, "not_taken")])
    async def test_a_sign_in_without_a_role_is_audited_with_the_reason(
        self, site: Site, issuer: FakeIssuer, spoil: dict[str, Any], reason: str
    ) -> None:
        issuer.spoil = spoil
        async with httpx2.AsyncClient(trust_env=False) as elsewhere, browser_of_real(site) as page:
            begun = await page.get("/sign-in/begin")
            back = (await elsewhere.get(begun.headers["location"])).headers["location"]
            assert (await page.get(back)).status_code in (401, 403)

        assert [one["data"]["reason"] for one in await failed(site)] == [reason]

    async def test_a_sign_in_service_that_is_away_is_nobodys_failure(self, site: Site, issuer: FakeIssuer) -> None:
        """
        That nobody could be asked is nobody's failure.
        """
        async with httpx2.AsyncClient(trust_env=False) as elsewhere, browser_of_real(site) as page:
            begun = await page.get("/sign-in/begin")
            back = (await elsewhere.get(begun.headers["location"])).headers["location"]
            issuer.down = True
            assert (await page.get(back)).status_code == 503

        assert await failed(site) == []


def browser_of_real(site: Site) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=site.url, headers={"accept": "text/html"}, trust_env=False, timeout=20)


class TestFloods:
    async def test_a_flood_from_everywhere_is_few_lines_that_add_up(self, world: World) -> None:
        """
        However many come from however many addresses, a minute has few lines, and none is lost from the count.
        """
        now = 0.0
        audit = Audit(AuditStore(world.first.database), lambda: now)
        for n in range(5000):
            audit.note_failed_sign_in(line(f"10.0.{n // 250}.{n % 250}", world.clock.now))
        await audit.flush()
        assert len(await world.rows(FAILED)) == SEPARATE_LINES
        now += WINDOW_SECONDS
        await audit.flush()
        rows = await world.rows(FAILED)
        assert len(rows) == SEPARATE_LINES + 1
        assert sum(map(_times, rows)) == 5000
        audit.note_failed_sign_in(line("10.0.0.1", world.clock.now))
        await audit.close()
        assert sum(map(_times, await world.rows(FAILED))) == 5001

    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.floats(0, 100, allow_nan=False)), max_size=200
        )
    )
    def test_lines_add_up_to_all_failures_in_any_order(self, tries: list[tuple[str, int, float]]) -> None:
        """
        Whatever comes in whatever order, the lines add up to it, and are few for each window.
        """
        refusals, now, told, windows = FailedSignInCounter(), 0.0, [], 1
        for workspace, address, pause in tries:
            now += pause
            ended = refusals.end_window(now)
            windows += not refusals.has_open_window
            told += ended
            one = refusals.count(line(str(address), AT, workspace), now)
            told += [one] if one else []
        told += refusals.end_window(now, at_once=True)

        assert not refusals.has_open_window
        assert sum(entry.data.get("times", 1) for entry in told) == len(tries)
        for workspace in "abc":
            own = [entry for entry in told if entry.workspace_id == workspace]
            assert len(own) <= windows * (2 * SEPARATE_LINES + 1)


def line(address: str, at: datetime, workspace: str = "default") -> AuditEntry:
    return AuditEntry(workspace, at, Action.SIGN_IN_FAILED, "", address=address, data={"reason": "token_unknown"})


def _times(row: dict[str, Any]) -> int:
    found = re.search(r'"times": (\d+)', row["data"])
    return int(found[1]) if found else 1
