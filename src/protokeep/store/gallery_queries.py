"""The queries of the gallery: one card per product and provider, which stands for its current prototype.

The card of a prototype in a slot is found through the index on (workspace, state, newest). A row of an adopted table
whose product nobody has asked for has no slot: `untracked` rows are searched for only where there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from protokeep.core.prototype import State
from protokeep.core.search_text import SEARCHED_CHARACTERS
from protokeep.store.gallery_filters import CHOSEN, SORTS, Filters, beyond, narrowed, order_of, union_all, within
from protokeep.store.owner_table import OwnerTable
from protokeep.store.prototype_queries import (
    NAME_LENGTH,
    TABLES,
    PrototypeQueries,
    made_at_of,
    name_of_product,
    tenant_of,
    workspace_of,
)
from protokeep.store.sql import Statement

#: How a search finds texts: in their order, by their numbers (SQLite), at places that are known (PostgreSQL), or as
#: those of a person or of a product.
Way = Literal["in_order", "by_numbers", "at_places", "of_person", "of_product"]
#: SQLite's index of the numbers of texts. It takes a search only under its own name.
NUMBERS = "protokeep_text_numbers"
#: Counting stops here; people read "1,000+" just as well.
COUNTED = 1000
#: Variants of one product are counted up to this.
VARIANTS = 100


class GalleryQueries:
    """The queries for one shape of the owner's table. A composed statement is remembered, so that it stays prepared."""

    def __init__(self, shape: OwnerTable, *, is_sqlite: bool) -> None:
        self._shape = shape
        self._is_sqlite = is_sqlite
        self._like = "LIKE" if is_sqlite else "ILIKE"
        self._status = "m.project_status" if "project_status" in shape.columns else "NULL"
        self._prompt = f"substr(m.prompt, 1, {SEARCHED_CHARACTERS})" if "prompt" in shape.columns else "NULL"
        self._untracked_state = (
            f"COALESCE(g.state, CASE {self._status} WHEN 'completed' THEN 'ready' "
            "WHEN 'failed' THEN 'failed' ELSE 'untracked' END)"
        )
        self._composed: dict[tuple[str, Sequence[State], Filters], Statement] = {}
        # Only names and words of ours are put into the text; values are bound.
        variants = (
            "(SELECT count(*) FROM (SELECT 1 FROM design_mockups v "
            "LEFT JOIN protokeep_generations vg ON vg.mockup_id = v.id "
            "WHERE v.product_id = m.product_id AND v.provider = m.provider "
            f"AND {workspace_of(shape, 'v', 'vg')} = :workspace_id AND vg.deletion_due_at IS NULL"
            f" LIMIT {VARIANTS}) AS few) "
            "AS variants"
        )
        queries = PrototypeQueries(shape)
        self._workspace, self._made_at = queries.workspace, queries.made_at
        by_ids = f"WHERE m.id IN :ids AND {self._workspace} = :workspace_id"
        self.cards, self.whole_cards = (
            Statement(f"SELECT {columns}, {variants} {TABLES} {by_ids}")
            for columns in (queries.columns_for_lists, queries.columns)
        )
        self.product_name = self._product_name(shape)

    def ids(self, states: Sequence[State], filters: Filters) -> Statement:
        """Ids and times of cards in any of `states`, in their order. Never sorts more rows than the page shows."""
        ways = [(self._tracked(state, filters), "g.created_at", "g.mockup_id") for state in states]
        if filters.untracked:
            ways.append((self._untracked(states, filters), self._made_at, "m.id"))
        parts = [self._first(*way, oldest=filters.oldest_first) for way in ways]
        order = order_of("created_at", "id", oldest=filters.oldest_first)
        return self._remembered("ids", states, filters, f"{union_all(parts)} ORDER BY {order} LIMIT :limit")

    def counts(self, states: Sequence[State], filters: Filters) -> Statement:
        """How many cards each state has, counted up to `COUNTED`."""
        parts = [self._counted(state, self._tracked(state, filters)) for state in states]
        if filters.untracked:
            parts += [self._counted(state, self._untracked([state], filters)) for state in states]
        return self._remembered("counts", states, filters, union_all(parts))

    def searched(self, states: Sequence[State], filters: Filters) -> Statement:
        """Cards with all words: how many of each state, and the newest of `states`. The texts are read once.

        Rows with an id are cards, rows without an id are counts.
        """
        parts = [self._texts(filters)]
        if filters.untracked:
            parts.append(
                f"SELECT {self._untracked_state} AS state, {self._made_at} AS created_at, m.id "
                f"{self._untracked(tuple(State), filters)}"
            )
        named = ", ".join(f"'{state.value}'" for state in states)
        after = f" AND (created_at, id) {beyond(filters)} (:after_created_at, :after_id)" if filters.after else ""
        order = order_of("created_at", "id", oldest=filters.oldest_first)
        return self._remembered(
            "searched",
            states,
            filters,
            f"WITH found AS MATERIALIZED ({union_all(parts)}) "
            f"SELECT state, id, created_at, 0 AS number FROM (SELECT * FROM found WHERE state IN ({named}){after} "
            f"ORDER BY {order} LIMIT :limit) AS first "
            "UNION ALL SELECT state, NULL, NULL, count(*) FROM found GROUP BY state",
        )

    def collected(self, states: Sequence[State], filters: Filters) -> Statement:
        """The same for cards of few products, or in any order: all that match are read, then sorted.

        The key of a card stands in the row under its name in `SORTS`.
        """
        key = SORTS[filters.sort][0]
        every = replace(filters, after=False)
        parts = [
            self._of_slots(every),
            f"SELECT g.state, {self._key('s', 'g.created_at', every)} AS {key}, g.mockup_id AS id "
            f"{self._tracked(State.DELETING, every)}",
        ]
        if filters.untracked:
            parts.append(
                f"SELECT {self._untracked_state} AS state, {self._key('m', self._made_at, every)} AS {key}, m.id "
                f"{self._untracked(tuple(State), every)}"
            )
        named = ", ".join(f"'{state.value}'" for state in states)
        after = f" AND ({key}, id) {beyond(filters)} (:after_created_at, :after_id)" if filters.after else ""
        return self._remembered(
            "collected",
            states,
            filters,
            f"WITH found AS MATERIALIZED ({union_all(parts)}) "
            f"SELECT state, id, {key}, 0 AS number FROM (SELECT * FROM found WHERE state IN ({named}){after} "
            f"ORDER BY {order_of(key, 'id', oldest=filters.oldest_first)} LIMIT :limit) AS first "
            "UNION ALL SELECT state, NULL, NULL, count(*) FROM found GROUP BY state",
        )

    def _of_slots(self, filters: Filters) -> str:
        """Cards of slots with their keys, from the few products that a filter names, if one does."""
        tables, where = "protokeep_slots s", ["s.workspace_id = :workspace_id"]
        if filters.chosen:
            table, condition = CHOSEN[filters.chosen[0]]
            tables = f"{table} x CROSS JOIN {tables}"
            where += ["x.workspace_id = :workspace_id", condition, "s.product_id = x.product_id"]
        tables += " CROSS JOIN protokeep_generations g"
        where += ["g.mockup_id = s.mockup_id", "g.deletion_requested_at IS NULL"]
        row = "s"
        if filters.sort == "updated":
            tables, row = f"{tables} CROSS JOIN design_mockups u", "u"
            where.append("u.id = g.mockup_id")
        where += narrowed("s.product_id", "g.provider", "g.created_by = :created_by", filters)
        if filters.bounds:
            where.append(self._within_bounds(filters))
        key = f"{self._key(row, 'g.created_at', filters)} AS {SORTS[filters.sort][0]}"
        return f"SELECT g.state, {key}, g.mockup_id AS id FROM {tables} WHERE {' AND '.join(where)}"

    def _key(self, row: str, created_at: str, filters: Filters) -> str:
        """What cards are sorted by. `row` has the product, and for "updated" it is the owner's."""
        if filters.sort == "updated":
            return self._changed_at(row)
        if filters.sort == "name":
            product = f"{row}.product_id"
            name = f"COALESCE({name_of_product(self._shape, product, ':workspace_id')}, CAST({product} AS text))"
            return f"substr(lower({name}), 1, {NAME_LENGTH})" + ("" if self._is_sqlite else ' COLLATE "C"')
        return created_at

    def _changed_at(self, row: str) -> str:
        """When a row of the owner's changed last. One that was never changed was changed when it was made."""
        made_at = made_at_of(self._shape, row)
        return f"COALESCE({row}.updated_at, {made_at})" if "updated_at" in self._shape.columns else made_at

    def _within_bounds(self, filters: Filters) -> str:
        bounds = " AND ".join(self._bounds("b", filters))
        return f"EXISTS (SELECT 1 FROM design_mockups b WHERE b.id = g.mockup_id AND {bounds})"

    def hits(self, way: Way, filters: Filters) -> Statement:
        """Texts with all words beyond a place, in their order, each with its state and whether it is a card.

        The texts are found first, by their place or their numbers, and conditions on cards come after them. A condition
        or an order of another column needs an index of its own on the table that it reads, and a way of its own here.
        """
        order = "ASC" if filters.oldest_first else "DESC"
        card = " AND ".join([f"{self._workspace} = :workspace_id", *self._stands_for_product(filters)])
        text = (
            f"WITH hits AS MATERIALIZED ({self._found(way, filters)}) SELECT h.place, h.mockup_id AS id,"
            f" {self._made_at} AS created_at, {self._untracked_state} AS state, m.id IS NOT NULL AND {card} AS is_card"
            " FROM hits h LEFT JOIN design_mockups m ON m.id = h.mockup_id"
            " LEFT JOIN protokeep_generations g ON g.mockup_id = h.mockup_id"
            f" LEFT JOIN protokeep_slots s ON s.mockup_id = h.mockup_id ORDER BY h.place {order}"
        )
        return self._remembered(way, (), filters, text)

    def _found(self, way: Way, filters: Filters) -> str:
        """The places and ids of the texts, in their order."""
        order = "ASC" if filters.oldest_first else "DESC"
        past = f"{beyond(filters)} :place ORDER BY place {order} LIMIT :most"
        has_words = self._has_words(filters.words)
        if way == "of_person":
            return (
                "SELECT x.place, x.mockup_id FROM protokeep_generations p"
                " CROSS JOIN protokeep_texts x WHERE p.workspace_id = :workspace_id AND p.created_by = :created_by"
                f" AND x.mockup_id = p.mockup_id AND {has_words} AND x.place {past}"
            )
        if way == "of_product":
            key = "x.workspace_id = :workspace_id AND x.product_key = :product_key AND x.product_id = :product_id"
            where = f"{key} AND {has_words} AND x.place {past}"
            return f"SELECT x.place, x.mockup_id FROM protokeep_texts x WHERE {where}"
        if way == "in_order":
            return f"SELECT x.place, x.mockup_id FROM protokeep_texts x WHERE {has_words} AND x.place {past}"
        if self._is_sqlite:
            return (
                f"SELECT {NUMBERS}.rowid AS place, x.mockup_id FROM {NUMBERS}"
                f" CROSS JOIN protokeep_texts x ON x.place = {NUMBERS}.rowid WHERE {NUMBERS} MATCH :numbers"
                f" AND {has_words} AND {NUMBERS}.rowid {past.replace('BY place', f'BY {NUMBERS}.rowid')}"
            )
        # Materialized, so that the places lead to the texts: the planner may read all others in their order instead.
        return (
            "SELECT place, mockup_id FROM (WITH placed AS MATERIALIZED (SELECT x.place, x.mockup_id"
            f" FROM protokeep_texts x WHERE x.place IN :places AND {has_words})"
            f" SELECT place, mockup_id FROM placed) AS numbered WHERE place {past}"
        )

    def few_hits(self, words: int) -> Statement:
        """PostgreSQL: the places of texts with all words, `few` at most, in no order.

        The index of numbers leads to them, whatever the planner believes: it knows nothing of how common a number is.
        """
        where = f"x.numbers @> CAST(:numbers AS int[]) AND {self._has_words(words)}"
        numbered = f"WITH numbered AS MATERIALIZED (SELECT x.place FROM protokeep_texts x WHERE {where})"
        text = f"{numbered} SELECT place FROM numbered LIMIT :few"
        return self._remembered("few", (), Filters(words=words), text)

    def _has_words(self, words: int) -> str:
        has = "instr" if self._is_sqlite else "strpos"
        # The sign keeps SQLite from the index on workspaces, which would read all of one before the first text.
        workspace = f"{'+' if self._is_sqlite else ''}x.workspace_id = :workspace_id"
        return " AND ".join([workspace, *(f"{has}(x.text, :word{n}) > 0" for n in range(words))])

    def _stands_for_product(self, filters: Filters) -> list[str]:
        """Conditions of a card, without those on its state and its words."""
        has_slot, person = "s.mockup_id IS NOT NULL", "g.created_by = :created_by"
        if filters.untracked:
            has_slot = f"({has_slot} OR {' AND '.join(self._newest_without_slot())})"
            person = f"({person} OR (g.mockup_id IS NULL AND m.user_id = :user_id))"
        return [
            has_slot,
            *narrowed("m.product_id", "m.provider", f"COALESCE({person}, 1 = 0)", filters),
            *self._bounds("m", filters),
        ]

    def _texts(self, filters: Filters) -> str:
        """Reads the texts first, in the order in which they are stored, and the rest only for those with the words."""
        where = [
            *self._matches("m.product_id", filters.words),
            "s.mockup_id = m.id",
            "g.mockup_id = m.id",
            "g.workspace_id = :workspace_id",
            *narrowed("s.product_id", "g.provider", "g.created_by = :created_by", filters),
            *self._bounds("m", filters),
        ]
        return (
            "SELECT g.state, g.created_at, g.mockup_id AS id FROM design_mockups m CROSS JOIN protokeep_slots s "
            f"CROSS JOIN protokeep_generations g WHERE {' AND '.join(where)}"
        )

    def _remembered(self, kind: str, states: Sequence[State], filters: Filters, statement: str) -> Statement:
        key = (kind, tuple(states), filters)
        if key not in self._composed:
            self._composed[key] = Statement(statement)
        return self._composed[key]

    def _first(self, rest: str, at: str, mockup_id: str, *, oldest: bool) -> str:
        return (
            f"SELECT id, created_at FROM (SELECT {mockup_id} AS id, {at} AS created_at {rest} "
            f"ORDER BY {order_of(at, mockup_id, oldest=oldest)} LIMIT :limit) AS first"
        )

    def _counted(self, state: State, rest: str) -> str:
        return f"SELECT '{state.value}' AS state, count(*) AS number FROM (SELECT 1 {rest} LIMIT {COUNTED}) AS few"

    def _tracked(self, state: State, filters: Filters) -> str:
        """From the generation, in the order of its index, to the slot. CROSS JOIN keeps SQLite to that order."""
        deleting = state is State.DELETING  # These hold no slot any more, and stay visible.
        tables = f"FROM protokeep_generations g CROSS JOIN {'design_mockups' if deleting else 'protokeep_slots'} s"
        where = ["g.workspace_id = :workspace_id", f"g.state = '{state.value}'"]
        where.append(f"s.{'id' if deleting else 'mockup_id'} = g.mockup_id")
        where += narrowed("s.product_id", "g.provider", "g.created_by = :created_by", filters)
        if filters.after:
            where.append(f"(g.created_at, g.mockup_id) {beyond(filters)} (:after_created_at, :after_id)")
        if filters.bounds:
            where.append(self._within_bounds(filters))
        return f"{tables} WHERE {' AND '.join(where)}"

    def _untracked(self, states: Sequence[State], filters: Filters) -> str:
        where = [
            f"{self._workspace} = :workspace_id",
            f"{self._untracked_state} IN ({', '.join(repr(one.value) for one in states)})",
            *self._newest_without_slot(),
        ]
        where += self._matches("m.product_id", filters.words)
        where += narrowed("m.product_id", "m.provider", "m.user_id = :user_id", filters)
        where += self._bounds("m", filters)
        if filters.after and not filters.words:
            where.append(f"({self._made_at}, m.id) {beyond(filters)} (:after_created_at, :after_id)")
        return (
            f"FROM design_mockups m LEFT JOIN protokeep_generations g ON g.mockup_id = m.id WHERE {' AND '.join(where)}"
        )

    def _newest_without_slot(self) -> list[str]:
        """Conditions: a row stands for its product although it has no slot, as nobody asked for the product here."""
        return [
            "g.deletion_requested_at IS NULL AND g.deletion_due_at IS NULL",
            "NOT EXISTS (SELECT 1 FROM protokeep_slots s WHERE s.workspace_id = :workspace_id"
            " AND s.product_id = m.product_id AND s.provider = m.provider)",
            "NOT EXISTS (SELECT 1 FROM design_mockups n LEFT JOIN protokeep_generations ng ON ng.mockup_id = n.id"
            " WHERE n.product_id = m.product_id AND n.provider = m.provider"
            f" AND {workspace_of(self._shape, 'n', 'ng')} = :workspace_id"
            " AND ng.deletion_due_at IS NULL AND ng.deletion_requested_at IS NULL"
            f" AND ({made_at_of(self._shape, 'n')}, n.id) > ({self._made_at}, m.id))",
        ]

    def _bounds(self, row: str, filters: Filters) -> list[str]:
        """Conditions on the times of a row."""
        return within({"created_at": made_at_of(self._shape, row), "updated_at": self._changed_at(row)}, filters)

    def _matches(self, product: str, words: int) -> list[str]:
        """Conditions: each word is in the product's id, its name or the prompt."""
        like = self._like
        return [
            f"({self._prompt} {like} :word{n} ESCAPE '!' OR CAST({product} AS text) {like} :word{n} ESCAPE '!'"
            f" OR {product} IN (SELECT p.product_id FROM protokeep_products p"
            f" WHERE p.workspace_id = :workspace_id AND p.name {like} :word{n} ESCAPE '!')"
            f"{self._owners_name_matches(product, n)})"
            for n in range(words)
        ]

    def _owners_name_matches(self, product: str, word: int) -> str:
        shape = self._shape
        if shape.products_name is None:
            return ""
        return (
            f" OR {product} IN (SELECT o.{shape.products_column} FROM {shape.products_table} o"
            f" WHERE CAST(o.{shape.products_name} AS text) {self._like} :word{word} ESCAPE '!')"
        )

    def _product_name(self, shape: OwnerTable) -> Statement:
        """The name of one product: the owner's if the product is the workspace's, else the one that people gave it."""
        given = "SELECT name, 1 AS rank FROM protokeep_products"
        given += " WHERE workspace_id = :workspace_id AND product_id = :product_id"
        if shape.products_name is None:
            return Statement(given)
        of_workspace = (
            f" AND {tenant_of('o')} = :workspace_id"
            if shape.tenants_are_workspaces and shape.products_has_tenant
            else ""
        )
        return Statement(
            f"SELECT substr(CAST(o.{shape.products_name} AS text), 1, {NAME_LENGTH}) AS name, 0 AS rank"
            f" FROM {shape.products_table} o WHERE o.{shape.products_column} = :product_id{of_workspace}"
            f" UNION ALL {given} ORDER BY rank"
        )
