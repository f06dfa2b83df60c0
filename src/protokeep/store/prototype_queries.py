"""Queries that depend on the shape of the owner's table, and the one SELECT that makes a prototype of it and ours."""

from __future__ import annotations

from protokeep.core.principals import DEFAULT_WORKSPACE
from protokeep.core.prototype import Status
from protokeep.core.visible_fields import LISTED_PROMPT
from protokeep.store.mapping import GENERATION_COLUMNS
from protokeep.store.owner_table import PHASE_SUBMISSION, OwnerTable
from protokeep.store.sql import Statement, query_text

#: The time of a row whose owner has none, in the form in which SQLite stores times.
NO_TIME = "'1970-01-01T00:00:00.000000Z'"
#: The longest name of a product that is read from the owner's table.
NAME_LENGTH = 200
#: The conditions of an older row that names a chat, or a project whose chat may be found, and that is not tracked yet.
_UNADOPTED = (
    "m.provider = 'v0' AND (m.v0_chat_id <> '' OR m.v0_project_id <> '')"
    " AND NOT EXISTS (SELECT 1 FROM protokeep_generations t WHERE t.mockup_id = m.id)"
)

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
    "phase_submission_id": "phase_submission_id",
}
#: The longest metadata of a row that is read, in characters: a list has up to a hundred rows.
METADATA_MAX = 32_768
_METADATA = f"WHEN length(CAST(m.metadata AS text)) <= {METADATA_MAX} THEN CAST(m.metadata AS text) END"
#: PostgreSQL would unpack long values only to measure them: 440 ms for a hundred of 400,000 characters. Their size on
#: disk is known at once.
_LONG_ON_DISK = f"WHEN pg_column_size(m.metadata) > {2 * METADATA_MAX} THEN NULL"
#: One character more than lists show, so that a cut prompt can be told from a short one.
_BEGINNING_OF_PROMPT = f"substr(m.prompt, 1, {LISTED_PROMPT + 1})"
_IN_SLOT = "JOIN protokeep_slots s ON s.mockup_id = m.id"
_ANY_SLOT = f"LEFT {_IN_SLOT}"
#: The tables of a prototype.
TABLES = (
    "FROM design_mockups m LEFT JOIN protokeep_generations g ON g.mockup_id = m.id "
    f"LEFT JOIN protokeep_accounts a ON a.account = g.account {_ANY_SLOT}"
)

_CURRENT = "WHERE s.workspace_id = :workspace_id AND s.product_id = :product_id AND s.provider = :provider"
_UNKNOWN = "WHERE g.account = :account"
_UNKNOWN_AFTER = (
    " AND (g.created_at > :asked_at OR (g.created_at = :asked_at AND CAST(g.mockup_id AS text) > :asked_id))"
)
_ORDER_OF_ADOPTION = " ORDER BY g.created_at, CAST(g.mockup_id AS text) LIMIT :limit"
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
#: What waits in the bin is no prototype of its product any more.
_NOT_IN_BIN = "g.deletion_due_at IS NULL"
_DUE_IN_BIN = (
    "WHERE g.deletion_due_at IS NOT NULL"  # As the index says.
    " AND ((g.deletion_due_at <= :now AND (g.next_try_at IS NULL OR g.next_try_at <= :now))"
    " OR (g.archive_id IS NULL AND g.next_try_at <= :now))"
    " ORDER BY g.deletion_due_at LIMIT :limit"
)
_IN_BIN = "WHERE g.workspace_id = :workspace_id AND g.deletion_due_at IS NOT NULL"
_IN_BIN_AFTER = " AND (g.deletion_due_at, m.id) > (:after_at, :after_id)"
_ORDER_OF_BIN = " ORDER BY g.deletion_due_at, m.id LIMIT :limit"


