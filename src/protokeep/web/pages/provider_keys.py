"""The page for keys of app builders: the workspace's and one's own. A key decides who pays for a prototype."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.errors import InvalidInput, NotAllowed, NotConfigured, NotFound, NotNow
from protokeep.core.principals import Role
from protokeep.core.provider_keys import KeyOwner, KeySource, key_source_of
from protokeep.web.dependencies import application_of
from protokeep.web.pages.own_words import in_own_words
from protokeep.web.pages.render import page
from protokeep.web.pages.session import FormFieldsDep, MakerDep, Visitor, is_on

router = APIRouter()

PROVIDER = "v0"
PAYS = {
    KeySource.OWN: "your own v0 API key",
    KeySource.WORKSPACE: "the workspace's v0 API key",
    KeySource.ENVIRONMENT: "the server's v0 API key",
    KeySource.ARGUMENT: "a key that was given to an agent",
}


@router.get("/settings/v0-key")
async def show(request: Request, visitor: MakerDep) -> Response:
    """Which key pays for the visitor's prototypes, and the forms that change it."""
    return await _page(request, visitor, saved=is_on(request.query_params.get("saved")))


@router.post("/settings/v0-key")
async def change(request: Request, visitor: MakerDep, fields: FormFieldsDep) -> Response:
    """Set or remove a key. The key itself is never sent back to the browser."""
    principal = visitor.principal
    whose = principal.user_id if fields.get("whose") == "own" else ""
    if not whose and not principal.role.covers(Role.ADMIN):
        raise NotAllowed("Only an admin changes the workspace's key.")
    owner = KeyOwner(principal.workspace_id, whose)
    keys = application_of(request).provider_keys
    try:
        if is_on(fields.get("remove")):
            await keys.remove(principal, owner, PROVIDER)
        else:
            other = is_on(fields.get("other_account"))
            await keys.set(principal, owner, PROVIDER, fields.get("v0_key", ""), other_account=other)
    except (InvalidInput, NotFound, NotNow) as error:
        return await _page(
            request, visitor, fault=in_own_words(str(error)), status=409 if isinstance(error, NotNow) else 422
        )
    return RedirectResponse("/settings/v0-key?saved=1", 303)


async def _page(
    request: Request, visitor: Visitor, *, saved: bool = False, fault: str | None = None, status: int = 200
) -> Response:
    application = application_of(request)
    principal = visitor.principal
    stored = {key.sealed.owner.user_id: key for key in await application.provider_keys.list(principal.workspace_id)}
    providers = application.keeper.context.providers
    await providers.refresh()
    try:
        choice = providers.choose(PROVIDER, principal.workspace_id, principal.user_id)
        pays, trouble = PAYS[key_source_of(choice.account)], None
    except NotConfigured as error:
        pays, trouble = None, in_own_words(str(error))
    return page(
        request,
        "v0_key.html",
        visitor=visitor,
        status=status,
        own=stored.get(principal.user_id),
        team=stored.get(""),
        pays=pays,
        trouble=trouble,
        is_admin=principal.role.covers(Role.ADMIN),
        saved=saved,
        fault=fault,
        live=None,
    )
