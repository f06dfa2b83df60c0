"""Two variants of a product side by side."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from protokeep.core.errors import NotFound
from protokeep.core.prompt_difference import Part, difference
from protokeep.core.reuse import prompts_differ
from protokeep.web.dependencies import application_of
from protokeep.web.models import Cursor
from protokeep.web.pages.detail import variants_of
from protokeep.web.pages.gallery import page_slot, product, require_prototype
from protokeep.web.pages.render import page
from protokeep.web.pages.session import Visitor, VisitorDep

router = APIRouter()


@router.get("/p/{product_id:path}/compare")
async def compare(
    request: Request, visitor: VisitorDep, product_id: str, a: str = "", b: str = "", cursor: Cursor = None
) -> Response:
    """The prototypes with the ids `a` and `b`. Without ids it is the page of a product whose id ends in /compare."""
    if not (a or b):
        return await product(request, visitor, f"{product_id}/compare", cursor)
    async with page_slot(request, visitor):
        return await _compare_page(request, visitor, (a, b))


async def _compare_page(request: Request, visitor: Visitor, ids: tuple[str, str]) -> Response:
    application = application_of(request)
    found = [await require_prototype(application, visitor, one) for one in ids]
    if found[0].product_id != found[1].product_id:
        raise NotFound("These two prototypes belong to different products. Choose two variants of one product.")
    cards = [await application.gallery.card(visitor.principal.workspace_id, one.id) for one in found]
    pair = [await variants_of(application, card) for card in cards]
    texts = [card.prototype.prompt or "" for card in cards]
    parts = difference(*texts)
    whole = [[Part(text, differs=False)] if text else [] for text in texts]
    return page(
        request,
        "compare.html",
        visitor=visitor,
        live=None,
        pair=[one["card"] for one in pair],
        changes=[one["asked"] for one in pair],
        prompts=parts or whole,
        marked=parts is not None,
        same=not prompts_differ(*texts),
    )
