"""The accounts whose chats a workspace may look at."""

from __future__ import annotations

from protokeep.core.errors import InvalidInput, NotConfigured
from protokeep.core.provider_keys import KeyOwner
from protokeep.providers.census_port import with_census
from protokeep.service.provider_accounts import DEFAULT_PROVIDER, Providers


def may_read(providers: Providers, workspace_id: str, account: str) -> bool:
    """Whether a workspace may read an account: that of its own key, or the process's where that key serves it."""
    return account in providers.accounts_of(DEFAULT_PROVIDER, workspace_id)


def account_to_read(providers: Providers, workspace_id: str, account: str | None) -> str:
    """The account to be read: `account` if the workspace may read it, or the first one that it may.

    Raises `InvalidInput` and `NotConfigured`.
    """
    accounts = providers.accounts_of(DEFAULT_PROVIDER, workspace_id)
    if account is not None and account not in accounts:
        others = f"It may read {', '.join(accounts)}." if accounts else "It has no key."
        raise InvalidInput(f"Your workspace may not read the account {account}. {others}", field="account")
    if not accounts:
        raise NotConfigured(
            "This workspace has no account that could be scanned. An admin sets the workspace's key with "
            "PUT /api/design/keys; people's own keys are never used for a scan."
        )
    return account or accounts[0]


def account_to_show(providers: Providers, workspace_id: str, account: str | None) -> str:
    """The same for what earlier censuses found: the workspace's own account also after its key was removed."""
    own = KeyOwner(workspace_id).account(DEFAULT_PROVIDER)
    if account == own:
        return own
    try:
        return account_to_read(providers, workspace_id, account)
    except NotConfigured:
        return own


def versions_read(providers: Providers, account: str) -> list[int]:
    """The versions of the API with which an account can be read whole, the lowest first."""
    return sorted(provider.api_version for provider in providers.of_account(account) if with_census(provider))
