"""Seals keys of app builders under a master key: AES-256-GCM, bound to the owner and the provider."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protokeep.core.errors import NotReady
from protokeep.core.provider_keys import KeyOwner, SealedKey, hint_of

NONCE_BYTES = 12
KEY_BYTES = 32
PURPOSE = b"protokeep provider keys, version 1"


class KeyNotReadable(NotReady):
    """A sealed key cannot be opened: its master key is missing, or its row was changed or moved to another owner."""


class Vault:
    """Seals keys under the first master key, and opens keys that were sealed under any of them."""

    def __init__(self, masters: Sequence[bytes]) -> None:
        """`masters` are secrets of at least 32 random characters or bytes; HKDF derives the master keys from them."""
        keys = [HKDF(SHA256(), KEY_BYTES, salt=None, info=PURPOSE).derive(master) for master in masters]
        self._keys = {hashlib.sha256(key).hexdigest()[:16]: AESGCM(key) for key in reversed(keys)}
        #: The id of the master key that seals.
        self.current = hashlib.sha256(keys[0]).hexdigest()[:16]

    def seal(self, key: str, owner: KeyOwner, provider: str, *, by: str, at: datetime) -> SealedKey:
        """`key`, encrypted so that only this owner's row together with the master key gives it back."""
        nonce = os.urandom(NONCE_BYTES)
        binding = _binding(self.current, owner, provider)
        ciphertext = self._keys[self.current].encrypt(nonce, key.encode(), binding)
        return SealedKey(owner, provider, self.current, nonce, ciphertext, hint_of(key), by, at)

    def open(self, sealed: SealedKey) -> str:
        """The key that was sealed. Raises `KeyNotReadable`."""
        master = self._keys.get(sealed.master_id)
        if master is None:
            raise KeyNotReadable(
                f"The key of {sealed.account} is encrypted with a master key that this process does not have. Add "
                "that to PROTOKEEP_MASTER_KEYS, or set the key again."
            )
        try:
            binding = _binding(sealed.master_id, sealed.owner, sealed.provider)
            return master.decrypt(sealed.nonce, sealed.ciphertext, binding).decode()
        except InvalidTag as error:
            raise KeyNotReadable(f"The key of {sealed.account} was changed in the database. Set it again.") from error


def _binding(master_id: str, owner: KeyOwner, provider: str) -> bytes:
    """The associated data that ties a sealed key to its owner and provider."""
    return json.dumps([master_id, owner.workspace_id, owner.user_id, provider]).encode()
