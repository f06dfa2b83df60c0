"""The tools of the MCP server. Each answers within 25 seconds, and can be called again without harm."""

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
from protokeep.core.prototype import State
from protokeep.mcp import answers
from protokeep.mcp.answers import EnsuredAnswer, ExplainAnswer, FoundAnswer, ListAnswer, PrototypeAnswer
from protokeep.mcp.lenient import LenientServer

#: The longest wait of one call, in seconds: assistants give up after 60 seconds or less.
LONGEST_WAIT = 25

INSTRUCTIONS = """\
protokeep keeps one prototype per product, made by an app builder (v0) and shared by all who work on that product.
Look first: find_prototypes says what exists, so that no product gets a second prototype under another id.
To get a prototype, call ensure_prototype with the product's id and a prompt: it answers at once with the product's
prototype, and makes one only if there is none. Then call wait_for_prototype until it is finished. If a call fails or
times out, call it again with the same arguments, and with the idempotency_key if the error names one: nothing is made
twice."""

#: Opens the client with which one call of a tool reaches protokeep.
OpenClient = Callable[[Context[Any, Any]], AbstractAsyncContextManager[AsyncProtokeep]]
Ctx = Context[Any, Any]

ProductId = Annotated[str, Field(description="The product's own id, such as 'shop'. Use the same one every time.")]
PrototypeId = Annotated[str, Field(description="The prototype_id that another tool answered with.")]
Provider = Annotated[str, Field(description="The app builder.")]
Key = Annotated[
    str | None,
    Field(description="The key that an error named, to repeat that very call; or one of your own. Else leave it out."),
]

InsteadOf = Annotated[
    str | None,
    Field(
        description="Only when the user wants another prototype on purpose: the prototype_id of the one it "
        "shall replace as the current one. Leave it out otherwise."
    ),
]

READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
#: Creates a prototype at the app builder and takes nothing away; a repeated call changes nothing more.
CREATES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=False, open_world_hint=True)
#: Changes an existing prototype.
CHANGES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, destructive_hint=True, open_world_hint=True)


class Tools:
    """The tools. Each call opens a client of its own."""

    def __init__(self, open_client: OpenClient) -> None:
        self._open_client = open_client

    @contextlib.asynccontextmanager
    async def _client(self, ctx: Ctx, missing: str) -> AsyncIterator[AsyncProtokeep]:
        """A client. Its errors become text that says what to do; `missing` is the text if there is no prototype."""
        try:
            async with self._open_client(ctx) as client:
                yield client
        except NotFound as error:
            raise ToolError(missing if error.problem.kind == "not-found" else answers.error_text(error)) from error
        except ProtokeepError as error:
            raise ToolError(answers.error_text(error)) from error

    async def ensure_prototype(
        self,
        ctx: Ctx,
        product_id: ProductId,
        prompt: Annotated[str, Field(description="What the prototype should be, in full sentences.")],
        product_name: Annotated[str | None, Field(description="What people call the product.")] = None,
        instead_of: InsteadOf = None,
        provider: Provider = "v0",
        idempotency_key: Key = None,
        product_is_new: Annotated[
            bool, Field(description="Only after a question 'Did you mean ...?': the user says it is another product.")
        ] = False,
    ) -> EnsuredAnswer:
        """Get a product's prototype; create it if there is none. Answers at once with a handle.

        Everyone who asks for the same product gets the same prototype. After a timeout or an error call it again with
        the same arguments, and the idempotency_key if the error names one: nothing is made twice, unless the first has
        failed or was deleted meanwhile. Generating takes minutes: call wait_for_prototype next.
        """
        async with self._client(ctx, f"There is no prototype {instead_of}. list_prototypes shows the ids.") as client:
            key = idempotency_key
            if instead_of is not None:
                if (await client.get(instead_of)).product_id != product_id:
                    raise ToolError(f"Prototype {instead_of} belongs to another product than {product_id}.")
                # A repeated call has the same key, and so gets the same prototype.
                key = key or _key_of("another", product_id, provider, prompt, product_name, instead_of)
            ensured = await client.ensure(
                product_id,
                prompt,
                provider=provider,
                product_name=product_name,
                create_new=instead_of is not None,
                idempotency_key=key,
                wait=0,
                product_is_new=product_is_new,
            )
        return answers.ensured_answer(ensured)

    async def get_prototype(
        self,
        ctx: Ctx,
        product_id: Annotated[str | None, Field(description="For the product's current prototype.")] = None,
        prototype_id: Annotated[str | None, Field(description="For a certain one, current or not.")] = None,
        provider: Provider = "v0",
    ) -> PrototypeAnswer:
        """Look at a prototype. Give product_id or prototype_id. Creates nothing."""
        async with self._client(ctx, _missing_text(product_id, prototype_id)) as client:
            return answers.prototype_answer(await _get(client, product_id, prototype_id, provider))

    async def find_prototypes(
        self,
        ctx: Ctx,
        words: Annotated[str, Field(description="Words of the product or of the prompt; all have to be there.")] = "",
        state: Annotated[str | None, Field(description=f"Only in this state: {', '.join(State)}.")] = None,
        mine: Annotated[bool, Field(description="Only what the user asked for.")] = False,
        cursor: Annotated[str | None, Field(description="next_cursor of the page before.")] = None,
    ) -> FoundAnswer:
        """Find out what exists, over all products: the current prototypes that have all words, newest first.

        Without words: all of them. Call it before ensure_prototype, unless the user named the product's id.
        """
        async with self._client(ctx, "Nothing like it exists.") as client:
            found, next_cursor = await client.search_page(
                words, cursor=cursor, limit=answers.LIST_ROWS, state=state, mine=mine, archived="any"
            )
        return answers.found_answer(found, next_cursor)

    async def list_prototypes(
        self,
        ctx: Ctx,
        product_id: ProductId,
        cursor: Annotated[str | None, Field(description="next_cursor of the page before.")] = None,
    ) -> ListAnswer:
        """List a product's prototypes, newest first, a few at a time."""
        async with self._client(ctx, f"Product {product_id} has no prototypes.") as client:
            prototypes, next_cursor = await client.page(product_id, cursor=cursor, limit=answers.LIST_ROWS)
        return answers.list_answer(prototypes, next_cursor)

    async def wait_for_prototype(
        self,
        ctx: Ctx,
        product_id: ProductId,
        seconds: Annotated[int, Field(ge=0, le=LONGEST_WAIT, description="How long to wait at most.")] = 20,
        provider: Provider = "v0",
    ) -> PrototypeAnswer:
        """Wait until a product's prototype is finished, at most 25 seconds. If it is not, call again."""
        ends = time.monotonic() + seconds
        async with self._client(ctx, _missing_text(product_id, None)) as client:
            prototype = await client.status(product_id, provider=provider)
            while not _has_settled(prototype) and (left := ends - time.monotonic()) > 0:
                before, began = prototype, time.monotonic()
                prototype = await client.status(product_id, provider=provider, hold=left)
                if _same_state(prototype, before) and time.monotonic() - began < min(left, 1) / 2:
                    break  # The server answers without waiting, because it is about to stop.
        answer = answers.prototype_answer(prototype)
        if not _has_settled(prototype):
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
        async with self._client(ctx, _missing_text(product_id, prototype_id)) as client:
            prototype = await _get(client, product_id, prototype_id, provider)
            return answers.explain_answer(await client.get(prototype.id))

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
        """Change an existing prototype by a message in the same chat. It is in progress again afterwards.

        After a timeout or an error call it again with the very same arguments, the revision included: the message is
        sent once.
        """
        async with self._client(ctx, _missing_text(None, prototype_id)) as client:
            key = idempotency_key or _key_of("iterate", prototype_id, message, revision)
            return answers.prototype_answer(await client.iterate(prototype_id, message, idempotency_key=key))

    async def make_current(self, ctx: Ctx, prototype_id: PrototypeId) -> PrototypeAnswer:
        """Make a variant the current prototype of its product, only when the user asks for it.

        Everyone who asks for the product gets it from then on. The one before stays, as a variant. Safe to repeat.
        """
        async with self._client(ctx, _missing_text(None, prototype_id)) as client:
            return answers.prototype_answer(await client.make_current(prototype_id))


