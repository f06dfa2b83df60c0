"""The API for plans of clean-ups. Members read plans; admins make, approve, apply and take them back."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from protokeep.core.clean_up import ItemState, Plan, PlanAction
from protokeep.core.keep_rules import DELETABLE, DeleteRule, Selection
from protokeep.core.plan_file import write_csv, write_json
from protokeep.service.plan_drafts import PlanOptions
from protokeep.service.receipts import signed_export
from protokeep.store.plans import ALL_ACTIONS, ALL_STATES
from protokeep.web.dependencies import Admin, Viewer, application_of
from protokeep.web.models import Cursor
from protokeep.web.plan_models import (
    Application,
    Approval,
    AuthorView,
    EditedPlan,
    ItemsView,
    ItemView,
    NewPlan,
    NewPolicy,
    PlanDetail,
    PlanPeopleView,
    PlansView,
    PlanView,
    PoliciesView,
    PolicyView,
    ReportView,
    Undo,
    UndoView,
)
from protokeep.web.problems import responses

router = APIRouter(prefix="/api/design/plans", tags=["clean-up"])

PlanId = Annotated[str, Path(max_length=64, description="The plan's id.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Action = Annotated[PlanAction | None, Query(description="Only what it keeps, or what it deletes.")]
State = Annotated[ItemState | None, Query(description="Only items of this state.")]
Account = Annotated[str, Query(max_length=700, description="The account; without it that of the only policy.")]
Format = Annotated[Literal["csv", "json"], Query(description="The form of the file.")]
#: An export and a page of receipts are never cached: they change.
NO_STORE = {"Cache-Control": "no-store"}
_READS = responses(401, 403, 404, 422, 503)
_WRITES = responses(400, 401, 403, 404, 409, 413, 422, 503)


@router.post("", status_code=201, summary="Make a plan", responses=responses(400, 401, 403, 409, 413, 422, 503))
async def create_plan(body: NewPlan, principal: Admin, request: Request) -> PlanDetail:
    """A draft from the newest scan: a list of every chat, with the rule that keeps or deletes it. Changes nothing."""
    selection = Selection(
        kinds=DELETABLE if body.kinds is None else frozenset(DeleteRule(kind) for kind in body.kinds),
        group_ids=frozenset(body.group_ids or ()),
        chat_ids=frozenset(body.chat_ids or ()),
        author_ids=frozenset(body.author_ids or ()),
        older_than_days=body.older_than_days,
    )
    options = PlanOptions(body.grace_days, body.per_day, frozenset(body.rules_off))
    plan = await application_of(request).plans.propose(principal, body.workspace, body.account, selection, options)
    return await _detail(request, plan)


@router.get("", summary="List plans", responses=responses(401, 403, 422, 503))
async def list_plans(principal: Viewer, request: Request, limit: Limit = 100) -> PlansView:
    """The workspace's plans, newest first."""
    plans = application_of(request).plans
    found = await plans.newest(principal.workspace_id, limit)
    return PlansView(plans=[PlanView.of(plan) for plan in found], accounts=await plans.accounts(principal.workspace_id))


@router.put("/policy", summary="Set the standing policy", responses=_WRITES)
async def set_policy(body: NewPolicy, principal: Admin, request: Request) -> PolicyView:
    """About once a day, failed, empty and superseded chats that are older go into a draft. A draft deletes nothing."""
    policies = application_of(request).plan_policies
    return PolicyView.of(await policies.set(principal, body.workspace, body.account, body.older_than_days))


@router.get("/policy", summary="Look at the standing policy", responses=responses(401, 403, 503))
async def list_policies(principal: Viewer, request: Request) -> PoliciesView:
    """None unless an admin has set one."""
    found = await application_of(request).plan_policies.of_workspace(principal.workspace_id)
    return PoliciesView(policies=[PolicyView.of(policy) for policy in found])


@router.delete("/policy", status_code=204, summary="Remove the standing policy", responses=_READS)
async def remove_policy(principal: Admin, request: Request, account: Account = "") -> Response:
    """Drafts that it made stay. Without an account, that of the only policy is taken."""
    await application_of(request).plan_policies.remove(principal, account)
    return Response(status_code=204)


@router.get("/{plan_id}", summary="Look at a plan", responses=_READS)
async def get_plan(plan_id: PlanId, principal: Viewer, request: Request) -> PlanDetail:
    """The plan with its digest, which an approval and an application name, and with what it takes."""
    return await _detail(request, await application_of(request).plans.get(principal.workspace_id, plan_id))


