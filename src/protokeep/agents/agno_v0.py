"""`AgnoV0Agent`: prototypes for an agent's code, at most one per product.

    agent = AgnoV0Agent(db="http://127.0.0.1:8400")
    made = await agent.create_v0_project_with_api("A landing page for a bakery", product_id="shop")

Importing this needs no agno and is quick; `as_agno()` needs `pip install protokeep[agent]`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from protokeep.core.errors import InvalidInput, NotConfigured

if TYPE_CHECKING:
    from protokeep.agents.result import V0Project
    from protokeep.service import NewPrototype

#: The spec's clock: 200 polls of 3 seconds by default, 300 at most.
TIMEOUT_SECONDS, LONGEST_TIMEOUT = 600, 900
#: `key_source` of what a running protokeep made: it has a key of its own.
SERVER_KEY = "protokeep"


class AgnoV0Agent:
    """Makes prototypes at v0, looks at them, and writes briefs for them.

    Asking again for a product's prototype is safe, from anywhere. Another one on purpose (`create_new`) is made once
    per `idempotency_key`; without a product id, every call makes a chat of its own.
    """

    def __init__(
        self,
        v0_api_key: str | None = None,
        *,
        db: object = None,
        user_id: str | None = None,
        protokeep_token: str | None = None,
    ) -> None:
        """Each is a default for the calls; what none gives comes from the environment.

        `db`: the http address of a running protokeep (or a `Protokeep` client), a database URL, or an SQLAlchemy
        engine. Without it, PROTOKEEP_URL names a running protokeep, else PROTOKEEP_DATABASE_URL the database.
        """
        self._v0_api_key = v0_api_key
        self._db = db
        self._user_id = user_id
        self._token = protokeep_token

    async def create_v0_project_with_api(
        self,
        v0_prompt: str,
        v0_api_key: str | None = None,
        user_id: str | None = None,
        product_id: str | None = None,
        db: object = None,
        create_new: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        wait: bool = True,
        idempotency_key: str | None = None,
    ) -> V0Project:
        """The product's prototype at v0, made if there is none, and followed until it is finished.

        With a product id it goes through protokeep: called twice, at once, or again after a crash, it gives the same
        prototype, unless `create_new` asks for another: give an `idempotency_key` with it, and repeat the call with the
        same one after an error or a crash. An error of a running protokeep's names the one that was used
        (`error.idempotency_key`). A running protokeep uses its own v0 key and its token's user. Without a product id
        it is a new chat each time.

        `timeout_seconds`: the poll budget, 600 by default and 900 at most; v0 is polled every 3 seconds. `wait` False:
        answer once v0 has accepted; `check_v0_project_status` tells the rest. What fails at v0 is answered as
        `project_status` "failed" with `error`; what cannot be asked at all is raised.
        """
        return await self._ensure(
            v0_prompt,
            v0_api_key=v0_api_key or self._v0_api_key,
            user_id=user_id or self._user_id,
            product_id=product_id,
            db=db if db is not None else self._db,
            create_new=create_new,
            timeout_seconds=timeout_seconds,
            wait=wait,
            idempotency_key=idempotency_key,
        )

    async def check_v0_project_status(
        self, product_id: str, db: object = None, user_id: str | None = None, v0_api_key: str | None = None
    ) -> V0Project:
        """How a product's prototype stands, looked at upstream if need be. Creates nothing. Raises `NotFound`."""
        from protokeep.agents import result

        place = self._place(db if db is not None else self._db)
        if (client := self._client(place)) is not None:
            from protokeep.agents import remote

            async with remote.open_client(client, ours=client is not place) as running:
                found = await running.call("status", product_id)
            way = result.Way("protokeep", SERVER_KEY, None, TIMEOUT_SECONDS)
            return result.of_served(found, way, is_existing=True)
        from protokeep.agents import embedded
        from protokeep.agents.targets import database_url_of

        settings = embedded.settings_of(database_url_of(place), TIMEOUT_SECONDS)
        key = v0_api_key or self._v0_api_key
        principal = embedded.principal_of(user_id or self._user_id)
        async with embedded.embedded_keeper(settings, key) as keeper:
            prototype = await keeper.status(principal, product_id, embedded.PROVIDER)
            # Nobody else may be there to take its next step: an agent that made it may have gone.
            prototype = await embedded.follow(keeper, principal, prototype, wait_seconds=0)
        way = result.Way("ensure", embedded.key_of(settings, key)[1], None, TIMEOUT_SECONDS)
        return result.of_row(prototype, way, is_existing=True)

    async def generate_v0_prompt(
        self,
        product_context: str | Mapping[str, Any],
        *,
        extra: str | None = None,
        model: Any = None,
        max_characters: int = 4000,
    ) -> str:
        """A clear brief for v0 from what is known of a product, of at most `max_characters`.

        Facts that are looked for: name, description, problem, audience, goals, features, pages, data, style,
        constraints; others are passed on under their names. With an agno `model` the brief is written by it; if that
        fails, the template's brief is the answer.
        """
        from protokeep.agents import brief

        template = brief.brief_of(product_context, extra, max_characters)
        if model is None:
            return template
        from protokeep.agents.agno_tools import written_by

        text = await written_by(model, brief.INSTRUCTIONS.format(length=max_characters), template)
        return brief.bounded(text, max_characters) if text else template

    def as_agno(self, model: Any, **options: Any) -> Any:
        """A real agno `Agent` whose tools these are; `options` are the Agent's own.

        Its tools want a product id, so that a run that is tried again makes nothing twice. Telemetry is off, unless
        AGNO_TELEMETRY=true asks for it. Needs `pip install protokeep[agent]`.
        """
        from protokeep.agents.agno_tools import agent_of

        return agent_of(self, model, options)

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _ensure(
        self,
        prompt: str,
        *,
        v0_api_key: str | None,
        user_id: str | None,
        product_id: str | None,
        db: object,
        create_new: bool,
        timeout_seconds: float,
        wait: bool,
        idempotency_key: str | None = None,
    ) -> V0Project:
        from protokeep.core.validation import prompt_of

        if not 0 < timeout_seconds <= LONGEST_TIMEOUT:
            raise InvalidInput(
                f"timeout_seconds takes more than 0 and at most {LONGEST_TIMEOUT}.", field="timeout_seconds"
            )
        wait_seconds = timeout_seconds if wait else 0.0
        if product_id is None:
            return await _without_product(prompt_of(prompt), v0_api_key, user_id, timeout_seconds, wait_seconds)
        place = self._place(db)
        if (client := self._client(place)) is not None:
            request = {"create_new": create_new, "idempotency_key": idempotency_key, "wait_seconds": wait_seconds}
            ours = client is not place
            return await _with_client(client, product_id, prompt, request, ours=ours, timeout_seconds=timeout_seconds)
        from protokeep.agents.targets import database_url_of
        from protokeep.service import NewPrototype

        new = NewPrototype(product_id, prompt, create_new=create_new, idempotency_key=idempotency_key)
        return await _with_database(
            database_url_of(place), v0_api_key, user_id, new, timeout_seconds=timeout_seconds, wait_seconds=wait_seconds
        )

    @staticmethod
    def _place(db: object) -> object:
        return db if db is not None else os.environ.get("PROTOKEEP_URL") or None

    def _client(self, place: object) -> Any | None:
        from protokeep.agents.targets import client_of

        return client_of(place, self._token)


