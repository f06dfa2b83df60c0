"""Keys of app builders that are kept here: a workspace's, or a person's own. They go in and never come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import structlog

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import InvalidInput, NotConfigured, NotFound, NotNow, ProviderError
from protokeep.core.principals import Principal
from protokeep.core.provider_keys import KeyOwner, SealedKey, key_of
from protokeep.providers.base import Provider
from protokeep.service.context import Context
from protokeep.service.provider_accounts import StoredKeys
from protokeep.service.vault import KeyNotReadable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is told of a key. `works`: whether the builder took it when it was last asked; None: it did not answer."""

    sealed: SealedKey
    opens: bool
    works: bool | None = None


class ProviderKeys:
    """Sets, lists, removes and seals anew."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def set(
        self, by: Principal, owner: KeyOwner, provider: str, key: str, *, other_account: bool = False
    ) -> StoredKey:
        """Keep a key for its owner; prototypes that waited for one go on.

        Raises `InvalidInput` for one that the builder refuses, and `NotNow` for one of another account at the builder
        than the one that made the prototypes there are: they could not be followed with it. `other_account` sets it
        all the same.
        """
        kept = self._kept()
        name = self._context.providers.known(provider)
        text = key_of(key)
        account = owner.account(name)
        works = await self._try(kept, name, text, account, other_account=other_account)
        now = self._context.clock()
        sealed = kept.vault.seal(text, owner, name, by=by.user_id, at=now)
        entry = AuditEntry.of(by, Action.KEY_SET, now, name, whose=owner.user_id or None, hint=sealed.hint)
        await kept.store.save(sealed, entry)
        await self._context.providers.refresh(at_once=True)
        log.info("provider_key_set", account=account)
        return StoredKey(sealed, opens=True, works=works)

    async def list(self, workspace_id: str, user_id: str | None = None) -> list[StoredKey]:
        """The keys of a workspace and its people; with `user_id` that person's only."""
        kept = self._kept()
        found = await kept.store.list(workspace_id)
        return [
            StoredKey(sealed, opens=_opens(kept, sealed))
            for sealed in found
            if user_id is None or sealed.owner.user_id == user_id
        ]

    async def remove(self, by: Principal, owner: KeyOwner, provider: str) -> None:
        """Forget a key. What it paid for waits, in sight, until there is one again. Raises `NotFound`."""
        kept = self._kept()
        name = self._context.providers.known(provider)
        now = self._context.clock()
        entry = AuditEntry.of(by, Action.KEY_REMOVED, now, name, whose=owner.user_id or None)
        if not await kept.store.remove(owner, name, entry):
            raise NotFound(f"There is no {name} key to remove.")
        await self._context.providers.refresh(at_once=True)
        log.info("provider_key_removed", account=owner.account(name))

    async def rotate(self, by: Principal) -> tuple[int, int]:
        """Seal every key, of all workspaces, under the first master key. (how many were, how many do not open).

        Those that are sealed under it already stay as they are, so that it may be run again. Nothing stops meanwhile.
        """
        kept = self._kept()
        done = failed = 0
        for sealed in await kept.store.all():
            if sealed.master_id == kept.vault.current:
                continue
            try:
                key = kept.vault.open(sealed)
            except KeyNotReadable as error:
                log.error("provider_key_not_readable", account=sealed.account, reason=str(error))
                failed += 1
                continue
            after = kept.vault.seal(key, sealed.owner, sealed.provider, by=sealed.set_by, at=sealed.set_at)
            entry = AuditEntry(
                sealed.owner.workspace_id,
                self._context.clock(),
                Action.KEY_SEALED_ANEW,
                by.user_id,
                subject=sealed.provider,
                data={"whose": sealed.owner.user_id} if sealed.owner.user_id else {},
            )
            done += await kept.store.reseal(sealed, after, entry)
        return done, failed

    def _kept(self) -> StoredKeys:
        kept = self._context.providers.stored_keys
        if kept is None:
            raise NotConfigured("This process keeps no keys.")
        return kept

    async def _try(
        self, kept: StoredKeys, provider: str, key: str, account: str, *, other_account: bool
    ) -> bool | None:
        """Whether the builder takes the key; None: it does not answer, and the key is kept all the same."""
        chat = None if other_account else await kept.store.newest_chat(account)
        builders = {builder.api_version: builder for builder in kept.build(provider, key)}
        try:
            return await self._asked(builders, kept.versions[provider], chat)
        finally:
            for builder in builders.values():
                await builder.aclose()

    async def _asked(self, builders: dict[int, Provider], version: int, chat: tuple[str, int] | None) -> bool | None:
        async def none_known(chats: Sequence[str]) -> set[str]:
            return set(chats)

        try:
            nothing = {"protokeep_marker": uuid4().hex}
            now = self._context.clock()
            await builders[version].find([nothing], sent_after=now, known=none_known, thorough=False, calls=1)
            if chat is not None:
                await builders[chat[1]].prompt_of(chat[0])
        except ProviderError as error:
            if error.status in (401, 403):
                raise InvalidInput("The builder refuses this key. Nothing was changed.", field="key") from error
            if error.status == 404 and chat is not None:
                raise NotNow(
                    "This key is of another account at the builder: it does not see the prototypes that were made "
                    "with the key before. Set it with other_account=true if they need not be followed any more."
                ) from error
            return None
        return True


def _opens(kept: StoredKeys, sealed: SealedKey) -> bool:
    try:
        kept.vault.open(sealed)
    except KeyNotReadable:
        return False
    return True
