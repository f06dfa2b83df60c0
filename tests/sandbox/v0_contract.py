"""v0's OpenAPI documents as a judge of requests and answers.

They are not part of the repository: `../shared/v0` beside it, or the folder that PROTOKEEP_V0_OPENAPI names.
"""

from __future__ import annotations

import json
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FOLDER = Path(os.environ.get("PROTOKEEP_V0_OPENAPI") or Path(__file__).parents[3] / "shared" / "v0")
MISSING = (
    f"v0's OpenAPI documents are not at {FOLDER}: NOTHING WAS CHECKED AGAINST THEM. "
    "Set PROTOKEEP_V0_OPENAPI to the folder with openapi.v1.json and openapi.v2.json."
)


def documents_present() -> bool:
    """Whether both documents can be read."""
    return all((FOLDER / f"openapi.{api}.json").is_file() for api in ("v1", "v2"))


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("uri")
def _absolute(value: object) -> bool:
    """A URI with a scheme; `date-time` needs no checker, for its pattern says more."""
    return not isinstance(value, str) or re.match(r"[a-z][a-z0-9+.-]*:[^\s]+", value, re.IGNORECASE) is not None


class Document:
    """One version's document."""

    def __init__(self, api: str) -> None:
        self.api = api
        text = (FOLDER / f"openapi.{api}.json").read_text("utf-8")
        self._document: dict[str, Any] = json.loads(text.replace('"#/', f'"urn:v0:{api}#/'))
        resource = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(f"urn:v0:{api}", resource)
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def operations(self) -> dict[str, tuple[str, str, dict[str, Any]]]:
        """Method, path and description by operation id."""
        return {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
            if "operationId" in operation
        }

    def at(self, method: str, path: str) -> str | None:
        """The id of the operation that a request goes to; the path without the version's prefix."""
        found = []
        for operation_id, (operation_method, template, _) in self.operations.items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", template)
            if operation_method == method and re.fullmatch(pattern, path):
                found.append((template.count("{"), operation_id))
        return min(found)[1] if found else None

    def answer_problems(self, operation_id: str, status: int, body: Any) -> list[str]:
        """What is wrong with an answer; nothing when the document allows it."""
        responses = self.operations[operation_id][2]["responses"]
        if str(status) in responses:
            described = responses[str(status)]["content"]
            if "application/json" not in described:
                return [f"{operation_id} {status}: the document has no JSON here"]
            schema = described["application/json"]["schema"]
        elif status >= 400:
            schema = self._any_error
        else:
            return [f"status {status} is not in the document"]
        return self._problems(f"{operation_id} {status}", schema, body)

    def response_problems(self, operation_id: str, status: int, content_type: str, content: bytes) -> list[str]:
        """What is wrong with an answer as it came. Where the document names another type than JSON, bytes are right."""
        kind = content_type.partition(";")[0].strip()
        if kind == "application/json":
            return self.answer_problems(operation_id, status, json.loads(content))
        described = self.operations[operation_id][2]["responses"].get(str(status), {}).get("content", {})
        anything = set(described.get("application/json", {}).get("schema", {"type": 0})) <= {"$schema", "description"}
        return [] if kind in described or anything else [f"{operation_id} {status}: {kind} is not in the document"]

    def body_problems(self, operation_id: str, body: Any) -> list[str]:
        """What is wrong with a request body."""
        content = self.operations[operation_id][2]["requestBody"]["content"]
        return self._problems(f"{operation_id} body", _joined(content["application/json"]["schema"]), body)

    @property
    def _any_error(self) -> dict[str, Any]:
        """The shape of a refusal whose status the document does not list (402, 429, 5xx)."""
        if self.api == "v2":
            return {"$ref": "urn:v0:v2#/components/schemas/Error"}
        error = {
            "type": "object",
            "properties": {"message": {"type": "string"}, "type": {"type": "string"}},
            "required": ["message", "type"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {"error": error},
            "required": ["error"],
            "additionalProperties": False,
        }

    def _problems(self, name: str, schema: dict[str, Any], value: Any) -> list[str]:
        if name not in self._validators:
            self._validators[name] = Draft202012Validator(schema, registry=self._registry, format_checker=_FORMATS)
        errors = self._validators[name].iter_errors(value)
        return [f"{name}: {error.json_path}: {error.message[:300]}" for error in errors]


def _joined(schema: dict[str, Any]) -> dict[str, Any]:
    """v1 POST /chats/init joins two closed objects with allOf, which nothing satisfies: close the union instead."""
    if "allOf" not in schema:
        return schema
    opened = json.loads(json.dumps(schema))
    for part in opened["allOf"]:
        for alternative in [part, *part.get("anyOf", [])]:
            alternative.pop("additionalProperties", None)
    return {**opened, "unevaluatedProperties": False}
