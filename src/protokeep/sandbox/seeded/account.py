"""An account as years of use leave it behind, made from a seed, with the truth about every chat."""

from __future__ import annotations

from ..emulator import Emulator
from ..state import Account, Api, Project, account_id
from .labels import SeededAccount
from .requests import Profile, Requests


def seed_account(
    sandbox: Emulator,
    key: str,
    *,
    api: Api = "v1",
    chats: int = 4000,
    seed: int = 0,
    also_in: Api | None = None,
    profile: Profile = "mixed",
) -> SeededAccount:
    """Put an old account of so many chats into the sandbox, and return the truth about it.

    The same key, seed and time of the sandbox's clock give the same account; another key gets other ids for the same
    chats. `also_in` names the other API version, where the key sees the chats in both. `mixed` has everything that an
    old account has; in `storms` nine of ten chats are clicks too many that nobody has touched since. No chat counts as
    created. Load it before others create chats in the account, because lists are in the order of loading.
    """
    account = sandbox.backend.account(account_id(key), sandbox.clock())
    requests = Requests(seed, sandbox.clock(), account, api, also_in, profile)
    made = requests.make(chats)
    sandbox.backend.take_chats(account, [chat for chat, _ in made])
    if "v1" in (api, also_in):
        _add_projects(account, requests)
    labels = {label.chat_id: label for _, label in made}
    return SeededAccount(key, api, list(labels), requests.products, labels)


def _add_projects(account: Account, requests: Requests) -> None:
    """The v0 projects of the chats, each as old as its first chat."""
    for identity, (name, created_at) in requests.projects.items():
        account.projects[identity] = Project(identity, name, created_at, created_at)
