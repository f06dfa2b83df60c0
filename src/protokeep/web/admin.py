"""The API for admins: tokens, people and the audit of their own workspace."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.audit import Action
from protokeep.core.principals import ApiToken, Person, Role
from protokeep.core.validation import person_of
from protokeep.store.audit import AuditRecord
from protokeep.web.dependencies import (
    Admin,
    application_of,
    decode_cursor,
    decode_name_cursor,
    encode_cursor,
    encode_name_cursor,
)
from protokeep.web.models import Cursor, Limit, values_of
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design", tags=["access"])

RoleWord = Literal["viewer", "maker", "admin"]
NO_STORE = "no-store"
#: A cursor of people holds a name of 200 characters, which are up to 1,100 in base64.
NameCursor = Annotated[str | None, Query(max_length=1200, description="next_cursor of the page before.")]
TokenInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Its id, or its prefix.")]


class NewToken(BaseModel):
    """A request for a new token."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"role": "maker", "user_id": "ana", "days": 90}]}
    )

    role: Annotated[RoleWord, Field(description="What its owner may do.")] = "maker"
    user_id: Annotated[str, Field(max_length=200, description="Whose it is; made up when empty.")] = ""
    name: Annotated[str, Field(max_length=200, description="What you call it.")] = ""
    days: Annotated[
        int | None, Field(ge=1, le=3650, description="It expires after so many; null: never, or as late as it may.")
    ] = None


class TokenView(BaseModel):
    """A stored token. `prefix` is how people recognise it."""

    id: Annotated[str, Field(description="Its id.")]
    user_id: Annotated[str, Field(description="Whose it is.")]
    name: Annotated[str, Field(description="What you call it.")]
    role: Annotated[RoleWord, Field(description="What its owner may do.")]
    prefix: Annotated[str, Field(description="How it begins.")]
    created_at: Annotated[datetime, Field(description="When it was made.")]
    expires_at: Annotated[datetime | None, Field(description="When it stops working; null: never.")]
    revoked_at: Annotated[datetime | None, Field(description="When it was revoked; null: it was not.")]
    last_used_at: Annotated[datetime | None, Field(description="When it was used last; null: never.")]

    @classmethod
    def fields_of(cls, token: ApiToken) -> dict[str, Any]:
        """The view's values, by field name."""
        return values_of(TokenView, token)


class CreatedToken(TokenView):
    """A new token. `token` is shown this once; only its digest is stored."""

    token: Annotated[str, Field(description="The token itself, in this answer only.")]


