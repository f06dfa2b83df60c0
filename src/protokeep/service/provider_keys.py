"""Stored keys of app builders: of a workspace, or a person's own. They are never shown again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import structlog

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput, LimitReached, NotConfigured, NotFound, NotNow, ProviderError
from protokeep.core.principals import Principal
from protokeep.core.provider_keys import KeyOwner, SealedKey, key_of
from protokeep.providers.base import Provider
from protokeep.service.context import Context
from protokeep.service.provider_accounts import StoredKeys
from protokeep.service.vault import KeyNotReadable, Vault

log = structlog.get_logger(__name__)

#: Keys of a workspace and its people. Each is an account that is tracked and searched by itself.
KEYS_PER_WORKSPACE = 1000


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as people see it. `opens`: this process can read it.

    `works`: the app builder accepted the key when it was asked last; None: it did not answer, or was not asked.
    """

    sealed: SealedKey
    opens: bool
    works: bool | None = None


class ProviderKeys:
    """Sets, lists, removes and re-seals keys."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def set(
        self, by: Principal, owner: KeyOwner, provider: str, key: str, *, other_account: bool = False
    ) -> StoredKey:
        """Store a key for its owner. Prototypes that waited for a key go on.

        Raises `InvalidInput` for a key that the app builder refuses, and `NotNow` for a key of another account at the
        app builder than the one that made the existing prototypes, because they could not be polled with it.
        `other_account` stores such a key all the same. `LimitReached`: the workspace has as many keys as it may have.
        """
        keys = self._keys()
        name = self._context.providers.require_known(provider)
        text = key_of(key)
        await self._require_room(keys, owner, name)
        account = owner.account(name)
        works = await self._check_key(keys, name, text, account, other_account=other_account)
        now = self._context.clock()
        sealed = keys.vault.seal(text, owner, name, by=by.user_id, at=now)
        entry = AuditEntry.of(by, Action.KEY_SET, now, name, whose=owner.user_id or None, hint=sealed.hint)
        await keys.store.save(sealed, entry)
        await self._context.providers.refresh(at_once=True)
        log.info("provider_key_set", account=account)
        return StoredKey(sealed, opens=True, works=works)

    async def list(self, workspace_id: str, user_id: str | None = None) -> list[StoredKey]:
        """The keys of a workspace and of its people; with `user_id` only that person's."""
        keys = self._keys()
        return [
            StoredKey(sealed, opens=_opens(keys.vault, sealed))
            for sealed in await keys.store.list(workspace_id)
            if user_id is None or sealed.owner.user_id == user_id
        ]

    async def stored(self, provider: str, key_texts: Mapping[KeyOwner, str]) -> frozenset[KeyOwner]:
        """The owners for whom this very key is stored, and opens here."""
        keys = self._keys()
        found: list[KeyOwner] = []
        for workspace_id in {owner.workspace_id for owner in key_texts}:
            for sealed in await keys.store.list(workspace_id):
                key = key_texts.get(sealed.owner) if sealed.provider == provider else None
                with contextlib.suppress(KeyNotReadable):
                    if key is not None and keys.vault.open(sealed) == key_of(key):
                        found.append(sealed.owner)
        return frozenset(found)

    async def remove(self, by: Principal, owner: KeyOwner, provider: str) -> None:
        """Delete a key. Prototypes of its account wait, visibly, until there is a key again. Raises `NotFound`."""
        keys = self._keys()
        name = self._context.providers.require_known(provider)
        now = self._context.clock()
        entry = AuditEntry.of(by, Action.KEY_REMOVED, now, name, whose=owner.user_id or None)
        if not await keys.store.remove(owner, name, entry):
            raise NotFound(f"There is no {name} key to remove.")
        await self._context.providers.refresh(at_once=True)
        log.info("provider_key_removed", account=owner.account(name))

    async def rotate(self, by: Principal) -> tuple[int, int]:
        """Seal the keys of all workspaces under the first master key, while everything goes on.

        Keys that are sealed under it already stay as they are, so a rotation can be repeated. Returns how many keys
        were sealed, and how many could not be opened.
        """
        keys = self._keys()
        rotated = failed = 0
        for sealed in await keys.store.all():
            if sealed.master_id == keys.vault.current:
                continue
            try:
                key = keys.vault.open(sealed)
            except KeyNotReadable as error:
                log.error("provider_key_not_readable", account=sealed.account, reason=str(error))
                failed += 1
                continue
            after = keys.vault.seal(key, sealed.owner, sealed.provider, by=sealed.set_by, at=sealed.set_at)
            entry = AuditEntry(
                sealed.owner.workspace_id,
                self._context.clock(),
                Action.KEY_SEALED_ANEW,
                by.user_id,
                subject=sealed.provider,
                data={"whose": sealed.owner.user_id} if sealed.owner.user_id else {},
            )
            rotated += await keys.store.reseal(sealed, after, entry)
        return rotated, failed

    def _keys(self) -> StoredKeys:
        """The stored keys. Raises `NotConfigured` in a process that stores none."""
        keys = self._context.providers.stored_keys
        if keys is None:
            raise NotConfigured("This process stores no v0 API keys.")
        return keys

    async def _require_room(self, keys: StoredKeys, owner: KeyOwner, provider: str) -> None:
        stored = [(sealed.owner, sealed.provider) for sealed in await keys.store.list(owner.workspace_id)]
        if len(stored) >= KEYS_PER_WORKSPACE and (owner, provider) not in stored:
            raise LimitReached(
                f"This workspace and its people have {KEYS_PER_WORKSPACE} keys, which is the limit. Remove some that "
                "are no longer needed."
            )

    async def _check_key(
        self, keys: StoredKeys, provider: str, key: str, account: str, *, other_account: bool
    ) -> bool | None:
        """Whether the app builder accepts the key; None if it does not answer. Errors are as in `set`."""
        newest_chat = None if other_account else await keys.store.newest_chat(account)
        providers = {built.api_version: built for built in keys.build(provider, key)}
        try:
            await self._check_accepted(providers[keys.versions[provider]])
            if newest_chat is not None:
                chat_id, api_version = newest_chat
                await _check_sees(providers[api_version], chat_id)
        except ProviderError as error:
            if error.status in (401, 403):
                raise InvalidInput("v0 rejected this key. Nothing changed.", field="key") from error
            return None
        finally:
            for built in providers.values():
                await built.aclose()
        return True

    async def _check_accepted(self, provider: Provider) -> None:
        """Make the cheapest call that needs the key: a search that finds nothing. Raises `ProviderError`."""

        async def all_known(chats: Sequence[str]) -> set[str]:
            return set(chats)

        nothing = {"protokeep_marker": uuid4().hex}
        now = self._context.clock()
        await provider.find([nothing], sent_after=now, known=all_known, thorough=False, calls=1)


async def _check_sees(provider: Provider, chat_id: str) -> None:
    """Raise `NotNow` if the key does not see a chat that was created before; `ProviderError` if that is unclear."""
    try:
        await provider.prompt_of(chat_id)
    except ProviderError as error:
        if error.status != 404:
            raise
        raise NotNow(
            "This key belongs to another app builder account: it does not see the prototypes that were made with "
            "the key before. To stop tracking those, set it with other_account=true."
        ) from error


def _opens(vault: Vault, sealed: SealedKey) -> bool:
    try:
        vault.open(sealed)
    except KeyNotReadable:
        return False
    return True
