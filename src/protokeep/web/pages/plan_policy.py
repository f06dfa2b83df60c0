"""The standing policy on the page of plans: an admin sets it, changes it, and switches it off."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from protokeep.core.errors import InvalidInput, NotFound, NotNow
from protokeep.core.validation import whole_number_of
from protokeep.web.dependencies import application_of
from protokeep.web.pages.clean_up_words import without_code
from protokeep.web.pages.plans import PLANS, plans_page
from protokeep.web.pages.session import AdminDep, FormFieldsDep

router = APIRouter(prefix=f"{PLANS}/policy")

NUMBER_MAX = 1_000_000
LABELS = {"older_than_days": "The age", "workspace": "The name"}


@router.post("")
async def set_policy(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Let older failed, empty and superseded chats go into a draft about once a day."""
    form = {name: fields.get(name, "").strip() for name in ("older_than_days", "workspace", "policy_account")}
    days = whole_number_of(form["older_than_days"], NUMBER_MAX) or 0
    try:
        await application_of(request).plan_policies.set(
            visitor.principal, form["workspace"], form["policy_account"] or None, days
        )
    except (InvalidInput, NotNow) as error:
        field = getattr(error, "field", None) or ""
        fault = without_code(LABELS.get(field, field) + str(error).removeprefix(field))
        status = 409 if isinstance(error, NotNow) else 422
        return await plans_page(request, visitor, form=form, fault=fault, status=status)
    return RedirectResponse(f"{PLANS}?policy=set", 303)


@router.post("/off")
async def switch_off(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Make no more drafts by itself. Those that are there stay; a second press is no error."""
    try:
        await application_of(request).plan_policies.remove(visitor.principal, fields.get("policy_account", "")[:700])
    except NotFound:
        return RedirectResponse(PLANS, 303)
    return RedirectResponse(f"{PLANS}?policy=off", 303)
