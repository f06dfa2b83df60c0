"""The API for keys of app builders: the workspace's, set by admins, and each person's own. No key is ever returned."""

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
    """A key to store."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": [{"key": "v1:team:0123456789"}]}
    )

    key: Annotated[SecretStr, Field(description="The key itself. No answer ever shows it.")]
    provider: Annotated[str, Field(max_length=50, description="The app builder.")] = "v0"
    other_account: Annotated[
        bool, Field(description="Set it even if it does not see the prototypes made with the key before.")
    ] = False


class KeyView(BaseModel):
    """A stored key, without the key: its last four characters.

    `opens` false: this process does not have the master key that the key is encrypted with. `works` is set right after
    the key was set: whether the app builder accepts it; null if the app builder did not answer.
    """

    provider: Annotated[str, Field(description="The app builder.")]
    key_source: Annotated[Literal["workspace", "own"], Field(description="The workspace's, or a person's own.")]
    user_id: Annotated[str | None, Field(description="Whose own it is; null: the workspace's.")]
    last4: Annotated[str, Field(description="How the key ends.")]
    set_by: Annotated[str, Field(description="Who set it.")]
    set_at: Annotated[datetime, Field(description="When it was set.")]
    opens: Annotated[bool, Field(description="Whether this process can open it.")]
    works: Annotated[bool | None, Field(description="Whether the app builder accepts it; null: not asked.")]

    @classmethod
    def of(cls, stored: StoredKey) -> KeyView:
        """The view of a stored key."""
        sealed = stored.sealed
        source = KeySource.OWN if sealed.owner.user_id else KeySource.WORKSPACE
        return cls(
            provider=sealed.provider,
            key_source=source.value,
            user_id=sealed.owner.user_id or None,
            last4=sealed.hint,
            set_by=sealed.set_by,
            set_at=sealed.set_at,
            opens=stored.opens,
            works=stored.works,
        )


class KeysView(BaseModel):
    """The keys of the workspace and of its people."""

    keys: Annotated[list[KeyView], Field(description="The workspace's key, and those of its people.")]


@router.put("", summary="Set the workspace's key", responses=responses(400, 401, 403, 409, 413, 422, 503))
async def set_key(body: NewKey, principal: Admin, request: Request) -> KeyView:
    """The key pays for the prototypes of everyone in the workspace who has no key of their own."""
    return await _set(request, principal, KeyOwner(principal.workspace_id), body)


@router.get("", summary="List the workspace's keys", responses=responses(401, 403, 503))
async def list_keys(principal: Admin, request: Request) -> KeysView:
    """The workspace's key, and who has a key of their own. No key itself is shown."""
    found = await application_of(request).provider_keys.list(principal.workspace_id)
    return KeysView(keys=[KeyView.of(stored) for stored in found])


@router.delete("", status_code=204, summary="Remove a key", responses=responses(401, 403, 404, 422, 503))
async def remove_key(
    principal: Admin,
    request: Request,
    provider: ProviderName = "v0",
    user_id: Annotated[str, Query(max_length=200, description="Whose own; empty: the workspace's.")] = "",
) -> Response:
    """Prototypes that the key paid for pause until a key of the same account is set again."""
    owner = KeyOwner(principal.workspace_id, person_of(user_id) if user_id else "")
    await application_of(request).provider_keys.remove(principal, owner, provider)
    return Response(status_code=204)


@router.put("/mine", summary="Set your own key", responses=responses(400, 401, 403, 409, 413, 422, 503))
async def set_own_key(body: NewKey, principal: Maker, request: Request) -> KeyView:
    """The key pays for the prototypes that you create from now on, and for nobody else's."""
    return await _set(request, principal, KeyOwner(principal.workspace_id, principal.user_id), body)


@router.get("/mine", summary="Look at your own key", responses=responses(401, 403, 404, 422, 503))
async def own_key(principal: Maker, request: Request, provider: ProviderName = "v0") -> KeyView:
    """The key's last four characters, and when it was set."""
    found = await application_of(request).provider_keys.list(principal.workspace_id, principal.user_id)
    for stored in found:
        if stored.sealed.provider == provider:
            return KeyView.of(stored)
    raise NotFound("You have no key of your own here. PUT one to this address.")


@router.delete("/mine", status_code=204, summary="Remove your own key", responses=responses(401, 403, 404, 422, 503))
async def remove_own_key(principal: Maker, request: Request, provider: ProviderName = "v0") -> Response:
    """Prototypes that the key paid for pause until a key of the same account is set again."""
    await application_of(request).provider_keys.remove(
        principal, KeyOwner(principal.workspace_id, principal.user_id), provider
    )
    return Response(status_code=204)


async def _set(request: Request, principal: Principal, owner: KeyOwner, body: NewKey) -> KeyView:
    key = body.key.get_secret_value()
    stored = await application_of(request).provider_keys.set(
        principal, owner, body.provider, key, other_account=body.other_account
    )
    return KeyView.of(stored)
