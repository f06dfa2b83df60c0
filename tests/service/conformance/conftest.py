"""Worlds in each version of v0's API, and v0's documents as the judge."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sandbox.v0_contract import MISSING, Document, documents_present
from service.conformance.checked_world import World, world_of


@pytest.fixture(scope="session")
def documents() -> dict[str, Document]:
    """v0's documents by version; empty, and said so at the end, when they are missing."""
    return {api: Document(api) for api in ("v1", "v2")} if documents_present() else {}


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def api_version(request: pytest.FixtureRequest) -> int:
    """Each version of v0's API."""
    return int(request.param)


@pytest.fixture
async def world(sqlite_url: str, api_version: int, documents: dict[str, Document]) -> AsyncIterator[World]:
    """A keeper on SQLite and an emulated v0."""
    async with world_of(sqlite_url, api_version, documents) as made:
        yield made


@pytest.fixture
async def impatient(sqlite_url: str, api_version: int, documents: dict[str, Document]) -> AsyncIterator[World]:
    """The same, whose adapters give up soon."""
    async with world_of(sqlite_url, api_version, documents, patience=2) as made:
        yield made


@pytest.fixture
async def anywhere(database_url: str, api_version: int, documents: dict[str, Document]) -> AsyncIterator[World]:
    """The same on each kind of database."""
    async with world_of(database_url, api_version, documents) as made:
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that the documents were missing."""
    if not documents_present():
        terminalreporter.section("conformance: requests NOT checked against v0's documents", red=True, bold=True)
        terminalreporter.line(MISSING)
