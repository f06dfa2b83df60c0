"""The client commands, run as people run them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from command_forks import run_command
from live_server import Demo
from protokeep.cli import app
from protokeep.cli.output import format_duration, format_usual_duration, usual_duration


def run(served: Demo | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command, with what people export."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PROTOKEEP_")}
    env |= (served.environment if served else {}) | environment
    return run_command(arguments, env)


def test_a_prototype_is_created_listed_watched_and_opened(served: Demo) -> None:
    """
    The way of one prototype: made, given again, looked at, and opened once it is ready.
    """
    created = json.loads(run(served, "create", "shop", "A landing page", "--json").stdout)
    again = run(served, "create", "shop", "A landing page")
    early = run(served, "open", "shop", "--print")
    served.finish()
    watched = run(served, "watch", "shop", "--seconds", "20")
    ready = run(served, "status", "shop")
    opened = run(served, "open", "shop", "--print")
    listed = json.loads(run(served, "list", "shop", "--json").stdout)

    assert created["decision"]["outcome"] == "created"
    assert "reused: This product has one already." in again.stdout
    assert early.returncode == 5
    assert "protokeep watch shop" in early.stderr
    assert watched.returncode == 0
    assert watched.stdout.splitlines()[-1].startswith("● Ready")
    assert ready.returncode == 0
    assert opened.stdout.strip() == listed[0]["project_url"]
    assert [row["id"] for row in listed] == [created["id"]]
    assert served.chats_created == 1


def test_what_exists_is_listed_and_found_over_all_products(served: Demo) -> None:
    """
    `list` without a product, and `find`; a create says what may have been meant.
    """
    run(served, "create", "bakery-shop", "A landing page for a bakery")
    unclear = run(served, "create", "Bakery Shop", "Something else")
    everything = json.loads(run(served, "list", "--json").stdout)
    found = run(served, "find", "LANDING", "bakery")
    nothing = run(served, "find", "zeppelin")

    assert "Did you mean bakery-shop?" in unclear.stdout
    assert [row["product_id"] for row in everything] == ["Bakery Shop", "bakery-shop"]
    assert "bakery-shop" in found.stdout
    assert "Bakery Shop" not in found.stdout
    assert (nothing.returncode, nothing.stdout.strip()) == (0, "No prototype has all these words.")


def test_open_hands_the_address_to_the_browser(served: Demo, tmp_path: Path) -> None:
    """
    `open` hands the prototype's address to the browser.
    """
    run(served, "create", "shop", "A landing page")
    served.finish()
    run(served, "watch", "shop")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)

    opened = run(served, "open", "shop", BROWSER=f"{browser} %s")

    assert opened.returncode == 0
    assert (tmp_path / "opened").read_text() == opened.stdout


def test_watch_follows_several_and_exits_with_the_worst_end(served: Demo) -> None:
    """
    Several are watched at once; each change is a line of JSON; the worst end is the exit code.
    """
    for product in ("shop", "bakery"):
        run(served, "create", product, "A landing page")
    served.finish("error")
    run(served, "watch", "shop")
    run(served, "create", "florist", "A landing page")
    served.finish()

    watched = run(served, "watch", "shop", "florist", "--json")
    lines = [json.loads(line) for line in watched.stdout.splitlines()]

    assert watched.returncode == 3
    last = {line["product_id"]: line["state"] for line in lines}
    assert last == {"shop": "failed", "florist": "ready"}


def test_watch_gives_up_and_says_so_by_its_exit_code(served: Demo) -> None:
    """
    What is not finished in time ends with 5; what does not exist with 1 and a line that says what to do.
    """
    run(served, "create", "shop", "A landing page")

    assert run(served, "watch", "shop", "--seconds", "1").returncode == 5
    unknown = run(served, "watch", "shop", "nothing", "--seconds", "1")
    assert unknown.returncode == 1
    assert "Create it: protokeep create nothing" in unknown.stderr


def test_without_a_server_one_line_names_command_and_variable() -> None:
    """
    Without a server there is one line that names the command to run and the variable to set.
    """
    result = run(None, "status", "shop", PROTOKEEP_URL="http://127.0.0.1:9", PROTOKEEP_TOKEN="t")

    assert result.returncode == 6
    assert len(result.stderr.splitlines()) == 1
    assert "protokeep serve" in result.stderr
    assert "PROTOKEEP_URL" in result.stderr
    assert "http://127.0.0.1:9" in result.stderr


def test_without_a_token_the_command_says_where_one_comes_from() -> None:
    """
    Without a token the command says where one comes from.
    """
    result = run(None, "list", "shop")

    assert result.returncode == 2
    assert "protokeep token create" in result.stderr


def test_help_says_the_exit_codes() -> None:
    """
    The exit codes are in the help of the program and of the commands that have them.
    """
    for arguments in (["--help"], ["watch", "--help"], ["status", "--help"], ["open", "--help"]):
        text = " ".join(run(None, *arguments).stdout.split())
        assert "3 the prototype failed, 4 it timed out, 5 it is not finished yet" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    """
    A shell that asks for completions of `protokeep wa` is told `watch`.
    """
    words = {"COMP_WORDS": "protokeep wa", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "protokeep wa"}

    result = run(None, **words, _PROTOKEEP_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_FISH_ACTION="get-args")

    assert "watch" in result.stdout


def test_the_usual_duration_is_told_from_three_finished_ones_on() -> None:
    """
    What is usual is told from three finished ones on, without the extremes.
    """
    assert usual_duration([10, 20]) is None
    assert format_usual_duration(usual_duration([120.0] * 4 + [1.0, 3600.0] + [240.0] * 4)) == "usually 2:00 to 4:00"
    assert format_duration(192) == "3:12"


def test_iterate_stop_and_delete_act_once(served: Demo, tmp_path: Path) -> None:
    """
    A change goes into the same chat once however often it is sent; it can be stopped; viewers delete nothing.
    """
    run(served, "create", "shop", "A landing page")
    early = run(served, "iterate", "shop", "Make it blue")
    served.finish()
    run(served, "watch", "shop", "--seconds", "20")
    changed = [run(served, "iterate", "shop", "Make it blue", "--key", "mine", "--json") for _ in range(2)]
    making = run(served, "status", "shop")
    stopped = run(served, "stop", "shop")
    refused = run(served, "delete", "shop", "--yes", PROTOKEEP_TOKEN=served.viewer_token)
    admin = {"PROTOKEEP_TOKEN": served.admin_token}
    binned = run(served, "delete", "shop", "--yes", **admin)
    restore = binned.stdout.split("protokeep ")[1].split()
    back = run(served, *restore)
    deleted = run(served, "delete", "shop", "--yes", "--now", **admin)
    gone = run(served, "status", "shop")
    (archive,) = json.loads(run(served, "archives", "list", "--json", **admin).stdout)
    saved = [run(served, "archives", "download", archive["id"], "-o", str(tmp_path / "x.zip"), **admin) for _ in "12"]

    assert early.returncode == 1
    assert "still being generated" in early.stderr
    assert [json.loads(one.stdout)["state"] for one in changed] == ["making", "making"]
    assert served.messages("Make it blue") == 1
    assert making.returncode == 5
    assert "Stopped by" in stopped.stdout
    assert (refused.returncode, "role maker" in refused.stderr) == (1, True)
    assert binned.stdout.startswith("In the bin until ")
    assert "the current prototype of its product" in back.stdout
    assert (deleted.returncode, deleted.stdout) == (0, "Deleted.\n")
    assert [one.returncode for one in saved] == [0, 1]
    assert hashlib.sha256((tmp_path / "x.zip").read_bytes()).hexdigest() == archive["sha256"]
    assert gone.returncode == 1
    assert served.chats_created == 1


def test_a_variant_is_named_and_made_current(served: Demo) -> None:
    """
    A variant has a number and the name that people give it; made current, it is what the product has.
    """
    first = json.loads(run(served, "create", "shop", "A landing page", "--json").stdout)
    run(served, "create", "shop", "A blue one", "--new")

    named = run(served, "name", first["id"], "Dark header")
    made = run(served, "make-current", first["id"])
    status = json.loads(run(served, "status", "shop", "--json").stdout)
    unknown = run(served, "make-current", "00000000-0000-4000-8000-000000000000")

    assert named.stdout == "#1 of shop: Dark header.\n"
    assert made.stdout == "#1 is the current prototype of shop.\n"
    assert (status["id"], status["variant"], status["variant_name"]) == (first["id"], 1, "Dark header")
    assert unknown.returncode == 1


def test_the_shell_completes_products_and_says_nothing_without_a_server(served: Demo) -> None:
    """
    Ids that begin as typed, of those that no shell would run; nothing at all, and no error, without a server.
    """
    for product in ("shop", "shoes", "bakery", "sh$(touch x)"):
        run(served, "create", product, f"A page for {product}", "--new-product")
    line = {"_PROTOKEEP_COMPLETE": "complete_bash", "COMP_WORDS": "protokeep status sh", "COMP_CWORD": "2"}

    assert sorted(run(served, **line).stdout.split()) == ["shoes", "shop"]
    for nowhere in (
        {"PROTOKEEP_URL": "http://127.0.0.1:9", "PROTOKEEP_TOKEN": "pk_x"},
        {"PROTOKEEP_URL": "nonsense"},
        {"PROTOKEEP_URL": served.url, "PROTOKEEP_TOKEN": "unknown"},
    ):
        silent = run(None, **line, **nowhere)
        assert (silent.stdout.strip(), silent.stderr) == ("", "")


def test_products_are_tagged_archived_and_listed_by_it(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In this process, as the surface is the same: what each command says, what lists show then, and what they refuse.
    """
    for name in [name for name in os.environ if name.startswith("PROTOKEEP_")]:
        monkeypatch.delenv(name)

    def said(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, arguments, env=served.environment)
        assert result.exit_code == code, result.output
        return result.output

    for product in ("shop", "bakery"):
        said("create", product, "A landing page")
    assert "shop is in the lists. It has the tags retail, spring sale." in said("tag", "shop", "Retail", "spring sale")
    assert "It has the tags retail." in said("untag", "shop", "spring sale")
    assert "archived: `protokeep list --archived` shows it" in said("archive", "shop")
    assert "shop" not in said("list")
    assert "[retail]  archived" in said("list", "--archived", "--tag", "retail")
    assert "shop is in the lists." in said("unarchive", "shop")
    assert "is your favourite." in said("favourite", "bakery")
    assert "shop" not in said("list", "--favourite")
    by_name = [line for line in said("list", "--sort", "name").splitlines() if "  * " in line]
    assert ["bakery" in line for line in by_name[-2:]] == [True, False]
    assert "no favourite of yours any more" in said("favourite", "bakery", "--remove")
    assert "Create it: protokeep create nothing" in said("archive", "nothing", code=1)
    assert "--sort takes" in said("list", "--sort", "size", code=2)
    assert "leave PRODUCT out" in said("list", "shop", "--tag", "retail", code=2)
