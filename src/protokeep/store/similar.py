"""Finds prototypes of other products by the key of their id, and by the bands of their prompt."""

from __future__ import annotations

from protokeep.core import search_text
from protokeep.store.database import Database
from protokeep.store.sql import Row, query
from protokeep.store.texts import has_numbers, word_of

#: Rows that share the key of an id, and those whose prompts are compared: the newest ones. PostgreSQL takes them out of
#: the first so many.
SAME_KEY, COMPARED, LOOKED_AT = 50, 40, 200
#: How long a look may take that a create waits for. It is given up then: the create goes on without it.
SECONDS = 0.5


class SimilarTexts:
    """Reads the index of texts. Answers name prototypes of one workspace; the caller reads what they are now."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._has_numbers: bool | None = None

    async def with_key_of(self, workspace_id: str, product_id: str) -> list[Row]:
        """(id, product_id) of rows whose product is the same one or reads the same, newest first."""
        key = search_text.product_key(product_id)
        values = {"workspace_id": workspace_id, "product_key": key, "limit": SAME_KEY}
        return await self._database.read(query("list_texts_by_key"), values)

    async def near(self, workspace_id: str, product_id: str, prompt: str) -> list[tuple[str, str]]:
        """(id, folded prompt) of prototypes of other products whose prompts may be near-equal, newest first."""
        bands = search_text.bands_of(workspace_id, search_text.folded(prompt[: search_text.SEARCHED_CHARACTERS]))
        if not bands or not await self._keeps_numbers():
            return []
        is_sqlite = self._database.is_sqlite
        numbers = " OR ".join(f'"{word_of(band)}"' for band in bands) if is_sqlite else search_text.signed(bands)
        statement = query("list_texts_near_in_sqlite" if is_sqlite else "list_texts_near")
        values = {"workspace_id": workspace_id, "product_id": product_id, "numbers": numbers, "limit": COMPARED}
        rows = await self._database.scan(statement, {**values, "most": LOOKED_AT}, SECONDS)
        return [(row["id"], search_text.prompt_in(row["text"])) for row in rows]

    async def _keeps_numbers(self) -> bool:
        if self._has_numbers is None:
            async with self._database.reading() as connection:
                self._has_numbers = await has_numbers(connection)
        return self._has_numbers
