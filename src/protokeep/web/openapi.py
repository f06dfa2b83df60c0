"""The OpenAPI document: what FastAPI knows of the routes, completed with tokens, problems, tags and words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from protokeep.web import problems
from protokeep.web.models import Problem

#: Error statuses of every operation: a body, an address or headers that are too long, and too many requests.
COMMON_ERRORS = (413, 414, 429, 431)
#: The name of the one way to sign in to the API.
TOKEN = "token"  # noqa: S105 - a name
#: The groups of operations, in the order of reading.
TAGS = {
    "prototypes": "Create prototypes, look at them, change, stop and delete them.",
    "arrangement": "Favourites, tags and archived products, and one action on several prototypes.",
    "deleted": "The bin, and the copies of chats that were made before their deletion.",
    "census": "What an app builder account holds, which chats asked for the same, and which nothing needs.",
    "clean-up": "Plans of clean-ups: what they would delete, approved, applied and taken back.",
    "access": "Tokens, invitations, people, settings and the audit of a workspace; for admins.",
    "keys": "Keys of app builders: the workspace's, and each person's own.",
    "health": "Whether the process runs and can serve.",
}
#: What the roles in the operations' security mean.
ROLES = "Each operation names its role: an admin may do all that a maker may, a maker all that a viewer may."
#: Parameters that many operations share, by name. An operation's own description comes first.
PARAMETERS = {
    "product_id": "Your own id of the product.",
    "prototype_id": "The id of the prototype.",
    "prefer": "respond-async: answer at once. wait=n: answer after n seconds at most, 25 at most.",
    "idempotency-key": "A repeated request with the same key acts once and gets the first answer.",
    "last-event-id": "The id of the last event that arrived: what happened since comes first.",
}


def document_of(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            tags=[{"name": name, "description": words} for name, words in TAGS.items()],
            servers=[{"url": "/", "description": "This server."}],
        )
        schema["externalDocs"] = {"url": problems.DOCS, "description": "The same for people, and every problem."}
        components = schema.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):  # Of FastAPI's own 422, which is not sent here.
            schemas.pop(unused, None)
        components["securitySchemes"] = {TOKEN: {"type": "http", "scheme": "bearer", "description": ROLES}}
        _add_roles(app, schema)
        for path, operation in operations_of(schema):
            if path.startswith("/api/"):
                _add_common_errors(operation)
            _describe_invalid_input(operation)
            for parameter in operation.get("parameters", ()):
                parameter.setdefault("description", PARAMETERS.get(parameter["name"], ""))
        app.openapi_schema = schema
    return app.openapi_schema


def operations_of(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, operation) of each operation of a document."""
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            yield path, operation


def _add_roles(app: FastAPI, schema: dict[str, Any]) -> None:
    """Say of each operation which role it takes, as its dependencies check it; OpenAPI 3.1 names roles there."""
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        role = next(_roles(dependant), None) if dependant else None
        for method in getattr(route, "methods", None) or ():
            operation = schema["paths"].get(route.path, {}).get(method.lower())
            if operation and role:
                operation["security"] = [{TOKEN: [role]}]


def _roles(dependant: Dependant) -> Iterator[str]:
    for part in dependant.dependencies:
        if role := getattr(part.call, "role", None):
            yield role.value
        yield from _roles(part)


def _add_common_errors(operation: dict[str, Any]) -> None:
    for status, response in problems.responses(*COMMON_ERRORS).items():
        operation["responses"].setdefault(str(status), response)


def _describe_invalid_input(operation: dict[str, Any]) -> None:
    """Replace FastAPI's own description of a 422, which is not sent here."""
    response = operation["responses"].get("422")
    if response is not None and problems.MEDIA_TYPE not in response.get("content", {}):
        response.update(problems.responses(422)[422])
