"""What `/docs` and the documentation say of each operation, read out of the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protokeep.web import openapi, problems

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body or an answer.

    `place`: path, query, header, body; "": of an answer. `kind`: its type and bounds as people read them. `models`: the
    models that `kind` names.
    """

    name: str
    place: str
    is_required: bool
    kind: str
    models: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no error. `kind`: what its body is; "": it has none. `model`: its model; "": it has none."""

    status: str
    description: str
    kind: str
    model: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `role`: the least one that may use it; "": it asks for no token.

    `example`: a body that it takes, as JSON; "": it takes none. `errors`: the statuses of its problems.
    """

    method: str
    path: str
    summary: str
    description: str
    role: str
    fields: tuple[Field, ...]
    example: str
    answers: tuple[Answer, ...]
    errors: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """Where a page has it: letters, digits and hyphens."""
        words = "".join(one if one.isalnum() else "-" for one in f"{self.method}-{self.path}".lower())
        return "-".join(word for word in words.split("-") if word)


@dataclass(frozen=True, slots=True)
class Group:
    """Operations about one thing."""

    tag: str
    description: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """What an answer holds. `values`: those of a model that is one of several words."""

    name: str
    description: str
    fields: tuple[Field, ...]
    values: tuple[str, ...]


def groups_of(schema: Schema) -> tuple[Group, ...]:
    """All operations of a document, in the order of its groups."""
    found: dict[str, list[Operation]] = {name: [] for name in openapi.TAGS}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            found.setdefault(operation["tags"][0], []).append(_operation(schema, path, method, operation))
    return tuple(Group(name, openapi.TAGS.get(name, ""), tuple(operations)) for name, operations in found.items())


def models_of(schema: Schema) -> tuple[Model, ...]:
    """The models that answers hold, and those that these name, by name; bodies are described with their operation."""
    schemas = schema["components"]["schemas"]
    answers = [one for group in groups_of(schema) for operation in group.operations for one in operation.answers]
    wanted = [answer.model for answer in answers] + [
        model
        for group in groups_of(schema)
        for one in group.operations
        for field in one.fields
        for model in field.models
    ]
    found: dict[str, Model] = {}
    while wanted:
        name = wanted.pop()
        if name and name not in found:
            found[name] = _model(name, schemas[name])
            wanted += [model for field in found[name].fields for model in field.models]
    return tuple(found[name] for name in sorted(found))


def _operation(schema: Schema, path: str, method: str, operation: Schema) -> Operation:
    body = schema["components"]["schemas"].get(_body_name(operation), {})
    example = next(iter(body.get("examples", ())), None)
    responses = sorted(operation["responses"].items())
    return Operation(
        method.upper(),
        path,
        operation["summary"],
        operation.get("description", ""),
        next((role for needs in operation.get("security", ()) for role in needs[openapi.TOKEN]), ""),
        (*_parameters(operation), *_fields(body, "body")),
        "" if example is None else json.dumps(example, indent=2, ensure_ascii=False),
        tuple(_answer(status, response) for status, response in responses if not _is_problem(response)),
        tuple(status for status, response in responses if _is_problem(response)),
    )


def _is_problem(response: Schema) -> bool:
    return problems.MEDIA_TYPE in response.get("content", {})


def _answer(status: str, response: Schema) -> Answer:
    content: Schema = response.get("content", {})
    described = response["description"]
    words = "" if described == "Successful Response" else described
    models = [model for one in content.values() for model in _models(one.get("schema") or {})]
    kinds = [_kind(one["schema"]) if models else media for media, one in content.items()]
    return Answer(status, words, " or ".join(kinds), models[0] if models else "")


def _parameters(operation: Schema) -> Iterator[Field]:
    for one in operation.get("parameters", ()):
        kind, models = _kind(one["schema"]), tuple(_models(one["schema"]))
        yield Field(one["name"], one["in"], one.get("required", False), kind, models, one["description"])


def _fields(schema: Schema, place: str) -> Iterator[Field]:
    for name, one in schema.get("properties", {}).items():
        is_required = name in schema.get("required", ())
        words = one.get("description", "") + (" Deprecated." if one.get("deprecated") else "")
        yield Field(name, place, is_required, _kind(one), tuple(_models(one)), words)


def _model(name: str, schema: Schema) -> Model:
    words = schema.get("description", "")
    return Model(name, words, tuple(_fields(schema, "")), tuple(map(str, schema.get("enum", ()))))


def _body_name(operation: Schema) -> str:
    """The name of the body's schema; of a body that may be left out too. Empty: it takes none."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return next(_models(content.get("schema", {})), "")


def _models(schema: Schema) -> Iterator[str]:
    """The names of the models that a schema names itself."""
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    parts: Sequence[Schema] = (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ()))
    for part in (*parts, schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, Mapping):
            yield from _models(part)


def _kind(schema: Schema) -> str:
    """The type of a value and its bounds, as people read them."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if parts := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(filter(None, map(_kind, parts))))
    if values := schema.get("enum") or [schema[name] for name in ("const",) if name in schema]:
        kind = " or ".join(json.dumps(value) for value in values)
    elif schema.get("type") == "array":
        kind = f"list of {_kind(schema.get('items', {})) or 'values'}"
    elif isinstance(schema.get("additionalProperties"), Mapping):
        kind = f"object of {_kind(schema['additionalProperties']) or 'values'}"
    else:
        kind = str(schema.get("format") or schema.get("type") or "")
    bounds = [words.format(schema[name]) for name, words in _BOUNDS.items() if name in schema]
    if schema.get("default") not in (None, [], {}):
        bounds.append(f"{json.dumps(schema['default'])} by default")
    return ", ".join(filter(None, [kind, *bounds]))


_BOUNDS = {
    "minimum": "at least {:g}",
    "exclusiveMinimum": "more than {:g}",
    "maximum": "at most {:g}",
    "exclusiveMaximum": "less than {:g}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}
