"""`AgnoV0Agent` by itself, against a running protokeep and against databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from live_server import Demo
from protokeep.agents.agno_v0 import AgnoV0Agent
from protokeep.agents.targets import database_url_of
from protokeep.client import AsyncProtokeep, Protokeep
from protokeep.core.errors import InvalidInput, NotConfigured, NotFound, OutcomeUnknown
from protokeep.settings import Settings
from protokeep.wiring import build_application

NAMES = {
    *("chat_id", "project_id", "project_url", "web_url", "demo_url", "chat_url", "prompt", "project_status"),
    *("is_existing", "poll_count", "elapsed_seconds", "metadata"),
}
METADATA = {"api_version", "model_used", "workflow", "key_source", "timeout_seconds"}
PROMPT = "A landing page for a bakery"


async def finishing(served: Demo) -> None:
    """Let v0 finish as soon as it has begun."""
    await asyncio.to_thread(served.finish)


async def test_a_product_is_made_once_and_followed_to_its_end(served: Demo, place: str) -> None:
    """
    With a product id the first call makes it and follows it to the end; the second gives the same.
    """
    agent = AgnoV0Agent(db=place, user_id="ana")
    first, _ = await asyncio.gather(
        agent.create_v0_project_with_api(PROMPT, product_id="shop", timeout_seconds=30), finishing(served)
    )
    second = await agent.create_v0_project_with_api("Another prompt", product_id="shop", wait=False)
    status = await agent.check_v0_project_status("shop")

    assert set(first) >= NAMES
    assert set(first["metadata"]) == METADATA
    assert (first["project_status"], first["is_existing"], first["prompt"]) == ("completed", False, PROMPT)
    assert (second["project_status"], second["is_existing"]) == ("completed", True)
    assert first["chat_id"] == second["chat_id"] == status["chat_id"]
    assert first["poll_count"] >= 1
    assert (first["project_url"] or "").startswith("http")
    assert served.chats_created == 1


async def test_agents_that_ask_at_once_end_with_one_chat(served: Demo, place: str) -> None:
    """
    Agents that ask at once, each for itself, end with one chat.
    """
    projects = await asyncio.gather(
        *(AgnoV0Agent(db=place).create_v0_project_with_api(PROMPT, product_id="shop", wait=False) for _ in range(8))
    )

    assert len({one["prototype_id"] for one in projects}) == 1
    assert sum(not one["is_existing"] for one in projects) == 1
    assert served.chats_created == 1


async def test_an_agent_that_died_is_continued_by_the_next(served: Demo) -> None:
    """
    What one agent claimed and did not finish, the next one takes up: the same chat, followed to its end.
    """
    served.turn(hold_creates="after")
    agent = AgnoV0Agent()
    dying = asyncio.create_task(agent.create_v0_project_with_api(PROMPT, product_id="shop", timeout_seconds=30))
    await asyncio.to_thread(served.wait_for_chats)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    served.turn(hold_creates=False)
    served.finish()
    done = await AgnoV0Agent().create_v0_project_with_api(PROMPT, product_id="shop", timeout_seconds=30)

    assert (done["project_status"], done["is_existing"]) == ("completed", True)
    assert served.chats_created == 1


async def test_create_new_makes_another_one(served: Demo, place: str) -> None:
    """
    `create_new` makes another one.
    """
    agent = AgnoV0Agent(db=place)
    first = await agent.create_v0_project_with_api(PROMPT, product_id="shop", wait=False)
    second = await agent.create_v0_project_with_api(PROMPT, product_id="shop", wait=False, create_new=True)

    assert first["prototype_id"] != second["prototype_id"]
    assert second["is_existing"] is False
    assert served.chats_created == 2


async def test_a_failure_at_v0_is_an_answer_with_the_reason(served: Demo, place: str) -> None:
    """
    What fails at v0 is an answer with the reason, not an exception.
    """
    agent = AgnoV0Agent(db=place)
    project, _ = await asyncio.gather(
        agent.create_v0_project_with_api(PROMPT, product_id="shop", timeout_seconds=30),
        asyncio.to_thread(served.finish, "error"),
    )

    assert project["project_status"] == "failed"
    assert project["error"] is not None


async def test_a_call_ends_with_its_time_budget(served: Demo, place: str) -> None:
    """
    A call ends with its budget; in a database of the agent's own the prototype has timed out then.
    """
    agent = AgnoV0Agent(db=place)
    project = await agent.create_v0_project_with_api(PROMPT, product_id="shop", timeout_seconds=1)

    assert project["project_status"] in ("in_progress", "timeout", "pending")
    assert project["metadata"]["timeout_seconds"] == 1
    assert project["chat_id"] is not None


async def test_without_a_product_each_call_is_a_new_chat(served: Demo) -> None:
    """
    Without a product id each call is a new chat, polled to its end, with the scope on every request.
    """
    with requests_to(served.v0_url) as urls:
        project, _ = await asyncio.gather(
            AgnoV0Agent().create_v0_project_with_api(PROMPT, timeout_seconds=30), finishing(served)
        )

    assert (project["project_status"], project["is_existing"]) == ("completed", False)
    assert project["metadata"] == {
        "api_version": "v2",
        "model_used": "v0 default",
        "workflow": "create_and_poll",
        "key_source": "environment",
        "timeout_seconds": 30,
    }
    assert urls
    assert {url.params.get("scope") for url in urls} == {"mckinsey"}
    assert served.chats()[0]["metadata"]["protokeep_marker"]


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_lost_answer_without_a_product_is_found_by_its_marker(
    served: Demo, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """
    If v0 acts and its answer is lost, the chat is found by its marker and polled; no second one is made.
    """
    monkeypatch.setenv("V0_API_VERSION", version)
    served.turn(drop_next_answers=1)
    project, _ = await asyncio.gather(
        AgnoV0Agent().create_v0_project_with_api(PROMPT, timeout_seconds=30), finishing(served)
    )

    assert project["project_status"] == "completed"
    assert project["chat_id"] == served.chats()[0]["id"]
    assert served.chats_created == 1


async def test_a_create_that_was_not_found_is_not_sent_again(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    If v0 cannot be trusted and nothing is found, that is said; nothing is sent a second time.
    """
    monkeypatch.setenv("PROTOKEEP_SETTLE_SECONDS", "0.2")
    monkeypatch.setenv("PROTOKEEP_CREATE_TIMEOUT_SECONDS", "0.2")
    monkeypatch.setattr("protokeep.core.submission.next_lookup", lambda _generation, now, _timing: now)
    served.turn(fail_next=[{"operation": "chats.createAsync", "status": 500}])
    with pytest.raises(OutcomeUnknown, match="was not sent again"):
        await AgnoV0Agent().create_v0_project_with_api(PROMPT)

    assert served.chats_created == 0


