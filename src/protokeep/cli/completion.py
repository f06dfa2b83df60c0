"""Completion of product ids in the shell: what the server has, or nothing at all."""

from __future__ import annotations

import contextlib
import re

#: A shell waits for this while somebody types; a server that takes longer offers nothing.
SECONDS = 1.0
OFFERED = 50
#: Ids that mean themselves in every shell. Others are typed by hand: anybody may name a product `$(rm -r x)`.
_PLAIN = re.compile(r"[\w.@/+-]+", re.ASCII)


def products(incomplete: str) -> list[tuple[str, str]]:
    """(id, what the shell shows beside it) of the products whose ids begin with `incomplete`.

    Nothing without a token or a server that answers in time: no error may appear in the line that somebody types.
    """
    with contextlib.suppress(Exception):
        return _found(incomplete)
    return []


def _found(incomplete: str) -> list[tuple[str, str]]:
    import httpx2

    from protokeep.cli.output import state_label
    from protokeep.client.connection import open_http

    with open_http(httpx2.Client, None, None, None) as http:
        query = {"q": incomplete, "limit": str(OFFERED)}
        answer = http.get("/api/design/mockups", params=query, timeout=SECONDS)
    states = {str(one["product_id"]): state_label(str(one["state"])) for one in answer.json()["mockups"]}
    return [(name, state) for name, state in states.items() if name.startswith(incomplete) and _PLAIN.fullmatch(name)]
