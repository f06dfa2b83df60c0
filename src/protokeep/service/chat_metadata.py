"""What a chat carries as metadata, so that it is found again: our marks, signed, and what they are worth when read.

Whoever has a key of the account at the builder can write any metadata there. So marks are signed with a key that is
derived from the installation's secret, and what they hold is checked like anything that a caller sends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from protokeep.core import validation
from protokeep.core.generation import Generation
from protokeep.core.prototype import Prototype
from protokeep.core.provider_keys import owner_of
from protokeep.store.owner_table import OwnerTable

#: The marks that are signed, in this order: the installation, then what names the prototype.
SIGNED = ("protokeep", "protokeep_marker", "protokeep_workspace", "protokeep_product", "protokeep_user")
SIGNATURE = "protokeep_signature"


class Signed(StrEnum):
    """What a chat's signature says."""

    RIGHT = "right"
    MISSING = "missing"  #: made by a version that signed nothing
    WRONG = "wrong"  #: somebody else wrote these marks, or the installation's secret was changed


class Signer:
    """Signs the marks of chats, and tells ours from others'."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: the installation's secret key, the same in every process."""
        self._key = hmac.digest(secret, b"chat-metadata", hashlib.sha256)

    def sign(self, marks: Mapping[str, str]) -> str:
        """The signature of marks, as URL-safe text of 43 characters."""
        written = json.dumps([marks.get(name) for name in SIGNED]).encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, written, hashlib.sha256)).decode().rstrip("=")

    def check(self, marks: Mapping[str, str]) -> Signed:
        """Whether we wrote these marks."""
        given = marks.get(SIGNATURE)
        if given is None:
            return Signed.MISSING
        right = hmac.compare_digest(given.encode(errors="replace"), self.sign(marks).encode())
        return Signed.RIGHT if right else Signed.WRONG


def chat_metadata(signer: Signer, keeper_id: str, prototype: Prototype, generation: Generation) -> dict[str, str]:
    """What a chat carries as metadata (v0: keys of at most 40 characters, values of at most 500).

    The marker names the prototype; the others let a restored database take back what it does not know.
    """
    marks = {
        "protokeep": keeper_id,
        "protokeep_marker": generation.marker,
        "protokeep_workspace": generation.workspace_id,
        "protokeep_product": prototype.product_id,
        "protokeep_user": generation.created_by,
    }
    return {**marks, SIGNATURE: signer.sign(marks)}


def installation_filter(keeper_id: str) -> dict[str, str]:
    """The mark that all chats of this installation carry."""
    return {"protokeep": keeper_id}


def marker_filter(marker: str) -> dict[str, str]:
    """The mark that finds one generation's chats."""
    return {"protokeep_marker": marker}


@dataclass(frozen=True, slots=True)
class ChatMetadata:
    """Marks that name a prototype, checked. `signed`: we wrote them; else only the marker may be used."""

    marker: str
    workspace_id: str
    product_id: str
    user_id: str
    signed: bool


def parse_metadata(marks: Mapping[str, str], signer: Signer, account: str, shape: OwnerTable) -> ChatMetadata:
    """The marks of a chat of an account. Raises `ValueError` or `InvalidInput` when no row may be made of them."""
    signature = signer.check(marks)
    if signature is Signed.WRONG:
        raise ValueError("the signature of its marks is wrong")
    marker = marks.get("protokeep_marker", "")
    if str(UUID(marker)) != marker:
        raise ValueError("its marker is not written as ours are")
    if signature is Signed.MISSING:
        return ChatMetadata(marker, "", "", "", signed=False)
    workspace_id = validation.workspace_id_of(marks.get("protokeep_workspace", ""))
    product_id = validation.product_id_of(marks.get("protokeep_product", ""), must_be_uuid=shape.product_is_uuid)
    user_id = marks.get("protokeep_user", "")
    if user_id:
        user_id = validation.person_of(user_id)
    owner = owner_of(account)
    if owner is not None and workspace_id != owner.workspace_id:
        raise ValueError("its marks name another workspace than its account's")
    if owner is not None and owner.user_id and user_id != owner.user_id:
        raise ValueError("its marks name another person than its account's")
    return ChatMetadata(marker, workspace_id, product_id, user_id, signed=True)
