"""The server acts and a command never hears of it: what it prints, and that doing what it prints acts once."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from live_server import Demo
from lossy_server import INSTEAD, Lossy, lossy
from protokeep.cli import app
from protokeep.client import Protokeep, Prototype
from protokeep.core.errors import DatabaseUnavailable
from protokeep.service.hooks import Hooks
from protokeep.service.provider_keys import ProviderKeys
from protokeep.service.tokens import Tokens

PROTOKEEP = [sys.executable, str(Path(sys.executable).with_name("protokeep"))]
WORDS = "Make it blue"
CREATES, MESSAGES = "POST /api/design/create-project", "POST .*/messages"


@pytest.fixture
def way(served: Demo) -> Iterator[Lossy]:
    """The way to the server that loses answers when told to."""
    with lossy(served.url) as way:
        yield way


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's pauses are short; commands run in this process, unless the process matters."""
    monkeypatch.setattr("protokeep.client.operations.FIRST_PAUSE", 0.001)
    for name in os.environ:
        if name.startswith("PROTOKEEP_"):
            monkeypatch.delenv(name)


def run(served: Demo | None, *arguments: str, stdin: str = "", **environment: str) -> Result:
    """One command, with what people export."""
    return CliRunner().invoke(app, arguments, input=stdin, env=(served.environment if served else {}) | environment)


def through(served: Demo, way: Lossy, *arguments: str, **more: str) -> Result:
    """One command, over the lossy way."""
    return run(served, *arguments, **{"PROTOKEEP_URL": way.url, **more})


def typed(served: Demo, line: str, **more: str) -> Result:
    """A line that begins with protokeep, as a shell reads it."""
    program, *arguments = shlex.split(line)
    assert program == "protokeep"
    return run(served, *arguments, **more)


def repeat_of(said: Result) -> str:
    """The command that a failed one says to use."""
    return said.stderr.partition("\n  ")[2]


def json_of(said: Result) -> dict[str, Any]:
    """The JSON object that a command printed; the server, in this process too, logs around it."""
    start = re.search(r"^\{", said.stdout, re.MULTILINE)
    assert start is not None, said.output
    value: dict[str, Any] = json.JSONDecoder().raw_decode(said.stdout, start.start())[0]
    return value


def make(served: Demo, *, ready: bool = False, another: bool = False) -> Prototype:
    """A prototype of the product shop."""
    with Protokeep(served.url, served.token) as keep:
        prototype = keep.ensure("shop", "A landing page", create_new=another)
        if ready:
            served.finish()
            return keep.wait("shop", seconds=20)
        return prototype


@pytest.mark.parametrize("how", INSTEAD)
def test_the_printed_command_of_create_new_gives_the_one_that_was_made(served: Demo, way: Lossy, how: str) -> None:
    """
    `create --new`: the printed command, whatever the prompt holds, gives the one that was made.
    """
    prompt = "-- A page for 'Ann & Bob'; it costs $5 `now`\nand more"
    with way.losing(CREATES, how):
        lost = through(served, way, "create", "--new", "--name", "The shop", "--", "shop", prompt)
    again = typed(served, repeat_of(lost))

    assert lost.exit_code == (6 if how == "closed" else 1)
    assert "It may have been created. With another key, asking again creates another one. " in lost.stderr
    assert "safe" not in lost.stderr
    assert "replayed: " in again.stdout, again.stderr
    assert len(set(way.keys())) == 1
    assert served.chats_created == 1


def test_create_repeated_makes_another_only_if_the_first_is_gone(served: Demo, way: Lossy) -> None:
    """
    Without --new, asking again makes another one only if this one is gone meanwhile; and that is what is said.
    """
    with way.losing(CREATES):
        lost = through(served, way, "create", "shop", "A landing page")
    again = typed(served, repeat_of(lost))

    assert "creates another one if this one has failed or was deleted meanwhile" in lost.stderr
    assert "replayed: " in again.stdout
    assert served.chats_created == 1


def test_create_from_standard_input_prints_key_and_command_as_json(served: Demo, way: Lossy) -> None:
    """
    With --json the key and the command are fields; the text of standard input has to be given once more.
    """
    with way.losing(CREATES):
        lost = through(served, way, "create", "shop", "-", "--new", "--json", stdin="A page")
    result = json_of(lost)
    again = json_of(typed(served, result["repeat"], stdin="A page"))

    assert lost.exit_code == 6
    assert "with the same text on standard input" in lost.stderr
    assert (result["may_have_acted"], result["idempotency_key"]) == (True, way.keys()[0])
    assert result["advice"] in lost.stderr
    assert again["decision"]["outcome"] == "replayed"
    assert served.chats_created == 1


def test_create_new_twice_with_ones_own_key_makes_one(served: Demo) -> None:
    """
    `create --new --key` twice makes one; with another prompt it is refused.
    """
    prototypes = [json_of(run(served, "create", "shop", "A page", "--new", "--key", "k", "--json")) for _ in "ab"]
    other = run(served, "create", "shop", "Another page", "--new", "--key", "k", "--json")

    assert [one["decision"]["outcome"] for one in prototypes] == ["created", "replayed"]
    assert other.exit_code == 1
    assert json_of(other)["may_have_acted"] is False
    assert served.chats_created == 1