def server_of(open_client: OpenClient) -> MCPServer[Any]:
    """An MCP server with the tools."""
    if not logging.getLogger().handlers:
        # Without a handler, the library would install a Rich handler of its own.
        logging.basicConfig(level=logging.WARNING)
    server = LenientServer("protokeep", "protokeep", instructions=INSTRUCTIONS, version=__version__)
    tools = Tools(open_client)
    registrations: list[tuple[Callable[..., Any], str, ToolAnnotations]] = [
        (tools.ensure_prototype, "Get or create a product's prototype", CREATES),
        (tools.get_prototype, "Show a prototype", READS),
        (tools.find_prototypes, "Find prototypes of all products", READS),
        (tools.list_prototypes, "List a product's prototypes", READS),
        (tools.wait_for_prototype, "Wait for a prototype", READS),
        (tools.explain, "Why this prototype", READS),
        (tools.iterate_prototype, "Change a prototype", CHANGES),
        (tools.make_current, "Make a variant the current one", CHANGES),
    ]
    for tool, title, hints in registrations:
        server.add_tool(tool, title=title, description=inspect.getdoc(tool), annotations=hints, structured_output=True)
    return server


async def _get(client: AsyncProtokeep, product_id: str | None, prototype_id: str | None, provider: str) -> Prototype:
    if prototype_id is not None:
        return await client.get(prototype_id)
    if product_id is None:
        raise ToolError("Give product_id, or prototype_id.")
    return await client.status(product_id, provider=provider)


def _missing_text(product_id: str | None, prototype_id: str | None) -> str:
    if prototype_id is not None:
        return f"There is no prototype {answers.truncate(prototype_id, 60)}. list_prototypes shows a product's ids."
    return f"Product {answers.truncate(product_id, 200)} has no prototype yet. Call ensure_prototype to create one."


def _has_settled(prototype: Prototype) -> bool:
    """Whether waiting for the prototype is of no use."""
    return prototype.finished or prototype.state in ("waiting", "untracked")


def _key_of(*parts: str | None) -> str:
    return "mcp-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _same_state(one: Prototype, other: Prototype) -> bool:
    return (one.id, one.state, one.project_status) == (other.id, other.state, other.project_status)
