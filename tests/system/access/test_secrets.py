"""Secrets: which are refused or named, where they may stand, and that no output repeats them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr, ValidationError

import owner_schemas
from core.test_secret_strength import SUPABASE
from fake_issuer import FakeIssuer
from processes import Ended, run, started
from protokeep import logs
from protokeep.core.errors import DatabaseUnavailable, NotReady
from protokeep.doctor import examine, reasons_not_to_serve, warnings_at_start
from protokeep.doctor_secrets import Finding, check_secrets
from protokeep.settings import SECRETS, Settings
from protokeep.store.database import Database
from protokeep.store.migrate import migrate
from protokeep.store.sql import DatabaseError
from protokeep.wiring import identity_of
from world import World, on_postgresql, settings_of

STRONG = "kH3-2jdPq0aZ81LmNbVcXxSwEeRrTtYyUuIi"
OTHER = "oP9_4msTr7cB25WnDfGhJjKkLlQqZzVvBbNn"
OPEN = "0.0.0.0"  # noqa: S104 - what the tests are about
#: A value that no output may repeat.
HUSH = "hush9f2c7a1b"


async def serving(folder: Path, *args: str, **values: str) -> Ended:
    """`protokeep serve` where other machines reach it, with a strong secret key unless another one is given."""
    return await run(folder, "serve", "--port", "0", *args, **{"PROTOKEEP_SECRET_KEY": STRONG, **values})


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"PROTOKEEP_SECRET_KEY": "a" * 40}, "PROTOKEEP_SECRET_KEY"),
        ({"PROTOKEEP_JWT_SECRET": "a" * 32}, "PROTOKEEP_JWT_SECRET"),
        ({"PROTOKEEP_JWT_SECRET": SUPABASE}, "PROTOKEEP_JWT_SECRET"),
        ({"PROTOKEEP_MASTER_KEYS": "b" * 32, "PROTOKEEP_JWT_SECRET": OTHER}, "PROTOKEEP_MASTER_KEYS"),
        ({"PROTOKEEP_MASTER_KEYS": f"{STRONG},{'b' * 32}", "PROTOKEEP_JWT_SECRET": OTHER}, "PROTOKEEP_MASTER_KEYS"),
    ],
    ids=["secret-key", "jwt-secret", "published-jwt-secret", "master-key", "second-master-key"],
)
async def test_serve_refuses_every_secret_that_can_be_guessed(
    tmp_path: Path, values: dict[str, str], setting: str
) -> None:
    """
    Where other machines reach it, one weak secret is one line with its setting and what to do, and no start.
    """
    ended = await serving(tmp_path, "--host", OPEN, **values)

    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert f"{setting} can be guessed" in ended.err
    assert "token_urlsafe(32)" in ended.err
    assert not any(value in ended.err for value in values.values())


async def test_each_weak_secret_has_a_line_of_its_own(tmp_path: Path) -> None:
    """
    A JWT secret does not hide what is wrong with the other secrets.
    """
    ended = await serving(
        tmp_path,
        "--host",
        OPEN,
        PROTOKEEP_SECRET_KEY="short",
        PROTOKEEP_JWT_SECRET=SUPABASE,
        PROTOKEEP_MASTER_KEYS="c" * 32,
    )

    assert [line.split(": ")[2].split(" can")[0] for line in ended.err.splitlines()] == [
        "PROTOKEEP_SECRET_KEY",
        "PROTOKEEP_JWT_SECRET",
        "a key of PROTOKEEP_MASTER_KEYS",
    ]


@pytest.mark.parametrize(
    "values",
    [{"PROTOKEEP_PUBLIC_URL": "https://keep.example"}, {"PROTOKEEP_TRUSTED_PROXIES": "127.0.0.1"}],
    ids=["public-url", "proxies"],
)
async def test_a_proxy_in_front_of_loopback_is_no_loopback(tmp_path: Path, values: dict[str, str]) -> None:
    """
    On loopback behind a proxy, a published secret is refused all the same.
    """
    ended = await serving(tmp_path, PROTOKEEP_JWT_SECRET=SUPABASE, **values)

    assert ended.code == 2
    assert "not behind a proxy: PROTOKEEP_JWT_SECRET can be guessed" in ended.err


async def test_on_loopback_a_weak_secret_is_a_warning(tmp_path: Path) -> None:
    """
    Supabase's local stack works with its published secret on this machine alone; the log names it.
    """
    values = {"PROTOKEEP_SECRET_KEY": STRONG, "PROTOKEEP_JWT_SECRET": SUPABASE}
    async with started(tmp_path, "serve", "--port", "0", **values) as process:
        await process.says("serving on")
        text = process.text

    assert "installation_unsafe" in text
    assert "PROTOKEEP_JWT_SECRET can be guessed" in text
    assert SUPABASE not in text


async def test_strong_secrets_are_taken_everywhere(issuer: FakeIssuer, sqlite_url: str) -> None:
    """
    With secrets drawn at random nothing is refused and nothing is said.
    """
    settings = settings_of(
        database_url=sqlite_url, host=OPEN, secret_key=STRONG, master_keys=f"{OTHER},{STRONG}", jwt_secret=OTHER
    )

    assert await reasons_not_to_serve(settings) == []
    assert {finding.level for finding in check_secrets(settings)} == {"fine"}


@pytest.mark.parametrize("empty", ["", SecretStr("")], ids=["text", "secret"])
def test_an_empty_secret_is_no_secret(empty: str | SecretStr) -> None:
    """
    `PROTOKEEP_JWT_SECRET=` and the like count as unset: no secret is taken, and nothing fails at start.
    """
    settings = settings_of(jwt_secret=empty, secret_key=empty, oidc_client_secret=empty, oidc_issuer="", public_url="")

    assert settings.jwt_secret is None
    assert settings.secret_key is None
    assert settings.oidc_client_secret is None
    assert (settings.oidc_issuer, settings.public_url) == (None, None)
    assert identity_of(settings).jwts is None


# -- what doctor says -------------------------------------------------------------------------------------------------


async def found(settings: Settings, name: str) -> list[Finding]:
    return [finding for finding in await examine(settings) if finding.name == name]


async def test_doctor_names_admins_that_nobody_named(sqlite_url: str) -> None:
    """
    A default role of admin is unsafe; another one is not.
    """
    admin = settings_of(database_url=sqlite_url, default_role="admin")
    viewer = settings_of(database_url=sqlite_url, default_role="viewer")

    assert [finding.level for finding in await found(admin, "default_role")] == ["unsafe"]
    assert await found(viewer, "default_role") == []


async def test_doctor_names_a_key_that_every_claimed_workspace_spends(sqlite_url: str) -> None:
    """
    `V0_API_KEY` for all workspaces is unsafe together with a claim that names workspaces.
    """
    values = {"database_url": sqlite_url, "v0_base_url": "http://127.0.0.1:9", "v0_api_key": "k"}
    open_to_all = settings_of(**values, environment_key_for="team, *", claim_workspace="org.id")
    one_workspace = settings_of(**values, environment_key_for="*")

    assert [finding.level for finding in await found(open_to_all, "environment_key_for")] == ["unsafe"]
    assert await found(one_workspace, "environment_key_for") == []


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", ".secret"])
async def test_files_that_others_can_open_are_named(tmp_path: Path, ending: str) -> None:
    """
    Doctor names each file with its mode and what to do, and the server logs it when it starts.
    """
    path = tmp_path / f"protokeep.db{ending}"
    path.touch(0o644)
    settings = settings_of(database_url=f"sqlite:///{tmp_path}/protokeep.db")
    named = [finding for finding in await examine(settings) if f"{path} is open" in finding.text]

    assert [(finding.level, finding.fix) for finding in named] == [("unsafe", f"chmod 600 {path}")]
    assert "(mode 0644)" in named[0].text
    assert named == warnings_at_start(settings)

    path.chmod(0o600)
    assert not any(f"{path} is open" in finding.text for finding in warnings_at_start(settings))


async def test_doctor_says_of_a_private_database_that_it_is_private(sqlite_url: str) -> None:
    """
    The line of the database file says what is true.
    """
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    os.chmod(path, 0o600)
    (finding,) = await found(settings_of(database_url=sqlite_url), "database file")

    assert (finding.level, finding.text) == ("fine", f"{path} is for its owner only")


async def test_doctor_names_secrets_that_git_would_take(tmp_path: Path) -> None:
    """
    Database, secret and `.env` in a work tree are named until .gitignore covers them.
    """
    assert await (await asyncio.create_subprocess_exec("git", "init", "--quiet", str(tmp_path))).wait() == 0
    (tmp_path / ".env").write_text("V0_BASE_URL=http://127.0.0.1:9\n")
    before = (await run(tmp_path, "doctor")).out
    (tmp_path / ".gitignore").write_text("*.db\n*.secret\n.env\n")
    after = (await run(tmp_path, "doctor")).out

    lines = [line.split()[2] for line in before.splitlines() if " git: " in line]
    assert lines == ["protokeep.db", "protokeep.db.secret", ".env"]
    assert " git: " not in after


# -- secrets in files -------------------------------------------------------------------------------------------------


#: Secrets that are addresses with a password in them.
ADDRESSES = ("database_url", "database_direct_url")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without settings of ours, and a folder without `.env`."""
    for setting in SECRETS.values():
        monkeypatch.delenv(setting, raising=False)
        monkeypatch.delenv(f"{setting}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def value_of(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["bare", "unix", "dos"])
def test_every_secret_may_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path, name: str, end: str) -> None:
    """
    `X_FILE` names the file whose text, without one line end, is `X`.
    """
    secret = "postgresql://ann:pw@db/keep" if name in ADDRESSES else STRONG
    (tmp_path / "file").write_bytes((secret + end).encode())
    if name == "database_direct_url":
        environment.setenv("PROTOKEEP_DATABASE_URL", "postgresql://ann:pw@pooler/keep")
    environment.setenv(f"{SECRETS[name]}_FILE", str(tmp_path / "file"))

    assert value_of(Settings(), name) == secret


