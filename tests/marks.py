"""Which databases and which versions of v0's API a test runs with."""

from __future__ import annotations

import pytest

#: Runs a test, or all tests of a class, with each version of v0's API; otherwise `world` speaks v2 on each database.
#: Versions and databases know nothing of each other, so two of the four pairs are enough.
both_versions = pytest.mark.parametrize(
    ("database_url", "api_version"), [("sqlite", 1), ("postgresql", 2)], indirect=["database_url"], ids=["v1", "v2"]
)
#: Runs a test with each version on each kind of database.
every_version_and_database = pytest.mark.parametrize(
    ("database_url", "api_version"),
    [("sqlite", 1), ("sqlite", 2), ("postgresql", 1), ("postgresql", 2)],
    indirect=["database_url"],
    ids=["sqlite-v1", "sqlite-v2", "postgresql-v1", "postgresql-v2"],
)
#: Runs a test on one kind of database only, because the other cannot make a difference to it.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
