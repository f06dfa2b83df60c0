"""The API for invitations: links that let one person into the workspace, once. For admins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.principals import Role
from protokeep.service.invitations import DAYS_MAX
from protokeep.store.invitations import Invitation
from protokeep.web.admin import NO_STORE, RoleWord
from protokeep.web.dependencies import Admin, application_of
from protokeep.web.models import values_of
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design/invitations", tags=["access"])

InvitationInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Its id, as the list shows it.")]


class NewInvitation(BaseModel):
    """A request for a new invitation."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"role": "maker", "user_id": "mia", "days": 7}]}
    )

    role: Annotated[RoleWord, Field(description="What the person who accepts it may do.")] = "maker"
    user_id: Annotated[
        str, Field(max_length=200, description="Whom it is for; empty: the person who accepts it chooses a name.")
    ] = ""
    days: Annotated[int, Field(ge=1, le=DAYS_MAX, description="How many days it is open.")] = 7


class InvitationView(BaseModel):
    """An open invitation, without its link."""

    id: Annotated[str, Field(description="Its id, which opens nothing.")]
    role: Annotated[RoleWord, Field(description="What the person who accepts it may do.")]
    user_id: Annotated[str | None, Field(description="Whom it is for; null: the person who has the link.")]
    invited_by: Annotated[str, Field(description="Who made it.")]
    created_at: Annotated[datetime, Field(description="When it was made.")]
    expires_at: Annotated[datetime, Field(description="Until when it is open.")]

    @classmethod
    def fields_of(cls, invitation: Invitation) -> dict[str, Any]:
        """The view's values, by field name."""
        return {"id": invitation.digest, **values_of(InvitationView, invitation, "id")}


class CreatedInvitation(InvitationView):
    """A new invitation. `link` is shown this once; only its digest is stored."""

    link: Annotated[str, Field(description="The link to send, in this answer only.")]


class InvitationsView(BaseModel):
    """All open invitations of the workspace, newest first."""

    invitations: Annotated[list[InvitationView], Field(description="The open invitations.")]


@router.post("", status_code=201, summary="Make an invitation", responses=responses(400, 401, 403, 409, 413, 422, 503))
async def create_invitation(
    body: NewInvitation, principal: Admin, request: Request, response: Response
) -> CreatedInvitation:
    """The link is in this answer and nowhere else. It lets one person in, once."""
    invitations = application_of(request).invitations
    code, invitation = await invitations.invite(principal, Role(body.role), body.days, body.user_id)
    response.headers["Cache-Control"] = NO_STORE
    return CreatedInvitation(**InvitationView.fields_of(invitation), link=link_of(request, code))


@router.get("", summary="List the open invitations", responses=responses(401, 403, 503))
async def list_invitations(principal: Admin, request: Request) -> InvitationsView:
    """Never the links. What was accepted, taken back, or has expired is not open."""
    found = await application_of(request).invitations.list(principal)
    return InvitationsView(invitations=[InvitationView(**InvitationView.fields_of(one)) for one in found])


@router.delete(
    "/{invitation_id}", status_code=204, summary="Take an invitation back", responses=responses(401, 403, 404, 422, 503)
)
async def take_back_invitation(invitation_id: InvitationInPath, principal: Admin, request: Request) -> Response:
    """Its link lets nobody in any more. 404 for one that is not open."""
    await application_of(request).invitations.take_back(principal, invitation_id)
    return Response(status_code=204)


def link_of(request: Request, code: str) -> str:
    """The link of an invitation, at the public address, or at that under which the admin reaches this server."""
    public_url = application_of(request).settings.public_url
    base = public_url or f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    return f"{base.rstrip('/')}/join?code={code}"