class PrototypeQueries:
    """The queries for one shape of the owner's table. `select` ends where a WHERE begins."""

    def __init__(self, shape: OwnerTable) -> None:
        self.shape = shape
        self._metadata = f"CASE {_LONG_ON_DISK if shape.is_postgresql else ''} {_METADATA}"
        self.workspace = workspace_of(shape, "m", "g")
        self.made_at = made_at_of(shape, "m")
        self.columns = self._columns(shape.columns)
        self.select = f"SELECT {self.columns} {TABLES}"
        #: For many rows at a time: prompts of 100,000 characters would fill the memory.
        self.columns_for_lists = self.columns.replace("m.prompt AS", f"{_BEGINNING_OF_PROMPT} AS")
        self.select_for_lists = f"SELECT {self.columns_for_lists} {TABLES}"
        # Thousands of rows at a time, and no poll needs their long texts.
        columns_for_polls = self._columns(shape.columns - {"prompt", "metadata"}, named=False)
        select_for_polls = f"SELECT {columns_for_polls} {TABLES}"
        self.get = Statement(f"{self.select} WHERE m.id = :mockup_id AND {self.workspace} = :workspace_id")
        self.get_unscoped = Statement(f"{self.select} WHERE m.id = :mockup_id")
        self.get_many = Statement(f"{self.select} WHERE m.id IN :ids")
        self.by_chat = Statement(f"{self.select} WHERE m.v0_chat_id = :chat_id")
        self.current = Statement(f"{self.select.replace(_ANY_SLOT, _IN_SLOT)} {_CURRENT}")
        self.newest = Statement(
            f"{self.select} WHERE m.product_id = :product_id AND m.provider = :provider"
            f" AND {self.workspace} = :workspace_id AND {_NOT_IN_BIN}"
            f" ORDER BY {self.made_at} DESC, m.id DESC LIMIT :limit"
        )
        self.due = Statement(f"{select_for_polls} {_DUE}")
        self.due_soon = Statement(f"{select_for_polls} {_DUE_SOON}")
        self.named_by_hooks = Statement(f"{select_for_polls} {_NAMED_BY_HOOKS}")
        self.not_visible = Statement(f"{select_for_polls} {_NOT_VISIBLE}")
        self.due_for_deletion = Statement(f"{self.select} {_DUE_FOR_DELETION}")
        self.due_in_bin = Statement(f"{self.select} {_DUE_IN_BIN}")
        self.in_bin = Statement(f"{self.select_for_lists} {_IN_BIN}{_ORDER_OF_BIN}")
        self.in_bin_after = Statement(f"{self.select_for_lists} {_IN_BIN}{_IN_BIN_AFTER}{_ORDER_OF_BIN}")
        self.unknown = Statement(f"{self.select} {_UNKNOWN}{_ORDER_OF_ADOPTION}")
        self.unknown_after = Statement(f"{self.select} {_UNKNOWN}{_UNKNOWN_AFTER}{_ORDER_OF_ADOPTION}")
        self.young_projects = Statement(
            f"{self.select} {_UNKNOWN} AND COALESCE(m.v0_chat_id, '') = '' AND g.created_at > :since"
            " ORDER BY g.created_at DESC LIMIT :limit"
        )
        self._listings: dict[frozenset[str], Statement] = {}
        self._prepare_writes(shape)

    def _prepare_writes(self, shape: OwnerTable) -> None:
        self.count_unadopted = Statement(f"SELECT count(*) AS number FROM design_mockups m WHERE {_UNADOPTED}")  # noqa: S608 - conditions of ours
        self.adopt_older = self._on_owners_tables("adopt_older")
        self.number_variants = self._on_owners_tables("number_variants")
        self.adopt_one = self._on_owners_tables("adopt_older", only=" AND m.id = :mockup_id")
        has_tenants = shape.has_tenant and shape.products_has_tenant
        self.insert_mockup = self._on_owners_tables("insert_tenant_mockup" if has_tenants else "insert_mockup")
        self.save_mockup = self._on_owners_tables("save_mockup")
        self.save_adopted = self._on_owners_tables("save_mockup", touches=False)
        self.attach_chat_to_mockup = self._on_owners_tables("attach_chat_to_mockup")
        self.find_owner_product = self._on_owners_tables("find_owner_product") if shape.products_table else None

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
            # A word that is missing or unknown reads as pending.
            "status": f"CASE WHEN {status} IN ({', '.join(repr(str(one)) for one in Status)}) THEN {status}"
            " ELSE 'pending' END = :status",
            "user_id": "m.user_id = :user_id",
            "after": f"({self.made_at}, m.id) < (:after_created_at, :after_id)",
        }
        where = ["m.product_id = :product_id", f"{self.workspace} = :workspace_id", _NOT_IN_BIN]
        where += [conditions[name] for name in sorted(filters)]
        order = f"ORDER BY {self.made_at} DESC, m.id DESC LIMIT :limit"
        return Statement(f"{self.select_for_lists} WHERE {' AND '.join(where)} {order}")

    def _columns(self, present: frozenset[str], *, named: bool = True) -> str:
        """All columns of a prototype; a column that is not `present` reads as NULL, and so do the product's name, tags
        and archive if `named` is False.
        """
        columns = [
            *(f"m.{name}" for name in ("id", "product_id", "user_id", "provider")),
            f"{self.made_at} AS created_at",
            *(f"{f'm.{column}' if column in present else 'NULL'} AS {name}" for column, name in _OPTIONAL.items()),
            f"{self._metadata if 'metadata' in present else 'NULL'} AS metadata",
            f"{name_of_product(self.shape, 'm.product_id', self.workspace) if named else 'NULL'} AS product_name",
            f"{tags_of_product(self.shape, self.workspace) if named else 'NULL'} AS tags",
            f"{archived_at_of_product(self.workspace) if named else 'NULL'} AS archived_at",
            *GENERATION_COLUMNS,
            "s.mockup_id AS current_id",
            *(f"a.{name}" for name in ("polling_paused_until", "polling_paused_code", "polling_paused_message")),
        ]
        return ", ".join(columns)

    def _on_owners_tables(self, name: str, *, only: str = "", touches: bool = True) -> Statement:
        """A query file for the owner's tables: with their names, and without columns that they lack.

        `only` narrows the rows. `touches`: the time of the last change is set.
        """
        shape = self.shape
        optional: list[str] = [column for column in ("prompt", "updated_at") if column in shape.columns]
        if shape.has_phase_submission:
            optional.append(PHASE_SUBMISSION)
        if shape.tenants_are_workspaces and not shape.products_has_tenant:
            optional.append("tenant_id")
        touched = touches and "updated_at" in optional
        return Statement(
            query_text(name).format(
                products_table=shape.products_table,
                products_column=shape.products_column,
                columns="".join(f", {column}" for column in optional),
                values="".join(f", :{column}" for column in optional),
                touched=", updated_at = :updated_at" if touched else "",
                of_workspace=f" AND {tenant_of('p')} = :workspace_id"
                if shape.tenants_are_workspaces and shape.products_has_tenant
                else "",
                workspace=workspace_of(shape, "m"),
                made_at=self.made_at,
                unadopted=_UNADOPTED,
                only=only,
            )
        )


