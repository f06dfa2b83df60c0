"""SQL that reads what censuses found. It depends on the shape of the owner's table, whose rows say whose chats are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from protokeep.store.owner_table import OwnerTable
from protokeep.store.prototype_queries import NO_TIME, workspace_of
from protokeep.store.sql import Statement

#: Characters of a prompt in a list of chats.
LISTED_PROMPT = 300
#: By what chats are sorted: an expression over the columns of `CensusQueries.chats`, and whether it descends.
SORTS = {
    "name": ("lower(substr(x.name, 1, 100))", False),
    "created": (f"COALESCE(x.created_at, {NO_TIME})", True),
    "updated": (f"COALESCE(x.updated_at, {NO_TIME})", True),
    "credits": ("COALESCE(x.credits, -1.0)", True),
    "id": ("x.chat_id", False),
}
_LISTED = (
    *("chat_id", "api_version", "content", "name", "author_id", "created_at", "updated_at", "privacy", "is_favorite"),
    *("may_delete", "project_id", "vercel_project_id", "version_id", "metadata", "web_url", "demo_url", "picture_url"),
    *("fingerprint", "credits", "group_id", "first_census_id", "last_census_id", "first_seen_at", "last_seen_at"),
    *("is_missing",),
)
_SHOWN = ", ".join(
    f"x.{name}"
    for name in (
        *_LISTED,
        *("claim", "kind", "prompt", "product_id", "mockup_id", "pinned_by", "pinned_at", "pin_reason", "is_current"),
    )
)


class CensusQueries:
    """Statements over the chats of one workspace and account, each with its claim as rows say it now."""

    def __init__(self, shape: OwnerTable, *, is_sqlite: bool) -> None:
        self._like = "LIKE" if is_sqlite else "ILIKE"
        self._workspace = workspace_of(shape, "m", "g")
        self._has_prompt = "prompt" in shape.columns
        self._composed: dict[tuple[Any, ...], Statement] = {}

    def chats(self, conditions: Sequence[str], sort: str, *, after: bool, prompts: bool = False) -> Statement:
        """Chats that meet all conditions, without foreign ones; `sort_key` is where each stands in the order.

        With `after`, those behind (:after_key, :after_id). With `prompts`, the whole prompts; else their beginnings.
        """
        return self._remembered(("chats", tuple(conditions), sort, after, prompts), self._chats)

    def _chats(self, _: str, conditions: tuple[str, ...], sort: str, after: bool, prompts: bool) -> str:
        key, descends = SORTS[sort]
        order = "DESC" if descends else "ASC"
        where = [*conditions, "x.claim <> 'foreign'"]
        if after:
            where.append(f"({key}, x.chat_id) {'<' if descends else '>'} (:after_key, :after_id)")
        alias = "sort_at" if sort in ("created", "updated") else "sort_key"
        return (
            f"SELECT {_SHOWN}, {key} AS {alias} FROM ({self.all_chats(prompts=prompts)}) AS x"  # noqa: S608
            f" WHERE {' AND '.join(where)} ORDER BY {key} {order}, x.chat_id {order} LIMIT :limit"
        )

    def counts(self) -> Statement:
        """How many chats there are of each kind, and what they cost. Foreign ones are counted and nothing else."""
        return self._remembered(("counts",), self._counts)

    def _counts(self, _: str) -> str:
        age = (
            "CASE WHEN x.created_at IS NULL THEN 'unknown' WHEN x.created_at >= :week_ago THEN 'week'"
            " WHEN x.created_at >= :month_ago THEN 'month' WHEN x.created_at >= :quarter_ago THEN 'quarter'"
            " WHEN x.created_at >= :year_ago THEN 'year' ELSE 'older' END"
        )
        kept = (
            "CASE WHEN x.pinned_by IS NOT NULL OR x.is_favorite = true"
            " OR COALESCE(x.privacy, 'private') <> 'private' THEN 1 ELSE 0 END"
        )
        columns = (
            f"x.claim, x.kind, x.content, {age} AS age, {kept} AS is_kept, x.is_missing,"
            " CASE WHEN x.pinned_by IS NULL THEN 0 ELSE 1 END AS is_pinned,"
            " CASE WHEN x.is_favorite = true THEN 1 ELSE 0 END AS is_favorite"
        )
        return (
            f"SELECT {columns}, count(*) AS number, sum(x.credits) AS credits"  # noqa: S608 - expressions of ours
            f" FROM ({self.all_chats()}) AS x GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
        )

    def tops(self, column: str) -> Statement:
        """The authors, products or projects with the most chats."""
        return self._remembered(("tops", column), self._tops)

    def _tops(self, _: str, column: str) -> str:
        return (
            f"SELECT x.{column} AS name, count(*) AS number, sum(x.credits) AS credits"  # noqa: S608
            f" FROM ({self.all_chats()}) AS x WHERE x.claim <> 'foreign' AND x.is_missing = false"
            f" GROUP BY x.{column} ORDER BY 2 DESC, 1 LIMIT :limit"
        )

    def groups(self, conditions: Sequence[str], *, after: bool) -> Statement:
        """Groups with the number of their chats and what they cost, the largest first."""
        return self._remembered(("groups", tuple(conditions), after), self._groups)

    def _groups(self, _: str, conditions: tuple[str, ...], after: bool) -> str:
        where = [*conditions, "(n.members, gr.group_id) < (:after_members, :after_id)"] if after else conditions
        narrowed = f"WHERE {' AND '.join(where)}" if where else ""
        members = (
            "SELECT x.group_id, count(*) AS members, sum(x.credits) AS credits,"  # noqa: S608
            " sum(CASE WHEN x.claim IN ('nobody', 'lost', 'surplus') THEN 1 ELSE 0 END) AS unclaimed,"
            f" min(x.name) AS name, max(x.created_at) AS newest_at FROM ({self.all_chats()}) AS x"
            " WHERE x.group_id IS NOT NULL AND x.claim <> 'foreign' AND x.is_missing = false GROUP BY x.group_id"
        )
        return (
            # Counted once: a planner without statistics would count again for each group.
            f"WITH n AS MATERIALIZED ({members})"  # noqa: S608
            " SELECT gr.group_id, gr.confidence, gr.reasons, gr.product_id, gr.product_confidence, n.members,"
            " n.credits, n.unclaimed, n.name, n.newest_at FROM protokeep_census_groups gr JOIN n"
            " ON n.group_id = gr.group_id AND gr.workspace_id = :workspace_id AND gr.account = :account"
            f" {narrowed} ORDER BY n.members DESC, gr.group_id DESC LIMIT :limit"
        )

    def has_word(self, number: int) -> str:
        """The condition that a word is in the chat's name or prompt."""
        return (
            f"(x.name {self._like} :word{number} ESCAPE '!' OR x.searched {self._like} :word{number} ESCAPE '!'"
            f" OR x.chat_id = :text{number})"
        )

    def all_chats(self, *, prompts: bool = False) -> str:
        """All chats of :workspace_id and :account, with claim, kind, product and pin as they are now."""
        prompt = "COALESCE(k.prompt, o.prompt)" if self._has_prompt else "k.prompt"
        shown = prompt if prompts else f"substr({prompt}, 1, {LISTED_PROMPT + 1})"
        listed = ", ".join(f"k.{name}" for name in _LISTED)
        return (
            f"SELECT {listed}, {self._claim()} AS claim, {self._kind()} AS kind, {shown} AS prompt,"  # noqa: S608
            f" {prompt} AS searched, COALESCE(CAST(o.product_id AS text), k.surplus_product, k.product_id)"
            " AS product_id, CAST(o.id AS text) AS mockup_id, k.pinned_by, k.pinned_at, k.pin_reason,"
            " CASE WHEN sl.mockup_id IS NULL THEN 0 ELSE 1 END AS is_current"
            f" FROM ({self._with_owners()}) AS k LEFT JOIN design_mockups o ON o.id = k.own_id"
            " LEFT JOIN protokeep_slots sl ON sl.mockup_id = k.own_id"
        )

    def _with_owners(self) -> str:
        rows = (
            "FROM design_mockups m LEFT JOIN protokeep_generations g ON g.mockup_id = m.id"
            f" WHERE m.v0_chat_id = c.chat_id AND {self._workspace}"
        )
        return (
            f"SELECT c.*, (SELECT m.id {rows} = c.workspace_id ORDER BY m.id LIMIT 1) AS own_id,"  # noqa: S608
            f" EXISTS (SELECT 1 {rows} <> c.workspace_id) AS is_others,"
            " sg.workspace_id AS surplus_workspace, CAST(sm.product_id AS text) AS surplus_product,"
            " p.pinned_by, p.pinned_at, p.reason AS pin_reason FROM protokeep_census_chats c"
            " LEFT JOIN protokeep_pins p ON p.workspace_id = c.workspace_id AND p.account = c.account"
            " AND p.chat_id = c.chat_id"
            " LEFT JOIN protokeep_surplus_chats s ON s.account = c.account AND s.chat_id = c.chat_id"
            " LEFT JOIN protokeep_generations sg ON sg.mockup_id = s.mockup_id"
            " LEFT JOIN design_mockups sm ON sm.id = s.mockup_id"
            " WHERE c.workspace_id = :workspace_id AND c.account = :account"
        )

    @staticmethod
    def _claim() -> str:
        return (
            "CASE WHEN k.own_id IS NOT NULL THEN 'ours' WHEN k.is_others THEN 'foreign'"
            " WHEN k.surplus_workspace <> k.workspace_id THEN 'foreign'"
            " WHEN k.surplus_workspace IS NOT NULL THEN 'surplus'"
            " WHEN k.mark = 'foreign' OR k.claim = 'foreign' THEN 'foreign'"
            " WHEN k.mark = 'ours' THEN 'lost' ELSE 'nobody' END"
        )

    @staticmethod
    def _kind() -> str:
        """The kind as rows say it now, else as the newest census grouped it."""
        return (
            "CASE WHEN sl.mockup_id IS NOT NULL THEN 'current' WHEN k.own_id IS NOT NULL THEN 'variant'"
            " WHEN k.kind = 'current' THEN 'single' ELSE k.kind END"
        )

    def _remembered(self, key: tuple[Any, ...], compose: Callable[..., str]) -> Statement:
        if key not in self._composed:
            self._composed[key] = Statement(compose(*key))
        return self._composed[key]
