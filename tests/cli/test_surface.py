"""What every command has: `--json`, an example, an end that a person understands; and where admins' commands work."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from typer.main import get_command
from typer.testing import CliRunner

import protokeep
from live_server import Demo
from protokeep.cli import app
from protokeep.cli.own_words import in_own_words

#: Commands that run until they are stopped, and so have no result that could be JSON.
ENDLESS = {"demo", "serve", "worker", "sandbox", "mcp"}
SOURCE = Path(protokeep.__file__).parent
V0_KEY = "v1:team:0123456789-secret-3f9c"


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of each command."""
    group = group or get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_has_json_and_an_example() -> None:
    """
    Every command that ends prints JSON for programs, and the help of each shows a call that it would take.
    """
    program = get_command(app)
    for words, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        assert ("--json" in options) is (words[-1] not in ENDLESS), words
        assert not command.get_short_help_str(60).endswith("..."), f"the list of commands cuts {words}"
        example = re.match(r"Example: (?:\w+=\S+ )?protokeep ([^<]*?)(?: < \S+)?(?:\. Exit codes.*)?$", command.epilog)
        assert example is not None, words
        typed = shlex.split(example[1])
        assert tuple(typed[: len(words)]) == words
        command.make_context("protokeep", typed[len(words) :], resilient_parsing=True)
        assert {each for each in typed if each.startswith("--")} <= options
    assert "--version" in {option for parameter in program.params for option in parameter.opts}


def test_no_sentence_of_the_server_keeps_an_address_of_the_api() -> None:
    """
    Whatever the service says of the API has a translation into commands.
    """
    found = []
    for room in ("core", "service", "store"):
        for file in (SOURCE / room).rglob("*.py"):
            text = re.sub(r'"\n\s*f?"', "", file.read_text())
            found += re.findall(r"\b(?:GET|POST|PUT|DELETE) /api/[^\s\"',.)]+|ask with create_new=true for one", text)

    assert len(found) >= 5
    for words in found:
        assert "/api/" not in in_own_words(words), words
        assert "create_new" not in in_own_words(words), words


def test_no_command_writes_a_file_by_itself_or_replaces_one_without_being_told_to() -> None:
    """
    What commands write is private and replaces nothing: by the one function for it, and `--force` beside each file.
    """
    for words, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        assert ("--output" in options) is ("--force" in options), words
    for path in (SOURCE / "cli").glob("*.py"):
        assert not re.search(r"write_(text|bytes)\(|os\.open\(|(?<![\w.])open\((?!os\.devnull)", path.read_text()), path


