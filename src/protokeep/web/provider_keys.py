"""Keys of app builders: the workspace's, set by admins, and everybody's own. A key goes in and never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from protokeep.core.errors import NotFound
from protokeep.core.principals import Principal
from protokeep.core.provider_keys import KeyOwner, KeySource
from protokeep.core.validation import person_of
from protokeep.service.provider_keys import StoredKey
from protokeep.web.dependencies import Admin, Maker, application_of
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design/keys", tags=["keys"])

ProviderName = Annotated[str, Query(max_length=50, description="The app builder.")]


class NewKey(BaseModel):
    """A key to keep."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: SecretStr
    provider: Annotated[str, Field(max_length=50, description="The app builder.")] = "v0"
    other_account: Annotated[
        bool, Field(description="Set it even if it does not see the prototypes made with the key before.")
    ] = False


class KeyView(BaseModel):
    """What is told of a key: its last four characters, never the key.

    `opens` false: it is sealed under a master key that this process does not have. `works`, right after it was set:
    whether the builder took it; null when it did not answer.
    """

    provider: str
    key_source: Literal["workspace", "own"]
    user_id: str | None
    last4: str
    set_by: str
    set_at: datetime
    opens: bool
    works: bool | None

    @classmethod
    def of(cls, told: StoredKey) -> KeyView:
        """The view of a key."""
        sealed = told.sealed
        source = KeySource.OWN if sealed.owner.user_id else KeySource.WORKSPACE
        return cls(
            provider=sealed.provider,
            key_source=source.value,
            user_id=sealed.owner.user_id or None,
            last4=sealed.hint,
            set_by=sealed.set_by,
            set_at=sealed.set_at,
            opens=told.opens,
            works=told.works,
        )


class KeysView(BaseModel):
    """The keys of the workspace and of its people."""

    keys: list[KeyView]


@router.put("", summary="Set the workspace's key", responses=responses(400, 401, 403, 409, 413, 422, 503))
async def set_key(body: NewKey, principal: Admin, request: Request) -> KeyView:
    """It pays for what the workspace makes, but for people with a key of their own."""
    return await _set(request, principal, KeyOwner(principal.workspace_id), body)


@router.get("", summary="List the workspace's keys", responses=responses(401, 403, 503))
async def list_keys(principal: Admin, request: Request) -> KeysView:
    """Its own, and that people have one; none of them is shown."""
    found = await application_of(request).provider_keys.list(principal.workspace_id)
    return KeysView(keys=[KeyView.of(told) for told in found])


@router.delete("", status_code=204, summary="Remove a key", responses=responses(401, 403, 404, 422, 503))
async def remove_key(
    principal: Admin,
    request: Request,
    provider: ProviderName = "v0",
    user_id: Annotated[str, Query(max_length=200, description="Whose own; empty: the workspace's.")] = "",
) -> Response:
    """What it paid for waits, in sight, until one of the same account is set again."""
    owner = KeyOwner(principal.workspace_id, person_of(user_id) if user_id else "")
    await application_of(request).provider_keys.remove(principal, owner, provider)
    return Response(status_code=204)


@router.put("/mine", summary="Set your own key", responses=responses(400, 401, 403, 409, 413, 422, 503))
async def set_own_key(body: NewKey, principal: Maker, request: Request) -> KeyView:
    """It pays for what you make from now on, and nobody else spends it."""
    return await _set(request, principal, KeyOwner(principal.workspace_id, principal.user_id), body)


@router.get("/mine", summary="Look at your own key", responses=responses(401, 403, 404, 422, 503))
async def own_key(principal: Maker, request: Request, provider: ProviderName = "v0") -> KeyView:
    """Its last four characters, and when it was set."""
    found = await application_of(request).provider_keys.list(principal.workspace_id, principal.user_id)
    for told in found:
        if told.sealed.provider == provider:
            return KeyView.of(told)
    raise NotFound("You have no key of your own here. PUT one to this address.")


@router.delete("/mine", status_code=204, summary="Remove your own key", responses=responses(401, 403, 404, 422, 503))
async def remove_own_key(principal: Maker, request: Request, provider: ProviderName = "v0") -> Response:
    """What it paid for waits, in sight, until one of the same account is set again."""
    await application_of(request).provider_keys.remove(
        principal, KeyOwner(principal.workspace_id, principal.user_id), provider
    )
    return Response(status_code=204)


async def _set(request: Request, principal: Principal, owner: KeyOwner, body: NewKey) -> KeyView:
    key = body.key.get_secret_value()
    told = await application_of(request).provider_keys.set(
        principal, owner, body.provider, key, other_account=body.other_account
    )
    return KeyView.of(told)
