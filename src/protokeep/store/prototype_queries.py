"""Queries that depend on the shape of the owner's table, and the one SELECT that makes a prototype of it and ours."""

from __future__ import annotations

from protokeep.core.principals import DEFAULT_WORKSPACE
from protokeep.core.visible_fields import LISTED_PROMPT
from protokeep.store.mapping import GENERATION_COLUMNS
from protokeep.store.owner_table import OwnerTable
from protokeep.store.sql import Statement, query_text

#: The workspace of a generation `g`, or of a row that has none.
WORKSPACE = f"COALESCE(g.workspace_id, '{DEFAULT_WORKSPACE}')"

#: Columns that an owner's table may lack, and their names in a row.
_OPTIONAL = {
    "prompt": "prompt",
    "updated_at": "updated_at",
    "v0_chat_id": "chat_id",
    "v0_project_id": "project_id",
    "project_status": "status",
    "project_url": "project_url",
    "image_url": "image_url",
    "thumbnail_url": "thumbnail_url",
}
#: One character more than lists show, so that a cut prompt can be told from a short one.
_BEGINNING_OF_PROMPT = f"substr(m.prompt, 1, {LISTED_PROMPT + 1})"
_IN_SLOT = "JOIN protokeep_slots s ON s.mockup_id = m.id"
_ANY_SLOT = f"LEFT {_IN_SLOT}"

_CURRENT = "WHERE s.workspace_id = :workspace_id AND s.product_id = :product_id AND s.provider = :provider"
_NEWEST = (
    f"WHERE m.product_id = :product_id AND m.provider = :provider AND {WORKSPACE} = :workspace_id"
    " ORDER BY m.created_at DESC, m.id DESC LIMIT :limit"
)
_DUE = (
    "WHERE g.account = :account AND g.next_poll_at <= :now AND m.v0_chat_id IS NOT NULL"
    " ORDER BY g.next_poll_at LIMIT :limit"
)
_DUE_SOON = (
    "WHERE g.account = :account AND g.next_poll_at > :now AND g.next_poll_at <= :until"
    " AND g.api_version = :api_version AND m.v0_chat_id IS NOT NULL"
)
_NAMED_BY_HOOKS = (
    "WHERE g.account = :account AND g.next_poll_at <= :now AND g.api_version = :api_version"
    " AND m.v0_chat_id IS NOT NULL AND g.hook_received_at IS NOT NULL"
    " AND (g.observed_at IS NULL OR g.hook_received_at > g.observed_at)"
    " AND (g.last_missing_at IS NULL OR g.hook_received_at > g.last_missing_at)"
    " ORDER BY g.hook_received_at LIMIT :limit"
)
_NOT_VISIBLE = (
    "WHERE g.account = :account AND g.next_poll_at > :until AND g.api_version = :api_version"
    " AND g.missing_since IS NOT NULL AND m.v0_chat_id IS NOT NULL ORDER BY g.next_poll_at LIMIT :limit"
)
_DUE_FOR_DELETION = (
    "WHERE g.deletion_requested_at IS NOT NULL AND g.recovery_point IN ('accepted', 'settled')"
    " AND (g.next_try_at IS NULL OR g.next_try_at <= :now) ORDER BY g.deletion_requested_at LIMIT :limit"
)


