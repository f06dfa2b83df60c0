"""The pages of plans: everybody reads what will go; admins make, approve, apply and take back."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from protokeep.core.clean_up import GRACE_DAYS_MAX, GRACE_DAYS_MIN, PER_DAY_MAX, Plan, PlanAction
from protokeep.core.errors import InvalidInput, NotFound, NotNow
from protokeep.core.foreign_text import is_id
from protokeep.core.plan_file import write_csv, write_json
from protokeep.service.receipts import signed_export
from protokeep.store.census_reads import ChatFilters, FoundChat
from protokeep.store.plans import ALL_ACTIONS
from protokeep.web.dependencies import application_of
from protokeep.web.pages import clean_up_words as words
from protokeep.web.pages import plan_presenters as presenters
from protokeep.web.pages.census_filters import ChatQuery, address
from protokeep.web.pages.gallery import page_slot
from protokeep.web.pages.plan_forms import PlanForm
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, Visitor, VisitorDep

router = APIRouter(prefix="/clean-up/plans")

PLANS = "/clean-up/plans"
PlanId = Annotated[str, Path(max_length=64)]
NO_STORE = {"Cache-Control": "no-store"}
#: Plans in the list, items on a page, and people with their chats on a page.
PLANS_SHOWN, ITEMS, PEOPLE_SHOWN = 50, 40, 50


@router.get("")
async def plans(request: Request, visitor: VisitorDep) -> Response:
    """The workspace's plans, newest first, and its standing policy."""
    return await plans_page(request, visitor)


