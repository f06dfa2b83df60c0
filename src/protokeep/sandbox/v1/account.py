"""Operations of v0's API v1 that concern no chat: projects, hooks, the user, limits and usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..bodies import UpdateHook
from ..generated_content import credits_of
from ..http import Refusal, boolean, instant
from ..routing import Call, Operations
from ..state import Hook, Project
from . import bodies, views

DAILY_LIMIT = 10_000  #: requests a day, according to third-party notes

_CREDITS = 1_000.0


def add_to(operations: Operations) -> None:
    """Register these operations."""
    for method, path, operation, handler in (
        ("GET", "/projects", "projects.find", find_projects),
        ("POST", "/projects", "projects.create", create_project),
        ("GET", "/projects/{projectId}", "projects.getById", get_project),
        ("PATCH", "/projects/{projectId}", "projects.update", update_project),
        ("DELETE", "/projects/{projectId}", "projects.delete", delete_project),
        ("POST", "/projects/{projectId}/assign", "projects.assign", assign_project),
        ("GET", "/chats/{chatId}/project", "projects.getByChatId", get_project_of_chat),
        ("GET", "/hooks", "hooks.find", find_hooks),
        ("POST", "/hooks", "hooks.create", create_hook),
        ("GET", "/hooks/{hookId}", "hooks.getById", get_hook),
        ("PATCH", "/hooks/{hookId}", "hooks.update", update_hook),
        ("DELETE", "/hooks/{hookId}", "hooks.delete", delete_hook),
        ("GET", "/rate-limits", "rateLimits.find", rate_limits),
        ("GET", "/user", "user.get", get_user),
        ("GET", "/user/scopes", "user.getScopes", get_scopes),
        ("GET", "/user/plan", "user.getPlan", get_plan),
        ("GET", "/user/billing", "user.getBilling", get_billing),
        ("GET", "/reports/usage", "reports.getUsage", get_usage),
    ):
        operations.on(method, path, operation)(handler)


def find_projects(call: Call) -> dict[str, Any]:
    """All projects, newest first."""
    return views.listed([views.project_summary(call, project) for project in reversed(call.account.projects.values())])


def create_project(call: Call) -> dict[str, Any]:
    """A project without chats."""
    body = call.read(bodies.CreateProject)
    project = Project(
        call.backend.new_id(),
        body.name,
        call.now,
        call.now,
        body.privacy or "private",
        body.description,
        body.instructions,
        body.vercelProjectId,
    )
    call.account.projects[project.id] = project
    return views.project_detail(call, project)


def get_project(call: Call) -> dict[str, Any]:
    """A project with its chats as list rows, status included."""
    return views.project_detail(call, _project(call))


def update_project(call: Call) -> dict[str, Any]:
    """Change the fields that are given."""
    project = _project(call)
    for name, value in call.read(bodies.UpdateProject).model_dump(exclude_unset=True).items():
        setattr(project, name, value)
    project.updated_at = call.now
    return views.project_detail(call, project)


def delete_project(call: Call) -> dict[str, Any]:
    """Its chats stay, unless `deleteAllChats=true`."""
    project = _project(call)
    delete_chats = boolean(call.query.get("deleteAllChats"), "deleteAllChats")
    for chat in [chat for chat in call.account.chats["v1"].values() if chat.project_id == project.id]:
        if delete_chats:
            call.backend.delete_chat(chat, call.now, by_client=True)
        chat.project_id = None
    del call.account.projects[project.id]
    return {"id": project.id, "object": "project", "deleted": True}


def assign_project(call: Call) -> dict[str, Any]:
    """Move a chat into a project."""
    project = _project(call)
    chat_id = call.read(bodies.Assign).chatId
    call.backend.find_chat(call.account, "v1", chat_id).project_id = project.id
    return {"object": "project", "id": project.id, "assigned": True}


def get_project_of_chat(call: Call) -> dict[str, Any]:
    """The project of a chat; 404 if it belongs to none."""
    project = call.account.projects.get(call.chat().project_id or "")
    if project is None:
        raise Refusal(404, "The chat belongs to no project")
    return views.project_detail(call, project)


def find_hooks(call: Call) -> dict[str, Any]:
    """All hooks."""
    rows = [{"id": hook.id, "object": "hook", "name": hook.name} for hook in call.account.hooks["v1"].values()]
    return views.listed(rows)


def create_hook(call: Call) -> dict[str, Any]:
    """Create a hook. Without `chatId` it hears of every v1 chat of the account."""
    body = call.read(bodies.CreateHook)
    if body.chatId is not None:
        call.backend.find_chat(call.account, "v1", body.chatId)
    hook = Hook(call.backend.new_id(prefix="hook_"), body.name, list(body.events), body.url, call.now, body.chatId)
    call.backend.add_hook(call.account, "v1", hook)
    return views.hook_detail(hook)


def get_hook(call: Call) -> dict[str, Any]:
    """One hook."""
    return views.hook_detail(call.hook())


def update_hook(call: Call) -> dict[str, Any]:
    """Change the fields that are given."""
    hook = call.hook()
    for name, value in call.read(UpdateHook).model_dump(exclude_unset=True).items():
        setattr(hook, name, value)
    return views.hook_detail(hook)


def delete_hook(call: Call) -> dict[str, Any]:
    """Delete a hook. Nothing is delivered to it any more."""
    hook = call.hook()
    del call.account.hooks["v1"][hook.id]
    return {"id": hook.id, "object": "hook", "deleted": True}


def rate_limits(call: Call) -> dict[str, Any]:
    """The account's calls of the day. No request is refused for exceeding the limit."""
    midnight = _midnight(call.now) + timedelta(days=1)
    left = max(DAILY_LIMIT - call.account.calls, 0)
    reset = int(midnight.timestamp() * 1000)
    return {
        "remaining": left,
        "reset": reset,
        "limit": DAILY_LIMIT,
        "dailyLimit": {"limit": DAILY_LIMIT, "remaining": left, "reset": reset, "isWithinGracePeriod": False},
    }


