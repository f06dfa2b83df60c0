"""The accounts at app builders that this process can use: of its own keys, and of keys that people have stored."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from protokeep.core.errors import InvalidInput, NotConfigured
from protokeep.core.principals import DEFAULT_WORKSPACE
from protokeep.core.provider_keys import KeyOwner, SealedKey
from protokeep.providers.base import Provider
from protokeep.service.vault import KeyNotReadable, Vault
from protokeep.store.provider_keys import KeyStore

log = structlog.get_logger(__name__)

#: A removed key is used for at most this long after its removal in another process.
REFRESH_SECONDS = 1.0
#: A provider whose key was changed is closed after this, when none of its calls can be open any more.
RETIRE_SECONDS = 400.0
#: The provider of a create that names none, and of the chats that the owner's columns `v0_*` name.
DEFAULT_PROVIDER = "v0"


@dataclass(frozen=True, slots=True)
class Choice:
    """The account that creates new prototypes of a provider, and the version of its API."""

    account: str
    api_version: int


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """The stored keys: their table, the vault that opens them, and what turns a key into providers."""

    store: KeyStore
    vault: Vault
    #: Takes a provider's name and a key, and returns one provider for each version of the API.
    build: Callable[[str, str], Sequence[Provider]]
    #: The version of the API that creates new prototypes, by provider.
    versions: Mapping[str, int]


@dataclass(slots=True)
class _StoredAccount:
    """The account of a stored key. Its providers are built when they are first asked for."""

    sealed: SealedKey
    providers: dict[int, Provider] | None = None
    retired_at: float = 0.0

    @property
    def calls(self) -> int:
        return sum(provider.calls for provider in (self.providers or {}).values())


class Providers:
    """Finds a provider: by name and person for a new prototype, by account and version for an existing one."""

    def __init__(
        self,
        names: Mapping[str, str],
        stored_keys: StoredKeys | None = None,
        may_use_own_key: Callable[[str], bool] = lambda workspace_id: True,
    ) -> None:
        """`names` are all known providers, each with the setting that makes it usable.

        `may_use_own_key` tells whether the process's own key may create prototypes for a workspace.
        """
        self._names = names
        self.stored_keys = stored_keys
        self._may_use_own_key = may_use_own_key
        self._own: dict[str, Choice] = {}
        self._preferred: set[str] = set()
        self._own_providers: dict[tuple[str, int], Provider] = {}
        self._own_marks: dict[str, str] = {}
        self._stored: dict[str, _StoredAccount] = {}
        self._retired: list[_StoredAccount] = []
        self._past_calls: Counter[str] = Counter()
        self._version: str | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    def add(self, account: str, provider: Provider, *, for_new: bool, first: bool = False, key_mark: str = "") -> None:
        """Add an account of the process's own. `for_new`: it may create prototypes; `first`: before any stored key.

        `key_mark` stands for the key, and says nothing about it: another key has another mark.
        """
        self._own_providers[account, provider.api_version] = provider
        self._own_marks[account] = key_mark
        if for_new:
            self._own[provider.name] = Choice(account, provider.api_version)
            if first:
                self._preferred.add(provider.name)

    async def refresh(self, *, at_once: bool = False) -> None:
        """Read the stored keys again, if they were changed and were not read within the last second (or `at_once`)."""
        if self.stored_keys is None or self._is_fresh(at_once=at_once):
            return
        async with self._reading:
            if self._is_fresh(at_once=at_once):  # Another task has read them meanwhile.
                return
            version = await self.stored_keys.store.version()
            if version != (self._version or ""):
                self._replace({sealed.account: sealed for sealed in await self.stored_keys.store.all()})
            self._version = version
            self._read_at = time.monotonic()
        await self._close_retired(time.monotonic() - RETIRE_SECONDS)

    def _is_fresh(self, *, at_once: bool) -> bool:
        return not at_once and time.monotonic() - self._read_at < REFRESH_SECONDS

    @property
    def names(self) -> list[str]:
        """The providers that prototypes can be made at."""
        return sorted(self._names)

    def is_known(self, name: str) -> bool:
        """Whether prototypes can be made at this provider."""
        return name in self._names

    def require_known(self, name: str) -> str:
        """`name`, if there is such a provider. Raises `InvalidInput`."""
        if not self.is_known(name):
            raise InvalidInput(f"provider must be one of: {', '.join(self.names)}.", field="provider")
        return name

    def choose(self, name: str, workspace_id: str = DEFAULT_WORKSPACE, user_id: str = "") -> Choice:
        """The account that creates a new prototype: of the person's own key, else the workspace's, else the process's.

        The process's own key serves only workspaces that may use it, so that nobody spends what is not theirs. Raises
        `NotConfigured`, which tells what is missing.
        """
        own = self._own.get(self.require_known(name))
        if own is not None and name in self._preferred:
            return own
        owners = [KeyOwner(workspace_id, user_id)] if user_id else []
        for owner in [*owners, KeyOwner(workspace_id)]:
            if (choice := self._choice_of(owner, name)) is not None:
                return choice
        if own is not None and self._may_use_own_key(workspace_id):
            return own
        if workspace_id == DEFAULT_WORKSPACE and own is None:
            raise NotConfigured(
                f"No {name} API key is set, so no prototype can be created. Set {self._names[name]} and restart, or "
                "set a key with `protokeep keys set`."
            )
        raise NotConfigured(
            f"This workspace has no {name} API key, so no prototype can be created. An admin sets one with "
            "PUT /api/design/keys; anyone sets their own with PUT /api/design/keys/mine."
        )

    def _choice_of(self, owner: KeyOwner, name: str) -> Choice | None:
        """The account of the owner's stored key; None without one. Raises `NotConfigured` if it cannot be opened."""
        account = owner.account(name)
        if self.stored_keys is None or account not in self._stored:
            return None
        version = self.stored_keys.versions[name]
        if self.serving(account, version) is None:
            whose = "Your own" if owner.user_id else "The workspace's"
            raise NotConfigured(
                f"{whose} {name} API key cannot be opened here, so no prototype can be created. Set it again, or "
                "add its master key to PROTOKEEP_MASTER_KEYS."
            )
        return Choice(account, version)

    def for_new(self) -> list[tuple[str, Provider]]:
        """The accounts that create new prototypes, each in the version of its API that does."""
        found = [
            (choice.account, self._own_providers[choice.account, choice.api_version]) for choice in self._own.values()
        ]
        for account, stored in self._stored.items():
            version = self.stored_keys.versions[stored.sealed.provider] if self.stored_keys else 0
            provider = self.serving(account, version)
            if provider is not None:
                found.append((account, provider))
        return found

    def serving(self, account: str, api_version: int) -> Provider | None:
        """The provider of an existing generation; None if its key is missing or cannot be opened."""
        own = self._own_providers.get((account, api_version))
        return own if own is not None else self._providers_of_key(account).get(api_version)

    def of_account(self, account: str) -> list[Provider]:
        """The providers of an account, one for each version of the API."""
        return [*self._own_of(account), *self._providers_of_key(account).values()]

    def accounts(self) -> list[str]:
        """The accounts that have a key."""
        return sorted({name for name, _ in self._own_providers} | set(self._stored))

    def accounts_of(self, name: str, workspace_id: str) -> list[str]:
        """The accounts of a provider that a workspace as a whole may read: of its own stored key, then the process's.

        The process's own only where its key serves the workspace; never that of a person's key.
        """
        stored = KeyOwner(workspace_id).account(name)
        own = sorted({account for account, _ in self._own_providers if account.partition(":")[0] == name})
        return [
            *([stored] if stored in self._stored else []),
            *(own if self._may_use_own_key(workspace_id) else []),
        ]

    def key_set_at(self, account: str) -> datetime | None:
        """When the stored key of an account was set; None for an account of the process's own, or without a key."""
        stored = self._stored.get(account)
        return None if stored is None else stored.sealed.set_at

    def key_mark(self, account: str) -> str:
        """A mark of the key that an account has now, without colons: another key has another mark."""
        set_at = self.key_set_at(account)
        return self._own_marks.get(account, "") if set_at is None else set_at.strftime("%Y%m%dT%H%M%S.%f")

    def calls(self, account: str) -> int:
        """How many calls this process has made to an account, with all its keys so far."""
        stored = [one for one in self._retired if one.sealed.account == account]
        if account in self._stored:
            stored.append(self._stored[account])
        own = sum(provider.calls for provider in self._own_of(account))
        return self._past_calls[account] + own + sum(one.calls for one in stored)

    async def aclose(self) -> None:
        """Close the connections of all providers."""
        self._replace({})
        await self._close_retired(float("inf"))
        for provider in self._own_providers.values():
            await provider.aclose()

    def _own_of(self, account: str) -> Iterable[Provider]:
        return (provider for (name, _), provider in self._own_providers.items() if name == account)

    def _providers_of_key(self, account: str) -> Mapping[int, Provider]:
        """The providers of a stored key, by version; empty if there is no such key, or it cannot be opened."""
        stored = self._stored.get(account)
        if stored is None or self.stored_keys is None:
            return {}
        if stored.providers is None:
            try:
                key = self.stored_keys.vault.open(stored.sealed)
            except KeyNotReadable as error:
                log.error("provider_key_not_readable", account=account, reason=str(error))
                stored.providers = {}
            else:
                built = self.stored_keys.build(stored.sealed.provider, key)
                stored.providers = {provider.api_version: provider for provider in built}
        return stored.providers

    def _replace(self, keys: Mapping[str, SealedKey]) -> None:
        """Use these stored keys from now on. Providers of other keys are retired: calls of theirs may be open."""
        for account, stored in list(self._stored.items()):
            if keys.get(account) != stored.sealed:
                stored.retired_at = time.monotonic()
                self._retired.append(self._stored.pop(account))
        for account, sealed in keys.items():
            self._stored.setdefault(account, _StoredAccount(sealed))

    async def _close_retired(self, before: float) -> None:
        """Close the providers that were retired before that time, and keep the number of their calls."""
        closing = [stored for stored in self._retired if stored.retired_at <= before]
        self._retired = [stored for stored in self._retired if stored.retired_at > before]
        for stored in closing:
            self._past_calls[stored.sealed.account] += stored.calls
            for provider in (stored.providers or {}).values():
                await provider.aclose()