@router.get("/{plan_id}/items", summary="List what a plan does", responses=_READS)
async def list_items(
    plan_id: PlanId,
    principal: Viewer,
    request: Request,
    action: Action = None,
    state: State = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ItemsView:
    """Every chat of the account with the rule that keeps or deletes it, how far it is, and who has pinned it."""
    application = application_of(request)
    plan = await application.plans.get(principal.workspace_id, plan_id)
    found, after = await application.plans.items(
        principal.workspace_id,
        plan_id,
        states=frozenset({state}) if state else ALL_STATES,
        actions=frozenset({action}) if action else ALL_ACTIONS,
        after=cursor or "",
        limit=limit,
    )
    pins = await application.census.pins(principal.workspace_id, plan.account, [item.chat_id for item in found])
    return ItemsView(items=[ItemView.of(item, pins.get(item.chat_id)) for item in found], next_cursor=after)


@router.get("/{plan_id}/export", summary="Export a plan as a file", responses=_READS)
async def export_plan(plan_id: PlanId, principal: Viewer, request: Request, format: Format = "csv") -> Response:
    """Every chat in a line. Only the column `action` may be changed before the file is imported again."""
    items = await application_of(request).plans.all_items(principal.workspace_id, plan_id)
    content, kind = (write_csv(items), "text/csv") if format == "csv" else (write_json(items), "application/json")
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="plan.{format}"'}
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)


@router.post("/{plan_id}/import", status_code=201, summary="Import an edited plan", responses=_WRITES)
async def import_plan(plan_id: PlanId, body: EditedPlan, principal: Admin, request: Request) -> PlanDetail:
    """A new draft with a new digest. A changed fingerprint, an unknown chat or another changed column is refused."""
    plan = await application_of(request).plans.import_edited(principal, plan_id, body.content)
    return await _detail(request, plan)


@router.post("/{plan_id}/approve", summary="Approve a plan", responses=_WRITES)
async def approve_plan(plan_id: PlanId, body: Approval, principal: Admin, request: Request) -> PlanDetail:
    """Its grace period begins with the last approval that it needs. Nothing is deleted before it is applied."""
    plans = application_of(request).plans
    return await _detail(request, await plans.approve(principal, plan_id, body.digest, body.workspace))


@router.post("/{plan_id}/apply", summary="Apply an approved plan", responses=_WRITES)
async def apply_plan(plan_id: PlanId, body: Application, principal: Admin, request: Request) -> PlanDetail:
    """Deletions begin when the grace period is over. Applying it again changes nothing."""
    return await _detail(request, await application_of(request).plans.apply(principal, plan_id, body.digest))


@router.post("/{plan_id}/pause", summary="Pause a plan", responses=_READS | responses(409))
async def pause_plan(plan_id: PlanId, principal: Admin, request: Request) -> PlanDetail:
    """Nothing more is deleted until it is resumed. Undo continues."""
    return await _detail(request, await application_of(request).plans.pause(principal, plan_id))


@router.post("/{plan_id}/resume", summary="Resume a paused plan", responses=_READS | responses(409))
async def resume_plan(plan_id: PlanId, principal: Admin, request: Request) -> PlanDetail:
    """It continues where it stopped."""
    return await _detail(request, await application_of(request).plans.resume(principal, plan_id))


@router.post("/{plan_id}/cancel", summary="Cancel a plan", responses=_READS | responses(409))
async def cancel_plan(plan_id: PlanId, principal: Admin, request: Request) -> PlanDetail:
    """Nothing more of it is deleted, ever. What was deleted stays deleted: undo takes it back."""
    return await _detail(request, await application_of(request).plans.cancel(principal, plan_id))


@router.post("/{plan_id}/undo", summary="Take a plan back", responses=_WRITES)
async def undo_plan(plan_id: PlanId, body: Undo, principal: Admin, request: Request) -> UndoView:
    """Chats that are there stay at once; deleted ones are restored from their copies, as new chats."""
    return UndoView.of(await application_of(request).plans.undo(principal, plan_id, body.chat_ids))


@router.get("/{plan_id}/people", summary="List the authors to tell", responses=_READS)
async def plan_people(plan_id: PlanId, principal: Admin, request: Request) -> PlanPeopleView:
    """The authors of the chats that are about to go, and a message to each."""
    found = await application_of(request).plan_reports.people(principal.workspace_id, plan_id)
    views = [
        AuthorView(
            author_id=author.author_id,
            chats=[{"chat_id": chat_id, "name": name} for chat_id, name in author.chats],
            message=author.message,
        )
        for author in found
    ]
    return PlanPeopleView(people=views)


@router.get("/{plan_id}/report", summary="Read what a plan did", responses=_READS)
async def plan_report(plan_id: PlanId, principal: Viewer, request: Request) -> ReportView:
    """In a sentence, in numbers, and whether a scan afterwards shows any of the chats."""
    return ReportView.of(await application_of(request).plan_reports.report(principal.workspace_id, plan_id))


@router.get("/{plan_id}/receipts", summary="Export the receipts of a plan", responses=_READS)
async def plan_receipts(plan_id: PlanId, principal: Admin, request: Request) -> JSONResponse:
    """One line for what became of each chat, signed. `protokeep plan verify-receipts` checks the signature."""
    application = application_of(request)
    plan = await application.plans.get(principal.workspace_id, plan_id)
    context = application.keeper.context
    records = await context.store.plans.receipts(principal.workspace_id, plan.id)
    return JSONResponse(signed_export(context.signer, plan, records), headers=NO_STORE)


async def _detail(request: Request, plan: Plan) -> PlanDetail:
    figures = await application_of(request).plan_reports.figures(plan.workspace_id, plan.id)
    return PlanDetail(**PlanView.fields_of(plan), calls=figures.calls, credits=figures.credits, ends_at=figures.ends_at)
