"""A line of the log per answer, with the caller's ids where they are well-formed, and nothing of what was asked."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from protokeep.web.access_log import request_id_of, trace_of
from world import ANN, World

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#: What an id may hold.
SAFE = string.ascii_letters + string.digits + "._:-/+=@"


@given(st.one_of(st.text(SAFE, max_size=80).map(str.encode), st.binary(max_size=80)))
def test_only_a_well_formed_id_is_kept(given_id: bytes) -> None:
    """
    Whatever a caller sends: the id is short, printable, and the caller's only if nothing had to be changed about it.
    """
    kept = request_id_of([(b"x-request-id", given_id)])

    assert 1 <= len(kept) <= 64
    assert set(kept) <= set(SAFE)
    assert kept.encode() == given_id or len(kept) == 16


def test_two_ids_are_none() -> None:
    assert len(request_id_of([(b"x-request-id", b"a"), (b"x-request-id", b"b")])) == 16


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (TRACEPARENT, {"traceparent": TRACEPARENT}),
        (TRACEPARENT.upper(), {}),
        (TRACEPARENT + "-x", {}),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", {}),
        ("x\r\ny", {}),
    ],
)
def test_only_a_well_formed_trace_is_kept(header: str, kept: dict[str, str]) -> None:
    assert trace_of([(b"traceparent", header.encode())]) == kept


async def test_a_line_says_who_waited_how_long_for_what(world: World) -> None:
    """
    The workspace is the caller's, the route a template; health checks leave no line.
    """
    async with world.serving(real=False) as site:
        with capture_logs() as lines:
            answer = await site.http.get("/api/design/mockups/secret-product?limit=5", headers={"X-Request-ID": "abc"})
            await site.http.get("/livez")

    said = [line for line in lines if line["event"] == "request_answered"]
    assert [(line["method"], line["route"], line["status"], line["workspace"]) for line in said] == [
        ("GET", "/api/design/mockups/{product_id}", 200, ANN.workspace_id)
    ]
    assert answer.headers["x-request-id"] == "abc"
    assert "secret-product" not in str(said)
