"""The query files, read once, and the one SELECT that makes a prototype of the owner's table and ours."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from protokeep.store.mapping import GENERATION_COLUMNS
from protokeep.store.owner_table import OwnerTable
from protokeep.store.sql import Statement

#: The workspace of rows that were in the owner's table before us.
DEFAULT_WORKSPACE = "default"

#: Columns of the owner's table that may be missing there, and the names we know them by.
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

#: Columns of a generation that are not read under their own names.
_ELSE = {
    "workspace_id": f"COALESCE(g.workspace_id, '{DEFAULT_WORKSPACE}') AS workspace_id",
    "created_at": "g.created_at AS claimed_at",
}
_GENERATION = [_ELSE.get(column, f"g.{column}") for column in GENERATION_COLUMNS]


@cache
def query(name: str) -> Statement:
    """The statement in `queries/<name>.sql`."""
    return Statement(_source(name))


def _source(name: str) -> str:
    return files("protokeep.store").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


class PrototypeQueries:
    """What depends on the shape of the owner's table, made once per shape."""

    def __init__(self, shape: OwnerTable) -> None:
        self.shape = shape
        columns = ["m.id", "m.product_id", "m.user_id", "m.provider", "m.created_at"]
        columns += [
            f"m.{column} AS {name}" if column in shape.columns else f"NULL AS {name}"
            for column, name in _OPTIONAL.items()
        ]
        columns += _GENERATION
        columns += [
            "s.mockup_id AS current_id",
            "a.polling_paused_until AS slowed_until",
            "a.polling_paused_code AS slowed_code",
            "a.polling_paused_message AS slowed_message",
        ]
        #: Everything that makes a prototype, in the order that `rows` knows, up to where a WHERE begins.
        self.select = (
            f"SELECT {', '.join(columns)} FROM design_mockups m "  # noqa: S608 - names from the catalogue
            "LEFT JOIN protokeep_generations g ON g.mockup_id = m.id "
            "LEFT JOIN protokeep_accounts a ON a.account = g.account "
            "LEFT JOIN protokeep_slots s ON s.mockup_id = m.id "
        )
        mine = f"COALESCE(g.workspace_id, '{DEFAULT_WORKSPACE}') = :workspace_id"
        self.get = self._prototypes(f"WHERE m.id = :mockup_id AND {mine}")
        self.get_any = self._prototypes("WHERE m.id = :mockup_id")
        self.by_chat = self._prototypes("WHERE m.v0_chat_id = :chat_id")
        self.current = Statement(
            self.select.replace("LEFT JOIN protokeep_slots s ON s.mockup_id = m.id", "")
            + "JOIN protokeep_slots s ON s.mockup_id = m.id WHERE s.workspace_id = :workspace_id "
            "AND s.product_id = :product_id AND s.provider = :provider"
        )
        self.newest = self._prototypes(
            f"WHERE m.product_id = :product_id AND m.provider = :provider AND {mine} "
            "ORDER BY m.created_at DESC, m.id DESC LIMIT :limit"
        )
        # Thousands of rows at a time: without the prompts, which no look needs.
        self.due = Statement(
            self.select.replace("m.prompt AS prompt", "NULL AS prompt")
            + "WHERE g.account = :account AND g.next_poll_at <= :now AND m.v0_chat_id IS NOT NULL "
            "ORDER BY g.next_poll_at LIMIT :limit"
        )
        self.due_soon = Statement(
            self.select.replace("m.prompt AS prompt", "NULL AS prompt")
            + "WHERE g.account = :account AND g.next_poll_at > :now AND g.next_poll_at <= :until "
            "AND g.api_version = :api_version AND m.v0_chat_id IS NOT NULL"
        )
        self.told_by_hooks = Statement(
            self.select.replace("m.prompt AS prompt", "NULL AS prompt")
            + "WHERE g.account = :account AND g.next_poll_at <= :now AND g.api_version = :api_version "
            "AND m.v0_chat_id IS NOT NULL AND g.hook_received_at IS NOT NULL "
            "AND (g.observed_at IS NULL OR g.hook_received_at > g.observed_at) "
            "AND (g.last_missing_at IS NULL OR g.hook_received_at > g.last_missing_at) "
            "ORDER BY g.hook_received_at LIMIT :limit"
        )
        self.away = Statement(
            self.select.replace("m.prompt AS prompt", "NULL AS prompt")
            + "WHERE g.account = :account AND g.next_poll_at > :until AND g.api_version = :api_version "
            "AND g.missing_since IS NOT NULL AND m.v0_chat_id IS NOT NULL ORDER BY g.next_poll_at LIMIT :limit"
        )
        self.to_remove = self._prototypes(
            "WHERE g.deletion_requested_at IS NOT NULL AND g.recovery_point IN ('accepted', 'settled') "
            "AND (g.next_try_at IS NULL OR g.next_try_at <= :now) ORDER BY g.deletion_requested_at LIMIT :limit"
        )
        self.these = self._prototypes("WHERE m.id IN :ids")
        self.insert_mockup = (
            self._owners("insert_mockup_of_tenant")
            if shape.has_tenant and shape.products_has_tenant
            else self._owners("insert_mockup")
        )
        self.save_mockup = self._owners("save_mockup")
        self.give_chat_to_mockup = self._owners("give_chat_to_mockup")
        self.find_owners_product = self._owners("find_owners_product") if shape.products_table else None
        self._lists: dict[frozenset[str], Statement] = {}
        self._free_slots: dict[int, Statement] = {}

    def listing(self, filters: frozenset[str]) -> Statement:
        """Prototypes of a product, newest first; `filters` out of provider, status, user_id, after."""
        if filters not in self._lists:
            status = "m.project_status" if "project_status" in self.shape.columns else "NULL"
            conditions = {
                "provider": "m.provider = :provider",
                "status": f"COALESCE({status}, 'pending') = :status",
                "user_id": "m.user_id = :user_id",
                "after": "(m.created_at, m.id) < (:after_created_at, :after_id)",
            }
            where = [
                "m.product_id = :product_id",
                f"COALESCE(g.workspace_id, '{DEFAULT_WORKSPACE}') = :workspace_id",
                *(conditions[name] for name in sorted(filters)),
            ]
            self._lists[filters] = self._prototypes(
                f"WHERE {' AND '.join(where)} ORDER BY m.created_at DESC, m.id DESC LIMIT :limit"
            )
        return self._lists[filters]

    def claim_free_slot(self, caps: int) -> Statement:
        """The place of a product that nothing was made for, where none of so many caps forbids it."""
        if caps not in self._free_slots:
            conditions = [f"NOT EXISTS ({_source('cap_reached').format(number=number)})" for number in range(caps)]
            if self.find_owners_product is not None:
                conditions.append(
                    f"EXISTS ({self.find_owners_product.text.replace(':product_id', ':known_product_id')})"
                )
            also = "".join(f"\n  AND {condition}" for condition in conditions)
            self._free_slots[caps] = self._owners("claim_free_slot", also=also)
        return self._free_slots[caps]

    def _prototypes(self, rest: str) -> Statement:
        return Statement(self.select + rest)

    def _owners(self, name: str, **more: str) -> Statement:
        """A statement on the owner's tables: under their names, and without the columns that they lack."""
        shape = self.shape
        written = {"prompt": ":prompt", "updated_at": ":now"}
        there = [column for column in written if column in shape.columns]
        words = {
            "products_table": shape.products_table,
            "products_column": shape.products_column,
            "columns": "".join(f", {column}" for column in there),
            "values": "".join(f", {written[column]}" for column in there),
            "touched": ", updated_at = :now" if "updated_at" in there else "",
        }
        return Statement(_source(name).format(**words, **more))
