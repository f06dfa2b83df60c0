"""What an agent is told when protokeep's answer was lost, and that going on as it says makes one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from live_server import Demo
from lossy_server import Lossy, lossy
from protokeep.agents import agno_tools
from protokeep.agents.agno_v0 import AgnoV0Agent
from protokeep.client import ClientError

PROMPT = "A landing page for a bakery"


@pytest.fixture
def way(served: Demo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lossy]:
    """A way to the server that loses answers when told to; the client's pauses are short."""
    monkeypatch.setattr("protokeep.client.operations.FIRST_PAUSE", 0.001)
    with lossy(served.url) as way:
        yield way


@pytest.mark.parametrize("lost", ["POST /api/design/create-project", "GET"], ids=["the create's", "a look's"])
async def test_create_new_repeated_with_the_errors_key_makes_no_other(served: Demo, way: Lossy, lost: str) -> None:
    """
    Whether the create's answer or one of the looks after it is lost, the error's key asks for the same one.
    """
    agent = AgnoV0Agent(db=way.url)
    with way.losing(lost), pytest.raises(ClientError) as caught:
        await agent.create_v0_project_with_api(PROMPT, product_id="shop", create_new=True, timeout_seconds=5)
    key = caught.value.idempotency_key
    again = await agent.create_v0_project_with_api(
        PROMPT, product_id="shop", create_new=True, wait=False, idempotency_key=key
    )

    assert caught.value.may_have_acted
    assert repr(key) in str(caught.value)
    assert "safe" not in str(caught.value)
    assert again["is_existing"]
    assert served.chats_created == 1


async def test_ones_own_key_makes_another_one_once_in_every_place(served: Demo, place: str) -> None:
    """
    With a key, another one on purpose is made once, in every place that keeps prototypes.
    """
    agent = AgnoV0Agent(db=place)
    projects = [
        await agent.create_v0_project_with_api(
            PROMPT, product_id="shop", create_new=True, wait=False, idempotency_key="mine"
        )
        for _ in range(2)
    ]

    assert projects[0]["chat_id"] == projects[1]["chat_id"]
    assert served.chats_created == 1


@pytest.mark.parametrize(
    ("create_new", "run_id", "words"),
    [
        (False, None, agno_tools.REPEAT_ADVICE),
        (True, "run-1", agno_tools.REPEAT_ADVICE),
        (True, None, agno_tools.CHECK_FIRST_ADVICE),
    ],
)
async def test_a_model_is_told_when_asking_again_is_safe(
    served: Demo, way: Lossy, create_new: bool, run_id: str | None, words: str
) -> None:
    """
    A model cannot give a key: it is told to ask the same again where that is safe, and to look first where it is not.
    """

    class Run:
        def __init__(self, name: str | None) -> None:
            self.run_id = name

    create, *_ = agno_tools.tools_of(AgnoV0Agent(db=way.url))
    with way.losing("POST"):
        said = json.loads(await create(PROMPT, "shop", create_new, Run(run_id)))["error"]
    if words == agno_tools.REPEAT_ADVICE:
        await create(PROMPT, "shop", create_new, Run(run_id))

    assert said.endswith(words)
    assert "idempotency_key" not in said
    assert served.chats_created == 1
