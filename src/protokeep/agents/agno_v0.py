"""`AgnoV0Agent`: prototypes for an agent's code, at most one per product.

    agent = AgnoV0Agent(db="http://127.0.0.1:8400")
    project = await agent.create_v0_project_with_api("A landing page for a bakery", product_id="shop")

Importing this needs no agno and is quick; `as_agno()` needs `pip install protokeep[agent]`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from protokeep.agents.targets import (
    TIMEOUT_SECONDS,
    ProjectRequest,
    check_timeout,
    client_of,
    database_url_of,
)
from protokeep.agents.value_errors import raises_value_errors
from protokeep.core.errors import InvalidInput, NotConfigured

if TYPE_CHECKING:
    from protokeep.agents.result import V0Project


class AgnoV0Agent:
    """Creates prototypes at v0, checks them, and writes briefs for them.

    A repeated request for a product's prototype creates no second one, wherever it comes from. `create_new` creates one
    prototype per `idempotency_key`. Without a product id, every call creates a chat of its own.

    Names, keywords and keys of answers are those of the specification's agent, where we have what they stand for. Every
    error of the methods is a `ValueError` too.
    """

    def __init__(
        self,
        v0_api_key: str | None = None,
        *,
        db: object = None,
        user_id: str | None = None,
        protokeep_token: str | None = None,
        wait: bool = True,
        enable_rag: bool = False,
    ) -> None:
        """The arguments are defaults for those of the methods. What neither gives comes from the environment.

        `enable_rag` is ignored: there is no knowledge base here.

        `db`: the http address of a running protokeep (or a `Protokeep` client), a database URL, or an SQLAlchemy
        engine. Without it, PROTOKEEP_URL names a running protokeep, else PROTOKEEP_DATABASE_URL the database.
        """
        self._v0_api_key = v0_api_key
        self._db = db
        self._user_id = user_id
        self._token = protokeep_token
        self._wait = wait

    def set_v0_api_key(self, api_key: str | None) -> None:
        """Use this key from now on, where a method is given none; None: the environment's."""
        self._v0_api_key = api_key

    @raises_value_errors
    async def create_v0_project_with_api(
        self,
        v0_prompt: str,
        v0_api_key: str | None = None,
        user_id: str | None = None,
        product_id: str | None = None,
        db: object = None,
        create_new: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        wait: bool | None = None,
        idempotency_key: str | None = None,
    ) -> V0Project:
        """The product's prototype at v0, created if there is none, and followed until it is finished.

        A repeated call gives the same prototype, also at the same time or after a crash. `create_new` asks for another
        one: repeat such a call with the same `idempotency_key`, which an error carries as `error.idempotency_key`.
        A running protokeep uses its own v0 key and its token's user. Without a product id, each call creates a chat.

        `timeout_seconds`: the poll budget, at most 900; v0 is polled every 3 seconds. `wait` False: return once v0 has
        accepted. A failure at v0 is returned as `project_status` "failed" with `error`; other errors are raised.
        """
        wait = self._wait if wait is None else wait
        key = v0_api_key or self._v0_api_key
        if product_id is None:
            return await _create_without_product(v0_prompt, key, user_id or self._user_id, timeout_seconds, wait=wait)
        request = ProjectRequest(product_id, v0_prompt, create_new, idempotency_key, timeout_seconds, wait)
        target = self._target(db)
        if (client := client_of(target, self._token)) is not None:
            from protokeep.agents import remote

            async with remote.open_client(client, close=client is not target) as opened:
                return await remote.create_project(opened, request)
        from protokeep.agents import embedded

        settings = embedded.settings_of(database_url_of(target), timeout_seconds)
        return await embedded.create_project(settings, request, v0_api_key=key, user_id=user_id or self._user_id)

    @raises_value_errors
    async def check_v0_project_status(
        self,
        product_id: str | None = None,
        db: object = None,
        user_id: str | None = None,
        v0_api_key: str | None = None,
        *,
        project_id: str | None = None,
    ) -> V0Project:
        """A product's prototype as it is now, polled at v0 if the last poll is too old. Creates nothing.

        The product names it; v0's `project_id` beside it is ignored. Raises `NotFound`, and `InvalidInput` without a
        product.
        """
        if product_id is None:
            beside = " project_id alone names none here." if project_id else ""
            raise InvalidInput(f"Pass product_id: a product's prototype is found by it.{beside}", field="product_id")
        target = self._target(db)
        if (client := client_of(target, self._token)) is not None:
            from protokeep.agents import remote

            async with remote.open_client(client, close=client is not target) as opened:
                return await remote.check_project(opened, product_id)
        from protokeep.agents import embedded

        settings = embedded.settings_of(database_url_of(target), TIMEOUT_SECONDS)
        key = v0_api_key or self._v0_api_key
        return await embedded.check_project(settings, product_id, v0_api_key=key, user_id=user_id or self._user_id)

    @raises_value_errors
    async def generate_v0_prompt(
        self,
        product_context: str | Mapping[str, Any] | None = None,
        phase_data: Mapping[str, Any] | None = None,
        all_phases_data: Sequence[Mapping[str, Any]] | None = None,
        conversation_summary: str | None = None,
        design_form_data: Mapping[str, Any] | None = None,
        rag_agent: object = None,
        product_id: str | None = None,
        *,
        extra: str | None = None,
        model: Any = None,
        max_characters: int = 4000,
    ) -> str:
        """A clear brief for v0 from facts about a product, of at most `max_characters`.

        These facts get headings of their own: name, description, problem, audience, goals, features, pages, data,
        style, constraints; others keep their names as headings. What the forms of phases and the conversation say
        follows under headings too; `rag_agent` and `product_id` are ignored. With an agno `model`, the model writes the
        brief; if the model fails, the brief comes from the template.
        """
        from protokeep.agents import brief

        facts = {"description": product_context} if isinstance(product_context, str) else dict(product_context or {})
        more = {
            "design_form_data": design_form_data,
            "phase_data": phase_data,
            "all_phases_data": all_phases_data,
            "conversation_summary": conversation_summary,
        }
        facts |= {name: value for name, value in more.items() if value}
        template = brief.brief_of(facts, extra, max_characters)
        if model is None:
            return template
        from protokeep.agents.agno_tools import write_brief

        text = await write_brief(model, brief.INSTRUCTIONS.format(length=max_characters), template)
        return brief.bounded(text, max_characters) if text else template

    def as_agno(self, model: Any, **options: Any) -> Any:
        """An agno `Agent` with the methods of this object as its tools; `options` go to the `Agent`.

        The tools require a product id, so that a repeated run creates nothing twice. Telemetry is off, unless
        AGNO_TELEMETRY=true asks for it. Needs `pip install protokeep[agent]`.
        """
        from protokeep.agents.agno_tools import agno_agent

        return agno_agent(self, model, options)

    def _target(self, db: object) -> object:
        """The running protokeep or database to use; None: the database of the settings."""
        for target in (db, self._db):
            if target is not None:
                return target
        return os.environ.get("PROTOKEEP_URL") or None


async def _create_without_product(
    prompt: str, v0_api_key: str | None, user_id: str | None, timeout_seconds: float, *, wait: bool
) -> V0Project:
    from protokeep.agents import embedded, result
    from protokeep.core.validation import prompt_of

    check_timeout(timeout_seconds)
    prompt = prompt_of(prompt)
    settings = embedded.settings_of(None, timeout_seconds)
    key, source = embedded.key_of(settings, v0_api_key)
    if not key:
        raise NotConfigured("There is no v0 API key. Pass v0_api_key, or set V0_API_KEY.")
    wait_seconds = timeout_seconds if wait else 0.0
    prototype = await embedded.create_without_product(
        settings, v0_api_key, embedded.principal_of(user_id), prompt, wait_seconds=wait_seconds
    )
    project_source = result.ProjectSource("create_and_poll", source, None, timeout_seconds)
    return result.project_of_row(prototype, project_source, is_existing=False, is_stored=False)
