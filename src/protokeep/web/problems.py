"""Errors as problem documents (RFC 9457), with a stable `type`, a `detail` that says what to do, and a request id."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from protokeep.core import errors
from protokeep.core.similar import Similar
from protokeep.web.invalid_input import fault_to_tell
from protokeep.web.posted_forms import UnsupportedForm

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "urn:protokeep:problem:"
#: The page of this server that describes the API and every kind of problem.
DOCS = "/docs"
#: How the refusal of an address begins that no route has. A browser reads other words.
NOTHING_SERVED = "Nothing is served at this address."

#: Error -> (status, last part of the type, title). The entry of the nearest base class counts.
_KINDS: Mapping[type[Exception], tuple[int, str, str]] = {
    errors.ProductUnknown: (422, "product-unknown", "The owner's products have no such product"),
    errors.KeyReused: (422, "idempotency-key-reused", "The idempotency key names another request"),
    UnsupportedForm: (415, "unsupported-media-type", "The body is not a form that is read here"),
    errors.InvalidInput: (422, "invalid-input", "Invalid value"),
    errors.NotAuthenticated: (401, "not-authenticated", "A valid token is needed"),
    errors.NotAllowed: (403, "not-allowed", "The token's role does not cover this"),
    errors.TooMany: (429, "too-many", "Too many requests"),
    errors.NotFound: (404, "not-found", "Not found"),
    errors.KeyInFlight: (409, "idempotency-key-in-flight", "The first request with this key is still running"),
    errors.UnclearProduct: (409, "unclear-product", "Another product's id reads the same"),
    errors.NotNow: (409, "not-now", "The prototype's state does not allow this now"),
    errors.LimitReached: (409, "limit-reached", "The workspace has reached its limit"),
    errors.QuotaReached: (429, "cap-reached", "Daily limit reached"),
    errors.NotMigrated: (503, "not-migrated", "The database is not migrated"),
    errors.NotConfigured: (503, "not-configured", "A setting is missing"),
    errors.TooSlow: (503, "too-slow", "It took too long"),
    errors.NotReady: (503, "not-ready", "Not possible right now"),
    errors.ProviderRejected: (502, "provider-rejected", "The app builder refused"),
    errors.ProviderError: (503, "provider-unavailable", "The app builder is not available"),
}
_STATUS_TITLES = {
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "This method is not allowed here"),
    413: ("too-large", "The request is too large"),
    415: ("unsupported-media-type", "The body has to be JSON"),
}


def problem(
    request: Request,
    status: int,
    kind: str,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """A problem document; `more` are additional members."""
    body = {
        "type": TYPE_BASE + kind,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.scope["path"],
        "request_id": request_id(request),
        "help": f"{DOCS}#{kind}",
        **more,
    }
    link = {"Link": f'<{DOCS}#{kind}>; rel="help"'}
    return JSONResponse(body, status, headers={**link, **(headers or {})}, media_type=MEDIA_TYPE)


def request_id(request: Request) -> str:
    """The id of the request, which its log lines carry too."""
    found: str | None = getattr(request.state, "request_id", None)
    if found is None:
        found = request.state.request_id = uuid4().hex[:16]
    return found


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents of a route, for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {status: {"description": "Problem", "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}


def similar_values(similar: Sequence[Similar]) -> list[dict[str, Any]]:
    """Similar products as the API has them."""
    return [
        {
            "product_id": one.product_id,
            "name": one.name,
            "prototype_id": one.prototype_id,
            "state": one.state.value,
            "how": one.how.value,
            "alike": one.alike,
            "reason": one.reason,
        }
        for one in similar
    ]


def install(app: FastAPI) -> None:
    """Let `app` answer every error with a problem document."""
    app.add_exception_handler(errors.ProtokeepError, _domain_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _validation_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unexpected_error)


def kind_of(error: errors.ProtokeepError) -> tuple[int, str]:
    """The status and the type of an error's problem document."""
    status, kind, _ = _kind_of(error)
    return status, TYPE_BASE + kind


def _kind_of(error: errors.ProtokeepError) -> tuple[int, str, str]:
    return next(_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS)


async def _domain_error(request: Request, error: errors.ProtokeepError) -> JSONResponse:
    status, kind, title = _kind_of(error)
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(error, errors.InvalidInput) and error.field:
        more["field"] = error.field
    if isinstance(error, errors.UnclearProduct):
        more["similar"] = similar_values(error.similar)
    if isinstance(error, errors.NotAuthenticated):
        headers["WWW-Authenticate"] = _challenge(request)
    if isinstance(error, errors.QuotaReached):
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    if status in (409, 503) and not isinstance(
        error, errors.NotMigrated | errors.NotConfigured | errors.NotNow | errors.LimitReached | errors.UnclearProduct
    ):
        headers["Retry-After"] = "2"
    if isinstance(error, errors.TooMany):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after.total_seconds())))
    return problem(request, status, kind, title, str(error) + _uncertainty_hint(request, error), headers, **more)


def _challenge(request: Request) -> str:
    """The challenge of a 401 (RFC 6750, 3.1): a caller that sent a token learns that asking again with it is no use."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return 'Bearer error="invalid_token"' if scheme.lower() == "bearer" and token.strip() else "Bearer"


def _uncertainty_hint(request: Request, error: Exception) -> str:
    """What to do if the database's answer to a commit was lost; empty if the request certainly did nothing."""
    is_write = request.method in ("POST", "PUT", "DELETE") and request.scope["path"].startswith("/api/")
    if not (is_write and isinstance(error, errors.DatabaseUnavailable)) or isinstance(error, errors.DatabaseBusy):
        return ""
    return " It may have been done: repeat it with the same Idempotency-Key if it had one, else check first."


async def _validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return _not_json(request)
    field, detail = fault_to_tell(request, faults)
    return problem(request, 422, "invalid-input", "Invalid value", detail, field=field)


def _not_json(request: Request) -> JSONResponse:
    detail = 'The body is not valid JSON. Send an object like {"product_id": "...", "prompt": "..."}.'
    return problem(request, 400, "invalid-json", "The body is not JSON", detail)


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == 400:  # FastAPI's answer to bytes that are no text, and to JSON that is nested too deeply.
        return _not_json(request)
    kind, title = _STATUS_TITLES.get(error.status_code, ("error", "The request was refused"))
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"{NOTHING_SERVED} {DOCS} lists what is."
    elif error.status_code == 405:
        detail = f"This address does not take that method. {DOCS} lists what it takes."
    return problem(request, error.status_code, kind, title, detail, error.headers)


async def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected_error", exc_info=error, path=request.scope["path"], request_id=request_id(request))
    detail = "This is a fault of protokeep. Tell its operator the request id."
    return problem(request, 500, "unexpected", "Something went wrong here", detail)
