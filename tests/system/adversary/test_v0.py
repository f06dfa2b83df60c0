"""The adversary's v0: held against v0's own documents, and its faults one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from adversary.knobs import Fault, Operation
from adversary.v0 import V0
from sandbox.v0_contract import MISSING, Document, documents_present


@pytest.fixture
async def v0() -> AsyncIterator[V0]:
    """The server, on a free port."""
    server = await V0().start()
    yield server
    await server.stop()


@pytest.fixture
async def http(v0: V0) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it."""
    async with httpx2.AsyncClient(base_url=v0.url) as client:
        yield client


@pytest.fixture(scope="module")
def documents() -> dict[int, Document]:
    """v0's documents by version."""
    if not documents_present():
        pytest.skip(MISSING)
    return {version: Document(f"v{version}") for version in (1, 2)}


async def create(http: httpx2.AsyncClient, version: int) -> dict[str, Any]:
    """A chat, as each version makes it."""
    metadata = {"protokeep_marker": "m", "protokeep_product": "p"}
    if version == 1:
        body = {"message": "A shop", "responseMode": "async", "metadata": metadata}
        return dict((await http.post("/v1/chats", json=body)).json())
    made = (await http.post("/v2/chats/async", json={"message": "A shop", "metadata": metadata})).json()
    return {"id": made["chatId"], **made}


@pytest.mark.parametrize("version", [1, 2])
async def test_every_answer_is_as_the_document_says(
    v0: V0, http: httpx2.AsyncClient, documents: dict[int, Document], version: int
) -> None:
    """
    A walk over what protokeep uses gets answers in the document's shape, while it generates and afterwards.
    """
    chat = await create(http, version)
    path = f"/chats/{chat['id']}"
    asynchronous = "" if version == 1 else "/async"
    # Without a mode, v1 waits for the end; protokeep never asks so, and this v0 never waits.
    requests = [
        ("GET", "/chats?limit=20", None),
        ("GET", path, None),
        ("GET", f"{path}/messages?limit=5", None),
        ("POST", f"{path}/messages{asynchronous}", {"message": "Make it red"}),
        ("GET", "/chats/none", None),
        ("DELETE", path, None),
    ]
    for finished in (False, True):
        for method, target, body in requests[: 3 if not finished else None]:
            response = await http.request(method, f"/v{version}{target}", json=body)
            operation = documents[version].at(method, target.partition("?")[0])
            assert operation is not None
            assert documents[version].answer_problems(operation, response.status_code, response.json()) == []
        v0.account.chats[chat["id"]].messages[-1].ends_at = 0.0


async def test_unknown_fields_are_refused(http: httpx2.AsyncClient) -> None:
    """
    Bodies are closed, as both documents say.
    """
    assert (await http.post("/v1/chats", json={"message": "x", "scope": "s"})).status_code == 422
    assert (await http.post("/v2/chats/async", json={"message": "x", "projectId": "p"})).status_code == 422


async def test_a_fault_may_act_or_not(v0: V0, http: httpx2.AsyncClient) -> None:
    """
    A status alone lies about what was done; with `act` off, nothing was done. A lost answer acted, too.
    """
    v0.fail(Operation.CREATE, Fault(status=409))
    v0.fail(Operation.CREATE, Fault(act=False, status=409))
    v0.fail(Operation.CREATE, Fault(reset_unanswered=True))
    body = {"message": "x"}

    assert (await http.post("/v2/chats/async", json=body)).status_code == 409
    assert len(v0.account.ours()) == 1
    assert (await http.post("/v2/chats/async", json=body)).status_code == 409
    assert len(v0.account.ours()) == 1
    with pytest.raises(httpx2.TransportError):
        await http.post("/v2/chats/async", json=body)
    assert len(v0.account.ours()) == 2
    assert (await http.post("/v2/chats/async", json=body)).status_code == 202


async def test_a_blackout_hides_everything_and_a_late_index_hides_from_search(v0: V0, http: httpx2.AsyncClient) -> None:
    """
    In a blackout lists are empty and reads are 404; a late index hides a chat from the search by metadata only.
    """
    chat = await create(http, 2)
    search = "/v2/chats?metadata[protokeep_marker]=m"
    v0.knobs.turn(index_lag=60)
    assert (await http.get(search)).json()["chats"] == []
    assert [chat["id"]] == [row["id"] for row in (await http.get("/v2/chats")).json()["chats"]]
    v0.knobs.turn(index_lag=0, blackout=True)
    assert (await http.get(search)).json()["chats"] == []
    assert (await http.get(f"/v2/chats/{chat['id']}")).status_code == 404
    v0.knobs.turn(blackout=False)
    assert [chat["id"]] == [row["id"] for row in (await http.get(search)).json()["chats"]]


async def test_it_is_steered_over_http(v0: V0, http: httpx2.AsyncClient) -> None:
    """
    Alone, it is steered over HTTP: knobs, rules, planted chats.
    """
    rule = {"operation": "list", "page": 1, "times": -1, "then": {"act": False, "status": 429}}
    await http.patch("/_control", json={"order": "oldest", "rules": [rule]})
    await http.post("/_control/plant", json={"count": 3, "age": 60, "pinned": True})

    assert (await http.get("/v2/chats?limit=2")).status_code == 200
    assert (await http.get("/v2/chats?limit=2&cursor=2")).status_code == 429
    assert (await http.get("/_control")).json()["calls"] == {"list": 2}
    assert len(v0.account.chats) == 3