def test_the_printed_command_of_iterate_sends_the_message_once(served: Demo, way: Lossy) -> None:
    """
    The printed command sends the message once, into the chat that it was meant for.
    """
    make(served, ready=True)
    with way.losing(MESSAGES):
        lost = through(served, way, "iterate", "shop", WORDS, "--json")
    result = json_of(lost)
    make(served, another=True)
    again = typed(served, result["repeat"])

    assert "With another key, asking again sends it a second time." in lost.stderr
    assert json_of(again)["state"] == "making"
    assert served.messages(WORDS) == 1


def test_iterate_whose_look_up_was_lost_has_nothing_to_repeat(served: Demo, way: Lossy) -> None:
    """
    When the look before it was lost nothing was sent, and there is nothing to repeat with a key.
    """
    make(served)
    with way.losing("GET"):
        lost = through(served, way, "iterate", "shop", WORDS)

    assert lost.exit_code == 6
    assert "Asking again is safe: it changes nothing." in lost.stderr
    assert "--key" not in lost.stderr


def test_the_printed_command_of_delete_deletes_nothing_else(served: Demo, way: Lossy) -> None:
    """
    The printed command deletes what was meant, and not the older prototype that the product has afterwards.
    """
    older, _ = make(served), make(served, another=True)
    served.wait_for_chats(2)
    with way.losing("DELETE"):
        lost = through(served, way, "delete", "shop", "--yes", PROTOKEEP_TOKEN=served.admin_token)
    again = typed(served, repeat_of(lost), PROTOKEEP_TOKEN=served.admin_token)
    with Protokeep(served.url, served.token) as keep:
        left = list(keep.list("shop"))

    assert lost.exit_code == 6
    assert "Without --id, asking again deletes the prototype that the product has by then." in lost.stderr
    assert "In the bin until " in again.stdout
    assert [one.id for one in left] == [older.id]


def test_a_lost_stop_is_not_repeated_blindly(served: Demo, way: Lossy) -> None:
    """
    A stop is not repeated blindly: it says where to look, and the command for this prototype only.
    """
    make(served)
    with way.losing("/stop"):
        lost = through(served, way, "stop", "shop")

    assert lost.exit_code == 6
    assert "Check first with `protokeep list shop`" in lost.stderr
    assert "Stopped by" in run(served, "list", "shop").stdout
    assert "Stopped by" in typed(served, repeat_of(lost)).stdout


def test_an_id_belongs_to_the_product_named_with_it(served: Demo) -> None:
    """
    An id belongs to the product that is named with it, or nothing is done.
    """
    shop = make(served, ready=True)

    for command in (["iterate", "bakery", WORDS], ["stop", "bakery"], ["delete", "bakery", "--yes"]):
        refused = run(served, *command, "--id", shop.id, PROTOKEEP_TOKEN=served.admin_token)
        assert (refused.exit_code, "is not bakery's, but shop's" in refused.stderr) == (1, True)
    assert served.messages(WORDS) == 0
    assert not served.chats()[0]["deleted"]


