"""What `protokeep adopt --check` says of a database that was read."""

from __future__ import annotations

from typing import Any

import pytest

from protokeep.adoption import report
from protokeep.settings import Settings
from protokeep.store.owner_changes import Change
from protokeep.store.owner_survey import Counts, Survey

FULL = dict.fromkeys(("id", "product_id", "user_id", "provider"), "uuid")


def survey_of(**values: Any) -> Survey:
    """A table on PostgreSQL on which everything works."""
    known = {"server": "PostgreSQL 15", "migrated": False, "table": "public.design_mockups", "role": "app"}
    return Survey(**{**known, "columns": FULL, "counts": Counts(rows=2_000_000), **values})


def settings_of(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def remarks(found: Survey, **settings: Any) -> str:
    return "\n".join(f"{one.level}: {one.text}" for one in report(found, settings_of(**settings)).remarks)


def test_an_index_says_how_long_it_takes_and_that_nobody_waits() -> None:
    """
    Time grows with the rows; a change of the table is a matter of milliseconds, however large it is.
    """
    changes = (
        Change("ALTER TABLE design_mockups ADD COLUMN v0_chat_id text", "everybody"),
        Change("CREATE INDEX CONCURRENTLY i ON design_mockups (id)", "nobody", index="i"),
    )

    waits = [step.waits for step in report(survey_of(changes=changes), settings_of()).steps]

    assert waits[1:] == ["everyone waits for milliseconds", "nobody waits; about 8.0 s"]


def test_on_sqlite_no_statement_is_said_to_give_way() -> None:
    """
    There others wait for the whole migration, so the check promises nothing else.
    """
    on_sqlite = report(survey_of(server="SQLite 3.40.1", role=""), settings_of())

    assert "waits for those who write" in on_sqlite.patience
    assert "makes room" not in on_sqlite.patience
    assert "makes room" in report(survey_of(), settings_of()).patience


def test_own_mode_announces_no_statement_on_the_owners_table() -> None:
    """
    With PROTOKEEP_MIGRATE=own only our tables are announced, and what is left to the owner is said.
    """
    found = survey_of(changes=(Change("ALTER TABLE design_mockups ADD COLUMN x text", "everybody"),), is_owner=False)

    own = report(found, settings_of(migrate="own"))

    assert all("ALTER" not in step.sql for step in own.steps)
    assert own.works
    assert "a create answers 503" in remarks(found, migrate="own")
    assert "does not own" in remarks(found)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"busy": ((12, "old-backend", 90),)}, "note: process 12 (old-backend) has had a transaction open for 90 s"),
        ({"publications": ("all_tables",)}, "note: design_mockups is replicated by all_tables"),
        ({"web_roles": ("anon",)}, "note: anon may read design_mockups"),
        ({"counts": Counts(tenants=3)}, "note: 3 tenants would share the workspace"),
        ({"counts": Counts(with_chat=9, chats=7)}, "note: without a v0 key, the 7 chats"),
        ({"may_read_products": False, "products_table": "products"}, "broken: app may not read products"),
        ({"in_metadata": 8, "copy_chats": "UPDATE x"}, "note: 8 rows name their chat in metadata only"),
        ({"may_create": False}, "broken: app lacks CREATE on the schema"),
        ({"kind": "p"}, "broken: design_mockups is a partitioned table"),
    ],
)
def test_what_one_should_know_is_said(values: dict[str, Any], words: str) -> None:
    """
    Each circumstance has its line, and nothing is said where there is none.
    """
    assert words in remarks(survey_of(**values))
    assert remarks(survey_of()) == ""


def test_tenants_that_are_workspaces_need_no_remark() -> None:
    """
    With the workspace claim set, nothing is left to say about tenants.
    """
    assert remarks(survey_of(counts=Counts(tenants=3)), claim_workspace="tenant_id") == ""