async def test_without_a_product_refusals_of_v0_fail_and_ours_are_raised(
    served: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A refusal by v0 is a failed prototype; what we refuse ourselves is raised.
    """
    served.turn(fail_next=[{"operation": "chats.createAsync", "status": 422, "message": "too rude"}])
    agent = AgnoV0Agent()
    refused = await agent.create_v0_project_with_api(PROMPT)
    with pytest.raises(InvalidInput, match="at most 900"):
        await agent.create_v0_project_with_api(PROMPT, timeout_seconds=901)
    with pytest.raises(InvalidInput, match="prompt is empty"):
        await agent.create_v0_project_with_api(" ")
    with pytest.raises(NotFound):
        await agent.check_v0_project_status("nothing")
    monkeypatch.delenv("V0_API_KEY")
    with pytest.raises(NotConfigured, match="V0_API_KEY"):
        await agent.create_v0_project_with_api(PROMPT)

    assert refused["project_status"] == "failed"
    assert "too rude" in str(refused["error"])


async def test_a_key_that_is_passed_pays_and_is_never_written_down(served: Demo) -> None:
    """
    A key that is passed pays, in an account of its own, and is never written down.
    """
    agent = AgnoV0Agent("a-key-of-my-own")
    project = await agent.create_v0_project_with_api(PROMPT, product_id="shop", wait=False)
    status = await agent.check_v0_project_status("shop")
    accounts = {chat["account"] for chat in served.chats()}
    await AgnoV0Agent().create_v0_project_with_api(PROMPT, product_id="bakery", wait=False)

    assert project["metadata"]["key_source"] == "argument"
    assert status["chat_id"] == project["chat_id"]
    assert len({chat["account"] for chat in served.chats()} - accounts) == 1


async def test_a_client_of_either_kind_says_where_protokeep_is(served: Demo) -> None:
    """
    A client of either kind says where protokeep is.
    """
    async with AsyncProtokeep(served.url, served.token) as keep:
        first = await AgnoV0Agent(db=keep).create_v0_project_with_api(PROMPT, product_id="shop", wait=False)
        still_open = await keep.status("shop")
    with Protokeep(served.url, served.token) as plain:
        second = await AgnoV0Agent().create_v0_project_with_api(PROMPT, product_id="shop", db=plain, wait=False)

    assert first["prototype_id"] == second["prototype_id"] == still_open.id


def test_engines_sessions_and_addresses_name_the_same_database() -> None:
    """
    Engines, sessions and addresses name the same database; one in memory is refused.
    """
    url = "postgresql+psycopg://ana:secret@db.example/shop"
    engine = create_engine("sqlite:////tmp/x.db")

    assert database_url_of(url) == "postgresql://ana:secret@db.example/shop"
    assert database_url_of("postgres://h/d") == "postgresql://h/d"
    assert database_url_of(engine) == "sqlite:////tmp/x.db"
    assert database_url_of(Session(engine)) == "sqlite:////tmp/x.db"
    assert database_url_of(create_async_engine("sqlite+aiosqlite:////tmp/x.db")) == "sqlite:////tmp/x.db"
    assert database_url_of(None) is None
    for wrong in ("sqlite://", "sqlite:///:memory:", "mysql://h/d", object()):
        with pytest.raises(InvalidInput):
            database_url_of(wrong)


async def test_postgresql_works_as_sqlite_does(served: Demo, pg_url: str) -> None:
    """
    A PostgreSQL database works as SQLite does; no secret key has to be set for it. The one that an agent makes up is
    not the database's: a server with its own secret starts there afterwards.
    """
    agent = AgnoV0Agent(db=pg_url)
    project, _ = await asyncio.gather(
        agent.create_v0_project_with_api(PROMPT, product_id="shop", timeout_seconds=30), finishing(served)
    )
    again = await agent.create_v0_project_with_api(PROMPT, product_id="shop")

    settings = Settings(database_url=pg_url, secret_key=SecretStr("a secret of a server, long"), _env_file=None)
    async with build_application(settings):
        pass

    assert project["project_status"] == "completed"
    assert (again["chat_id"], again["is_existing"]) == (project["chat_id"], True)
    assert served.chats_created == 1


def test_importing_the_agent_needs_no_agno_and_is_quick() -> None:
    """
    Importing the agent imports neither agno, nor a database driver, nor a web framework.
    """
    script = (
        "import sys, protokeep.agents.agno_v0; "
        "print(sorted({'agno', 'sqlalchemy', 'fastapi', 'httpx2', 'mcp', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


@contextmanager
def requests_to(address: str) -> Iterator[list[httpx2.URL]]:
    """The addresses of requests that this process makes to `address`."""
    urls: list[httpx2.URL] = []
    send = httpx2.AsyncHTTPTransport.handle_async_request

    async def noting(self: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
        if str(request.url).startswith(address):
            urls.append(request.url)
        return await send(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", noting)
        yield urls
