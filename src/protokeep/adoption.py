"""Says what an owner's database is, what a migration would do to it, and what will not work. Decides nothing else.

`protokeep adopt --check` prints it before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from protokeep.settings import Settings
from protokeep.store.owner_changes import ATTEMPT_SECONDS, Change
from protokeep.store.owner_survey import Counts, Survey
from protokeep.store.owner_table import TRACKING_COLUMNS
from protokeep.store.revisions import LOCK_WAIT_SECONDS, OWN_GRANTS, TABLE_WAIT_SECONDS

Level = Literal["broken", "note"]

#: Building an index takes about so long per million rows, on the machine of `benchmarks.migration`.
INDEX_SECONDS = 4.0
#: The columns without which a row is no prototype.
NEEDED = ("id", "product_id", "user_id", "provider")
ID_TYPES = ("uuid", "text", "character varying", "varchar", "char", "")
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "p": "a partitioned table"}


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a migration, and who waits for it how long."""

    sql: str
    waits: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that will not work (`broken`), or that one should know (`note`), and what to do about it."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, what would be done, and what to do about it."""

    facts: tuple[str, ...]
    steps: tuple[Step, ...]
    remarks: tuple[Remark, ...]
    on_sqlite: bool = False

    @property
    def patience(self) -> str:
        """What becomes of a statement that has to wait for the table, as a sentence."""
        if self.on_sqlite:
            return f"It waits for those who write, for up to {LOCK_WAIT_SECONDS} s."
        return (
            f"A statement that is not given its lock within {ATTEMPT_SECONDS} s makes room for others and tries again, "
            f"for up to {TABLE_WAIT_SECONDS} s."
        )

    @property
    def works(self) -> bool:
        """Whether nothing stands in the way."""
        return all(remark.level != "broken" for remark in self.remarks)


def report(found: Survey, settings: Settings) -> Report:
    """The report on a database, for a protokeep with these settings."""
    steps = () if found.migrated else tuple(_steps(found, is_own=settings.migrate == "own"))
    remarks = tuple(_remarks(found, settings)) if found.table else ()
    return Report(tuple(_facts(found)), steps, remarks, on_sqlite=found.on_sqlite)


def _facts(found: Survey) -> Iterator[str]:
    yield f"{found.server}" + (f", as role {found.role}" if found.role else "")
    if found.table is None:
        yield "There is no design_mockups: a migration creates it."
        return
    owner = f", owned by {found.owner}" if found.owner else ""
    yield f"{found.table}: {found.rows:,} rows, {_size(found.bytes)}{owner}"
    yield _generation(found)
    if found.counts is None:
        yield "The rows could not be counted: the table is very large, or the role may not read it."
        return
    yield from _counts(found.counts)
    if found.products_table:
        names = ", which has their names" if found.products_have_names else ""
        yield f"products are rows of {found.products_table}{names}"
    if found.triggers:
        yield f"triggers of yours: {', '.join(found.triggers)}"
    if found.policies:
        yield f"policies of row-level security: {', '.join(found.policies)}"


def _generation(found: Survey) -> str:
    if found.migrated:
        return "It has been migrated: there is nothing to do."
    if len(found.tracked) == len(TRACKING_COLUMNS):
        return "It has all four tracking columns."
    if found.tracked:
        return f"It has some of the tracking columns ({', '.join(found.tracked)}): they keep what they hold."
    return "It has no tracking columns" + (", and has tenants." if "tenant_id" in found.columns else " and no tenants.")


def _counts(counts: Counts) -> Iterator[str]:
    tenants = f", {counts.tenants:,} tenants" if counts.tenants else ""
    yield f"{counts.products:,} products, {counts.people:,} people{tenants}"
    if counts.providers:
        yield "app builders: " + ", ".join(f"{name} {rows:,}" for name, rows in counts.providers.items())
    if counts.with_chat:
        yield f"{counts.with_chat:,} rows name a chat, {counts.chats:,} chats in all"
    if counts.with_project_only:
        yield f"{counts.with_project_only:,} rows name a v0 project and no chat: its chat is looked up"
    kinds = {
        "have no time of creation": counts.without_date,
        "have no person": counts.without_person,
        "have no tenant": counts.without_tenant,
        "have no status, which reads as pending": counts.without_status,
        "have a status of another word, which reads as pending": counts.unknown_status,
    }
    for words, rows in kinds.items():
        if rows:
            yield f"{rows:,} rows {words}"


def _steps(found: Survey, *, is_own: bool) -> Iterator[Step]:
    on_sqlite = found.on_sqlite
    moment = "everyone waits for milliseconds" if not on_sqlite else "writers wait for the whole migration"
    references = "writers wait for milliseconds" if found.table and not on_sqlite else moment
    tables = "CREATE TABLE protokeep_..." + ("" if on_sqlite else " and the tables of PgQueuer")
    yield Step(f"{tables} (nothing else outside of design_mockups)", references)
    if found.table is None:
        yield Step("CREATE TABLE design_mockups with its indexes", "nobody waits: it is new")
    elif not is_own:
        yield from (Step(change.sql, _waits(change, found.rows, moment)) for change in found.changes)


