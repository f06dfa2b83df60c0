"""The tools. Each answers at once, or within 25 seconds, and may be called again without harm."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from protokeep import __version__
from protokeep.client import AsyncProtokeep, NotFound, Prototype
from protokeep.core.errors import ProtokeepError
from protokeep.mcp import answers
from protokeep.mcp.answers import EnsuredAnswer, ExplainAnswer, ListAnswer, PrototypeAnswer

#: The longest one call waits: assistants give up after 60 seconds or less.
LONGEST_WAIT = 25

INSTRUCTIONS = """\
protokeep keeps one prototype per product, made by an app builder (v0) and shared by all who work on that product.
To get a prototype, call ensure_prototype with the product's id and a prompt: it answers at once with the product's
prototype, and makes one only if there is none. Then call wait_for_prototype until it is finished. If a call fails or
times out, call it again with the same arguments, and with the idempotency_key if the error names one: nothing is made
twice."""

Reach = Callable[[Context[Any, Any]], AbstractAsyncContextManager[AsyncProtokeep]]
Ctx = Context[Any, Any]

ProductId = Annotated[str, Field(description="The product's own id, such as 'shop'. Use the same one every time.")]
PrototypeId = Annotated[str, Field(description="The prototype_id that another tool answered with.")]
Provider = Annotated[str, Field(description="The app builder.")]
Key = Annotated[
    str | None,
    Field(description="The key that an error named, to repeat that very call; or one of your own. Else leave it out."),
]

READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
#: It adds a prototype at the app builder, takes nothing away, and the same call again changes nothing more.
MAKES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=False, open_world_hint=True)
#: It changes what an existing prototype shows.
CHANGES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=True, open_world_hint=True)


class Tools:
    """The tools over a client that `reach` opens for each call."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    @contextlib.asynccontextmanager
    async def _asking(self, ctx: Ctx, missing: str) -> AsyncIterator[AsyncProtokeep]:
        """A client; its errors become text that says what to do. `missing` is said when there is no such thing."""
        try:
            async with self._reach(ctx) as keep:
                yield keep
        except NotFound as error:
            raise ToolError(missing if error.problem.kind == "not-found" else str(error)) from error
        except ProtokeepError as error:
            raise ToolError(answers.refusal(error)) from error

    async def ensure_prototype(
        self,
        ctx: Ctx,
        product_id: ProductId,
        prompt: Annotated[str, Field(description="What the prototype should be, in full sentences.")],
        product_name: Annotated[str | None, Field(description="What people call the product.")] = None,
        instead_of: Annotated[
            str | None,
            Field(
                description="Only when the user wants another prototype on purpose: the prototype_id of the one it "
                "shall replace as the current one. Leave it out otherwise."
            ),
        ] = None,
        provider: Provider = "v0",
        idempotency_key: Key = None,
    ) -> EnsuredAnswer:
        """Get a product's prototype, making it if there is none. Answers at once with a handle.

        Everybody who asks for the same product gets the same prototype. After a timeout or an error call it again with
        the same arguments, and the idempotency_key if the error names one: nothing is made twice, unless the first has
        failed or was deleted meanwhile. Making takes minutes: follow up with wait_for_prototype.
        """
        async with self._asking(ctx, f"There is no prototype {instead_of}. list_prototypes shows the ids.") as keep:
            if instead_of is None:
                made = await keep.ensure(
                    product_id,
                    prompt,
                    provider=provider,
                    product_name=product_name,
                    idempotency_key=idempotency_key,
                    wait=0,
                )
            else:
                if (await keep.get(instead_of)).product_id != product_id:
                    raise ToolError(f"Prototype {instead_of} belongs to another product than {product_id}.")
                made = await keep.ensure(
                    product_id,
                    prompt,
                    provider=provider,
                    product_name=product_name,
                    create_new=True,
                    # The same call again has the same key, and so gets the same prototype.
                    idempotency_key=idempotency_key
                    or _key("another", product_id, provider, prompt, product_name, instead_of),
                    wait=0,
                )
        return answers.ensured(made)

    async def get_prototype(
        self,
        ctx: Ctx,
        product_id: Annotated[str | None, Field(description="For the product's current prototype.")] = None,
        prototype_id: Annotated[str | None, Field(description="For a certain one, current or not.")] = None,
        provider: Provider = "v0",
    ) -> PrototypeAnswer:
        """Look at a prototype. Give product_id or prototype_id. Creates nothing."""
        async with self._asking(ctx, _no_such(product_id, prototype_id)) as keep:
            return answers.standing(await _found(keep, product_id, prototype_id, provider))

    async def list_prototypes(
        self,
        ctx: Ctx,
        product_id: ProductId,
        cursor: Annotated[str | None, Field(description="next_cursor of the page before.")] = None,
    ) -> ListAnswer:
        """List a product's prototypes, newest first, a few at a time."""
        async with self._asking(ctx, f"Product {product_id} has no prototypes.") as keep:
            found, after = await keep.page(product_id, cursor=cursor, limit=answers.ROWS)
        return answers.listed(found, after)

    async def wait_for_prototype(
        self,
        ctx: Ctx,
        product_id: ProductId,
        seconds: Annotated[int, Field(ge=0, le=LONGEST_WAIT, description="How long to wait at most.")] = 20,
        provider: Provider = "v0",
    ) -> PrototypeAnswer:
        """Wait until a product's prototype is finished, at most 25 seconds; if it is still being made, call again."""
        ends = time.monotonic() + seconds
        async with self._asking(ctx, _no_such(product_id, None)) as keep:
            found = await keep.status(product_id, provider=provider)
            while not _settled(found) and (left := ends - time.monotonic()) > 0:
                before, began = found, time.monotonic()
                found = await keep.status(product_id, provider=provider, hold=left)
                same = (found.id, found.state, found.project_status) == (before.id, before.state, before.project_status)
                if same and time.monotonic() - began < min(left, 1) / 2:
                    break  # The server does not hold: it is about to stop.
        answer = answers.standing(found)
        if not _settled(found):
            answer.next_step = f"Still {answer.summary.lower()}. " + answer.next_step
        return answer

    async def explain(
        self,
        ctx: Ctx,
        product_id: Annotated[str | None, Field(description="For the product's current prototype.")] = None,
        prototype_id: Annotated[str | None, Field(description="For a certain one, current or not.")] = None,
        provider: Provider = "v0",
    ) -> ExplainAnswer:
        """Say why there is this prototype: who asked for it and when, why it was made, and what happened since."""
        async with self._asking(ctx, _no_such(product_id, prototype_id)) as keep:
            found = await _found(keep, product_id, prototype_id, provider)
            return answers.explained(await keep.get(found.id))

    async def iterate_prototype(
        self,
        ctx: Ctx,
        prototype_id: PrototypeId,
        message: Annotated[str, Field(description="What to change.")],
        revision: Annotated[
            str,
            Field(description="The revision of it that get_prototype answered with. Same arguments, same one change."),
        ],
        idempotency_key: Key = None,
    ) -> PrototypeAnswer:
        """Change an existing prototype by a follow-up message in the same chat. It is in progress again afterwards.

        After a timeout or an error call it again with the very same arguments, the revision included: the message is
        sent once.
        """
        async with self._asking(ctx, _no_such(None, prototype_id)) as keep:
            key = idempotency_key or _key("iterate", prototype_id, message, revision)
            return answers.standing(await keep.iterate(prototype_id, message, idempotency_key=key))


