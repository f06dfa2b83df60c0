"""The API for the settings of a workspace: members read them, admins set them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.principals import Principal
from protokeep.core.similar import UnclearProductRule
from protokeep.web.dependencies import Admin, Viewer, application_of
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design/settings", tags=["access"])


class NewWorkspaceSettings(BaseModel):
    """The settings of a workspace, as an admin wants them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"unclear_product": "ask"}]})

    unclear_product: Annotated[
        UnclearProductRule | None,
        Field(
            description="A request for a new product whose id reads like another one's: take makes it and names that "
            "one; ask refuses programs with 409 until they send product_is_new; null: as the server is set up."
        ),
    ]


class WorkspaceSettingsView(BaseModel):
    """The settings of a workspace."""

    unclear_product: Annotated[UnclearProductRule, Field(description="What counts: take or ask.")]
    unclear_product_set: Annotated[
        UnclearProductRule | None, Field(description="What an admin has set; null: the server's own setting counts.")
    ]


@router.get("", summary="Look at the workspace's settings", responses=responses(401, 403, 503))
async def get_settings(principal: Viewer, request: Request) -> WorkspaceSettingsView:
    """What counts in the workspace, and what an admin has set."""
    return await _view(request, principal)


@router.put("", summary="Set the workspace's settings", responses=responses(400, 401, 403, 413, 422, 503))
async def set_settings(body: NewWorkspaceSettings, principal: Admin, request: Request) -> WorkspaceSettingsView:
    """It counts at once; in further processes within a second or so."""
    settings = application_of(request).keeper.context.workspace_settings
    await settings.set_unclear_products(principal, body.unclear_product)
    return await _view(request, principal)


async def _view(request: Request, principal: Principal) -> WorkspaceSettingsView:
    found = await application_of(request).keeper.context.unclear_products(principal.workspace_id)
    return WorkspaceSettingsView(unclear_product=found.rule, unclear_product_set=found.chosen)
