"""The metadata of a chat, by which it is found again: how it is written, signed, and checked when it is read.

Anybody with a key of the account can write any metadata at the provider. So metadata is signed with a key derived from
the installation's secret, what is not signed counts for nothing, and values are checked like a caller's input.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from protokeep.core import validation
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.provider_keys import owner_of
from protokeep.store.owner_table import OwnerTable

#: The entries that are signed, in this order: the installation, then the prototype's identity.
SIGNED = ("protokeep", "protokeep_marker", "protokeep_workspace", "protokeep_product", "protokeep_user")
SIGNATURE = "protokeep_signature"
#: Names the chat whose archive a chat was made from. It is not signed, and takes only a slot that is free.
RESTORED_FROM = "protokeep_restored_from"


class Unsigned(ValueError):
    """Somebody else wrote these metadata, or the installation's secret was changed since."""


class Signer:
    """Signs the metadata of chats, and checks signatures."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: the installation's secret key, the same in every process."""
        self._key = hmac.digest(secret, b"chat-metadata", hashlib.sha256)
        #: Tells this secret from others, and nothing about it.
        self.mark = hmac.digest(secret, b"secret-mark", hashlib.sha256).hex()[:32]

    def sign(self, metadata: Mapping[str, str]) -> str:
        """The signature of metadata, as URL-safe text of 43 characters."""
        signed = json.dumps([metadata.get(name) for name in SIGNED]).encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode().rstrip("=")

    def sign_receipts(self, content: bytes) -> str:
        """The signature of an export of receipts, as hexadecimal text. No metadata has the same one."""
        return hmac.digest(self._key, b"receipts\0" + content, hashlib.sha256).hex()

    def has_signed(self, metadata: Mapping[str, str]) -> bool:
        """Whether we wrote these metadata. False also after a change of the installation's secret."""
        given = metadata.get(SIGNATURE, "")
        return hmac.compare_digest(given.encode(errors="replace"), self.sign(metadata).encode())


def chat_metadata(signer: Signer, keeper_id: str, prototype: TrackedPrototype) -> dict[str, str]:
    """The metadata of a prototype's chat, for `Provider.create` (v0: keys up to 40 characters, values up to 500).

    The marker names the prototype; the others let a restored database adopt chats that it does not know.
    """
    generation = prototype.generation
    named = ChatMetadata(generation.marker, generation.workspace_id, prototype.product_id, generation.created_by)
    return signed_metadata(signer, keeper_id, named)


def signed_metadata(signer: Signer, keeper_id: str, named: ChatMetadata) -> dict[str, str]:
    """The same of what a chat's metadata name."""
    metadata = {
        "protokeep": keeper_id,
        "protokeep_marker": named.marker,
        "protokeep_workspace": named.workspace_id,
        "protokeep_product": named.product_id,
        "protokeep_user": named.user_id,
    }
    return {**metadata, SIGNATURE: signer.sign(metadata)}


def installation_filter(keeper_id: str) -> dict[str, str]:
    """The metadata that every chat of this installation carries."""
    return {"protokeep": keeper_id}


def marker_filter(marker: str) -> dict[str, str]:
    """The metadata that only the chats of one generation carry."""
    return {"protokeep_marker": marker}


@dataclass(frozen=True, slots=True)
class ChatMetadata:
    """Metadata that this installation wrote, checked."""

    marker: str
    workspace_id: str
    product_id: str
    user_id: str


def parse_metadata(metadata: Mapping[str, str], signer: Signer, account: str, table: OwnerTable) -> ChatMetadata:
    """The checked metadata of a chat. Raises `ValueError` or `InvalidInput` when no row may be made of it."""
    if not signer.has_signed(metadata):
        raise Unsigned("its marks are not signed by this installation")
    marker = metadata.get("protokeep_marker", "")
    if str(UUID(marker)) != marker:
        raise ValueError("its marker is not written as ours are")
    workspace_id = validation.workspace_id_of(metadata.get("protokeep_workspace", ""))
    product_id = validation.product_id_of(metadata.get("protokeep_product", ""), must_be_uuid=table.product_is_uuid)
    user_id = metadata.get("protokeep_user", "")
    if user_id:
        user_id = validation.person_of(user_id)
    owner = owner_of(account)
    if owner is not None and workspace_id != owner.workspace_id:
        raise ValueError("its marks name another workspace than its account's")
    if owner is not None and owner.user_id and user_id != owner.user_id:
        raise ValueError("its marks name another person than its account's")
    return ChatMetadata(marker, workspace_id, product_id, user_id)


def is_foreign(signer: Signer, workspace_id: str, metadata: Mapping[str, str]) -> bool:
    """Whether a mark in metadata names another workspace, or was not written by this installation."""
    if not any(name in metadata for name in SIGNED):
        return False
    return not signer.has_signed(metadata) or metadata.get("protokeep_workspace") != workspace_id
