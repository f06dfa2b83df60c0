"""Secrets that stand in files: `PROTOKEEP_JWT_SECRET_FILE` names the file whose text is `PROTOKEEP_JWT_SECRET`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

#: What the name of a setting ends with if its value stands in a file.
SUFFIX = "_FILE"
#: The longest text of a secret; more is no secret, but a wrong file.
MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds the value of a setting. `is_set_twice`: the setting itself has a value too."""

    setting: str
    path: str
    is_set_twice: bool = False

    def read(self) -> str:
        """The text of the file without the line end that closes it.

        Raises `ValueError` with the name of the setting, and without the path: somebody may have put the secret there.
        """
        name = self.setting + SUFFIX
        if self.is_set_twice:
            raise ValueError(f"{self.setting} and {name} are both set. Take one of them out.")
        try:
            with open(self.path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
            text = content.decode().removesuffix("\n").removesuffix("\r")
        except OSError as error:
            raise ValueError(f"{name} names a file that cannot be read: {error.strerror}.") from None
        except ValueError:  # Not UTF-8, or a path that no file can have.
            raise ValueError(f"{name} names a file that holds no text.") from None
        if len(content) > MAX_BYTES:
            raise ValueError(f"{name} names a file that is too long for a secret.")
        if not text:
            raise ValueError(f"{name} names a file that is empty.")
        return text


def secret_file_of(setting: str, environment: Mapping[str, str | None]) -> SecretFile | None:
    """The file that an environment names for a setting; None if it names none."""
    path = environment.get(setting + SUFFIX)
    return SecretFile(setting, path, bool(environment.get(setting))) if path else None


def secret_in_environment(setting: str) -> str:
    """The value of a setting of this process's environment, or the text of its file; empty without either.

    Raises `ValueError` if the file cannot be used.
    """
    file = secret_file_of(setting, os.environ)
    return file.read() if file else os.environ.get(setting, "")
