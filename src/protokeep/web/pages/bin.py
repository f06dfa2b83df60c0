"""The page of the bin: what was deleted, until when it can be taken back, and the button that does so."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from protokeep.store.gallery import Card
from protokeep.web.dependencies import application_of, decode_cursor, encode_cursor
from protokeep.web.models import Cursor
from protokeep.web.pages.gallery import page_slot
from protokeep.web.pages.presenters import card_view
from protokeep.web.pages.render import page
from protokeep.web.pages.session import VisitorDep
from protokeep.wiring import Application

router = APIRouter()

#: Rows on a page.
ROWS = 50


@router.get("/bin")
async def bin_page(request: Request, visitor: VisitorDep, cursor: Cursor = None) -> Response:
    """What waits in the workspace's bin; what goes next comes first."""
    application = application_of(request)
    async with page_slot(request, visitor):
        found, after = await application.keeper.bin.list(visitor.principal, ROWS, decode_cursor(cursor))
        now = application.keeper.context.clock()
        cards = [card_view(Card(prototype, prototype.product_name, 0), now) for prototype in found]
        older_url = f"/bin?cursor={encode_cursor(after)}" if after else None
        days = days_in_bin(application)
        return page(request, "bin.html", visitor=visitor, live=None, cards=cards, older_url=older_url, days=days)


def days_in_bin(application: Application) -> str:
    """How many days what is deleted waits, for people; empty: it does not wait."""
    seconds = application.keeper.context.bin_time.total_seconds()
    return f"{seconds / 86_400:g}" if seconds else ""