def get_user(call: Call) -> dict[str, Any]:
    """The only user of the key's account."""
    return views.user(call, call.account)


def get_scopes(call: Call) -> dict[str, Any]:
    """The personal scope, and those of the `scopes` knob (unset: every scope that a request has named)."""
    names = list(call.account.scopes) if call.knobs.scopes is None else call.knobs.scopes
    rows = [{"id": call.account.user_id, "object": "scope", "name": "Personal"}]
    return views.listed(rows + [{"id": name, "object": "scope", "name": name} for name in names])


def get_plan(call: Call) -> dict[str, Any]:
    """The rest of a made-up monthly allowance."""
    return {"object": "plan", "plan": "sandbox", "billingCycle": _cycle(call.now), "balance": _balance(call)}


def get_billing(call: Call) -> dict[str, Any]:
    """The token form of the answer."""
    return {
        "billingType": "token",
        "data": {
            "plan": "sandbox",
            "billingMode": "test",
            "role": "OWNER",
            "billingCycle": _cycle(call.now),
            "balance": _balance(call),
            "onDemand": {"balance": 0},
        },
    }


def get_usage(call: Call) -> dict[str, Any]:
    """One row per finished generation, newest first. `totalCount` counts the page, as the document says."""
    query = call.query
    start, end = instant(query.get("startDate"), "startDate"), instant(query.get("endDate"), "endDate")
    rows = [
        (at, chat, message)
        for at, chat, message in call.backend.usage(call.account, "v1", call.now)
        if query.get("chatId") in (None, chat.id)
        and query.get("messageId") in (None, message.id)
        and query.get("userId") in (None, call.author_of(chat))
        and (start is None or at >= start)
        and (end is None or at <= end)
    ]
    page, pagination = views.paged(call, "/reports/usage", "usage", rows)
    listed = views.listed([views.usage_row(call, chat, message, at) for at, chat, message in page])
    return {**listed, "pagination": pagination, "meta": {"totalCount": len(page)}}


def _project(call: Call) -> Project:
    project = call.account.projects.get(call.ids["projectId"])
    if project is None:
        raise Refusal(404, "Project not found")
    return project


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _cycle(now: datetime) -> dict[str, int]:
    start = _midnight(now).replace(day=1)
    end = (start + timedelta(days=32)).replace(day=1)
    return {"start": int(start.timestamp() * 1000), "end": int(end.timestamp() * 1000)}


def _balance(call: Call) -> dict[str, float]:
    spent = sum(
        credits_of(message, call.now)["total"] for _, _, message in call.backend.usage(call.account, "v1", call.now)
    )
    return {"remaining": round(max(_CREDITS - spent, 0), 4), "total": _CREDITS}
