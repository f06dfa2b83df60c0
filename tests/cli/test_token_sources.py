"""Where the client takes its token from, so that it stands in no argument that others can see."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from command_forks import run_command
from live_server import Demo
from protokeep.client import BadSetting, ClientError, Protokeep


def listed(served: Demo, *options: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`protokeep list shop`, with the address and nothing else of ours in the environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PROTOKEEP_")}
    env |= {"PROTOKEEP_URL": served.url, **environment}
    return run_command(["list", "shop", *options], env, stdin=stdin)


@pytest.fixture
def token_file(served: Demo, tmp_path: Path) -> str:
    """A file that holds the token and a line end."""
    path = tmp_path / "token"
    path.write_text(served.token + "\n")
    return str(path)


def test_a_command_takes_its_token_from_a_file_or_standard_input(served: Demo, token_file: str) -> None:
    """
    A file that the environment names, standard input, and an option that comes before both.
    """
    assert listed(served).returncode == 2
    assert listed(served, PROTOKEEP_TOKEN_FILE=token_file).returncode == 0
    assert listed(served, "--token", "-", stdin=served.token + "\n").returncode == 0
    assert listed(served, "--token", served.token, PROTOKEEP_TOKEN_FILE="/nowhere").returncode == 0


def test_a_token_and_its_file_together_are_refused(served: Demo, token_file: str) -> None:
    """
    One line names both, without the token.
    """
    both = listed(served, PROTOKEEP_TOKEN=served.token, PROTOKEEP_TOKEN_FILE=token_file)

    assert both.returncode == 2
    assert both.stderr == "protokeep: PROTOKEEP_TOKEN and PROTOKEEP_TOKEN_FILE are both set. Take one of them out.\n"


def test_a_file_of_a_token_that_is_not_there_is_one_line(served: Demo) -> None:
    """
    The line names the setting.
    """
    missing = listed(served, PROTOKEEP_TOKEN_FILE="/nowhere")

    assert missing.returncode == 2
    assert missing.stderr.startswith("protokeep: PROTOKEEP_TOKEN_FILE names a file that cannot be read")
    assert missing.stderr.count("\n") == 1


def test_the_python_client_takes_a_file_too(served: Demo, token_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `Protokeep()` reads the file; a missing one is an error of the client's.
    """
    monkeypatch.setenv("PROTOKEEP_URL", served.url)
    monkeypatch.setenv("PROTOKEEP_TOKEN_FILE", token_file)
    monkeypatch.delenv("PROTOKEEP_TOKEN", raising=False)
    with Protokeep() as client:
        assert list(client.list("shop")) == []
    monkeypatch.setenv("PROTOKEEP_TOKEN_FILE", "/nowhere")
    with pytest.raises(ClientError, match="PROTOKEEP_TOKEN_FILE names a file"):
        Protokeep()


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    """
    A name and password in the address would take the token's place, and end up in messages.
    """
    with pytest.raises(BadSetting) as caught:
        Protokeep("http://ann:hush@127.0.0.1:9", "t")
    assert "hush" not in str(caught.value)