def _waits(change: Change, rows: int, moment: str) -> str:
    if change.holds != "nobody":
        return moment
    if change.index or "VALIDATE" in change.sql:
        return f"nobody waits; about {max(rows / 1_000_000 * INDEX_SECONDS, 0.1):.1f} s"
    return "nobody waits"


def _remarks(found: Survey, settings: Settings) -> Iterator[Remark]:
    yield from _remarks_on_shape(found)
    yield from _remarks_on_rights(found, settings)
    yield from _remarks_on_settings(found, settings)
    if found.publications and len(found.tracked) < len(TRACKING_COLUMNS):
        fix = "add the four columns to the table of every subscriber first, or replication stops"
        yield Remark("note", f"design_mockups is replicated by {', '.join(found.publications)}", fix)
    if found.in_metadata:
        text = f"{found.in_metadata:,} rows name their chat in metadata only: a click would make a second prototype"
        yield Remark(
            "note", text, f"after the migration, copy it, which protokeep does not do to your rows: {found.copy_chats}"
        )
    for process, program, seconds in found.busy:
        who = f"process {process}" + (f" ({program})" if program else "")
        yield Remark("note", f"{who} has had a transaction open for {seconds} s", "a migration waits until it ends")


def _remarks_on_shape(found: Survey) -> Iterator[Remark]:
    if found.kind in KINDS:
        fix = "give protokeep a plain table of that name, or another schema first in the search_path of its address"
        yield Remark("broken", f"design_mockups is {KINDS[found.kind]}", fix)
    for name in NEEDED:
        if name not in found.columns:
            yield Remark("broken", f"design_mockups has no column {name}", "add it")
    for name in ("id", "product_id"):
        kind = found.columns.get(name, "").partition("(")[0].lower()
        if name in found.columns and kind not in ID_TYPES:
            yield Remark("broken", f"design_mockups.{name} is {kind}: ids may be uuid or text", "use another database")
    if not found.id_is_unique:
        yield Remark("broken", "design_mockups.id is not unique", "add a primary key or a unique constraint")
    for name in found.required_unknown:
        text = f"design_mockups.{name} requires a value that protokeep does not have: a create fails"
        yield Remark("broken", text, f"ALTER TABLE design_mockups ALTER COLUMN {name} DROP NOT NULL, or SET DEFAULT")


def _remarks_on_rights(found: Survey, settings: Settings) -> Iterator[Remark]:
    is_own = settings.migrate == "own"
    if not found.is_owner and not is_own and not found.migrated:
        fix = f"migrate as {found.owner}, or set PROTOKEEP_MIGRATE=own and let {found.owner} apply `migrate --sql`"
        yield Remark("broken", f"{found.role} does not own design_mockups and cannot add columns or indexes", fix)
    if found.lacks or not found.may_create:
        lacking = [*found.lacks, *([] if found.may_create else ["CREATE on the schema"])]
        grants = OWN_GRANTS.replace("<role>", found.role).replace("<schema>", str(found.table).partition(".")[0])
        yield Remark("broken", f"{found.role} lacks {', '.join(lacking)}", f"as their owner: {grants}")
    if not found.may_read_products:
        fix = f"as its owner: GRANT SELECT ON {found.products_table} TO {found.role}"
        yield Remark("broken", f"{found.role} may not read {found.products_table}, where products are looked up", fix)
    if found.is_bound:
        fix = f"use the role {found.owner}, or: ALTER ROLE {found.role} BYPASSRLS"
        yield Remark("broken", f"row-level security hides rows from {found.role}", fix)
    for role in found.web_roles:
        if not found.has_row_security:
            text = f"{role} may read design_mockups, and nothing hides rows from it"
            yield Remark("note", text, "ALTER TABLE design_mockups ENABLE ROW LEVEL SECURITY")


def _remarks_on_settings(found: Survey, settings: Settings) -> Iterator[Remark]:
    if settings.migrate == "own" and len(found.tracked) < len(TRACKING_COLUMNS):
        fix = "apply what `protokeep migrate --sql` prints with the tool that migrates your tables"
        yield Remark("note", "until the tracking columns are there, reads work and a create answers 503", fix)
    counts = found.counts or Counts()
    if counts.tenants > 1 and not settings.maps_tenants:
        fix = "PROTOKEEP_CLAIM_WORKSPACE=tenant_id, if that is the claim of your JWTs that names the tenant"
        yield Remark("note", f"{counts.tenants:,} tenants would share the workspace `default`", fix)
    if counts.with_chat and settings.v0_api_key is None:
        fix = "set V0_API_KEY to the key that paid for them, or import people's keys with `protokeep keys`"
        yield Remark("note", f"without a v0 key, the {counts.chats:,} chats cannot be checked", fix)


def _size(number: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 10_000:
            return f"{number:,} {unit}"
        number //= 1000
    return f"{number:,} GB"
