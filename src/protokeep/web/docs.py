"""`/docs`: the API for people who read, out of the OpenAPI document, and every kind of problem, with an anchor each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from protokeep.web import openapi
from protokeep.web.pages.render import page
from protokeep.web.problem_kinds import KINDS
from protokeep.web.problems import DOCS

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body. `place`: path, query, header or body."""

    name: str
    place: str
    is_required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `example`: a body that it takes; empty: it takes none."""

    method: str
    path: str
    summary: str
    description: str
    fields: tuple[Field, ...]
    example: str
    statuses: tuple[str, ...]


@router.get(DOCS)
async def docs(request: Request) -> Response:
    """The page."""
    app = request.app
    if getattr(app.state, "docs", None) is None:
        app.state.docs = _groups(app.openapi())
    words = {"groups": app.state.docs, "kinds": KINDS, "schema": app.openapi_url}
    return page(request, "docs.html", visitor=None, live=None, **words)


def _groups(schema: Mapping[str, Any]) -> tuple[tuple[str, str, tuple[Operation, ...]], ...]:
    """(tag, what it is about, its operations) of each group."""
    found: dict[str, list[Operation]] = {name: [] for name in openapi.TAGS}
    for path, method, operation in _operations(schema):
        found.setdefault(operation["tags"][0], []).append(_operation_of(schema, path, method, operation))
    return tuple((name, openapi.TAGS.get(name, ""), tuple(operations)) for name, operations in found.items())


def _operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _operation_of(schema: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    fields = [
        Field(each["name"], each["in"], each.get("required", False), each["description"])
        for each in operation.get("parameters", ())
    ]
    body = schema["components"]["schemas"].get(_body_name(operation), {})
    for field, described in body.get("properties", {}).items():
        fields.append(Field(field, "body", field in body.get("required", ()), described.get("description", "")))
    example = next(iter(body.get("examples", ())), None)
    return Operation(
        method.upper(),
        path,
        operation["summary"],
        operation.get("description", ""),
        tuple(fields),
        "" if example is None else json.dumps(example),
        tuple(sorted(operation["responses"])),
    )


def _body_name(operation: Mapping[str, Any]) -> str:
    """The name of the body's schema; of a body that may be left out too. Empty: it takes none."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    references = [each["$ref"] for each in (schema, *schema.get("anyOf", ())) if "$ref" in each]
    return references[0].rpartition("/")[2] if references else ""