@pytest.mark.parametrize("command", [["create", "shop", "A page", "--new"], ["iterate", "shop", WORDS]])
def test_an_unreachable_server_makes_asking_again_safe(command: list[str]) -> None:
    """
    Where nobody could be reached, asking again is safe, and only then is that said.
    """
    result = run(None, *command, PROTOKEEP_URL="http://127.0.0.1:9", PROTOKEEP_TOKEN="t")

    assert result.exit_code == 6
    assert "safe" in result.stderr
    assert "--key" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_address_without_http_is_one_line_that_names_the_variable() -> None:
    """
    An address without http:// is one line, which names the variable.
    """
    result = run(None, "create", "shop", "A page", PROTOKEEP_URL="localhost:8400", PROTOKEEP_TOKEN="t")

    assert result.exit_code == 2
    assert "PROTOKEEP_URL" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_interrupted_create_prints_the_command_to_repeat(served: Demo) -> None:
    """
    Ctrl-C while the answer is waited for leaves it as open as a lost answer: the command is printed, too.
    """
    served.turn(hold_creates="after")
    with subprocess.Popen(
        [*PROTOKEEP, "create", "shop", "It's a `page`;\n$HOME & \\more", "--new"],
        env=os.environ | served.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        served.wait_for_chats()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    served.turn(hold_creates=False)
    line = err.partition("\n  ")[2]

    assert process.returncode == 130
    assert "interrupted. It may have been created." in err
    assert "Traceback" not in err
    assert "replayed: " in in_a_shell(served, line)
    assert served.chats_created == 1


def test_an_answer_that_cannot_be_written_counts_as_lost(served: Demo, sqlite_url: str) -> None:
    """
    A full disk loses an answer as a broken connection does: the key is told, and a token is told how to end.
    """
    with open("/dev/full", "w") as full:
        prototype, token = (
            subprocess.run(
                [*PROTOKEEP, *command],
                env=os.environ | served.environment | {"PROTOKEEP_DATABASE_URL": sqlite_url},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
            for command in (["create", "shop", "A page", "--new"], ["token", "create", "--plain", "--local"])
        )
    again = typed(served, prototype.stderr.partition("\n  ")[2])
    revoked = run(None, *token.stderr.split("`")[1].split()[1:], PROTOKEEP_DATABASE_URL=sqlite_url)

    for result in (prototype, token):
        assert result.returncode == 1
        assert "protokeep: the answer could not be written (No space left on device). " in result.stderr
    assert "replayed: " in again.stdout
    assert revoked.stdout == "Revoked 1.\n"
    assert served.chats_created == 1


def in_a_shell(served: Demo, line: str) -> str:
    """What a line prints that somebody pastes into a shell."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["/bin/sh", "-c", line],
        env=os.environ | served.environment | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.stdout


@pytest.fixture
def local(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Commands on a database, in this process."""
    monkeypatch.setenv("PROTOKEEP_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("V0_API_KEY", "key-of-the-tests")
    monkeypatch.setenv("V0_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PROTOKEEP_PUBLIC_URL", "https://prototypes.example")
    return CliRunner()


def acts_and_loses(monkeypatch: pytest.MonkeyPatch, where: type, name: str) -> None:
    """A method that does what it does, and whose database goes away before it can say so."""
    method = getattr(where, name)

    async def lost(self: object, *arguments: object, **named: object) -> object:
        await method(self, *arguments, **named)
        raise DatabaseUnavailable

    monkeypatch.setattr(where, name, lost)


def test_a_token_whose_text_was_lost_is_found_and_revoked(local: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A token that nobody has seen is found, and revoked, as the error says.
    """
    with monkeypatch.context() as patched:
        acts_and_loses(patched, Tokens, "create")
        lost = local.invoke(app, ["token", "create", "--workspace", "team"])
    listed = local.invoke(app, ["token", "list", "--workspace", "team"])
    prefix = listed.stdout.partition("…")[0]
    revoked = local.invoke(app, ["token", "revoke", prefix, "--workspace", "team"])

    assert lost.exit_code == 1
    assert "its text is lost. `protokeep token list --workspace team` shows it" in lost.stderr
    assert "`protokeep token revoke PREFIX --workspace team`" in lost.stderr
    assert "last used: never" in listed.output
    assert revoked.stdout == "Revoked 1.\n"


def test_revoking_a_token_again_revokes_nothing_else(local: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Revoking it again revokes nothing else, and says that it counts no more.
    """
    token = local.invoke(app, ["token", "create", "--plain"]).stdout
    with monkeypatch.context() as patched:
        acts_and_loses(patched, Tokens, "revoke")
        lost = local.invoke(app, ["token", "revoke", token[:9]])
    again = local.invoke(app, ["token", "revoke", token[:9]])

    assert lost.exit_code == 1
    assert "Revoking it again is safe" in lost.stderr
    assert "no active token" in str(again.exception)


@pytest.mark.parametrize(
    ("where", "name", "command", "words"),
    [
        (ProviderKeys, "set", "keys set", "`protokeep keys list` says since when."),
        (ProviderKeys, "rotate", "keys rotate", "Running it again is safe"),
        (Hooks, "remove", "hooks remove", "Running it again is safe"),
    ],
)
def test_commands_on_the_database_say_what_running_them_again_does(
    local: CliRunner, monkeypatch: pytest.MonkeyPatch, where: type, name: str, command: str, words: str
) -> None:
    """
    Each says what running it again does, and doing so is no error.
    """
    with monkeypatch.context() as patched:
        acts_and_loses(patched, where, name)
        lost = local.invoke(app, shlex.split(command), input="v0-0123456789-0123456789\n")
    again = local.invoke(app, shlex.split(command), input="v0-0123456789-0123456789\n")

    assert lost.exit_code == 1
    assert words in lost.stderr
    assert again.exit_code == 0, again.stderr


def test_a_key_that_may_be_removed_is_to_be_looked_at_first(local: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Removing once more would remove a newer key: it says to look first.
    """
    local.invoke(app, ["keys", "set"], input="v0-0123456789-0123456789\n")
    acts_and_loses(monkeypatch, ProviderKeys, "remove")
    lost = local.invoke(app, ["keys", "remove"])

    assert lost.exit_code == 1
    assert "Check first with `protokeep keys list`" in lost.stderr
    assert "has no keys" in local.invoke(app, ["keys", "list"]).output


def test_a_hook_that_may_be_registered_is_found_the_next_time(
    local: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It may be registered at v0, and is found there the next time.
    """

    async def lost(self: object, **_: object) -> object:
        raise DatabaseUnavailable

    monkeypatch.setattr(Hooks, "install", lost)
    result = local.invoke(app, ["hooks", "install"])

    assert result.exit_code == 1
    assert "one that v0 has already is used" in result.stderr
