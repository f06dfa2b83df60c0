"""The emulator against v0's own description of its API: paths, ids, every answer, and which bodies are accepted."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, ValidationError

from protokeep.sandbox import Sandbox, bodies
from protokeep.sandbox.v1 import bodies as v1_bodies
from protokeep.sandbox.v1 import routes as v1
from protokeep.sandbox.v2 import bodies as v2_bodies
from protokeep.sandbox.v2 import routes as v2
from sandbox.conftest import V0, hosted
from sandbox.v0_contract import MISSING, Document
from world import Clock

OPERATIONS = {"v1": v1.operations, "v2": v2.operations}
HOOK_URL = "http://127.0.0.1:9/hook"


@pytest.fixture(autouse=True)
def present(documents: dict[str, Document]) -> None:
    if not documents:
        pytest.skip(MISSING)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_every_operation_has_its_documents_id_method_and_path(api: str, documents: dict[str, Document]) -> None:
    """
    Every operation has the id, method and path that its document gives it.
    """
    for operation in OPERATIONS[api].all:
        method, path, _ = documents[api].operations[operation.id]
        assert (method, path) == (operation.method, "/" + "/".join(operation.path))


async def test_every_v1_operation_answers_in_the_documents_shape(v0: V0, clock: Clock, sandbox: Sandbox) -> None:
    """
    A walk over every v1 operation gets success everywhere, in the document's shape.
    """
    project = (await ok(v0.post("/v1/projects", json={"name": "p", "description": "d", "instructions": "i"})))["id"]
    metadata = {"tag": "one"}
    request = {"message": "A shop", "responseMode": "async", "metadata": metadata, "projectId": project}
    chat = await ok(v0.post("/v1/chats", json={**request, "attachments": [{"url": "https://x.example/a.png"}]}))
    path = f"/v1/chats/{chat['id']}"
    assert chat["latestVersion"]["status"] == "pending"
    assert chat["webUrl"]
    assert "demo" not in chat

    clock.advance(10)
    chat = await ok(v0.get(path))
    assert chat["latestVersion"]["status"] == "completed"
    assert chat["messages"][-1]["finishReason"] == "stop"
    row = (await ok(v0.get("/v1/chats?limit=60")))["data"][0]
    assert row["latestVersion"]["status"] == "completed"
    assert "metadata" not in row
    version = (await ok(v0.get(f"{path}/versions")))["data"][0]["id"]
    assert (await ok(v0.get(f"{path}/versions/{version}")))["files"]
    tarball = await v0.get(f"{path}/versions/{version}/download?format=tarball&includeDefaultFiles=true")
    assert tarball.headers["content-type"] == "application/gzip"
    assert (await ok(v0.patch(path, json={"name": "n", "metadata": {"tag": None, "b": "c"}})))["metadata"] == {"b": "c"}
    assert (await ok(v0.patch(path, json={"metadata": None})))["metadata"] == {}
    assert (await ok(v0.put(f"{path}/favorite", json={"isFavorite": True})))["favorited"] is True
    assert (await ok(v0.get("/v1/chats?isFavorite=true")))["data"]
    assert not (await ok(v0.get("/v1/chats?isFavorite=false")))["data"]

    await v0.knobs(finish_reason="tool-calls")
    chat = await ok(v0.post(f"{path}/messages", json={"message": "more", "responseMode": "async"}))
    clock.advance(10)
    task = {"type": "plan-exit-response", "status": "approved", "content": "go"}
    chat = await ok(v0.post(f"{path}/tasks/resolve", json={"task": task, "responseMode": "async"}))
    assert chat["latestVersion"]["status"] == "pending"
    message = chat["messages"][-1]["id"]
    assert "finishReason" not in await ok(v0.get(f"{path}/messages/{message}"))
    assert (await ok(v0.post(f"{path}/messages/{message}/stop")))["success"] is True
    assert len((await ok(v0.get(f"{path}/messages?limit=2")))["data"]) == 2

    shell = await ok(
        v0.post("/v1/chats/init", json={"type": "files", "name": "s", "files": [{"name": "a.ts", "content": "x"}]})
    )
    assert shell["latestVersion"]["status"] == "completed"
    assert (await ok(v0.post(f"/v1/projects/{project}/assign", json={"chatId": shell["id"]})))["assigned"] is True
    assert len((await ok(v0.get(f"/v1/projects/{project}")))["chats"]) == 2
    assert (await ok(v0.get(f"{path}/project")))["id"] == project
    assert (await ok(v0.patch(f"/v1/projects/{project}", json={"name": "q"})))["name"] == "q"
    assert (await ok(v0.get("/v1/projects")))["data"][0]["name"] == "q"

    hook = await ok(v0.post("/v1/hooks", json={"name": "h", "events": ["chat.created"], "url": HOOK_URL}))
    of_chat = {"name": "h", "events": ["message.finished"], "url": HOOK_URL, "chatId": chat["id"]}
    await ok(v0.post("/v1/hooks", json=of_chat))
    assert len((await ok(v0.get("/v1/hooks")))["data"]) == 2
    await ok(v0.get(f"/v1/hooks/{hook['id']}"))
    assert (await ok(v0.patch(f"/v1/hooks/{hook['id']}", json={"name": "i"})))["name"] == "i"
    await ok(v0.delete(f"/v1/hooks/{hook['id']}"))

    await ok(v0.get("/v1/rate-limits?scope=team"))
    await ok(v0.get("/v1/user"))
    assert [row["id"] for row in (await ok(v0.get("/v1/user/scopes")))["data"]][1:] == ["team"]
    await ok(v0.get("/v1/user/plan"))
    await ok(v0.get("/v1/user/billing?scope=team"))
    usage = await ok(v0.get(f"/v1/reports/usage?chatId={chat['id']}&startDate=2026-01-01T00:00:00Z&limit=2"))
    assert (len(usage["data"]), usage["meta"]["totalCount"]) == (2, 2)
    assert (await ok(v0.delete(path)))["deleted"] is True
    await ok(v0.delete(f"/v1/projects/{project}?deleteAllChats=true"))
    assert sandbox.stats()["chats_deleted"] == 2
    assert {operation.id for operation in v1.operations.all} == {name for _, name in v0.seen}


async def test_every_v2_operation_answers_in_the_documents_shape(v0: V0, clock: Clock) -> None:
    """
    A walk over every v2 operation gets success everywhere, in the document's shape.
    """
    request = {"message": "A shop", "metadata": {"tag": "one"}, "attachments": [{"url": "https://x.example/a"}]}
    chat = await ok(v0.post("/v2/chats/async", json=request), 202)
    path = f"/v2/chats/{chat['chatId']}"
    reply = f"{path}/messages/{chat['messageId']}"
    assert (await ok(v0.get(reply)))["finishReason"] is None
    assert await ok(v0.get(f"{path}/preview")) is None
    assert (await ok(v0.get(f"{path}/files")))["files"] == []

    clock.advance(10)
    assert (await ok(v0.get(reply)))["finishReason"] == "stop"
    assert (await ok(v0.get(f"{path}/preview")))["url"].endswith(f"/preview/{chat['chatId']}")
    assert (await ok(v0.get(f"{path}/files")))["files"]
    packed = await v0.get(f"{path}/files/download")
    assert packed.headers["content-type"] == "application/zip"
    assert "status" not in await ok(v0.get(path))
    assert (await ok(v0.patch(path, json={"title": "t", "metadata": {"k" * 50: "v"}})))["title"] == "t"
    assert (await ok(v0.get("/v2/chats?metadata[tag]=one")))["chats"][0]["metadata"]["tag"] == "one"

    await v0.knobs(finish_reason="tool-calls")
    sent = await ok(v0.post(f"{path}/messages/async", json={"message": "more"}), 202)
    clock.advance(10)
    newest = (await ok(v0.get(f"{path}/messages?limit=1")))["messages"][0]
    assert (newest["id"], newest["finishReason"]) == (sent["messageId"], "tool-calls")
    assert newest["parts"][1]["name"] == "ask_user_questions"
    choice = {"questionId": "theme", "questionText": "Which?", "selectedLabels": ["Dark"]}
    answers = {"task": {"type": "answered-questions", "answers": [choice]}}
    resolved = await ok(v0.post(f"{path}/messages/resolve/async", json=answers), 202)
    stopped = await ok(v0.post(f"{path}/messages/{resolved['messageId']}/stop"))
    assert stopped == {"messageId": resolved["messageId"]}

    await v0.knobs(generation_seconds=0)
    await ok(v0.post(f"{path}/messages", json={"message": "again"}))
    assert (await ok(v0.post(f"{path}/messages/resolve", json=answers)))["finishReason"] == "stop"
    await v0.knobs(finish_reason="stop")
    assert (await ok(v0.post("/v2/chats", json={"message": "sync"})))["usage"]["tokens"]["total"] > 0
    async with hosted(packed.content) as zip_url:
        begun = await ok(v0.post("/v2/chats/from-zip", json={"url": zip_url}))
    assert len((await ok(v0.get(f"/v2/chats/{begun['chat']['id']}/files")))["files"]) == 2
    shell = await ok(v0.post("/v2/chats/from-files", json={"files": [{"name": "a.ts", "content": "x"}]}))
    assert (await ok(v0.get(f"/v2/chats/{shell['chat']['id']}/messages?limit=5")))["messages"] == []
    assert await ok(v0.get(f"/v2/chats/{shell['chat']['id']}/preview"))

    fields = {"name": "h", "events": ["message.finished"], "url": HOOK_URL, "chatId": chat["chatId"]}
    hook = (await ok(v0.post("/v2/hooks", json=fields)))["id"]
    assert await ok(v0.get("/v2/hooks")) == [{"id": hook, "name": "h"}]
    await ok(v0.get(f"/v2/hooks/{hook}"))
    assert (await ok(v0.patch(f"/v2/hooks/{hook}", json={"events": []})))["events"] == []
    await ok(v0.delete(f"/v2/hooks/{hook}"))

    summary = await ok(v0.get("/v2/usage/summary"))
    assert summary["credits"]["total"] > 0
    events = await ok(v0.get(f"/v2/usage/events?chatId={chat['chatId']}&limit=2"))
    assert (len(events["data"]), events["pagination"]["hasMore"]) == (2, True)
    cursor = events["pagination"]["cursor"]
    rest = await ok(v0.get(f"/v2/usage/events?chatId={chat['chatId']}&cursor={cursor}"))
    assert (len(rest["data"]), rest["pagination"]["hasMore"]) == (3, False)
    assert await ok(v0.delete(path)) == {"chatId": chat["chatId"]}
    assert {operation.id for operation in v2.operations.all} == {name for _, name in v0.seen}


@pytest.mark.parametrize("api", ["v1", "v2"])
async def test_every_refusal_has_its_status_and_its_versions_shape(api: str, v0: V0, nobody: V0, other: V0) -> None:
    """
    Without a key 401, for unknown things 404, for what does not run 409, for bad input 422: in the version's shape.
    """
    for operation in OPERATIONS[api].all:
        path = f"/{api}/" + "/".join("x" if part[0] == "{" else part for part in operation.path)
        await ok(nobody.http.request(operation.method, path), 401)
        if "{" in str(operation.path):
            body = GOOD.get((api, operation.id), {})
            await ok(v0.http.request(operation.method, f"{path}?limit=1", json=body), 404)
        elif operation.method == "POST":
            await ok(v0.post(path, json={"unknown": 1}), 422)
            await ok(v0.post(path, content=b"{", headers={"content-type": "application/json"}), 422)
            await ok(v0.post(path, content=b"message", headers={"content-type": "text/plain"}), 422)

    create, async_ = ("/v1/chats", {"responseMode": "async"}) if api == "v1" else ("/v2/chats/async", {})
    remote_chat = (await v0.post(create, json={"message": "x", **async_})).json()
    chat = f"/{api}/chats/{remote_chat.get('chatId') or remote_chat.get('id')}"
    resolve = f"{chat}/tasks/resolve" if api == "v1" else f"{chat}/messages/resolve"
    task = {"type": "confirmed-steps"}
    assert "waiting" in (await ok(v0.post(resolve, json={"task": task}), 409))
    message = ((await v0.get(f"{chat}/messages?limit=5")).json().get("data") or [{}])[0].get("id") or remote_chat[
        "messageId"
    ]
    await ok(v0.post(f"{chat}/messages/{message}/stop"), 200)
    await ok(v0.post(f"{chat}/messages/{message}/stop"), 409)
    await ok(other.get(chat), 404)
    await ok(v0.get(chat.replace(api, "v1" if api == "v2" else "v2", 1)), 404)
    await ok(v0.delete(chat), 200)
    await ok(v0.delete(chat), 404)
    await ok(v0.get(chat), 404)
    await ok(v0.get(f"/{api}/chats?limit={61 if api == 'v1' else 101}"), 422)
    await ok(v0.get(f"/{api}/chats?limit=many"), 422)
    await ok(v0.get(f"/{api}/mcp-servers"), 404)
    await ok(v0.get(f"/{api}/nothing/here"), 404)
    too_large = await v0.post(create, content=b" " * 10_485_761, headers={"content-type": "application/json"})
    assert too_large.status_code == (413 if api == "v1" else 422)


async def test_v2_refuses_limits_cursors_and_dates_that_are_not_allowed(v0: V0) -> None:
    """
    Limits, cursors and dates that the document does not allow are refused.
    """
    chat = (await v0.post("/v2/chats/async", json={"message": "x"})).json()
    for path in (
        "/v2/chats?limit=0",
        "/v2/chats?limit=1.5",
        "/v2/chats?cursor=nonsense",
        "/v2/chats?metadata=x",
        f"/v2/chats?metadata[k]={'v' * 501}",
        f"/v2/chats/{chat['chatId']}/messages",
        f"/v2/chats/{chat['chatId']}/messages?limit=0",
        "/v2/usage/events?limit=101",
        "/v2/usage/events?start=2026-01-01T00:00:00%2B00:00",
        "/v2/usage/summary?start=2026-02-01T00:00:00Z&end=2026-01-01T00:00:00Z",
    ):
        await ok(v0.get(path), 422)


async def test_v2_takes_urlencoded_and_multipart_bodies(v0: V0) -> None:
    """
    v2 takes urlencoded and multipart bodies too.
    """
    form = {"message": "Ein Café", "metadata[tag]": "form", "modelConfiguration[modelId]": "v0-mini"}
    form["modelConfiguration[imageGenerations]"] = "true"
    await ok(v0.post("/v2/chats/async", data=form), 202)
    files = {name: (None, value) for name, value in form.items()}
    await ok(v0.post("/v2/chats/async", files=files), 202)
    rows = (await ok(v0.get("/v2/chats?metadata[tag]=form")))["chats"]
    assert [row["title"] for row in rows] == ["Ein Café"] * 2
    await ok(v0.post("/v2/chats/async", data={**form, "unknown": "x"}), 422)
    hook = {"name": "h", "events[]": ["chat.created", "chat.deleted"], "url": HOOK_URL, "chatId": "none"}
    await ok(v0.post("/v2/hooks", data=hook), 404)


MODELS: dict[tuple[str, str], type[BaseModel]] = {
    ("v1", "chats.create"): v1_bodies.CreateChat,
    ("v1", "chats.init"): v1_bodies.InitChat,
    ("v1", "chats.update"): v1_bodies.UpdateChat,
    ("v1", "chats.favorite"): v1_bodies.Favorite,
    ("v1", "chats.sendMessage"): v1_bodies.SendMessage,
    ("v1", "chats.resolveTask"): v1_bodies.ResolveTask,
    ("v1", "projects.create"): v1_bodies.CreateProject,
    ("v1", "projects.update"): v1_bodies.UpdateProject,
    ("v1", "projects.assign"): v1_bodies.Assign,
    ("v1", "hooks.create"): v1_bodies.CreateHook,
    ("v1", "hooks.update"): bodies.UpdateHook,
    ("v2", "chats.create"): v2_bodies.CreateChat,
    ("v2", "chats.createAsync"): v2_bodies.CreateChat,
    ("v2", "chats.createFromFiles"): v2_bodies.CreateFromFiles,
    ("v2", "chats.createFromZip"): v2_bodies.CreateFromZip,
    ("v2", "chats.update"): v2_bodies.UpdateChat,
    ("v2", "messages.send"): v2_bodies.SendMessage,
    ("v2", "messages.sendAsync"): v2_bodies.SendMessage,
    ("v2", "messages.resolve"): v2_bodies.ResolveTask,
    ("v2", "messages.resolveAsync"): v2_bodies.ResolveTask,
    ("v2", "webhooks.create"): v2_bodies.CreateHook,
    ("v2", "webhooks.update"): bodies.UpdateHook,
}

_SKILLS = [
    {"type": "remote", "id": "s"},
    {"type": "memory", "scope": "team", "skillName": "m"},
    {"type": "project", "skillName": "p"},
]
_SENT: dict[str, Any] = {
    "message": "m",
    "attachments": [{"url": "https://x.example"}],
    "mcpServerIds": ["a"],
    "skills": _SKILLS,
}
_SENT_V1 = {
    **_SENT,
    "system": "s",
    "modelConfiguration": {"modelId": "v0-auto", "imageGenerations": True, "thinking": False},
    "responseMode": "async",
    "attachedSkillIds": ["b"],
}
_SENT_V2 = {
    **_SENT,
    "systemPrompt": "s",
    "modelConfiguration": {"modelId": "v0-max", "imageGenerations": False},
}
_STEPS = {
    "type": "confirmed-steps",
    "connectedIntegrationNames": ["a"],
    "connectedMcpPresetNames": ["Slack"],
    "appliedScripts": ["s"],
    "addedEnvVars": ["E"],
}
_PERMISSION = {
    "type": "ALLOW_DYNAMIC_TOOL_STRICT",
    "toolName": "t",
    "input": {"any": 1},
    "taskNameActive": "a",
    "taskNameComplete": None,
    "userMessage": "u",
}
_TASKS: list[dict[str, Any]] = [
    _STEPS,
    {"type": "plan-exit-response", "status": "rejected", "content": "c"},
    {
        "type": "answered-questions",
        "answers": [{"questionId": "q", "questionText": "t", "selectedLabels": ["l"], "customText": "c"}],
    },
    {"type": "confirmed-permissions", "permissions": [_PERMISSION], "userMessage": "u"},
]
_HOOK = {"name": "n", "events": ["chat.created", "message.finished"], "url": HOOK_URL, "chatId": "c"}
_INIT = {"name": "n", "chatPrivacy": "team", "projectId": "p", "metadata": {"k": "v"}}

#: One full body per operation that takes one, and more where it has forms.
GOOD: dict[tuple[str, str], dict[str, Any]] = {
    ("v1", "chats.create"): {
        **_SENT_V1,
        "chatPrivacy": "team-edit",
        "projectId": "p",
        "designSystemId": None,
        "metadata": {"k": "v"},
    },
    ("v1", "chats.init"): {**_INIT, "type": "files", "files": [{"name": "a", "content": "x", "locked": True}]},
    ("v1", "chats.update"): {"name": "n", "privacy": "public", "metadata": {"k": "v", "gone": None}},
    ("v1", "chats.favorite"): {"isFavorite": True},
    ("v1", "chats.sendMessage"): {**_SENT_V1, "action": {"type": "fix-with-v0"}},
    ("v1", "chats.resolveTask"): {"task": _TASKS[0], "responseMode": "sync", "modelConfiguration": {}},
    ("v1", "projects.create"): {
        "name": "n",
        "description": "d",
        "icon": "i",
        "environmentVariables": [{"key": "k", "value": "v"}],
        "instructions": "i",
        "vercelProjectId": "v",
        "privacy": "team",
    },
    ("v1", "projects.update"): {"name": "n", "description": "d", "instructions": "i", "privacy": "private"},
    ("v1", "projects.assign"): {"chatId": "c"},
    ("v1", "hooks.create"): _HOOK,
    ("v1", "hooks.update"): {"name": "n", "events": ["chat.updated"], "url": HOOK_URL},
    ("v2", "chats.create"): {**_SENT_V2, "privacy": "unlisted", "title": "t", "metadata": {"k": "v"}},
    ("v2", "chats.createAsync"): {**_SENT_V2, "privacy": "team", "title": "t", "metadata": {"k": "v"}},
    ("v2", "chats.createFromFiles"): {
        "files": [{"name": "n", "content": ""}],
        "privacy": "public",
        "title": "t",
        "metadata": {"k": "v"},
    },
    ("v2", "chats.createFromZip"): {
        "url": "https://x.example/a.zip",
        "privacy": "unlisted",
        "title": "t",
        "metadata": {"k": "v"},
    },
    ("v2", "chats.update"): {"title": "t", "privacy": "team-edit", "metadata": {"k": None}},
    ("v2", "messages.send"): _SENT_V2,
    ("v2", "messages.sendAsync"): _SENT_V2,
    ("v2", "messages.resolve"): {"task": _TASKS[0], "modelConfiguration": {"modelId": "v0-pro"}},
    ("v2", "messages.resolveAsync"): {"task": _TASKS[0]},
    ("v2", "webhooks.create"): _HOOK,
    ("v2", "webhooks.update"): {"name": "n", "events": [], "url": HOOK_URL},
}
MORE: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("v1", "chats.init"): [
        {"type": "files", "files": [{"name": "a", "url": "https://x.example"}]},
        {"type": "repo", "repo": {"url": "https://x.example", "branch": "b"}, "lockAllFiles": True, **_INIT},
        {"type": "registry", "registry": {"url": "https://x.example"}, "lockAllFiles": False},
        {"type": "zip", "zip": {"url": "https://x.example/a.zip"}, "lockAllFiles": False},
        {"type": "template", "templateId": "t"},
    ],
    ("v1", "chats.resolveTask"): [{"task": task} for task in _TASKS],
    ("v2", "messages.resolve"): [{"task": task} for task in [*_TASKS, {"type": "vercel-connect-setup"}]],
}


@pytest.mark.parametrize(("api", "operation"), list(MODELS), ids=str)
def test_a_body_is_taken_or_refused_as_the_document_does(
    api: str, operation: str, documents: dict[str, Document]
) -> None:
    """
    A full body passes; with anything taken away, added, emptied, lengthened or of another type, the emulator and the
    document agree on whether it still does.
    """
    model, document = MODELS[api, operation], documents[api]
    for good in [GOOD[api, operation], *MORE.get((api, operation), [])]:
        assert accepts(model, good), good
        for body in mutations(good):
            problems = document.body_problems(operation, body)
            assert accepts(model, body) is not bool(problems), (body, problems)


def test_every_operation_with_a_body_is_judged() -> None:
    """
    No operation with a body is left out above.
    """
    with_body = {
        (api, operation.id)
        for api, operations in OPERATIONS.items()
        for operation in operations.all
        if operation.method in ("POST", "PATCH", "PUT") and not operation.path[-1].endswith("stop")
    }
    assert with_body == set(MODELS)


def accepts(model: type[BaseModel], body: Any) -> bool:
    """Whether the emulator takes this body."""
    try:
        model.model_validate_json(json.dumps(body), strict=True)
    except ValidationError:
        return False
    return True


OTHER_VALUES: list[Any] = [None, 1, True, [], {}, [""], [{}], ["x"] * 101, ""]
OTHER_VALUES += ["x" * length for length in (41, 51, 65, 251, 256, 501, 1001, 2001)]


def mutations(body: Any) -> Iterator[Any]:
    """The body with one thing changed, at every place in it."""
    for path in places(body):
        for value in OTHER_VALUES:
            yield changed(body, path, value)
        if path:
            yield changed(body, path, ...)
        found = at(body, path)
        if isinstance(found, dict):
            yield changed(body, (*path, "unknown"), "x")
            yield changed(body, (*path, "k" * 41), "x")
            yield changed(body, (*path, ""), "x")
        if isinstance(found, list) and found:
            yield changed(body, path, found * 21)
            yield changed(body, path, [*found, found[0]])


def places(body: Any) -> Iterator[tuple[Any, ...]]:
    """The path of the body and of everything in it."""
    yield ()
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in inner:
        for rest in places(value):
            yield (key, *rest)


def at(body: Any, path: tuple[Any, ...]) -> Any:
    """What is there."""
    for key in path:
        body = body[key]
    return body


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with that value there; `...` takes it away."""
    if not path:
        return value
    found = copy.deepcopy(body)
    parent = at(found, path[:-1])
    if value is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return found


async def ok(request: Any, status: int = 200) -> Any:
    """The answer's JSON, or a refusal's message; the status must be the one expected."""
    response: httpx2.Response = await request
    assert response.status_code == status, f"{response.request.method} {response.request.url}: {response.text[:500]}"
    body = response.json()
    if status < 400:
        return body
    return body["message"] if "message" in body else body["error"]["message"]