class PrototypeQueries:
    """The queries for one shape of the owner's table. `select` ends where a WHERE begins."""

    def __init__(self, shape: OwnerTable) -> None:
        self.shape = shape
        self.select = self._select(shape.columns)
        #: For many rows at a time: prompts of 100,000 characters would fill the memory.
        self.select_for_lists = self.select.replace("m.prompt AS", f"{_BEGINNING_OF_PROMPT} AS")
        # Thousands of rows at a time, and no poll needs their prompts.
        select_without_prompt = self._select(shape.columns - {"prompt"})
        self.get = Statement(f"{self.select} WHERE m.id = :mockup_id AND {WORKSPACE} = :workspace_id")
        self.get_unscoped = Statement(f"{self.select} WHERE m.id = :mockup_id")
        self.get_many = Statement(f"{self.select} WHERE m.id IN :ids")
        self.by_chat = Statement(f"{self.select} WHERE m.v0_chat_id = :chat_id")
        self.current = Statement(f"{self.select.replace(_ANY_SLOT, _IN_SLOT)} {_CURRENT}")
        self.newest = Statement(f"{self.select} {_NEWEST}")
        self.due = Statement(f"{select_without_prompt} {_DUE}")
        self.due_soon = Statement(f"{select_without_prompt} {_DUE_SOON}")
        self.named_by_hooks = Statement(f"{select_without_prompt} {_NAMED_BY_HOOKS}")
        self.not_visible = Statement(f"{select_without_prompt} {_NOT_VISIBLE}")
        self.due_for_deletion = Statement(f"{self.select} {_DUE_FOR_DELETION}")
        has_tenants = shape.has_tenant and shape.products_has_tenant
        self.insert_mockup = self._on_owners_tables("insert_tenant_mockup" if has_tenants else "insert_mockup")
        self.save_mockup = self._on_owners_tables("save_mockup")
        self.attach_chat_to_mockup = self._on_owners_tables("attach_chat_to_mockup")
        self.find_owner_product = self._on_owners_tables("find_owner_product") if shape.products_table else None
        self._listings: dict[frozenset[str], Statement] = {}

    def listing(self, filters: frozenset[str]) -> Statement:
        """Prototypes of a product, newest first, with the beginnings of their prompts.

        `filters` is a subset of provider, status, user_id and after.
        """
        if filters not in self._listings:
            self._listings[filters] = self._listing(filters)
        return self._listings[filters]

    def _listing(self, filters: frozenset[str]) -> Statement:
        status = "m.project_status" if "project_status" in self.shape.columns else "NULL"
        conditions = {
            "provider": "m.provider = :provider",
            "status": f"COALESCE({status}, 'pending') = :status",
            "user_id": "m.user_id = :user_id",
            "after": "(m.created_at, m.id) < (:after_created_at, :after_id)",
        }
        where = ["m.product_id = :product_id", f"{WORKSPACE} = :workspace_id"]
        where += [conditions[name] for name in sorted(filters)]
        order = "ORDER BY m.created_at DESC, m.id DESC LIMIT :limit"
        return Statement(f"{self.select_for_lists} WHERE {' AND '.join(where)} {order}")

    def _select(self, present: frozenset[str]) -> str:
        """The SELECT of all columns of a prototype; a column that is not `present` reads as NULL."""
        columns = [
            *(f"m.{name}" for name in ("id", "product_id", "user_id", "provider", "created_at")),
            *(f"{f'm.{column}' if column in present else 'NULL'} AS {name}" for column, name in _OPTIONAL.items()),
            *GENERATION_COLUMNS,
            "s.mockup_id AS current_id",
            *(f"a.{name}" for name in ("polling_paused_until", "polling_paused_code", "polling_paused_message")),
        ]
        return (
            f"SELECT {', '.join(columns)} FROM design_mockups m "  # noqa: S608 - names from the catalogue
            "LEFT JOIN protokeep_generations g ON g.mockup_id = m.id "
            f"LEFT JOIN protokeep_accounts a ON a.account = g.account {_ANY_SLOT}"
        )

    def _on_owners_tables(self, name: str) -> Statement:
        """A query file for the owner's tables: with their names, and without columns that they lack."""
        shape = self.shape
        optional = [column for column in ("prompt", "updated_at") if column in shape.columns]
        return Statement(
            query_text(name).format(
                products_table=shape.products_table,
                products_column=shape.products_column,
                columns="".join(f", {column}" for column in optional),
                values="".join(f", :{column}" for column in optional),
                touched=", updated_at = :updated_at" if "updated_at" in optional else "",
            )
        )
