"""The route that app builders call. A delivery only triggers an earlier check; its body is never trusted."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from protokeep.core.errors import NotFound
from protokeep.web.dependencies import application_of
from protokeep.wiring import PROVIDERS

router = APIRouter(prefix="/hooks", include_in_schema=False)


@router.post("/{provider}/{secret}", status_code=204)
async def receive(provider: str, secret: str, request: Request) -> Response:
    """204 for every delivery to a registered address, whatever its body is; 404 for all other addresses."""
    if provider not in PROVIDERS or not await application_of(request).hooks.receive(secret, await request.body()):
        raise NotFound("There is no such address.")
    return Response(status_code=204)
