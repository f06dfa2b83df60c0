"""What commands print, whoever wrote it: a builder, another person, or a server that is not ours."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from command_forks import run_command
from live_server import demo
from protokeep.cli.terminal import in_one_line, json_text, print_notice, print_text

STEERING = "a\x1b]0;PWN\x07\x9b2J\r\x7f\u202eb\n  protokeep: forged"
PROTOTYPE = {
    "id": "00000000-0000-4000-8000-000000000000",
    "product_id": f"shop{STEERING}",
    "user_id": f"ann{STEERING}",
    "provider": "v0",
    "state": f"new{STEERING}",
    "project_status": "completed",
    "project_url": f"https://v0.app/{STEERING}",
    "chat_url": f"https://v0.app/{STEERING}",
    "error": {"code": "x", "message": f"broke {STEERING}"},
    "reason": {"code": "x", "message": f"waits {STEERING}"},
    "is_current": True,
    "finished": True,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
}


class NotOurs(BaseHTTPRequestHandler):
    """A server that answers every request with words that would steer a terminal."""

    status = 200

    def do_GET(self) -> None:
        body: Any = {"type": "x", "title": STEERING, "status": self.status, "detail": STEERING, "request_id": STEERING}
        if self.status == 200:
            whole = json.loads(json.dumps(FULL))
            body = {"mockups": [whole], "next_cursor": None} if self.path.endswith("limit=100") else whole
        content = json.dumps(body).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/problem+json" if self.status != 200 else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


FULL: dict[str, Any] = {}


@pytest.fixture(scope="module")
def not_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that is not ours. Its prototypes have every field that ours have."""
    with demo(tmp_path_factory.mktemp("ours")) as served:
        created = run(served.environment, "create", "shop", "A shop", "--json")
    FULL.clear()
    FULL.update({**json.loads(created.stdout), **PROTOTYPE})
    server = ThreadingHTTPServer(("127.0.0.1", 0), NotOurs)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command over real HTTP."""
    return run_command(arguments, {"PATH": "/usr/bin:/bin", **environment})


#: Every command prints an answer in words of its own. Three places print problems, whatever the command: those of the
#: second list are printed by all three.
ANSWERED = [
    ("status", "shop"),
    ("status", "shop", "--json"),
    ("list", "shop"),
    ("open", "shop", "--print"),
    ("create", "shop", "A shop"),
    ("create", "shop", "A shop", "--json"),
    ("watch", "shop", "--seconds", "1"),
    ("delete", "shop", "--yes"),
    ("stop", "shop"),
]
REFUSED = [ANSWERED[1], ANSWERED[2], ANSWERED[4], ANSWERED[6]]


@pytest.mark.parametrize(
    ("status", "command"),
    [(200, one) for one in ANSWERED] + [(status, one) for status in (422, 503) for one in REFUSED],
    ids=lambda value: value if isinstance(value, int) else " ".join(value),
)
def test_a_server_that_is_not_ours_steers_no_terminal(
    not_ours: str, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], status: int
) -> None:
    monkeypatch.setattr(NotOurs, "status", status)

    ended = run({"PROTOKEEP_URL": not_ours, "PROTOKEEP_TOKEN": "x"}, *command)

    printed = ended.stdout + ended.stderr
    assert printed
    assert "Traceback" not in printed
    assert all(line.isprintable() for line in printed.split("\n"))
    if "--json" not in command:
        assert "\n  protokeep: forged" not in printed


def test_lines_for_people_have_replacements(capsys: pytest.CaptureFixture[str]) -> None:
    print_text(f"{in_one_line(STEERING)}\nsecond")
    print_notice(STEERING)

    out, err = capsys.readouterr()
    assert out.split("\n") == ["a\ufffd]0;PWN\ufffd\ufffd2J \ufffd\ufffdb protokeep: forged", "second", ""]
    assert all(line.isprintable() for line in err.split("\n"))


@pytest.mark.parametrize("indent", [None, 2])
def test_json_has_escapes_and_means_the_same(indent: int | None) -> None:
    value = {STEERING: [STEERING, "ä", "\ud800", "\U000e0001", 5, None]}

    text = json_text(value, indent)

    assert json.loads(text) == value
    assert all(line.isprintable() for line in text.split("\n"))
    assert "ä" in text