@pytest.fixture
def at_server(served: Demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CliRunner]:
    """An admin's terminal, with the line that the demo prints, in a folder without a database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROTOKEEP_DATABASE_URL", raising=False)
    monkeypatch.setenv("PROTOKEEP_URL", served.url)
    monkeypatch.setenv("PROTOKEEP_TOKEN", served.admin_token)
    with capture_logs():  # Those of the server, which is in this process.
        yield CliRunner()


def test_admins_commands_work_at_the_server_that_is_named(
    at_server: CliRunner, served: Demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    Tokens, keys and the audit are the server's: what is made here counts there, and no database is made beside it.
    """

    def said(line: str, *, given: str | None = None) -> Any:
        result = at_server.invoke(app, shlex.split(line), input=given, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    made = said("token create --user ben --role maker --days 3 --json")
    plain = at_server.invoke(app, ["token", "create", "--user", "cem", "--plain"]).stdout.strip()
    monkeypatch.setenv("PROTOKEEP_TOKEN", made["token"])
    created = said("create shop 'A page' --json")
    monkeypatch.setenv("PROTOKEEP_TOKEN", served.admin_token)
    listed = said("token list --json")
    revoked = said(f"token revoke {made['prefix']} --json")
    key = said("keys set --json", given=V0_KEY)
    keys = said("keys list --json")
    lines = at_server.invoke(app, ["audit", "--limit", "101", "--json"]).stdout.splitlines()
    text = at_server.invoke(app, ["audit", "--action", "token_revoked"]).stdout
    removed = said("keys remove --json")

    assert (created["user_id"], plain[:3]) == ("ben", "pk_")
    assert {"ben", "cem"} <= {each["user_id"] for each in listed}
    assert V0_KEY not in json.dumps([key, keys])
    assert (revoked, key["last4"], [each["last4"] for each in keys]) == ({"revoked": 1}, "3f9c", ["3f9c"])
    assert {"key_set", "token_revoked", "created"} <= {json.loads(line)["action"] for line in lines}
    assert made["prefix"] in text
    assert removed["removed"] is True
    assert list(tmp_path.glob("protokeep.db*")) == []


def test_an_invitation_is_made_listed_and_taken_back_at_the_server(at_server: CliRunner, served: Demo) -> None:
    """
    Its link is told once and opens the page to join; a list has none; taken back, it opens nothing; makers make none.
    """

    def said(*words: str) -> Any:
        result = at_server.invoke(app, ["invitation", *words, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    made = said("create", "--user", "mia", "--role", "viewer", "--days", "2")
    open_for = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    joining = httpx2.get(made["link"])
    listed = said("list")
    lines = at_server.invoke(app, ["invitation", "list"]).stdout
    taken = said("take-back", made["id"])
    late = httpx2.get(made["link"])
    again = at_server.invoke(app, ["invitation", "take-back", made["id"]])
    maker = at_server.invoke(app, ["invitation", "create"], env={"PROTOKEEP_TOKEN": served.token})
    long = at_server.invoke(app, ["invitation", "create", "--days", "31"])

    assert (open_for, joining.status_code, late.status_code) == (timedelta(days=2), 200, 401)
    assert [one["user_id"] for one in listed] == ["mia"]
    assert made["id"] in lines
    assert made["link"].partition("code=")[2] not in json.dumps(listed) + lines
    assert (taken, said("list")) == ({"taken_back": made["id"]}, [])
    assert (again.exit_code, "no longer open" in again.stderr) == (1, True)
    assert (maker.exit_code, long.exit_code, "days" in long.stderr) == (1, 1, True)


def test_a_setting_of_the_workspace_is_set_and_shown_and_set_back(at_server: CliRunner, served: Demo) -> None:
    """
    Members see it, admins set it; `default` lets the server's own count again; another word is wrong usage.
    """

    def said(*words: str) -> Any:
        return json.loads(at_server.invoke(app, ["settings", *words, "--json"], catch_exceptions=False).stdout)

    own = {"unclear_product": "take", "unclear_product_set": None}
    assert said() == own
    assert said("--unclear-product", "ask") == {"unclear_product": "ask", "unclear_product_set": "ask"}
    shown = at_server.invoke(app, ["settings"], env={"PROTOKEEP_TOKEN": served.token})
    assert "ask  (an admin set it)" in shown.stdout
    maker = at_server.invoke(app, ["settings", "--unclear-product", "take"], env={"PROTOKEEP_TOKEN": served.token})
    assert (maker.exit_code, at_server.invoke(app, ["settings", "--unclear-product", "x"]).exit_code) == (1, 2)
    assert said("--unclear-product", "default") == own


def test_a_command_says_which_database_it_works_in(at_server: CliRunner, served: Demo) -> None:
    """
    Without a server, or with `--local`, the database is named, and that it is a new one; a workspace beside a server is
    a question.
    """
    both = at_server.invoke(app, ["token", "list", "--workspace", "team"])
    new = at_server.invoke(app, ["token", "list", "--local"])
    alone = at_server.invoke(app, ["audit"], env={"PROTOKEEP_TOKEN": ""})
    theirs = at_server.invoke(app, ["keys", "set", "--user", "ana"], input=V0_KEY)
    maker = at_server.invoke(app, ["token", "create"], env={"PROTOKEEP_TOKEN": served.token})

    assert (both.exit_code, "--local" in both.stderr) == (2, True)
    assert new.stderr.rstrip().endswith("protokeep.db, which is made now")
    assert alone.stderr.startswith("protokeep: in the database ")
    assert "made now" not in alone.stderr
    assert (theirs.exit_code, "--mine" in theirs.stderr) == (2, True)
    assert (maker.exit_code, "yours is maker. Use an admin's, or add --local" in maker.stderr) == (1, True)


def test_lists_show_ids_that_other_commands_take(at_server: CliRunner, served: Demo) -> None:
    """
    `list` has a head and ids; `delete --id` takes one; a missing product is told with the command that makes it.
    """
    first = json.loads(at_server.invoke(app, ["create", "shop", "A page", "--json"]).stdout)
    again = at_server.invoke(app, ["create", "shop", "Another page"]).stdout
    name = at_server.invoke(app, ["name", first["id"], "Dark header"]).stdout
    head, line, *_ = at_server.invoke(app, ["list", "shop"]).stdout.splitlines()
    stopped = at_server.invoke(app, ["stop", "shop"]).stdout
    early = at_server.invoke(app, ["open", "shop", "--json"])
    served.wait_for_chats()
    deleted = json.loads(
        at_server.invoke(app, ["delete", "shop", "--yes", "--now", "--id", first["id"], "--json"]).stdout
    )
    missing = at_server.invoke(app, ["status", "shop", "--json"])
    unknown = at_server.invoke(app, ["stop", "shop", "--id", first["id"]])

    assert "add --new to make one from this prompt" in again
    assert name == "#1 of shop: Dark header.\n"
    assert "shop #1 Dark header" in line
    assert (head.split()[:2], line.split()[2:4]) == (["made", "(UTC)"], ["*", first["id"]])
    assert stopped.startswith(("Stopped. ", "v0 was asked to stop it."))
    assert json.loads(early.stdout)["url"] is None
    assert deleted["id"] == first["id"]
    assert "/api/" not in missing.stderr + unknown.stderr
    assert "protokeep create shop" in json.loads(missing.stdout)["error"]
    assert "protokeep list shop" in unknown.stderr
