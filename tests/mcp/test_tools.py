"""Every tool, over every transport, called by the official library's client."""

from __future__ import annotations

import asyncio
import json

import pytest

from live_server import Demo
from mcp_session import TRANSPORTS, answer, assistant, refusal, text_of
from protokeep.client import Protokeep

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


async def test_tool_hints_say_what_they_do_and_none_deletes(served: Demo, transport: str) -> None:
    """
    The tools say truthfully what they do, and none deletes.
    """
    async with assistant(served, transport) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

        reading = {"find_prototypes", "get_prototype", "list_prototypes", "wait_for_prototype", "explain"}
        assert set(tools) == reading | {"ensure_prototype", "iterate_prototype", "make_current"}
        for name, tool in tools.items():
            assert tool.description
            assert tool.output_schema is not None
            hints = tool.annotations
            assert hints is not None
            assert hints.read_only_hint is (name in reading)
            assert hints.idempotent_hint is True
            assert hints.destructive_hint is (name in {"iterate_prototype", "make_current"})


async def test_what_exists_is_found_and_what_may_have_been_meant_is_told(served: Demo, transport: str) -> None:
    """
    An assistant looks first, also at what is archived; and when it did not, the next step says what to ask the user.
    """
    async with assistant(served, transport) as client:
        await answer(client, "ensure_prototype", product_id="bakery-shop", prompt="A landing page for a bakery")
        with Protokeep(served.url, served.token) as keep:
            keep.set_tag("bakery-shop", "retail")
            keep.set_archived("bakery-shop")
        found = await answer(client, "find_prototypes", words="BAKERY landing")
        nothing = await answer(client, "find_prototypes", words="zeppelin", state="")
        other = await answer(client, "ensure_prototype", product_id="Bakery Shop", prompt="Something else")

        assert [row["product_id"] for row in found["prototypes"]] == ["bakery-shop"]
        assert [(row["tags"], row["is_archived"]) for row in found["prototypes"]] == [(["retail"], True)]
        assert nothing["prototypes"] == []
        assert "did they mean bakery-shop?" in other["next_step"]


async def test_a_prototype_is_made_waited_for_opened_listed_and_explained(served: Demo, transport: str) -> None:
    """
    Made, given again, waited for, opened, listed and explained.
    """
    async with assistant(served, transport) as client:
        ensured = await answer(client, "ensure_prototype", product_id="shop", prompt="A landing page")
        again = await answer(client, "ensure_prototype", product_id="shop", prompt="Another page")
        making = await answer(client, "wait_for_prototype", product_id="shop", seconds=0)
        served.finish()
        ready = await answer(client, "wait_for_prototype", product_id="shop", seconds=20)
        prototype = await answer(client, "get_prototype", prototype_id=ensured["prototype_id"])
        listed = await answer(client, "list_prototypes", product_id="shop")
        why = await answer(client, "explain", product_id="shop")

        assert (ensured["is_existing"], ensured["outcome"]) == (False, "created")
        assert "wait_for_prototype" in ensured["next_step"]
        assert (again["is_existing"], again["prompt_differs"]) == (True, True)
        assert ensured["prototype_id"] in {again["prototype_id"]}
        assert "instead_of" in again["next_step"]
        assert making["next_step"].startswith("Still ")
        assert (ready["state"], ready["url"][:4]) == ("ready", "http")
        assert prototype["url"] == ready["url"]
        assert [row["prototype_id"] for row in listed["prototypes"]] == [ensured["prototype_id"]]
        assert (why["asked_for_by"], why["why"]) == ("ana", "This product had no prototype.")
        assert "accepted" in " ".join(why["history"])
        assert served.chats_created == 1


async def test_another_one_on_purpose_is_made_once(served: Demo, transport: str) -> None:
    """
    "Instead of this one" makes another; the same call again gives that one and makes nothing.
    """
    async with assistant(served, transport) as client:
        first = await answer(client, "ensure_prototype", product_id="shop", prompt="A landing page")
        arguments = {"product_id": "shop", "prompt": "A darker one", "instead_of": first["prototype_id"]}
        second = await answer(client, "ensure_prototype", **arguments)
        repeated = await answer(client, "ensure_prototype", **arguments)
        foreign = await refusal(client, "ensure_prototype", **{**arguments, "product_id": "bakery"})
        unknown = await refusal(client, "ensure_prototype", **{**arguments, "instead_of": "no-such-id"})

        assert second["outcome"] == "created"
        assert (repeated["outcome"], repeated["prototype_id"]) == ("replayed", second["prototype_id"])
        assert first["prototype_id"] != second["prototype_id"]
        assert "belongs to another product" in foreign
        assert "list_prototypes" in unknown
        await asyncio.to_thread(served.wait_for_chats, 2)
        assert served.chats_created == 2


async def test_errors_name_the_next_call(served: Demo, transport: str) -> None:
    """
    What cannot be done is told in words that name the next call.
    """
    async with assistant(served, transport) as client:
        assert "Call ensure_prototype" in await refusal(client, "get_prototype", product_id="nothing")
        assert "Call ensure_prototype" in await refusal(client, "wait_for_prototype", product_id="nothing")
        assert "Give product_id, or prototype_id." in await refusal(client, "explain")
        assert "Say what the prototype should be" in await refusal(
            client, "ensure_prototype", product_id="a", prompt=" "
        )
        empty = await answer(client, "list_prototypes", product_id="nothing")
        assert (empty["prototypes"], "ensure_prototype" in empty["next_step"]) == ([], True)


async def test_the_text_says_the_same_as_the_structure(served: Demo, transport: str) -> None:
    """
    Assistants that read text only are told the same.
    """
    async with assistant(served, transport) as client:
        result = await client.call_tool("ensure_prototype", {"product_id": "shop", "prompt": "A landing page"})

        assert json.loads(text_of(result)) == result.structured_content


async def test_long_ids_prompts_and_lists_stay_small(served: Demo, transport: str) -> None:
    """
    Long ids, long prompts and many prototypes do not make answers long.
    """
    async with assistant(served, transport) as client:
        product = "ß" * 200
        first = await answer(client, "ensure_prototype", product_id=product, prompt="é" * 90_000)
        before = first["prototype_id"]
        for number in range(9):
            arguments = {"product_id": product, "prompt": f"{number}" + "é" * 500, "instead_of": before}
            before = (await answer(client, "ensure_prototype", **arguments))["prototype_id"]
        served.finish("error", chats=10)
        await answer(client, "wait_for_prototype", product_id=product, seconds=20)
        await answer(client, "explain", product_id=product)
        page = await answer(client, "list_prototypes", product_id=product)
        rest = await answer(client, "list_prototypes", product_id=product, cursor=page["next_cursor"])

        assert len(page["prototypes"]) + len(rest["prototypes"]) == 10
        assert rest["next_cursor"] is None
