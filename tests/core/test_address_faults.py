"""Which addresses of databases can be taken apart, and that what is said of the others repeats nothing of them."""

from __future__ import annotations

import pytest

from protokeep.core.address_faults import database_fault

HUSH = "hush9f2c7a1b"


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///protokeep.db",
        "sqlite:////var/lib/protokeep.db",
        "sqlite+aiosqlite:///protokeep.db",
        "sqlite:///protokeep.db?mode=rw",
        "postgresql://db/keep",
        "postgres://ann@db/keep",
        "postgresql+asyncpg://ann:pw@db:5432/keep",
        "postgresql://ann:p%40%2F%23w@db:5432/keep?sslmode=require",
        "postgresql://ann:p:w@db/keep",
        "postgresql://ann@one:5432,two:5433/keep",
        "postgresql://ann@[::1]:5432,[::2]/keep",
        "postgresql:///keep?host=/var/run/postgresql",
        "postgresql://ann@%2Fvar%2Frun%2Fpostgresql/keep",
    ],
)
def test_addresses_of_both_databases_are_taken(address: str) -> None:
    """
    Files, hosts with and without ports, several hosts, sockets, and passwords that are written as addresses need it.
    """
    assert database_fault(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        HUSH,
        f"postgresql:{HUSH}@db/keep",
        f"mysql://ann:{HUSH}@db/keep",
        f"sqlite:{HUSH}",
        f"sqlite://{HUSH}",
        f"postgresql://ann:p#{HUSH}@db/keep",
        f"postgresql://ann:p/{HUSH}@db/keep",
        f"postgresql://ann:p?{HUSH}@db/keep",
        f"postgresql://ann:p@{HUSH}@db/keep",
        f"postgresql://ann:{HUSH}@db:x/keep",
        f"postgresql://ann:{HUSH}@db:65536/keep",
        f"postgresql://ann:{HUSH}@[::1/keep",
    ],
)
def test_other_addresses_are_refused_without_a_word_of_them(address: str) -> None:
    """
    A password with signs that end it, a port that is none, and another kind of database.
    """
    fault = database_fault(address)

    assert fault
    assert HUSH not in fault
