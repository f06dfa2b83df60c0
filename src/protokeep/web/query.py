"""Queries and headers of the hot reads, checked in one go: FastAPI takes its time over each parameter by itself."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError

from protokeep.web.models import StatusWord

M = TypeVar("M", bound=BaseModel)

PREFER = {
    "name": "prefer",
    "in": "header",
    "required": False,
    "schema": {"anyOf": [{"type": "string", "maxLength": 500}, {"type": "null"}], "title": "Prefer"},
}


class ListQuery(BaseModel):
    """Which of a product's prototypes."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str | None, Field(max_length=300)] = None
    provider: Annotated[str | None, Field(max_length=50)] = None
    status: StatusWord | None = None
    mine: bool = False


class StatusQuery(BaseModel):
    """Whose current prototype of a product."""

    provider: Annotated[str, Field(max_length=50)] = "v0"


def read(model: type[M], request: Request) -> M:
    """The request's query. Raises `RequestValidationError`, as FastAPI would."""
    try:
        return model.model_validate(dict(request.query_params) if request.scope["query_string"] else {})
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in error.errors()]) from None


def documented(model: type[BaseModel], *more: dict[str, Any]) -> dict[str, Any]:
    """What OpenAPI says of the query, and of `more` parameters."""
    properties = model.model_json_schema()["properties"]
    found = [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]
    return {"parameters": [*found, *more]}