def tenant_of(row: str) -> str:
    """The workspace that the tenant of a row of the owner's stands for."""
    return f"COALESCE(CAST({row}.tenant_id AS text), '{DEFAULT_WORKSPACE}')"


def workspace_of(shape: OwnerTable, row: str, generation: str | None = None) -> str:
    """The workspace of a row of design_mockups: its generation's; without one its tenant's, or the default one."""
    others = tenant_of(row) if shape.tenants_are_workspaces else f"'{DEFAULT_WORKSPACE}'"
    return others if generation is None else f"COALESCE({generation}.workspace_id, {others})"


def made_at_of(shape: OwnerTable, row: str) -> str:
    """When a row of design_mockups was made. One without a time counts as older than all others."""
    return f"COALESCE({row}.created_at, {NO_TIME})" if shape.times_may_lack else f"{row}.created_at"


def owners_name(shape: OwnerTable, product: str) -> str | None:
    """The name that the owner's own table has for a product; None: there is no such table, or it has no names."""
    if shape.products_name is None:
        return None
    name = f"substr(CAST(o.{shape.products_name} AS text), 1, {NAME_LENGTH})"
    where = f"o.{shape.products_column} = {product}"
    return f"(SELECT {name} FROM {shape.products_table} o WHERE {where})"  # noqa: S608 - names from the catalogue


def name_of_product(shape: OwnerTable, product: str, workspace: str) -> str:
    """The name of a product: the owner's, else the one that people gave it here."""
    of_product = f"pn.workspace_id = {workspace} AND pn.product_id = {product}"
    given = f"(SELECT pn.name FROM protokeep_products pn WHERE {of_product})"  # noqa: S608 - expressions of ours
    names = owners_name(shape, product)
    return f"COALESCE({names}, {given})" if names else given


def tags_of_product(shape: OwnerTable, workspace: str) -> str:
    """The tags of a row's product with commas between them, in no order; NULL: it has none."""
    joined = "string_agg(pt.tag, ',')" if shape.is_postgresql else "group_concat(pt.tag, ',')"
    where = f"pt.workspace_id = {workspace} AND pt.product_id = m.product_id"
    return f"(SELECT {joined} FROM protokeep_product_tags pt WHERE {where})"  # noqa: S608 - expressions of ours


def archived_at_of_product(workspace: str) -> str:
    """When a row's product was archived; NULL: it is not."""
    where = f"pa.workspace_id = {workspace} AND pa.product_id = m.product_id"
    return f"(SELECT pa.archived_at FROM protokeep_archived_products pa WHERE {where})"  # noqa: S608 - of ours