def test_a_file_is_named_in_dotenv_too_and_what_a_caller_gives_comes_first(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    `.env` names files as the environment does; an argument needs no file.
    """
    (tmp_path / "file").write_text(STRONG)
    (tmp_path / ".env").write_text(f"PROTOKEEP_SECRET_KEY_FILE={tmp_path}/file\nV0_API_KEY_FILE={tmp_path}/file\n")

    assert value_of(Settings(), "secret_key") == STRONG
    assert value_of(Settings(secret_key=OTHER, v0_api_key="given"), "secret_key") == OTHER
    assert value_of(Settings(secret_key=OTHER, v0_api_key="given"), "v0_api_key") == "given"


@pytest.mark.parametrize("setting", SECRETS.values())
async def test_a_setting_and_its_file_together_are_refused(tmp_path: Path, setting: str) -> None:
    """
    Both set is one line that names both, and shows neither value.
    """
    (tmp_path / "file").write_text(STRONG)
    given = f"sqlite:///{HUSH}.db" if setting == "PROTOKEEP_DATABASE_URL" else HUSH + STRONG
    ended = await run(tmp_path, "migrate", **{setting: given, f"{setting}_FILE": str(tmp_path / "file")})

    assert ended.code == 2
    assert ended.err == f"protokeep: {setting}: {setting} and {setting}_FILE are both set. Take one of them out.\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "holds no text"),
        (b"x" * 70_000, "too long"),
    ],
    ids=["missing", "empty", "only-a-line-end", "no-text", "long"],
)
async def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    """
    A file that is missing, empty or no text is one line with the setting, and nothing of a path or a content.
    """
    path = tmp_path / HUSH
    if content is not None:
        path.write_bytes(content)
    ended = await run(tmp_path, "serve", PROTOKEEP_JWT_SECRET_FILE=str(path))

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("protokeep: PROTOKEEP_JWT_SECRET: PROTOKEEP_JWT_SECRET_FILE names a file")
    assert words in ended.err
    assert HUSH not in ended.err


async def test_doctor_checks_the_files_of_secrets(tmp_path: Path) -> None:
    """
    A file that a setting names is held to the same mode, and its text to the same rule.
    """
    (tmp_path / "jwt").write_text(SUPABASE)
    (tmp_path / "jwt").chmod(0o604)
    said = (await run(tmp_path, "doctor", PROTOKEEP_JWT_SECRET_FILE="jwt")).out

    assert "UNSAFE  PROTOKEEP_JWT_SECRET_FILE: jwt is open to other users of this machine (mode 0604)" in said
    assert "UNSAFE  jwt_secret: PROTOKEEP_JWT_SECRET can be guessed" in said
    assert SUPABASE not in said


async def test_a_server_starts_with_all_its_secrets_in_files(tmp_path: Path) -> None:
    """
    `serve` starts where others reach it, with nothing secret in its environment.
    """
    for name, text in (("key", STRONG), ("jwt", OTHER), ("url", "sqlite:///kept.db")):
        (tmp_path / name).write_text(text + "\n")
    values = {
        "PROTOKEEP_SECRET_KEY_FILE": "key",
        "PROTOKEEP_JWT_SECRET_FILE": "jwt",
        "PROTOKEEP_DATABASE_URL_FILE": "url",
    }
    async with started(tmp_path, "serve", "--host", OPEN, "--port", "0", **values) as process:
        await process.says("serving on")

    assert (tmp_path / "kept.db").exists()


# -- nothing repeats a secret -----------------------------------------------------------------------------------------


#: Addresses of a database that are wrong, each in a way of its own.
WRONG = [
    f"postgresql:{HUSH}@db/keep",
    f"mysql://ann:{HUSH}@db/keep",
    f"{HUSH}",
    f"sqlite:{HUSH}",
    f"postgresql://ann:p#{HUSH}@127.0.0.1:1/keep",
    f"postgresql://ann:p/{HUSH}@127.0.0.1:1/keep",
    f"postgresql://ann:p@{HUSH}@127.0.0.1:1/keep",
    f"postgresql://ann:{HUSH}@127.0.0.1:x{HUSH}/keep",
    f"postgresql://ann:{HUSH}@127.0.0.1:99999/keep",
    f"postgresql://ann:{HUSH}@127.0.0.1:1/keep",
    f"postgresql://ann:{HUSH}@127.0.0.1:1/keep?sslmode={HUSH}",
    f"postgresql://ann:12?{HUSH}@127.0.0.1/keep",
    f"postgresql://ann:{HUSH}@[::1/keep",
    f"postgresql://ann:{HUSH}@no.such.host.invalid/keep",
]
#: `doctor` meets every address. The others read them by the same code, and meet one of each kind: not to be read,
#: refused by the driver, nobody answers, and a bad option.
COMMANDS = [("migrate",), ("doctor",), ("token", "list"), ("serve", "--port", "0")]


@pytest.mark.parametrize(
    ("command", "address"),
    [(COMMANDS[1], one) for one in WRONG]
    + [(command, WRONG[n]) for command in (COMMANDS[0], *COMMANDS[2:]) for n in (0, 8, 9, 10)],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
async def test_a_wrong_address_of_the_database_shows_no_password(
    tmp_path: Path, command: tuple[str, ...], address: str
) -> None:
    """
    Whatever is wrong with the address, no command repeats a piece of it, and none ends with a traceback.
    """
    ended = await run(tmp_path, *command, PROTOKEEP_DATABASE_URL=address, PROTOKEEP_SECRET_KEY=STRONG)

    assert ended.code in (1, 2)
    assert ended.err or "database" in ended.out
    assert HUSH not in ended.out + ended.err
    assert "Traceback" not in ended.err


async def test_a_refused_password_is_not_repeated(pg_url: str) -> None:
    """
    What PostgreSQL says of a sign-in that it refuses names no password.
    """
    _, _, place = pg_url.rpartition("@")
    with pytest.raises(NotReady) as caught:
        await migrate(f"postgresql://nobody_{HUSH[:4]}:{HUSH}@{place}")

    assert HUSH not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"PROTOKEEP_JWT_SECRET": HUSH},
        {"PROTOKEEP_MASTER_KEYS": HUSH},
        {"V0_API_KEY": f"{HUSH} {HUSH}"},
        {"V0_BASE_URL": f"https://ann:{HUSH}@api.v0.dev"},
        {"PROTOKEEP_OIDC_ISSUER": f"https://ann:{HUSH}@sso.example", "PROTOKEEP_OIDC_CLIENT_ID": "keep"},
        {"PROTOKEEP_PORT": HUSH},
        {"PROTOKEEP_OIDC_ISSUER": "https://sso.example", "PROTOKEEP_JWT_SECRET": HUSH + STRONG},
    ],
    ids="+".join,
)
async def test_a_setting_that_cannot_be_used_is_not_repeated(tmp_path: Path, values: dict[str, str]) -> None:
    """
    One line that names the setting, without its value.
    """
    ended = await run(tmp_path, "serve", "--host", "127.0.0.1", **values)

    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert HUSH not in ended.err


def test_settings_show_no_secret() -> None:
    """
    The settings as text, in an error or a debugger, hold no secret and no password.
    """
    values = {name: f"postgresql://ann:{HUSH}@db/keep" if name in ADDRESSES else HUSH + STRONG for name in SECRETS}
    settings = settings_of(**values)
    with pytest.raises(ValidationError) as caught:
        settings_of(**{**values, "port": -1})

    assert HUSH not in repr(settings) + str(settings) + str(caught.value) + repr(caught.value)


@pytest.fixture
def logging_to_stderr() -> Iterator[None]:
    """Logs as a server writes them, until the test ends."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    logs.configure()
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@on_postgresql
@pytest.mark.usefixtures("logging_to_stderr")
async def test_an_error_of_the_database_repeats_no_prompt(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """
    What an owner's trigger says of the row that it refuses is neither in the answer nor in the log.
    """
    logs.configure()
    await owner_schemas.run(
        world.database_url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not today' USING DETAIL = 'Failing row contains ' || NEW.prompt; END $$;"
        " CREATE TRIGGER refuse BEFORE INSERT ON design_mockups FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    async with world.serving(real=False) as site:
        answer = await site.create("p-1", f"{HUSH} is what it is about")
    said = capfd.readouterr()

    assert answer.status_code >= 500
    assert "unexpected_error" in said.err
    assert "not today" in said.err
    assert HUSH not in said.err + said.out + answer.text


@pytest.mark.usefixtures("logging_to_stderr")
@pytest.mark.parametrize("form", ["console", "json"])
def test_an_error_in_the_log_shows_no_variables(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    """
    A traceback names lines, and no value of a variable.
    """
    logs.configure("info", form)
    try:
        held = HUSH
        raise RuntimeError(str(len(held)))
    except RuntimeError:
        structlog.get_logger().exception("failed")
    said = capfd.readouterr().err

    assert "RuntimeError: 12" in said
    assert HUSH not in said


@pytest.mark.usefixtures("logging_to_stderr")
@pytest.mark.parametrize("form", ["console", "json"])
def test_a_text_in_the_log_is_no_line_of_its_own(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Line ends, escape sequences and marks of direction in somebody else's words are written out.
    """
    logs.configure("info", form)
    words = "a\r\nb\x1b]0;PWN\x07\x9b1m\u202ec\u2028d"
    structlog.get_logger().warning("told", reason=words)
    try:
        raise RuntimeError(words)
    except RuntimeError:
        structlog.get_logger().exception("failed")
    logging.getLogger("a library").warning(words)
    said = capfd.readouterr().err

    assert "PWN" in said
    assert not {one for one in said if not one.isprintable()} - {"\n"}
    assert len([line for line in said.splitlines() if "told" in line or "PWN" in line]) == 3


async def test_an_outage_says_nothing_of_the_address(pg_url: str) -> None:
    """
    What is answered while the database refuses us names neither the password nor the place.
    """
    _, _, place = pg_url.rpartition("@")
    database = Database(f"postgresql://nobody:{HUSH}@{place}")
    with pytest.raises((DatabaseUnavailable, DatabaseError)) as caught:
        async with database.reading():
            pass
    await database.close()

    assert HUSH not in str(caught.value)
    assert place not in str(caught.value)