async def _without_product(
    prompt: str, v0_api_key: str | None, user_id: str | None, timeout_seconds: float, wait_seconds: float
) -> V0Project:
    from protokeep.agents import embedded, result

    settings = embedded.settings_of(None, timeout_seconds)
    key, source = embedded.key_of(settings, v0_api_key)
    if not key:
        raise NotConfigured("There is no v0 API key. Pass v0_api_key, or set V0_API_KEY.")
    prototype = await embedded.create_without_product(
        settings, v0_api_key, embedded.principal_of(user_id), prompt, wait_seconds=wait_seconds
    )
    way = result.Way("create_and_poll", source, None, timeout_seconds)
    return result.of_row(prototype, way, is_existing=False, known_to_us=False)


async def _with_client(
    client: Any, product_id: str, prompt: str, request: dict[str, Any], *, ours: bool, timeout_seconds: float
) -> V0Project:
    from protokeep.agents import remote, result

    async with remote.open_client(client, ours=ours) as running:
        found, is_existing = await remote.ensure(running, product_id, prompt, **request)
    way = result.Way("protokeep", SERVER_KEY, None, timeout_seconds)
    return result.of_served(found, way, is_existing=is_existing)


async def _with_database(
    database_url: str | None,
    v0_api_key: str | None,
    user_id: str | None,
    new: NewPrototype,
    *,
    timeout_seconds: float,
    wait_seconds: float,
) -> V0Project:
    from protokeep.agents import embedded, result

    settings = embedded.settings_of(database_url, timeout_seconds)
    async with embedded.embedded_keeper(settings, v0_api_key) as keeper:
        prototype, is_existing = await embedded.ensure(
            keeper, embedded.principal_of(user_id), new, wait_seconds=wait_seconds
        )
    way = result.Way("ensure", embedded.key_of(settings, v0_api_key)[1], None, timeout_seconds)
    return result.of_row(prototype, way, is_existing=is_existing)
