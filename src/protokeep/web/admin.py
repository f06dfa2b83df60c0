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
from protokeep.web.models import Cursor, Limit
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design", tags=["access"])

RoleWord = Literal["viewer", "maker", "admin"]
NO_STORE = "no-store"
#: A cursor of people holds a name of 200 characters, which are up to 1,100 in base64.
NameCursor = Annotated[str | None, Query(max_length=1200)]
TokenInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Its id, or its prefix.")]


class NewToken(BaseModel):
    """A request for a new token."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: RoleWord = "maker"
    user_id: Annotated[str, Field(max_length=200, description="Whose it is; made up when empty.")] = ""
    name: Annotated[str, Field(max_length=200, description="What you call it.")] = ""
    days: Annotated[
        int | None, Field(ge=1, le=3650, description="It expires after so many; null: never, or as late as it may.")
    ] = None


class TokenView(BaseModel):
    """A stored token. `prefix` is how people recognise it."""

    id: str
    user_id: str
    name: str
    role: RoleWord
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def fields_of(cls, token: ApiToken) -> dict[str, Any]:
        """The view's values, by field name."""
        return {name: getattr(token, name) for name in TokenView.model_fields}


class CreatedToken(TokenView):
    """A new token. `token` is shown this once; only its digest is stored."""

    token: str


class TokensView(BaseModel):
    """A page of the workspace's tokens, newest first, including revoked ones."""

    tokens: list[TokenView]
    next_cursor: str | None


class PersonView(BaseModel):
    """A person of the workspace. `tokens` counts their valid tokens."""

    user_id: str
    tokens: int
    prototypes: int
    last_used_at: datetime | None
    role: Annotated[RoleWord | None, Field(description="The highest one of their valid tokens; null: none is valid.")]

    @classmethod
    def of(cls, person: Person) -> PersonView:
        """The view of a person."""
        return cls(**{name: getattr(person, name) for name in cls.model_fields})


class PeopleView(BaseModel):
    """A page of the workspace's people, by name."""

    people: list[PersonView]
    next_cursor: str | None


class RevokeAccess(BaseModel):
    """The person whose access ends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[str, Field(min_length=1, max_length=200)]


class RevokedView(BaseModel):
    """How many tokens and sessions were revoked."""

    tokens: int
    sessions: int


class AuditLine(BaseModel):
    """Who did what, to what, from where. `data` holds further details, never a prompt or a secret."""

    id: str
    at: datetime
    action: str
    actor: str
    token_id: str | None
    address: str | None
    subject: str | None
    data: dict[str, Any]

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

    entries: list[AuditLine]
    next_cursor: str | None


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
    """Everybody who has or had a token, or who created a prototype."""
    found, after = await application_of(request).tokens.people(principal, limit, decode_name_cursor(cursor))
    return PeopleView(people=[PersonView.of(person) for person in found], next_cursor=encode_name_cursor(after))


@router.post(
    "/people/revoke",
    summary="End all access of a person",
    responses=responses(400, 401, 403, 413, 422, 503),
)
async def revoke_access(body: RevokeAccess, principal: Admin, request: Request) -> RevokedView:
    """Revoke every token and end every session of a person. Their prototypes stay. A repetition is no error."""
    tokens, sessions = await application_of(request).tokens.revoke_access(principal, person_of(body.user_id))
    return RevokedView(tokens=tokens, sessions=sessions)


@router.get("/audit", summary="Read the audit, newest first", responses=responses(401, 403, 422, 503))
async def read_audit(
    principal: Admin,
    request: Request,
    limit: Limit = 50,
    cursor: Cursor = None,
    action: Action | None = None,
    actor: Annotated[str | None, Query(max_length=200)] = None,
) -> AuditView:
    """Who did what, from where. Nobody can change entries. Reuse appears after a second or so."""
    audit = application_of(request).keeper.context.audit
    actor = person_of(actor) if actor is not None else None
    found, after = await audit.list(principal, limit, action=action, actor=actor, after=decode_cursor(cursor))
    return AuditView(entries=[AuditLine.of(record) for record in found], next_cursor=encode_cursor(after))
