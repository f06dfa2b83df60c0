"""What admins do over the API: tokens, invitations, keys and the audit. Answers are the API's own JSON objects.

keep.run(administration.create_token(role="maker", user_id="ana"))["token"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protokeep.client.operations import Call, Operation, quoted, send
from protokeep.client.pages import read_pages

View = Mapping[str, Any]

_TOKENS, _KEYS = "/api/design/tokens", "/api/design/keys"
_INVITATIONS, _SETTINGS = "/api/design/invitations", "/api/design/settings"


def create_token(*, role: str, user_id: str = "", name: str = "", days: int | None = None) -> Operation[View]:
    """`POST /api/design/tokens`. Not repeated: each one makes another token."""
    body = {"role": role, "user_id": user_id, "name": name, "days": days}
    advice = "A token may have been made; its text is lost. List them and revoke the newest, if it was never used."
    return (yield from send(Call("POST", _TOKENS, False, advice, body=body)))


def list_tokens(limit: int) -> Operation[tuple[Sequence[View], bool]]:
    """`GET /api/design/tokens`: (up to `limit` tokens, newest first; whether there are older ones)."""
    return (yield from read_pages(_TOKENS, "tokens", {}, limit))


def revoke_token(token: str) -> Operation[None]:
    """`DELETE /api/design/tokens/{token_id}`, by id or prefix. Raises `NotFound` for one that is not valid."""
    advice = "It may be revoked. Revoking it again is safe: it says so then."
    yield from send(Call("DELETE", f"{_TOKENS}/{quoted(token)}", False, advice))


def create_invitation(*, role: str, user_id: str = "", days: int = 7) -> Operation[View]:
    """`POST /api/design/invitations`: `link` lets one person in, once. Not repeated: each one makes another link."""
    body = {"role": role, "user_id": user_id, "days": days}
    advice = "An invitation may have been made; its link is lost. List the open ones and take the newest back."
    return (yield from send(Call("POST", _INVITATIONS, False, advice, body=body)))


def list_invitations() -> Operation[Sequence[View]]:
    """`GET /api/design/invitations`: all open ones, newest first."""
    found: Sequence[View] = (yield from send(Call("GET", _INVITATIONS, True)))["invitations"]
    return found


def take_back_invitation(invitation_id: str) -> Operation[None]:
    """`DELETE /api/design/invitations/{invitation_id}`. Raises `NotFound` for one that is not open."""
    advice = "It may be taken back. Taking it back again is safe: it says so then."
    yield from send(Call("DELETE", f"{_INVITATIONS}/{quoted(invitation_id)}", False, advice))


def get_settings() -> Operation[View]:
    """`GET /api/design/settings`: what counts in the workspace, and what an admin has set."""
    return (yield from send(Call("GET", _SETTINGS, True)))


def set_settings(*, unclear_product: str | None) -> Operation[View]:
    """`PUT /api/design/settings`. `unclear_product`: take, ask, or None for what the server is set up for."""
    advice = "It may be set: look at the settings. Setting the same again is safe."
    return (yield from send(Call("PUT", _SETTINGS, True, advice, body={"unclear_product": unclear_product})))


def set_key(key: str, *, own: bool, provider: str, other_account: bool) -> Operation[View]:
    """`PUT /api/design/keys`, the workspace's key, or `PUT /api/design/keys/mine`."""
    body = {"key": key, "provider": provider, "other_account": other_account}
    advice = "It may be set: the list of keys says since when. Setting the same again is safe."
    return (yield from send(Call("PUT", f"{_KEYS}/mine" if own else _KEYS, True, advice, body=body)))


def list_keys() -> Operation[Sequence[View]]:
    """`GET /api/design/keys`: whose they are and how they end."""
    found: Sequence[View] = (yield from send(Call("GET", _KEYS, True)))["keys"]
    return found


def remove_key(*, own: bool, provider: str, user_id: str = "") -> Operation[None]:
    """`DELETE /api/design/keys`, or `DELETE /api/design/keys/mine`. Not repeated: another key may be set meanwhile."""
    params = {"provider": provider, **({"user_id": user_id} if user_id else {})}
    advice = "It may be removed: look at the list first, because asking again removes one that was set meanwhile."
    yield from send(Call("DELETE", f"{_KEYS}/mine" if own else _KEYS, False, advice, params=params))


def audit(limit: int, *, action: str | None = None, actor: str | None = None) -> Operation[Sequence[View]]:
    """`GET /api/design/audit`: up to `limit` lines, newest first."""
    filters = {name: value for name, value in (("action", action), ("actor", actor)) if value is not None}
    lines, _ = yield from read_pages("/api/design/audit", "entries", filters, limit)
    return lines