async def plans_page(
    request: Request,
    visitor: Visitor,
    *,
    form: Mapping[str, str] | None = None,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    """The page of plans; with the form of the standing policy as it was sent, and what is wrong with it."""
    application, workspace = application_of(request), visitor.principal.workspace_id
    found = await application.plans.newest(workspace, PLANS_SHOWN)
    policies = await application.plan_policies.of_workspace(workspace)
    accounts = await application.plans.accounts(workspace) if visitor.can_delete else []
    now = application.keeper.context.clock()
    async with page_slot(request, visitor):
        return page(
            request,
            "plans.html",
            visitor=visitor,
            status=status,
            plans=[presenters.plan_view(plan, now) for plan in found],
            policies=[presenters.policy_view(policy, now) for policy in policies],
            policy_accounts={account: words.account_name(account) for account in accounts},
            policy_form={"older_than_days": "60", "workspace": "", "policy_account": "", **(form or {})},
            policy_fault=fault,
            policy_done=request.query_params.get("policy"),
            **_common(request, PLANS),
        )


@router.get("/new")
async def form(request: Request, visitor: AdminDep) -> Response:
    """The form for a draft."""
    return await _form_page(request, visitor, PlanForm.of_address(request.query_params))


@router.post("")
async def make(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Make a draft from the newest scan. It deletes nothing."""
    wanted = PlanForm.of_fields(fields)
    try:
        plan = await application_of(request).plans.propose(
            visitor.principal, wanted.workspace.strip(), wanted.account or None, wanted.selection, wanted.options
        )
    except (InvalidInput, NotNow) as error:
        status = 409 if isinstance(error, NotNow) else 422
        return await _form_page(request, visitor, wanted.with_fault(error), status)
    return RedirectResponse(f"{PLANS}/{plan.id}", 303)


@router.get("/{plan_id}")
async def plan(request: Request, visitor: VisitorDep, plan_id: PlanId) -> Response:
    """What a plan does, with each chat and the reason."""
    return await _plan_page(request, visitor, plan_id)


@router.post("/{plan_id}/approve")
async def approve(request: Request, visitor: AdminDep, fields: FormFieldsDep, plan_id: PlanId) -> Response:
    """Approve exactly the list that the page showed."""

    async def act() -> Plan:
        digest, workspace = fields.get("digest", ""), fields.get("workspace", "").strip()
        return await application_of(request).plans.approve(visitor.principal, plan_id, digest, workspace)

    return await _acted(request, visitor, plan_id, act)


@router.post("/{plan_id}/apply")
async def apply(request: Request, visitor: AdminDep, fields: FormFieldsDep, plan_id: PlanId) -> Response:
    """Let the deletions of an approved plan begin when their grace is over."""

    async def act() -> Plan:
        return await application_of(request).plans.apply(visitor.principal, plan_id, fields.get("digest", ""))

    return await _acted(request, visitor, plan_id, act)


@router.post("/{plan_id}/pause")
async def pause(request: Request, visitor: AdminDep, fields: FormFieldsDep, plan_id: PlanId) -> Response:
    """Delete nothing more until it is resumed."""
    return await _acted(
        request, visitor, plan_id, lambda: application_of(request).plans.pause(visitor.principal, plan_id)
    )


@router.post("/{plan_id}/resume")
async def resume(request: Request, visitor: AdminDep, fields: FormFieldsDep, plan_id: PlanId) -> Response:
    """Resume a paused plan."""
    return await _acted(
        request, visitor, plan_id, lambda: application_of(request).plans.resume(visitor.principal, plan_id)
    )


@router.post("/{plan_id}/cancel")
async def cancel(request: Request, visitor: AdminDep, fields: FormFieldsDep, plan_id: PlanId) -> Response:
    """Delete nothing more of it, ever."""
    return await _acted(
        request, visitor, plan_id, lambda: application_of(request).plans.cancel(visitor.principal, plan_id)
    )


@router.post("/{plan_id}/undo")
async def undo(request: Request, visitor: AdminDep, fields: FormFieldsDep, plan_id: PlanId) -> Response:
    """Take back one chat, or with `all` the whole plan."""
    chat_id = fields.get("chat", "")

    async def act() -> Any:
        if not chat_id and fields.get("all") != "1":
            raise InvalidInput("Choose the chat to take back.")
        chats = [chat_id] if chat_id else None
        return await application_of(request).plans.undo(visitor.principal, plan_id, chats)

    return await _acted(request, visitor, plan_id, act)


@router.post("/{plan_id}/import")
async def import_edited(request: Request, visitor: AdminDep, fields: FormFieldsDep, plan_id: PlanId) -> Response:
    """Make a new draft from an edited list."""
    await _require(request, visitor, plan_id)
    try:
        made = await application_of(request).plans.import_edited(visitor.principal, plan_id, fields.get("content", ""))
    except (InvalidInput, NotNow) as error:
        draft = fields.get("content", "")
        return await _plan_page(request, visitor, plan_id, trouble=words.quoted(str(error)), status=422, edited=draft)
    return RedirectResponse(f"{PLANS}/{made.id}", 303)


@router.get("/{plan_id}/export")
async def export(
    request: Request, visitor: VisitorDep, plan_id: PlanId, format: Literal["csv", "json"] = "csv"
) -> Response:
    """Every chat in a line; the action of each may be edited."""
    await _require(request, visitor, plan_id)
    items = await application_of(request).plans.all_items(visitor.principal.workspace_id, plan_id)
    content, kind = (write_csv(items), "text/csv") if format == "csv" else (write_json(items), "application/json")
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="plan.{format}"'}
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)


@router.get("/{plan_id}/receipts")
async def receipts(request: Request, visitor: AdminDep, plan_id: PlanId) -> JSONResponse:
    """What became of each chat, signed."""
    found = await _require(request, visitor, plan_id)
    context = application_of(request).keeper.context
    records = await context.store.plans.receipts(visitor.principal.workspace_id, found.id)
    headers = {**NO_STORE, "Content-Disposition": 'attachment; filename="receipts.json"'}
    return JSONResponse(signed_export(context.signer, found, records), headers=headers)


async def _acted(request: Request, visitor: Visitor, plan_id: str, act: Callable[[], Awaitable[Any]]) -> Response:
    """The plan's page after a change, or with the reason why nothing changed."""
    await _require(request, visitor, plan_id)
    try:
        await act()
    except (InvalidInput, NotNow) as error:
        status = 409 if isinstance(error, NotNow) else 422
        return await _plan_page(request, visitor, plan_id, trouble=words.without_code(str(error)), status=status)
    return RedirectResponse(f"{PLANS}/{plan_id}", 303)


async def _require(request: Request, visitor: Visitor, plan_id: str) -> Plan:
    """The plan, if it is the visitor's workspace's. Raises `NotFound`."""
    try:
        return await application_of(request).plans.get(visitor.principal.workspace_id, plan_id)
    except NotFound:
        raise NotFound("There is no such plan in your workspace.") from None


async def _form_page(request: Request, visitor: Visitor, wanted: PlanForm, status: int = 200) -> Response:
    async with page_slot(request, visitor):
        return page(
            request,
            "plan_new.html",
            visitor=visitor,
            status=status,
            form=wanted,
            delete_kinds=words.DELETE_KINDS,
            keep_choices=words.KEEP_CHOICES,
            keep_always=words.KEEP_ALWAYS,
            limits={"grace_min": GRACE_DAYS_MIN, "grace_max": GRACE_DAYS_MAX, "per_day": PER_DAY_MAX},
            **{**_common(request, ""), "account": wanted.account},
        )


async def _plan_page(
    request: Request,
    visitor: Visitor,
    plan_id: str,
    *,
    trouble: str | None = None,
    edited: str = "",
    status: int = 200,
) -> Response:
    application, workspace = application_of(request), visitor.principal.workspace_id
    found = await _require(request, visitor, plan_id)
    now = application.keeper.context.clock()
    figures = await application.plan_reports.figures(workspace, plan_id)
    report = await application.plan_reports.report(workspace, plan_id)
    fates = await application.plan_reports.fates(workspace, plan_id)
    people = await application.plan_reports.people(workspace, plan_id) if visitor.can_delete else []
    shown = await _items(request, visitor, found)
    async with page_slot(request, visitor):
        return page(
            request,
            "plan.html",
            visitor=visitor,
            status=status,
            trouble=trouble,
            edited=edited,
            plan=presenters.plan_view(found, now, figures),
            has_approved=visitor.principal.user_id in (by for by, _ in found.approvals),
            figures=figures,
            report=report.sentence,
            goes=presenters.counts_view(fates, PlanAction.DELETE),
            stays=presenters.counts_view(fates, PlanAction.KEEP),
            progress=presenters.progress_of(fates),
            people=people[:PEOPLE_SHOWN],
            more_people=max(len(people) - PEOPLE_SHOWN, 0),
            plan_account=found.account,
            **shown,
            **_common(request, ""),
        )


async def _items(request: Request, visitor: Visitor, found: Plan) -> Mapping[str, Any]:
    """A page of the plan's chats, for the template: those that go, or those that stay."""
    application = application_of(request)
    show = "keep" if request.query_params.get("show") == "keep" else "delete"
    cursor = request.query_params.get("cursor", "")
    actions = frozenset({PlanAction(show)}) & ALL_ACTIONS
    items, after = await application.plans.items(
        found.workspace_id, found.id, actions=actions, after=cursor if is_id(cursor) else "", limit=ITEMS
    )
    known: dict[str, FoundChat] = {}
    if items:
        filters = ChatFilters(chat_ids=tuple(item.chat_id for item in items))
        with contextlib.suppress(InvalidInput):  # The account's key does not serve the workspace any more.
            chats, _ = await application.census.chats(visitor.principal, filters, ITEMS, account=found.account)
            known = {one.record.chat.chat_id: one for one in chats}
    now = application.keeper.context.clock()
    path = f"{PLANS}/{found.id}"
    return {
        "items": [presenters.item_view(item, known, now) for item in items],
        "show": show,
        "goes_url": path,
        "stays_url": address(path, show="keep"),
        "more_url": address(path, show=show if show == "keep" else "", cursor=after) if after else None,
    }


def _common(request: Request, section: str) -> dict[str, Any]:
    """What all these pages show."""
    query = ChatQuery.of(request.query_params)
    return {"live": None, "filters": query, "account": query.account, "accounts": [], "section": section}
