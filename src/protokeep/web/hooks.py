"""Where v0 calls us: answers at once and believes nothing."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from protokeep.core.errors import NotFound
from protokeep.web.dependencies import application_of

router = APIRouter(prefix="/hooks", include_in_schema=False)


@router.post("/v0/{secret}", status_code=204)
async def receive(secret: str, request: Request) -> Response:
    """204 for whoever knows the address, whatever the body holds; it is only a reason to look."""
    if not await application_of(request).hooks.receive(secret, await request.body()):
        raise NotFound("There is no such address.")
    return Response(status_code=204)
