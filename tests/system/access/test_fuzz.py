"""Made-up requests by every role on both databases: no server error, and nothing that the document does not promise.

`make fuzz` sends many more of them: PROTOKEEP_FUZZ is how many per operation, role and database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from live_server import demo
from system.access.fuzzing import Tally, fuzz

EXAMPLES = int(os.environ.get("PROTOKEEP_FUZZ", "2"))


@pytest.mark.timeout(3600 if EXAMPLES > 4 else 120)
def test_made_up_requests_get_the_answers_that_the_document_describes(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever is sent, by whomever, gets an answer that the document describes.
    """
    tally = Tally()
    settings: dict[str, Any] = {
        "database_url": database_url,
        "accept_wait_seconds": 0,
        "requests_per_minute": 0,
        "sign_ins_per_minute": 0,
        "log_level": "error",
        "secret_key": "a key of the fuzz, long enough for it",
        "_env_file": None,
    }
    with demo(tmp_path, **settings) as served:
        ids = []
        with httpx2.Client(base_url=served.url, trust_env=False) as http:
            for number in range(3):
                body = {"product_id": f"p-{number}", "prompt": "x"}
                headers = {"Authorization": f"Bearer {served.token}"}
                answer = http.post("/api/design/create-project", json=body, headers=headers)
                ids.append(str(answer.json()["id"]))
        served.finish(chats=3)
        tokens = {"viewer": served.viewer_token, "maker": served.token, "admin": served.admin_token, "nobody": "x"}
        fuzz(served.url, tokens.values(), ids, examples=EXAMPLES, tally=tally)

    with capsys.disabled():
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(tally.statuses.items()))
        summary = f"{tally.sent} requests, {tally.bad} refused, {tally.server_errors} server errors"
        print(f"\nfuzz: {summary} ({statuses})")  # noqa: T201 - docs/security.md has this figure
    assert not tally.faults, "\n".join(tally.faults[:20])
