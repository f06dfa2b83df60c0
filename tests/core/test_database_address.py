"""Addresses of databases in the forms of the owner's other programs."""

from __future__ import annotations

import pytest

from protokeep.core.database_address import plain_address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql+asyncpg://u:p%40@h:1/d", "postgresql://u:p%40@h:1/d"),
        ("postgres://h/d?sslmode=require", "postgresql://h/d?sslmode=require"),
        ("postgresql+asyncpg://h/d?ssl=require", "postgresql://h/d?sslmode=require"),
        ("postgresql+asyncpg://h/d?ssl=true&prepared_statement_cache_size=0", "postgresql://h/d?sslmode=require"),
        ("postgresql+psycopg2://h/d?application_name=old", "postgresql://h/d?application_name=old"),
        ("postgresql://h/d?search_path=app%2Cpublic", "postgresql://h/d?search_path=app%2Cpublic"),
        ("sqlite+aiosqlite:////var/x.db", "sqlite:////var/x.db"),
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("mysql://h/d", "mysql://h/d"),
        ("nothing", "nothing"),
    ],
)
def test_every_form_of_an_address_is_read_as_the_plain_one(address: str, expected: str) -> None:
    """
    Drivers and parameters of SQLAlchemy's go; everything else stays, and other databases are left as they are.
    """
    assert plain_address(address) == expected
