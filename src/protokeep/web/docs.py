"""`/docs`: the API for people who read, out of the OpenAPI document, and every kind of problem, with an anchor each."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from protokeep.web.pages.render import page
from protokeep.web.problem_kinds import KINDS
from protokeep.web.problems import DOCS
from protokeep.web.reference import groups_of, models_of

router = APIRouter(include_in_schema=False)


@router.get(DOCS)
async def docs(request: Request) -> Response:
    """The page."""
    app = request.app
    if getattr(app.state, "docs", None) is None:
        app.state.docs = {"groups": groups_of(app.openapi()), "models": models_of(app.openapi())}
    words = {**app.state.docs, "kinds": KINDS, "schema": app.openapi_url}
    return page(request, "docs.html", visitor=None, live=None, **words)