class TokensView(BaseModel):
    """A page of the workspace's tokens, newest first, including revoked ones."""

    tokens: Annotated[list[TokenView], Field(description="The tokens of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class PersonView(BaseModel):
    """A person of the workspace. `tokens` counts their valid tokens."""

    user_id: Annotated[str, Field(description="Their id.")]
    tokens: Annotated[int, Field(description="How many valid tokens they have.")]
    prototypes: Annotated[int, Field(description="How many prototypes they asked for.")]
    last_used_at: Annotated[datetime | None, Field(description="When a token of theirs was used last; null: never.")]
    role: Annotated[RoleWord | None, Field(description="The highest one of their valid tokens; null: none is valid.")]

    @classmethod
    def of(cls, person: Person) -> PersonView:
        """The view of a person."""
        return cls(**values_of(cls, person))


class PeopleView(BaseModel):
    """A page of the workspace's people, by name."""

    people: Annotated[list[PersonView], Field(description="The people of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


class RevokeAccess(BaseModel):
    """The person whose access ends."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"user_id": "ana"}]})

    user_id: Annotated[str, Field(min_length=1, max_length=200, description="Whose access ends.")]


class RevokedView(BaseModel):
    """How many tokens and sessions were revoked."""

    tokens: Annotated[int, Field(description="How many tokens were revoked.")]
    sessions: Annotated[int, Field(description="How many sessions of the page were ended.")]


class AuditLine(BaseModel):
    """Who did what, to what, from where. `data` holds further details, never a prompt or a secret."""

    id: Annotated[str, Field(description="Its id.")]
    at: Annotated[datetime, Field(description="When it happened.")]
    action: Annotated[str, Field(description="What was done.")]
    actor: Annotated[str, Field(description="Who did it.")]
    token_id: Annotated[str | None, Field(description="With which token; null: with none.")]
    address: Annotated[str | None, Field(description="From where; null: not over the network.")]
    subject: Annotated[str | None, Field(description="To what.")]
    data: Annotated[dict[str, Any], Field(description="Details of this kind of action.")]

    @classmethod
    def of(cls, record: AuditRecord) -> AuditLine:
        """The view of a stored entry."""
        entry = record.entry
        return cls(
            id=record.id,
            at=entry.at,
            action=entry.action.value,
            actor=entry.actor,
            token_id=entry.token_id or None,
            address=entry.address or None,
            subject=entry.subject,
            data=dict(entry.data),
        )


class AuditView(BaseModel):
    """A page of the audit, newest first."""

    entries: Annotated[list[AuditLine], Field(description="The lines of this page.")]
    next_cursor: Annotated[str | None, Field(description="The cursor of the next page; null: this is the last one.")]


@router.post(
    "/tokens",
    status_code=201,
    summary="Make a token",
    responses=responses(400, 401, 403, 409, 413, 422, 503),
)
async def create_token(body: NewToken, principal: Admin, request: Request, response: Response) -> CreatedToken:
    """The token is in this answer and nowhere else."""
    text, token = await application_of(request).tokens.create(
        Role(body.role), name=body.name, user_id=body.user_id, days=body.days, by=principal
    )
    response.headers["Cache-Control"] = NO_STORE
    return CreatedToken(**TokenView.fields_of(token), token=text)


@router.get("/tokens", summary="List the workspace's tokens", responses=responses(401, 403, 422, 503))
async def list_tokens(principal: Admin, request: Request, limit: Limit = 50, cursor: Cursor = None) -> TokensView:
    """The names of tokens and when they were used last; never the tokens themselves."""
    tokens = application_of(request).tokens
    found, after = await tokens.list(principal.workspace_id, limit, decode_cursor(cursor))
    views = [TokenView(**TokenView.fields_of(token)) for token in found]
    return TokensView(tokens=views, next_cursor=encode_cursor(after))


@router.delete(
    "/tokens/{token_id}", status_code=204, summary="Revoke a token", responses=responses(401, 403, 404, 422, 503)
)
async def revoke_token(token_id: TokenInPath, principal: Admin, request: Request) -> Response:
    """Revoke by id or prefix. The token stops working at once, and so do the sessions that were opened with it."""
    await application_of(request).tokens.revoke(principal.workspace_id, token_id, by=principal)
    return Response(status_code=204)


@router.get("/people", summary="List the workspace's people", responses=responses(401, 403, 422, 503))
async def list_people(principal: Admin, request: Request, limit: Limit = 50, cursor: NameCursor = None) -> PeopleView:
    """Everyone who has or had a token, or who created a prototype."""
    found, after = await application_of(request).tokens.people(principal, limit, decode_name_cursor(cursor))
    return PeopleView(people=[PersonView.of(person) for person in found], next_cursor=encode_name_cursor(after))


@router.post(
    "/people/revoke",
    summary="End all access of a person",
    responses=responses(400, 401, 403, 413, 422, 503),
)
async def revoke_access(body: RevokeAccess, principal: Admin, request: Request) -> RevokedView:
    """Revoke every token and end every session of a person. Their prototypes stay. Repeating it is safe."""
    tokens, sessions = await application_of(request).tokens.revoke_access(principal, person_of(body.user_id))
    return RevokedView(tokens=tokens, sessions=sessions)


@router.get("/audit", summary="Read the audit, newest first", responses=responses(401, 403, 422, 503))
async def read_audit(
    principal: Admin,
    request: Request,
    limit: Limit = 50,
    cursor: Cursor = None,
    action: Annotated[Action | None, Query(description="Only this, such as created or key_set.")] = None,
    actor: Annotated[str | None, Query(max_length=200, description="Only this person's.")] = None,
) -> AuditView:
    """Who did what, from where. Nobody can change entries. Reuse appears after a second or so."""
    audit = application_of(request).keeper.context.audit
    actor = person_of(actor) if actor is not None else None
    found, after = await audit.list(principal, limit, action=action, actor=actor, after=decode_cursor(cursor))
    return AuditView(entries=[AuditLine.of(record) for record in found], next_cursor=encode_cursor(after))
