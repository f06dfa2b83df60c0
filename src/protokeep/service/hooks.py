"""Hooks: the builder tells us that something ended, and we look. A delivery is a hint and never the truth."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog

from protokeep.core.errors import NotConfigured, ProviderError, ProviderUnreachable
from protokeep.core.webhook_payload import chats_named
from protokeep.providers.base import Provider, RegisteredHook
from protokeep.service.context import Context
from protokeep.store.hooks import Hook

log = structlog.get_logger(__name__)

NAME = "protokeep"
#: Chats whose hooks wait to be written; a flood beyond that is dropped: polling goes on as the truth.
MAX_PENDING = 5000
CHATS_AT_ONCE = 500
#: Deliveries of this long are written together.
COALESCE_SECONDS = 0.1
#: A chat may be announced before the answer to its create has been written; it is looked for once more after this.
AGAIN_SECONDS = 1.0
#: How long the registered hooks are remembered: a wrong address costs no read of the database.
REMEMBER_SECONDS = 5.0
#: After the builder did not take a hook, `complete` tries again; and after a process died in the middle of it.
RETRY = timedelta(minutes=10)

#: An account, and the version of its API.
_At = tuple[str, int]


class Hooks:
    """Registers hooks, knows their addresses, and turns deliveries into looks."""

    def __init__(self, context: Context, secret: bytes, public_url: str | None) -> None:
        self._context = context
        self._secret = secret
        self._public_url = (public_url or "").rstrip("/")
        self._known: list[tuple[str, str]] = []
        self._known_at = float("-inf")
        self._not_before: dict[_At, datetime] = {}
        self._pending: dict[tuple[str, str], bool] = {}
        self._later: dict[tuple[str, str], bool] = {}
        self._flusher: asyncio.Task[None] | None = None

    # -- for whoever runs this ---------------------------------------------------------------------------------

    async def install(self, *, rotate: bool = False) -> list[Hook]:
        """One hook per account and API version; those that are there stay, or get a new address with `rotate`.

        An account that the builder refuses keeps none of the others from theirs; its `ProviderError` is raised then.
        """
        base = self._base()
        await self._context.providers.refresh()
        kept = await self._kept()
        installed: list[Hook] = []
        failed: ProviderError | None = None
        for account, provider in self._places():
            hook = kept.get((account, provider.api_version))
            try:
                installed.append(await self._install(base, account, provider, hook, rotate=rotate))
            except ProviderError as error:
                log.warning("hook_not_installed", account=account, reason=str(error))
                failed = failed or error
        if failed is not None:
            raise failed
        return installed

    async def complete(self) -> int:
        """Register hooks for keys that were set after `install`; how many. Where nobody installed any, none is.

        Of many processes one does it. A key that took the place of another may be of another account at the builder,
        so its hook is looked for, once.
        """
        kept = await self._kept()
        if not kept or not self._public_url:
            return 0
        base = self._base()
        await self._context.providers.refresh()
        added = 0
        for account, provider in self._places():
            hook = kept.get((account, provider.api_version))
            now = self._context.clock()
            if not self._is_due(account, provider.api_version, hook, now):
                continue
            claimed = Hook(account, provider.api_version, "", secrets.token_urlsafe(18), now)
            if hook is not None:
                claimed = replace(hook, installed_at=now)
            if await self._context.store.hooks.claim(claimed, hook.installed_at if hook else None):
                added += await self._complete(base, provider, claimed, hook)
        return added

    async def lacking(self) -> Sequence[_At]:
        """Accounts (and versions) without a hook, where there are hooks at all; as rows say, the builder not asked."""
        await self._context.providers.refresh()
        kept = await self._kept()
        places = [(account, provider.api_version) for account, provider in self._places()] if kept else []
        return [at for at in places if at not in kept or not kept[at].hook]

    async def list(self) -> list[tuple[Hook, bool | None]]:
        """The hooks that we registered, and whether the builder still has them (None: it could not be asked)."""
        found: list[tuple[Hook, bool | None]] = []
        await self._context.providers.refresh()
        for hook in await self._context.store.hooks.list():
            provider = self._context.providers.serving(hook.account, hook.api_version)
            there: bool | None = None
            if provider is not None and not hook.hook:
                there = False
            elif provider is not None:
                try:
                    there = any(one.id == hook.hook for one in await provider.hooks())
                except ProviderError:
                    there = None
            found.append((hook, there))
        return found

    async def remove(self) -> tuple[int, Sequence[str]]:
        """Take all of ours away again, here and at the builder.

        How many there were, and the accounts at which the builder keeps one, because their keys are gone: it calls an
        address that counts no more.
        """
        removed = 0
        left = []
        await self._context.providers.refresh()
        for hook in await self._context.store.hooks.list():
            provider = self._context.providers.serving(hook.account, hook.api_version)
            if provider is None:
                left.append(hook.account)
            elif hook.hook:
                await provider.remove_hook(hook.hook)
            await self._context.store.hooks.delete(hook.account, hook.api_version)
            removed += 1
        return removed, left

    async def _kept(self) -> dict[_At, Hook]:
        return {(hook.account, hook.api_version): hook for hook in await self._context.store.hooks.list()}

    def _places(self) -> Iterator[tuple[str, Provider]]:
        """Where a hook belongs: every account, in every version of its API that has hooks."""
        for account in self._context.providers.accounts():
            for provider in self._context.providers.of_account(account):
                if provider.capabilities.hooks:
                    yield account, provider

    async def _install(self, base: str, account: str, provider: Provider, hook: Hook | None, *, rotate: bool) -> Hook:
        keep = self._context.store.hooks.save
        registered = await provider.hooks()
        nonce = secrets.token_urlsafe(18)
        address = self._address(base, account, provider.api_version, nonce)
        if hook is None or hook.hook not in {one.id for one in registered}:
            hook_id = await self._add(provider, registered, address)
            hook = Hook(account, provider.api_version, hook_id, nonce, self._context.clock())
            await keep(hook)
        elif rotate:
            # Both addresses are good until the builder has moved.
            both = replace(hook, nonce=nonce, old_nonce=hook.nonce)
            await keep(both)
            await provider.move_hook(hook.hook, address)
            hook = replace(both, old_nonce=None)
            await keep(hook)
        else:
            address = self._address(base, account, provider.api_version, hook.nonce)
            await provider.move_hook(hook.hook, address)  # PROTOKEEP_PUBLIC_URL may have changed.
        return hook

    async def _add(self, provider: Provider, registered: Sequence[RegisteredHook], address: str) -> str:
        """Let the builder call `address`: by a hook of ours whose registration nobody wrote down, or by a new one.

        A hook's name is all that a list tells of it, so it says whose it is and for which version.
        """
        installation, _ = await self._context.store.installation()
        name = f"{NAME} v{provider.api_version} {installation}"
        for one in registered:
            if one.name == name:
                await provider.move_hook(one.id, address)
                return one.id
        return await provider.add_hook(name, address)

    def _is_due(self, account: str, api_version: int, hook: Hook | None, now: datetime) -> bool:
        """Whether a hook is missing, or may be."""
        if now < self._not_before.get((account, api_version), now):
            return False
        if hook is None:
            return True
        if not hook.hook:
            return now - hook.installed_at >= RETRY
        set_at = self._context.providers.key_set_at(account)
        return set_at is not None and set_at > hook.installed_at

    async def _complete(self, base: str, provider: Provider, claimed: Hook, before: Hook | None) -> int:
        """See to it that the builder has a hook that this process may register; how many were added."""
        began = self._context.elapsed()
        try:
            registered = await provider.hooks()
            if claimed.hook and claimed.hook in {one.id for one in registered}:
                return 0
            if self._context.elapsed() - began > RETRY.total_seconds() / 2:
                raise ProviderUnreachable("It was too late to register it, so nothing was sent.", code="too_late")
            address = self._address(base, claimed.account, claimed.api_version, claimed.nonce)
            hook_id = await self._add(provider, registered, address)
        except ProviderError as error:
            log.warning("hook_not_installed", account=claimed.account, reason=str(error))
            self._not_before[claimed.account, claimed.api_version] = claimed.installed_at + RETRY
            if before is not None and before.hook:
                await self._context.store.hooks.save(before)  # Still to be looked for.
            return 0
        await self._context.store.hooks.save(replace(claimed, hook=hook_id))
        log.info("hook_installed", account=claimed.account, api_version=claimed.api_version)
        return 1

    # -- for the builder ---------------------------------------------------------------------------------------

    async def receive(self, secret: str, body: bytes) -> bool:
        """Take a delivery; False: there is no such address. Returns at once, and believes nothing of the body."""
        account = await self._account_of(secret)
        if account is None:
            return False
        chats, begun = chats_named(body)
        for chat_id in chats:
            key = (account, chat_id)
            if key in self._pending or len(self._pending) < MAX_PENDING:
                self._pending[key] = self._pending.get(key, True) and begun
        if self._pending and (self._flusher is None or self._flusher.done()):
            self._flusher = asyncio.create_task(self._flush())
        return True

    async def settled(self) -> None:
        """Wait until what was received is written."""
        if self._flusher is not None:
            await asyncio.wait({self._flusher})

    async def _flush(self) -> None:
        again_at = 0.0
        loop = asyncio.get_running_loop()
        while self._pending or self._later:
            await asyncio.sleep(COALESCE_SECONDS)
            taken, self._pending = self._pending, {}
            try:
                await self._write(taken, last=False)
                if self._later and not again_at:
                    again_at = loop.time() + AGAIN_SECONDS
                if self._later and loop.time() >= again_at:
                    later, self._later, again_at = self._later, {}, 0.0
                    await self._write(later, last=True)
            except Exception as error:  # noqa: BLE001 - polling finds out what these hooks would have told
                log.warning("hook_poll_requests_not_saved", error=type(error).__name__, reason=str(error)[:200])

    async def _write(self, taken: dict[tuple[str, str], bool], *, last: bool) -> None:
        context = self._context
        for begun in (True, False):
            for account in {account for account, _ in taken}:
                chats = [chat for (name, chat), only in taken.items() if name == account and only is begun]
                for start in range(0, len(chats), CHATS_AT_ONCE):
                    part = chats[start : start + CHATS_AT_ONCE]
                    now = context.clock()
                    later = now + context.timing.hooked_poll_interval
                    ours = await context.store.poll_soon(account, part, now, begun=begun, later=later)
                    if not last and ours < len(part):
                        known = await context.store.known_chats(account, part)
                        self._later |= {(account, chat): begun for chat in part if chat not in known}

    # -- addresses ---------------------------------------------------------------------------------------------

    async def _account_of(self, secret: str) -> str | None:
        now = asyncio.get_running_loop().time()
        if now - self._known_at > REMEMBER_SECONDS:
            self._known = [
                (self._token(hook.account, hook.api_version, nonce), hook.account)
                for hook in await self._context.store.hooks.list()
                for nonce in (hook.nonce, hook.old_nonce)
                if nonce is not None
            ]
            self._known_at = now
        given = secret.encode("utf-8", "replace")
        found = None
        for token, account in self._known:  # All of them, so that time tells nothing.
            if hmac.compare_digest(token.encode(), given):
                found = account
        return found

    def _token(self, account: str, api_version: int, nonce: str) -> str:
        text = f"hook:{account}:{api_version}:{nonce}"
        return urlsafe_b64encode(hmac.new(self._secret, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")

    def _address(self, base: str, account: str, api_version: int, nonce: str) -> str:
        return f"{base}/hooks/v0/{self._token(account, api_version, nonce)}"

    def _base(self) -> str:
        parts = urlsplit(self._public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotConfigured(
                "PROTOKEEP_PUBLIC_URL is not set, so the builder cannot be told where to call. Set it to the address "
                "under which v0 reaches this server, such as https://prototypes.example.com."
            )
        return self._public_url
