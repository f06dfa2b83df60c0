"""What `doctor` checks of secrets and files: how strong the secrets are, and who else may read the files."""

from __future__ import annotations

import contextlib
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from protokeep.core.secret_strength import COMMAND, weakness_of
from protokeep.secret_files import SUFFIX
from protokeep.settings import Settings, secret_files

Level = Literal["fine", "unsafe", "broken"]

#: Where settings are read from beside the environment.
ENV_FILE = Path(".env")
#: How long git may take to say whether it ignores a file.
GIT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `fix` says what to do; it is empty if the result is fine."""

    level: Level
    name: str
    text: str
    fix: str = ""


def fine(name: str, text: str) -> Finding:
    return Finding("fine", name, text)


def unsafe(name: str, text: str, fix: str) -> Finding:
    return Finding("unsafe", name, text, fix)


def broken(name: str, text: str, fix: str) -> Finding:
    return Finding("broken", name, text, fix)


def check_secrets(settings: Settings) -> list[Finding]:
    """Check, by one rule, everything that signs, digests or seals."""
    findings = _check_secret_key(settings)
    if settings.jwt_secret is not None:
        fix = f"make a new one where JWTs are signed, such as with: {COMMAND}, and set it here too"
        findings.append(_judge("jwt_secret", "PROTOKEEP_JWT_SECRET", settings.jwt_secret.get_secret_value(), fix))
    for master in settings.masters:
        fix = f"set a new one in front, with: {COMMAND}; then `protokeep keys rotate`, and take this one out"
        findings.append(_judge("master_keys", "a key of PROTOKEEP_MASTER_KEYS", master.decode(), fix))
    return findings


def _check_secret_key(settings: Settings) -> list[Finding]:
    fix = f"set it to what this prints: {COMMAND}"
    secret = settings.secret_key.get_secret_value().strip() if settings.secret_key else ""
    if secret:
        return [_judge("secret", "PROTOKEEP_SECRET_KEY", secret, fix)]
    path = settings.stored_secret
    if path is None:
        return [broken("secret", "PROTOKEEP_SECRET_KEY is not set, which PostgreSQL needs", fix)]
    found = _check_file("secret", path)
    if found.level != "fine" or not path.is_file():
        return [found]
    try:
        secret = path.read_bytes().strip().decode("utf-8", "replace")
    except OSError as error:
        return [
            broken("secret", f"{path} cannot be read ({error.strerror})", "give it to the user that runs protokeep")
        ]
    fix = f"stop, remove {path}, run `protokeep accept-secret`, which creates a new one, and create new tokens"
    judged = _judge("secret", str(path), secret, fix)
    return [found if judged.level == "fine" else judged]


def _judge(name: str, setting: str, secret: str, fix: str) -> Finding:
    weakness = weakness_of(secret)
    if weakness is None:
        return fine(name, f"{setting} cannot be guessed")
    return unsafe(name, f"{setting} can be guessed: it {weakness}", fix)


def check_files(settings: Settings) -> list[Finding]:
    """Check who else on this machine can open the database, its secret, and `.env`."""
    database, findings = settings.database_file, []
    if database is not None:
        found = [_check_file("database file", path) for path in (database, *_beside(database, "-wal", "-shm"))]
        findings += [one for one in found if one.level != "fine"] or found[:1]
    if ENV_FILE.is_file():
        findings.append(_check_file(".env", ENV_FILE))
    return findings


def check_secret_files(settings: Settings) -> list[Finding]:
    """Check the files that settings name for secrets, and whether any secret could be committed with git."""
    named = [(file.setting + SUFFIX, Path(file.path)) for file in secret_files()]
    findings = [_check_file(name, path) for name, path in named]
    paths = [path for _, path in named] + [path for path in (settings.database_file, settings.stored_secret) if path]
    for path in (*paths, *([ENV_FILE] if ENV_FILE.is_file() else [])):
        if _is_committable(path):
            text = f"{path} lies in a git work tree that does not ignore it: it could be committed"
            findings.append(unsafe("git", text, f"add {path.name} to .gitignore there"))
    return findings


def _is_committable(path: Path) -> bool:
    """Whether a file lies in a git work tree and is not ignored there. False where git is missing or refuses."""
    git = shutil.which("git")
    if git is None or not path.parent.is_dir():
        return False
    command = [git, "-C", str(path.parent), "check-ignore", "--quiet", "--", path.name]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS, check=False)  # noqa: S603 - our words
        return done.returncode == 1
    return False


def _beside(path: Path, *endings: str) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in endings]


def _check_file(name: str, path: Path) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return fine(name, f"{path} is not there yet")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return unsafe(name, f"{path} is open to other users of this machine (mode {mode:04o})", f"chmod 600 {path}")
    return fine(name, f"{path} is for its owner only")
