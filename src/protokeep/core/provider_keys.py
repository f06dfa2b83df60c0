"""Keys of providers: their owners, the accounts that they stand for, and their form.

An account's name says who pays, and holds no key: `<provider>:environment`, `<provider>:workspace:<workspace>` or
`<provider>:person:<workspace>:<person>`. It is written on every prototype that the account pays for, and never changes
there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from urllib.parse import quote, unquote

from protokeep.core.errors import InvalidInput

KEY_SHORTEST, KEY_LONGEST = 8, 500
#: The account of an older row until it is found out which account its chat is in.
UNKNOWN_ACCOUNT = "v0:unknown"
#: So many last characters of a key are shown.
HINT_LENGTH = 4
#: Hexadecimal digits by which metrics tell accounts apart.
LABEL_LENGTH = 8
#: Left as they are in an account's name, so that people can read it. A colon is not among them.
READABLE = "@.+-_ "


#: The message for people about an older row whose chat no account showed, with the next step.
NOT_IN_ACCOUNT_MESSAGE = (
    "No app builder account whose key is set here shows its chat. What is known of it stays. Add a key of the chat's "
    "account, and tracking resumes automatically."
)
#: The same before every account was asked.
LOOKING_MESSAGE = "It is older than protokeep, which is finding out the app builder account of its chat."


class KeySource(StrEnum):
    """The origin of the key that paid for a prototype."""

    ENVIRONMENT = "environment"
    WORKSPACE = "workspace"
    OWN = "own"  #: the key of the person who asked for it
    ARGUMENT = "argument"  #: a key that its caller passed to the agent
    UNKNOWN = "unknown"  #: nobody knows: the row is older than protokeep, and no account showed its chat yet


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The owner of a key: a person in a workspace, or (`user_id` empty) the workspace itself."""

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
    """A stored key, sealed for its owner and provider under the master key `master_id`."""

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
        """The account that the key stands for."""
        return self.owner.account(self.provider)


def label_of(account: str) -> str:
    """A short name of an account for metrics, which names no workspace and no person."""
    provider, _, rest = account.partition(":")
    named = rest if rest in ("environment", "unknown") else sha256(account.encode()).hexdigest()[:LABEL_LENGTH]
    return f"{provider}:{named}"


def owner_of(account: str) -> KeyOwner | None:
    """The owner of the stored key of an account; None: the key is not stored, it comes from the process."""
    parts = account.split(":")
    if len(parts) == 3 and parts[1] == "workspace":
        return KeyOwner(unquote(parts[2]))
    if len(parts) == 4 and parts[1] == "person":
        return KeyOwner(unquote(parts[2]), unquote(parts[3]))
    return None


def key_source_of(account: str) -> KeySource:
    """The origin of the key of an account."""
    if account == UNKNOWN_ACCOUNT:
        return KeySource.UNKNOWN
    owner = owner_of(account)
    if owner is not None:
        return KeySource.OWN if owner.user_id else KeySource.WORKSPACE
    return KeySource.ARGUMENT if ":key-" in account else KeySource.ENVIRONMENT


def key_of(value: str) -> str:
    """`value` as a provider's key. Raises `InvalidInput`, whose message never contains the value."""
    text = value.strip()
    if not KEY_SHORTEST <= len(text) <= KEY_LONGEST or not re.fullmatch(r"[!-~]+", text):
        raise InvalidInput(
            f"A key has {KEY_SHORTEST} to {KEY_LONGEST} characters, and no spaces or line breaks among them.",
            field="key",
        )
    return text


def hint_of(key: str) -> str:
    """The part of a key that people see, to recognise it."""
    return key[-HINT_LENGTH:]


def missing_key_message(account: str) -> str:
    """The message for people where an account has no key, with the next step."""
    if account == UNKNOWN_ACCOUNT:
        return NOT_IN_ACCOUNT_MESSAGE
    owner = owner_of(account)
    if owner is None:
        return "No key is set for the account that this prototype belongs to. The operator sets it and restarts."
    whose = f"{owner.user_id}'s own key" if owner.user_id else "The workspace's key"
    return (
        f"{whose}, which pays for this, was removed or cannot be opened here. Add a key of the same app builder "
        "account to continue."
    )
