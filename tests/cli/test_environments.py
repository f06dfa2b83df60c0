"""Nobody's encoding, proxy, address or token ends a command in a traceback: one line names what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from live_server import Demo
from processes import COMMAND
from protokeep.client import AsyncProtokeep, BadSetting, Protokeep
from protokeep.http_environment import environment_fault

#: A server that is reached through proxies; no case gets as far as calling it.
REMOTE = {"PROTOKEEP_URL": "https://192.0.2.1:8400", "PROTOKEEP_TOKEN": "pk_x", "V0_API_KEY": "v1:x"}
NOT_UTF8 = b"caf\xe9"

#: The arguments, the environment, standard input, and the words of the one line.
CASES: dict[str, tuple[tuple[str | bytes, ...], dict[str, str], bytes, str]] = {
    "an argument that is no text": (("status", NOT_UTF8), {}, b"", "argument is not valid text in utf-8"),
    "an input that is no text": (("create", "shop", "-"), {}, NOT_UTF8, "standard input is not valid text in utf-8"),
    "a token in typographic quotes": (("mcp",), {"PROTOKEEP_TOKEN": "“pk_x”"}, b"", "PROTOKEEP_TOKEN"),
    "an address that is a word": (("watch", "shop"), {"PROTOKEEP_URL": "nonsense"}, b"", "PROTOKEEP_URL"),
    "a SOCKS proxy": (("serve", "--port", "0"), {"ALL_PROXY": "socks5://proxy:1"}, b"", "ALL_PROXY names a SOCKS"),
}
#: Variables that a client cannot use, and the words of its error.
UNUSABLE = {
    "ALL_PROXY": ("socks5://proxy:1", "ALL_PROXY names a SOCKS proxy"),
    "https_proxy": ("http://proxy:abc", "https_proxy holds no address"),
    "HTTP_PROXY": ("ftp://proxy", "HTTP_PROXY holds no address"),
    "SSL_CERT_FILE": ("/nowhere", "SSL_CERT_FILE names no certificates"),
    "PROTOKEEP_TOKEN": ("pk_x\npk_y", "PROTOKEEP_TOKEN"),
    "PROTOKEEP_URL": ("http://[::1", "PROTOKEEP_URL"),
}


async def ended(
    arguments: tuple[str | bytes, ...], environment: Mapping[str, str], given: bytes = b"", **streams: int
) -> tuple[int | None, bytes, bytes]:
    """(exit code, standard output, standard error) of a command in an environment that holds nothing else."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=streams.get("stdout", asyncio.subprocess.PIPE),
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(given)
    return process.returncode, out or b"", err


async def test_what_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    """
    Whatever in the environment or the arguments cannot be used: one line that names it, never its value, exit code 2.
    """
    common = {**REMOTE, "PROTOKEEP_DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}
    turns = asyncio.Semaphore(2)

    async def one(case: str) -> tuple[int | None, str]:
        arguments, environment, given, _ = CASES[case]
        async with turns:
            code, _, err = await ended(arguments, {**common, **environment}, given)
        return code, err.decode()

    found = dict(zip(CASES, await asyncio.gather(*map(one, CASES)), strict=True))

    for case, (code, err) in found.items():
        assert (err.count("\n"), err.startswith("protokeep: ")) == (1, True), f"{case}: {err}"
        assert CASES[case][3] in err, f"{case}: {err}"
        assert code == 2, f"{case}: {code}"
        assert "pk_x" not in err
        assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
async def test_what_an_encoding_does_not_have_is_replaced(served: Demo, encoding: str) -> None:
    """
    The command has acted by then: it ends well, people read a replacement, and programs read the same value.
    """
    environment = {**served.environment, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    name = "Пекарня 🥐 “Ana”"

    made = await ended(("create", "bakery", "A page", "--name", name, "--json"), environment)
    text = await ended(("list", "bakery"), environment)

    assert (made[0], made[2], text[0], text[2]) == (0, b"", 0, b"")
    assert json.loads(made[1].decode(encoding))["product_name"] == name
    assert "bakery" in text[1].decode(encoding)


async def test_a_full_disk_is_one_line(served: Demo) -> None:
    """
    What cannot be written is told on standard error, by commands that only read too.
    """
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, _, err = await ended(("list", "shop", "--json"), served.environment, stdout=full)
    finally:
        os.close(full)

    assert (code, err) == (1, b"protokeep: the answer could not be written (No space left on device).\n")


async def test_a_closed_output_ends_no_command_in_a_traceback(served: Demo) -> None:
    """
    A shell may close a stream (`>&-`): the command does what it does, and says nothing there.
    """
    script = "import os, sys\nos.close(1)\nos.execv(sys.argv[1], sys.argv[1:])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *COMMAND, "create", "shop", "A page",
        env={"PATH": os.environ["PATH"], **served.environment}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()

    assert (process.returncode, err) == (0, b"")
    assert served.chats_created == 1


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names nothing."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """
    Both clients name it where they are made, and leave out its value, which may hold a password.
    """
    value, words = UNUSABLE[name]
    for known, given in {**REMOTE, name: value}.items():
        monkeypatch.setenv(known, given)

    for client in (Protokeep, AsyncProtokeep):
        with pytest.raises(BadSetting) as refused:
            client()
        assert words in str(refused.value)
        assert value not in str(refused.value)


@pytest.mark.usefixtures("no_proxies")
def test_proxies_that_can_be_used_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Proxies without a scheme and exceptions in every spelling are taken as they are.
    """
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,[::1],localhost,.corp.example")

    assert environment_fault(os.environ) is None
