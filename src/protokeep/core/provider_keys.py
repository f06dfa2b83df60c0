"""Keys of app builders: whose they are, which account at the builder they stand for, and what may be one.

An account's name says who pays, and names no key: `<provider>:environment`, `<provider>:workspace:<workspace>` or
`<provider>:person:<workspace>:<person>`. It is written on every prototype of the account, and stays with that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote, unquote

from protokeep.core.errors import InvalidInput

KEY_SHORTEST, KEY_LONGEST = 8, 500
#: What is shown of a key.
HINT_LENGTH = 4
#: Left as they are in an account's name, so that people can read it. A colon is not among them.
READABLE = "@.+-_ "


class KeySource(StrEnum):
    """Where the key came from that paid for a prototype."""

    ENVIRONMENT = "environment"
    WORKSPACE = "workspace"
    OWN = "own"  #: that of the person who made it
    ARGUMENT = "argument"  #: handed to the agent by its caller


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Whose key it is: a person's in a workspace, or (`user_id` empty) the workspace's."""

    workspace_id: str
    user_id: str = ""

    def account(self, provider: str) -> str:
        """The account that this owner's key stands for."""
        workspace = quote(self.workspace_id, safe=READABLE)
        if not self.user_id:
            return f"{provider}:workspace:{workspace}"
        return f"{provider}:person:{workspace}:{quote(self.user_id, safe=READABLE)}"


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key as it is kept: sealed for its owner and provider under the master key `master_id`."""

    owner: KeyOwner
    provider: str
    master_id: str
    nonce: bytes
    ciphertext: bytes
    hint: str
    set_by: str
    set_at: datetime

    @property
    def account(self) -> str:
        """The account that it stands for."""
        return self.owner.account(self.provider)


def owner_of(account: str) -> KeyOwner | None:
    """Whose key an account stands for; None: nobody's that is kept here, but the process's."""
    parts = account.split(":")
    if len(parts) == 3 and parts[1] == "workspace":
        return KeyOwner(unquote(parts[2]))
    if len(parts) == 4 and parts[1] == "person":
        return KeyOwner(unquote(parts[2]), unquote(parts[3]))
    return None


def key_source_of(account: str) -> KeySource:
    """Where the key of an account comes from."""
    owner = owner_of(account)
    if owner is not None:
        return KeySource.OWN if owner.user_id else KeySource.WORKSPACE
    return KeySource.ARGUMENT if ":key-" in account else KeySource.ENVIRONMENT


def key_of(value: str) -> str:
    """`value` as a builder's key. Raises `InvalidInput`, which never repeats it."""
    text = value.strip()
    if not KEY_SHORTEST <= len(text) <= KEY_LONGEST or not re.fullmatch(r"[!-~]+", text):
        raise InvalidInput(
            f"A key has {KEY_SHORTEST} to {KEY_LONGEST} characters, and no spaces or line breaks among them.",
            field="key",
        )
    return text


def hint_of(key: str) -> str:
    """What is shown of a key, to recognise it by."""
    return key[-HINT_LENGTH:]


def missing(account: str) -> str:
    """What to say, and to do, where an account has no key."""
    owner = owner_of(account)
    if owner is None:
        return "The account that this prototype belongs to has no key configured. Set it and restart."
    whose = f"{owner.user_id}'s own key" if owner.user_id else "The workspace's key"
    return (
        f"{whose}, which paid for this, was removed, or cannot be opened here. It goes on by itself when a key of the "
        "same account at the builder is set again."
    )
