"""The builders that can be spoken to: those of the process's own keys, and those whose keys are kept here."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from protokeep.core.errors import InvalidInput, NotConfigured
from protokeep.core.provider_keys import KeyOwner, SealedKey
from protokeep.providers.base import Provider
from protokeep.service.vault import KeyNotReadable, Vault
from protokeep.store.provider_keys import KeyStore

log = structlog.get_logger(__name__)

#: How old what this process knows of the kept keys may be: a removed one is used no longer than this.
REFRESH_SECONDS = 1.0
#: A builder whose key was changed is closed after this, when no call of it can be under way any more.
RETIRE_SECONDS = 400.0
DEFAULT_WORKSPACE = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which account, and which version of its API, makes new prototypes of a provider."""

    account: str
    api_version: int


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """Where keys are kept, what opens them, and what a key becomes: a builder per version of the API."""

    store: KeyStore
    vault: Vault
    build: Callable[[str, str], Sequence[Provider]]
    #: The version of the API that new prototypes are made with, by provider.
    versions: dict[str, int]


@dataclass(slots=True)
class _Account:
    """One kept key, and its builders once somebody has asked for them."""

    sealed: SealedKey
    builders: dict[int, Provider] | None = None
    retired_at: float = 0.0


class Providers:
    """The builders: by name and person for new prototypes, by account and version for existing ones."""

    def __init__(
        self,
        names: dict[str, str],
        kept: StoredKeys | None = None,
        may_use_ours: Callable[[str], bool] = lambda workspace_id: True,
    ) -> None:
        """`names`: every provider that is known, and the setting that makes it usable.

        `may_use_ours` tells which workspaces the process's own key, if it has one, makes new prototypes for.
        """
        self._names = names
        self.stored_keys = kept
        self._may_use_ours = may_use_ours
        self._ours: dict[str, Choice] = {}
        self._first: set[str] = set()
        self._providers: dict[tuple[str, int], Provider] = {}
        self._accounts: dict[str, _Account] = {}
        self._retired: list[_Account] = []
        self._past_calls: Counter[str] = Counter()
        self._version: str | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    def add(self, account: str, provider: Provider, *, for_new: bool, first: bool = False) -> None:
        """Make an account of the process's own usable. `first`: it is chosen before any key that is kept."""
        self._providers[account, provider.api_version] = provider
        if for_new:
            self._ours[provider.name] = Choice(account, provider.api_version)
            if first:
                self._first.add(provider.name)

    async def refresh(self, *, at_once: bool = False) -> None:
        """See to it that kept keys are known as they were a second ago, or as they are `at_once`."""
        if self.stored_keys is None or (not at_once and time.monotonic() - self._read_at < REFRESH_SECONDS):
            return
        async with self._reading:
            if not at_once and time.monotonic() - self._read_at < REFRESH_SECONDS:
                return
            version = await self.stored_keys.store.version()
            if version != (self._version or ""):
                self._take({sealed.account: sealed for sealed in await self.stored_keys.store.all()})
            self._version = version
            self._read_at = time.monotonic()
        await self._close_retired(time.monotonic() - RETIRE_SECONDS)

    def known(self, name: str) -> str:
        """`name`, if there is such a provider. Raises `InvalidInput`."""
        if name not in self._names:
            raise InvalidInput(f"provider must be one of: {', '.join(sorted(self._names))}.", field="provider")
        return name

    def choose(self, name: str, workspace_id: str = DEFAULT_WORKSPACE, user_id: str = "") -> Choice:
        """What makes a new prototype for somebody: their own key, else the workspace's, else the process's.

        The last only where that is allowed: nobody spends what is not theirs. Raises `NotConfigured` with what is
        missing.
        """
        ours = self._ours.get(self.known(name))
        if ours is not None and name in self._first:
            return ours
        owners = [KeyOwner(workspace_id, user_id)] if user_id else []
        for owner in [*owners, KeyOwner(workspace_id)]:
            account = owner.account(name)
            if self.stored_keys is not None and account in self._accounts:
                version = self.stored_keys.versions[name]
                if self.serving(account, version) is None:
                    whose = "Your own" if owner.user_id else "The workspace's"
                    raise NotConfigured(
                        f"{whose} {name} key cannot be opened here, so nothing can be made. Set it again, or add its "
                        "master key to PROTOKEEP_MASTER_KEYS."
                    )
                return Choice(account, version)
        if ours is not None and self._may_use_ours(workspace_id):
            return ours
        if workspace_id == DEFAULT_WORKSPACE:
            raise NotConfigured(
                f"No {name} account is configured, so nothing can be made. Set {self._names[name]} and restart, or "
                "set a key with `protokeep keys set`."
            )
        raise NotConfigured(
            f"This workspace has no {name} key, so nothing can be made. An admin sets one with "
            "PUT /api/design/keys, or anybody their own with PUT /api/design/keys/mine."
        )

    def shared(self, name: str, workspace_id: str) -> str | None:
        """The account that makes new prototypes for people without a key of their own; None: there is none."""
        try:
            return self.choose(name, workspace_id).account
        except NotConfigured:
            return None

    def for_new(self) -> list[tuple[str, Provider]]:
        """The accounts, each in the version of its API, that new prototypes are made with."""
        found = [
            (choice.account, self._providers[choice.account, choice.api_version]) for choice in self._ours.values()
        ]
        for account, kept in self._accounts.items():
            version = self.stored_keys.versions[kept.sealed.provider] if self.stored_keys else 0
            provider = self.serving(account, version)
            if provider is not None:
                found.append((account, provider))
        return found

    def serving(self, account: str, api_version: int) -> Provider | None:
        """The provider that an existing generation belongs to; None: its key is not there, or not any more."""
        ours = self._providers.get((account, api_version))
        return ours if ours is not None else self._built(account).get(api_version)

    def of_account(self, account: str) -> list[Provider]:
        """Every version in which an account is spoken to."""
        ours = [provider for (name, _), provider in self._providers.items() if name == account]
        return [*ours, *self._built(account).values()]

    def accounts(self) -> list[str]:
        """The accounts that are configured."""
        return sorted({name for name, _ in self._providers} | set(self._accounts))

    def key_set_at(self, account: str) -> datetime | None:
        """When the key of an account was set; None: it is none that is kept here."""
        kept = self._accounts.get(account)
        return None if kept is None else kept.sealed.set_at

    def calls(self, account: str) -> int:
        """How many calls this process has made to an account, with whichever key."""
        past = [kept for kept in self._retired if kept.sealed.account == account]
        now = [self._accounts[account]] if account in self._accounts else []
        ours = [provider for (name, _), provider in self._providers.items() if name == account]
        return self._past_calls[account] + sum(
            provider.calls
            for provider in (*ours, *(one for kept in (*past, *now) for one in (kept.builders or {}).values()))
        )

    async def aclose(self) -> None:
        """Close every provider's connections."""
        self._take({})
        await self._close_retired(float("inf"))
        for provider in self._providers.values():
            await provider.aclose()

    def _built(self, account: str) -> dict[int, Provider]:
        """The builders of a kept key, made when they are first asked for; none where it cannot be opened."""
        kept = self._accounts.get(account)
        if kept is None or self.stored_keys is None:
            return {}
        if kept.builders is None:
            try:
                key = self.stored_keys.vault.open(kept.sealed)
            except KeyNotReadable as error:
                log.error("provider_key_not_readable", account=account, reason=str(error))
                kept.builders = {}
            else:
                built = self.stored_keys.build(kept.sealed.provider, key)
                kept.builders = {provider.api_version: provider for provider in built}
        return kept.builders

    def _take(self, keys: dict[str, SealedKey]) -> None:
        """Know these keys from now on; builders of others are retired, as calls of theirs may be under way."""
        for account, kept in list(self._accounts.items()):
            if keys.get(account) != kept.sealed:
                kept.retired_at = time.monotonic()
                self._retired.append(self._accounts.pop(account))
        for account, sealed in keys.items():
            self._accounts.setdefault(account, _Account(sealed))

    async def _close_retired(self, before: float) -> None:
        closing = [kept for kept in self._retired if kept.retired_at <= before]
        self._retired = [kept for kept in self._retired if kept.retired_at > before]
        for kept in closing:
            for provider in (kept.builders or {}).values():
                self._past_calls[kept.sealed.account] += provider.calls
                await provider.aclose()
