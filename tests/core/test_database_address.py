"""Addresses of databases in the forms of the owner's other programs."""

from __future__ import annotations

import inspect

import pytest
from asyncpg import connect_utils

from protokeep.core.database_address import parameter_fault, plain_address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql+asyncpg://u:p%40@h:1/d", "postgresql://u:p%40@h:1/d"),
        ("postgres://h/d?sslmode=require", "postgresql://h/d?sslmode=require"),
        ("postgresql+asyncpg://h/d?ssl=require", "postgresql://h/d?sslmode=require"),
        ("postgresql+asyncpg://h/d?ssl=true&prepared_statement_cache_size=0", "postgresql://h/d?sslmode=require"),
        ("postgresql+psycopg2://h/d?application_name=old", "postgresql://h/d?application_name=old"),
        ("postgresql://h/d?search_path=app%2Cpublic", "postgresql://h/d?search_path=app%2Cpublic"),
        (  # Neon
            "postgresql://u:p@ep-a-1-pooler.eu.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
            "postgresql://u:p@ep-a-1-pooler.eu.aws.neon.tech/neondb?sslmode=require",
        ),
        (  # Supabase, as it prints it for Prisma
            "postgresql://postgres.ref:p@aws-0-eu.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1",
            "postgresql://postgres.ref:p@aws-0-eu.pooler.supabase.com:6543/postgres",
        ),
        (
            "postgres://u:p@ec2.compute.amazonaws.com:5432/d?ssl=no-verify",
            "postgresql://u:p@ec2.compute.amazonaws.com:5432/d?sslmode=require",
        ),
        (
            "postgresql://a:1,b:2/d?target_session_attrs=read-write&connect_timeout=10&keepalives=1&keepalives_idle=30",
            "postgresql://a:1,b:2/d?target_session_attrs=read-write",
        ),
        (
            "postgresql://h/d?schema=app&options=-csearch_path%3Dpk",
            "postgresql://h/d?search_path=app&options=-csearch_path%3Dpk",
        ),
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


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("postgresql://u:hush@h/d?sslmode=on", "sslmode"),
        ("postgresql://u:hush@h/d?target_session_attrs=writer", "target_session_attrs"),
        ("postgresql://u:hush@h/d?replication=database", "replication"),
        ("postgresql://u:hush@h/d?require_auth=scram-sha-256", "require_auth"),
        ("postgresql://h/d?port=x", "port"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(address: str, part: str) -> None:
    """
    In one line that repeats nothing of the address.
    """
    fault = parameter_fault(plain_address(address))

    assert fault is not None
    assert f" {part}" in fault
    assert "hush" not in fault
    assert parameter_fault(plain_address("postgresql://u:hush@h/d?sslmode=verify-full&options=-cx%3D1")) is None


def test_the_driver_takes_every_parameter_that_is_kept() -> None:
    """
    What is neither dropped nor renamed is a parameter of the driver, or is sent to the server as a setting.
    """
    ours = {"sslmode", "target_session_attrs", "sslnegotiation"}
    parser = inspect.getsource(connect_utils._parse_connect_dsn_and_args)

    assert {name for name in ours if f"'{name}' in query" not in parser} == set()
    assert not any(f"'{name}' in query" in parser for name in ("channel_binding", "pgbouncer", "keepalives"))
