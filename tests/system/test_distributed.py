"""PostgreSQL with one `serve` and two `worker`s, as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import httpx2

from owner_schemas import rows
from processes import PATIENCE, eventually, run, started
from protokeep.sandbox import Knobs, Sandbox, running

SSE_SECONDS = 10.0
PRODUCTS, CLICKS = 6, 4


async def completed(url: str, count: int) -> None:
    """Wait until so many prototypes are completed."""
    query = "SELECT 1 FROM design_mockups WHERE project_status = 'completed'"
    async with asyncio.timeout(PATIENCE):
        while len(await rows(url, query)) < count:  # noqa: ASYNC110 - other processes do it
            await asyncio.sleep(0.1)


async def test_one_server_and_two_workers_make_one_chat_per_product(pg_url: str, tmp_path: Path) -> None:
    """
    However many processes run jobs, each product gets one chat, and all of them are followed to their end.
    """
    sandbox = Sandbox(knobs=Knobs(generation_seconds=1, accept_seconds=0.1))
    async with running(sandbox) as v0_url, contextlib.AsyncExitStack() as stack:
        values = {
            "PROTOKEEP_DATABASE_URL": pg_url,
            "PROTOKEEP_SECRET_KEY": "a secret of the tests",
            "PROTOKEEP_POLL_INTERVAL_SECONDS": "0.5",
            "PROTOKEEP_METRICS_PORT": "0",
            "V0_BASE_URL": v0_url,
            "V0_API_KEY": "key",
        }
        token = (await run(tmp_path, "token", "create", "--plain", **values)).out.strip()
        serve = await stack.enter_async_context(started(tmp_path, "serve", "--port", "0", **values))
        workers = [await stack.enter_async_context(started(tmp_path, "worker", **values)) for _ in range(2)]
        url = (await serve.says(r"serving on (http://\S+)")).group(1)
        for worker in workers:
            await worker.says("working")
        http = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)
        )

        async def click(product: int) -> httpx2.Response:
            body = {"product_id": f"p-{product}", "prompt": f"prompt {product}"}
            return await http.post("/api/design/create-project", json=body)

        answers = await asyncio.gather(*(click(product) for product in range(PRODUCTS) for _ in range(CLICKS)))

        assert {answer.status_code for answer in answers} <= {200, 201, 202}
        assert len({answer.json()["id"] for answer in answers}) == PRODUCTS
        await completed(pg_url, PRODUCTS)
        status = await http.get("/api/design/mockups/p-0/status")
        assert status.json()["project_status"] == "completed"

        for process in (serve, *workers):
            health = (await process.says(r"health and metrics on (http://\S+)")).group(1)
            assert (await http.get(f"{health}/readyz", headers={"Authorization": ""})).status_code == 200
            page = (await http.get(f"{health}/metrics", headers={"Authorization": ""})).text
            assert f'protokeep_prototypes{{provider="v0",state="ready"}} {PRODUCTS}' in page
            assert 'protokeep_job_runs_total{outcome="done",task="sweep"}' in page

        # Ended in turn: what the one tracked, the next takes over.
        assert await workers[0].stop() == 0
        await click(PRODUCTS)
        assert await serve.stop() == 0
        await eventually(lambda: sandbox.chats_created == PRODUCTS + 1)
        await completed(pg_url, PRODUCTS + 1)
        assert await workers[1].stop() == 0

    stats = sandbox.stats()
    assert (stats["chats_created"], stats["calls"]["chats.createAsync"]) == (PRODUCTS + 1, PRODUCTS + 1)
    assert await rows(pg_url, "SELECT chat_id FROM protokeep_surplus_chats") == []
    for process in (serve, *workers):
        assert "Traceback" not in process.text


async def test_a_change_is_heard_at_the_other_server(pg_url: str, tmp_path: Path) -> None:
    """
    With two servers on one database, what is made through one is told at once to whoever looks at the other.
    """
    async with running(Sandbox(knobs=Knobs(generation_seconds=1))) as v0_url, contextlib.AsyncExitStack() as stack:
        values = {
            "PROTOKEEP_DATABASE_URL": pg_url,
            "PROTOKEEP_SECRET_KEY": "a secret of the tests",
            "PROTOKEEP_POLL_INTERVAL_SECONDS": "0.5",
            "V0_BASE_URL": v0_url,
            "V0_API_KEY": "key",
        }
        token = (await run(tmp_path, "token", "create", "--plain", **values)).out.strip()
        clients = []
        for _ in range(2):
            serve = await stack.enter_async_context(started(tmp_path, "serve", "--port", "0", **values))
            url = (await serve.says(r"serving on (http://\S+)")).group(1)
            headers = {"Authorization": f"Bearer {token}"}
            opened = httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30)
            clients.append(await stack.enter_async_context(opened))
        here, there = clients
        states: list[str] = []

        async with there.stream("GET", "/api/design/events") as stream, asyncio.timeout(PATIENCE):
            lines = stream.aiter_lines()
            while await anext(lines) != "event: hello":
                pass
            body = {"product_id": "shop", "prompt": "a shop"}
            prototype = (await here.post("/api/design/create-project", json=body)).json()
            began = asyncio.get_running_loop().time()
            while "ready" not in states:
                line = await anext(lines)
                if line.startswith("data: {") and prototype["id"] in line:
                    states.append(json.loads(line.removeprefix("data: "))["state"])
                    assert len(states) > 1 or asyncio.get_running_loop().time() - began < SSE_SECONDS

    assert states[0] in ("queued", "making")


async def test_a_token_is_revoked_at_the_other_server(pg_url: str, tmp_path: Path) -> None:
    """
    With two servers on one database, what one revokes the other soon refuses, while it is asked without a pause.

    That it takes a second at most is shown on a clock of its own in `access/test_revocation_across_processes.py`.
    """
    values = {"PROTOKEEP_DATABASE_URL": pg_url, "PROTOKEEP_SECRET_KEY": "a secret of the tests"}
    admin = (await run(tmp_path, "token", "create", "--plain", "--role", "admin", **values)).out.strip()
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            serve = await stack.enter_async_context(started(tmp_path, "serve", "--port", "0", **values))
            url = (await serve.says(r"serving on (http://\S+)")).group(1)
            headers = {"Authorization": f"Bearer {admin}"}
            opened = httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30)
            clients.append(await stack.enter_async_context(opened))
        here, there = clients
        token = (await here.post("/api/design/tokens", json={"user_id": "bob"})).json()
        bobs = {"Authorization": f"Bearer {token['token']}"}
        asked = [(await there.get("/api/design/mockups/p-1", headers=bobs)).status_code]
        assert (await here.delete(f"/api/design/tokens/{token['id']}")).status_code == 204
        async with asyncio.timeout(PATIENCE):
            while asked[-1] == 200:
                asked.append((await there.get("/api/design/mockups/p-1", headers=bobs)).status_code)
        after = [(await there.get("/api/design/mockups/p-1", headers=bobs)).status_code for _ in range(5)]

    assert (asked[0], asked[-1]) == (200, 401)
    assert after == [401] * 5
