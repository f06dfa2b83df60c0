"""What every test may ask for. Databases are real: migrated once per run, and copied per test."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpcore2
import pytest
import structlog
from hypothesis import HealthCheck, settings

from fake_issuer import FakeIssuer, issuing
from postgres import PostgresServer, in_thread
from protokeep.store.migrate import migrate
from sandbox.v0_contract import MISSING, Document, documents_present
from world import Site, World

# How long an example takes says how busy the machine is, and nothing of the code.
# `make test` draws the same examples each time, so that a change passes or fails for what it does. The targets that
# search for long (`make schedules`, `fuzz`, `parsers`, `cleanups`) draw new ones.
settings.register_profile(
    "same examples", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("new examples", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("new examples" if os.environ.get("PROTOKEEP_NEW_EXAMPLES") else "same examples")

# The certificates that an environment names are read once: reading takes 20 ms, and clients of tests speak plain HTTP.
_read_certificates = httpcore2.default_ssl_context


@functools.cache
def _certificates(_environment: tuple[str | None, ...], trust_env: bool) -> ssl.SSLContext:
    return _read_certificates(_trust_env=trust_env)


def _known_certificates(*, _trust_env: bool = True) -> ssl.SSLContext:
    return _certificates(tuple(map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))), _trust_env)


httpcore2.default_ssl_context = _known_certificates
# What tests do not look at is written plainly. Drawing one traceback with its source and values takes 80 ms.
structlog.configure(
    [
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

# The modules of the tests are a large heap, and looking through it for garbage took a sixth of the processor time.
gc.set_threshold(20_000, 20, 20)

# Databases. All fixtures are plain functions, so that tests of either kind may use them.


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The run's PostgreSQL server, started when the first test needs it."""
    server = PostgresServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pg_template(postgres: PostgresServer) -> str:
    """A migrated PostgreSQL database that tests' databases are copied from. Connect to copies only."""
    url = postgres.create_database()
    in_thread(lambda: migrate(url))
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests' files are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    in_thread(lambda: migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def pg_url(postgres: PostgresServer, pg_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of the test's own."""
    url = postgres.create_database(template=pg_template)
    yield url
    postgres.drop_database(url)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of the test's own."""
    shutil.copy(sqlite_template, tmp_path / "protokeep.db")
    return f"sqlite:///{tmp_path / 'protokeep.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of the test's own; the test runs on each kind."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "pg_url"))


@pytest.fixture
def empty_pg_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database of the test's own."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of the test's own; the test runs on each kind."""
    return str(request.getfixturevalue("empty_sqlite_url" if request.param == "sqlite" else "empty_pg_url"))


# The world of world.py: everything but the jobs.


@pytest.fixture(scope="session")
def documents() -> dict[str, Document]:
    """v0's documents by version; empty, and said so at the end, when they are missing."""
    return {api: Document(api) for api in ("v1", "v2")} if documents_present() else {}


@pytest.fixture
def api_version() -> int:
    """The version of v0's API that new prototypes are made with. `world.both_versions` runs a test with each."""
    return 2


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, database_url: str, api_version: int, documents: dict[str, Document]
) -> AsyncIterator[World]:
    """Database, emulated v0 and one process of protokeep, on one clock; the test runs on each kind of database.

    `@pytest.mark.world(...)` holds arguments of `World.open`; `checked=True` holds all calls against v0's documents.
    """
    marker = request.node.get_closest_marker("world")
    options = dict(marker.kwargs) if marker else {}
    checked = options.pop("checked", False)
    async with World.open(database_url, api_version, documents=documents if checked else None, **options) as opened:
        yield opened


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    """The web application of that world on a real port."""
    async with world.serving() as served:
        yield served


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    """A running sign-in service with one key."""
    async with issuing() as running:
        yield running


def pytest_collection_finish() -> None:
    """Leave what was imported out of the search for garbage: it stays until the end."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that v0's documents were missing."""
    if not documents_present():
        terminalreporter.section("requests and answers NOT checked against v0's documents", red=True, bold=True)
        terminalreporter.line(MISSING)