def server_of(reach: Reach) -> MCPServer[Any]:
    """The MCP server."""
    if not logging.getLogger().handlers:
        # The library would install a Rich handler of its own.
        logging.basicConfig(level=logging.WARNING)
    server: MCPServer[Any] = MCPServer("protokeep", "protokeep", instructions=INSTRUCTIONS, version=__version__)
    tools = Tools(reach)
    offered: list[tuple[Callable[..., Any], str, ToolAnnotations]] = [
        (tools.ensure_prototype, "Get or make a product's prototype", MAKES),
        (tools.get_prototype, "Look at a prototype", READS),
        (tools.list_prototypes, "List a product's prototypes", READS),
        (tools.wait_for_prototype, "Wait for a prototype", READS),
        (tools.explain, "Why this prototype", READS),
        (tools.iterate_prototype, "Change a prototype", CHANGES),
    ]
    for tool, title, hints in offered:
        server.add_tool(tool, title=title, description=inspect.getdoc(tool), annotations=hints, structured_output=True)
    return server


async def _found(keep: AsyncProtokeep, product_id: str | None, prototype_id: str | None, provider: str) -> Prototype:
    if prototype_id is not None:
        return await keep.get(prototype_id)
    if product_id is None:
        raise ToolError("Give product_id, or prototype_id.")
    return await keep.status(product_id, provider=provider)


def _no_such(product_id: str | None, prototype_id: str | None) -> str:
    if prototype_id is not None:
        return f"There is no prototype {answers.cut(prototype_id, 60)}. list_prototypes shows a product's ids."
    return f"Product {answers.cut(product_id, 200)} has no prototype yet. Call ensure_prototype to make one."


def _settled(prototype: Prototype) -> bool:
    return prototype.finished or prototype.state in ("waiting", "untracked")


def _key(*parts: str | None) -> str:
    return "mcp-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()
