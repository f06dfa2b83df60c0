"""Registers hooks, through which an app builder announces that a generation began or ended."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog

from protokeep.core.errors import NotConfigured, ProviderError, ProviderUnreachable
from protokeep.core.ttl_cache import TtlCache
from protokeep.providers.base import RegisteredHook, SupportsHooks, with_hooks
from protokeep.service.context import Context
from protokeep.service.hook_deliveries import HookDeliveries
from protokeep.store.hooks import Hook

log = structlog.get_logger(__name__)

NAME = "protokeep"
#: How long the secret addresses are remembered: a guessed address costs no read of the database.
ADDRESSES_LAST = timedelta(seconds=5)
#: `complete` tries again after this: when an app builder refused a hook, or a process ended while registering one.
RETRY = timedelta(minutes=10)

#: An account, and the version of its API.
_Endpoint = tuple[str, int]


class Hooks:
    """Registers, lists and removes the hooks of this installation, and receives their deliveries."""

    def __init__(self, context: Context, secret: bytes, public_url: str | None) -> None:
        self._context = context
        self._secret = secret
        self._public_url = (public_url or "").rstrip("/")
        #: One entry: the tokens of all addresses, each with its account.
        self._addresses: TtlCache[None, Sequence[tuple[bytes, str]]] = TtlCache(context.clock, ADDRESSES_LAST, 1)
        self._not_before: dict[_Endpoint, datetime] = {}
        self._deliveries = HookDeliveries(context, self._account_of)

    # -- for the operator --------------------------------------------------------------------------------------

    async def install(self, *, rotate: bool = False) -> list[Hook]:
        """Installs a hook for every account and version of its API. Existing hooks stay.

        If a provider refuses one, the others are still installed and the first error is raised at the end. `rotate`
        gives existing hooks a new secret address. Raises `NotConfigured` without a public URL.
        """
        base = self._base_url()
        await self._context.providers.refresh()
        hooks = await self._hooks()
        installed: list[Hook] = []
        errors: list[ProviderError] = []
        for account, provider in self._endpoints():
            hook = hooks.get((account, provider.api_version))
            try:
                installed.append(await self._install(base, account, provider, hook, rotate=rotate))
            except ProviderError as error:
                log.warning("hook_not_installed", account=account, reason=str(error))
                errors.append(error)
        self._addresses.clear()
        if errors:
            raise errors[0]
        return installed

    async def complete(self) -> int:
        """Registers hooks for keys that were set after `install`. Returns how many; 0 if none was ever installed.

        Of several processes one registers each hook. A new key may belong to another account at the app builder, so
        the hook of its account is looked for, once.
        """
        hooks = await self._hooks()
        if not hooks or not self._public_url:
            return 0
        base = self._base_url()
        await self._context.providers.refresh()
        added = 0
        for account, provider in self._endpoints():
            hook = hooks.get((account, provider.api_version))
            now = self._context.clock()
            if not self._is_due(account, provider.api_version, hook, now):
                continue
            claim = Hook(account, provider.api_version, "", secrets.token_urlsafe(18), now)
            if hook is not None:
                claim = replace(hook, installed_at=now)
            if await self._context.store.hooks.claim(claim, hook.installed_at if hook else None):
                added += await self._register(base, provider, claim, hook)
        return added

    async def lacking(self) -> Sequence[_Endpoint]:
        """Accounts and versions without a hook, by our rows; none where no hook was ever installed."""
        await self._context.providers.refresh()
        hooks = await self._hooks()
        endpoints = [(account, provider.api_version) for account, provider in self._endpoints()] if hooks else []
        return [endpoint for endpoint in endpoints if endpoint not in hooks or not hooks[endpoint].hook]

    async def list(self) -> list[tuple[Hook, bool | None]]:
        """Our hooks, and whether the app builder still has each of them; None: it could not be asked."""
        await self._context.providers.refresh()
        return [(hook, await self._is_registered(hook)) for hook in await self._context.store.hooks.list()]

    async def remove(self) -> tuple[int, Sequence[str]]:
        """Removes every hook, here and at the app builder.

        Returns their number, and the accounts whose hook stays at the app builder because the key is gone. Such a hook
        calls an address that is not accepted any more.
        """
        removed = 0
        left = []
        await self._context.providers.refresh()
        for hook in await self._context.store.hooks.list():
            provider = self._provider_of(hook)
            if provider is None:
                left.append(hook.account)
            elif hook.hook:
                await provider.remove_hook(hook.hook)
            await self._context.store.hooks.delete(hook.account, hook.api_version)
            removed += 1
        self._addresses.clear()
        return removed, left

    # -- for the app builder -----------------------------------------------------------------------------------

    async def receive(self, secret: str, body: bytes) -> bool:
        """Accepts a delivery to a secret address, without waiting for any write. False: there is no such address."""
        return await self._deliveries.receive(secret, body)

    async def settled(self) -> None:
        """Waits until every delivery so far is written."""
        await self._deliveries.settled()

    # -- registering -------------------------------------------------------------------------------------------

    async def _hooks(self) -> Mapping[_Endpoint, Hook]:
        return {(hook.account, hook.api_version): hook for hook in await self._context.store.hooks.list()}

    def _endpoints(self) -> Iterator[tuple[str, SupportsHooks]]:
        """Every account, in every version of its API that supports hooks."""
        for account in self._context.providers.accounts():
            for provider in self._context.providers.of_account(account):
                if (supporting := with_hooks(provider)) is not None:
                    yield account, supporting

    def _provider_of(self, hook: Hook) -> SupportsHooks | None:
        return with_hooks(self._context.providers.serving(hook.account, hook.api_version))

    async def _is_registered(self, hook: Hook) -> bool | None:
        """Whether the app builder has the hook; None if it cannot be asked."""
        provider = self._provider_of(hook)
        if provider is None:
            return None
        if not hook.hook:
            return False
        try:
            return any(registered.id == hook.hook for registered in await provider.hooks())
        except ProviderError:
            return None

    async def _install(
        self, base: str, account: str, provider: SupportsHooks, hook: Hook | None, *, rotate: bool
    ) -> Hook:
        save = self._context.store.hooks.save
        registered = await provider.hooks()
        nonce = secrets.token_urlsafe(18)
        if hook is None or hook.hook not in {listed.id for listed in registered}:
            hook_id = await self._add(provider, registered, self._address(base, account, provider, nonce))
            hook = Hook(account, provider.api_version, hook_id, nonce, self._context.clock())
            await save(hook)
        elif rotate:
            # Both addresses are accepted until the app builder has taken the new one.
            both = replace(hook, nonce=nonce, old_nonce=hook.nonce)
            await save(both)
            await provider.move_hook(hook.hook, self._address(base, account, provider, nonce))
            hook = replace(both, old_nonce=None)
            await save(hook)
        else:
            # PROTOKEEP_PUBLIC_URL may have changed.
            await provider.move_hook(hook.hook, self._address(base, account, provider, hook.nonce))
        return hook

    async def _add(self, provider: SupportsHooks, registered: Sequence[RegisteredHook], address: str) -> str:
        """Registers `address`, through a hook of ours that was registered without being recorded, or a new one.

        Lists of hooks show only their names, so the name tells the installation and the version. Returns the hook's id.
        """
        installation, _ = await self._context.store.installation()
        name = f"{NAME} v{provider.api_version} {installation}"
        for hook in registered:
            if hook.name == name:
                await provider.move_hook(hook.id, address)
                return hook.id
        return await provider.add_hook(name, address)

    def _is_due(self, account: str, api_version: int, hook: Hook | None, now: datetime) -> bool:
        """Whether a hook is missing, or may be missing because the key was changed."""
        if now < self._not_before.get((account, api_version), now):
            return False
        if hook is None:
            return True
        if not hook.hook:
            return now - hook.installed_at >= RETRY
        set_at = self._context.providers.key_set_at(account)
        return set_at is not None and set_at > hook.installed_at

    async def _register(self, base: str, provider: SupportsHooks, claim: Hook, before: Hook | None) -> int:
        """Registers the hook that this process has claimed, unless the app builder has it. Returns how many were added.

        `before` is the hook's row as it was before the claim.
        """
        store = self._context.store.hooks
        began = self._context.elapsed()
        try:
            registered = await provider.hooks()
            if claim.hook and claim.hook in {hook.id for hook in registered}:
                return 0
            if self._context.elapsed() - began > RETRY.total_seconds() / 2:
                raise ProviderUnreachable("It was too late to register it, so nothing was sent.", code="too_late")
            hook_id = await self._add(provider, registered, self._address(base, claim.account, provider, claim.nonce))
        except ProviderError as error:
            log.warning("hook_not_installed", account=claim.account, reason=str(error))
            self._not_before[claim.account, claim.api_version] = claim.installed_at + RETRY
            if before is not None and before.hook:
                await store.save(before)  # So that it is looked for again.
            return 0
        await store.save(replace(claim, hook=hook_id))
        log.info("hook_installed", account=claim.account, api_version=claim.api_version)
        return 1

    # -- addresses ---------------------------------------------------------------------------------------------

    async def _account_of(self, secret: str) -> str | None:
        """The account whose hook has this secret address; None if there is no such hook."""
        addresses = self._addresses.get(None)
        if addresses is None:
            addresses = [
                (self._token(hook.account, hook.api_version, nonce).encode(), hook.account)
                for hook in await self._context.store.hooks.list()
                for nonce in (hook.nonce, hook.old_nonce)
                if nonce is not None
            ]
            self._addresses.put(None, addresses)
        given = secret.encode("utf-8", "replace")
        # Every token is compared, so that the time of the answer tells nothing.
        accounts = [account for token, account in addresses if hmac.compare_digest(token, given)]
        return accounts[-1] if accounts else None

    def _token(self, account: str, api_version: int, nonce: str) -> str:
        text = f"hook:{account}:{api_version}:{nonce}"
        return urlsafe_b64encode(hmac.new(self._secret, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")

    def _address(self, base: str, account: str, provider: SupportsHooks, nonce: str) -> str:
        return f"{base}/hooks/{provider.name}/{self._token(account, provider.api_version, nonce)}"

    def _base_url(self) -> str:
        """The public URL of this server. Raises `NotConfigured` if it is not set."""
        parts = urlsplit(self._public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotConfigured(
                "PROTOKEEP_PUBLIC_URL is not set, so the app builder cannot be told where to call. Set it to the "
                "address under which the app builder reaches this server, such as https://prototypes.example.com."
            )
        return self._public_url
