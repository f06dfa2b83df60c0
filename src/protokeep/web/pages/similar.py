"""It exists already: said beside the form while somebody types, and on the answer where there is no script."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from protokeep.core import validation
from protokeep.core.errors import InvalidInput
from protokeep.core.similar import How, reason_of
from protokeep.service.similar import Match
from protokeep.web.dependencies import application_of
from protokeep.web.pages.forms import Form
from protokeep.web.pages.gallery import page_slot
from protokeep.web.pages.presenters import CardView, card_view
from protokeep.web.pages.render import HEADERS, fragment
from protokeep.web.pages.session import FormFieldsDep, MakerDep, Visitor

router = APIRouter()


@dataclass(frozen=True, slots=True)
class SimilarView:
    """A similar product: its card, why it is one, and whether its id reads the same."""

    card: CardView
    reason: str
    reads_same: bool


@dataclass(frozen=True, slots=True)
class Existing:
    """What the form is told: the card of the very product, and similar ones of other products."""

    product_id: str = ""
    card: CardView | None = None
    similar: tuple[SimilarView, ...] = ()

    @property
    def is_unclear(self) -> bool:
        """Whether the product has no prototype, and one whose id reads the same has."""
        return self.card is None and any(one.reads_same for one in self.similar)


@router.post("/new/similar")
async def similar(request: Request, visitor: MakerDep, fields: FormFieldsDep) -> Response:
    """What the form says beside its fields, as a piece of a page. The prompt is in no address, and so in no log."""
    form = Form(
        product_id=fields.get("product_id", ""),
        prompt=fields.get("prompt", ""),
        provider=fields.get("provider", "v0"),
    )
    async with page_slot(request, visitor):
        text = fragment("similar.html", existing=await existing_for(request, visitor, form), asks=False)
    return HTMLResponse(text, headers=HEADERS)


async def existing_for(request: Request, visitor: Visitor, form: Form) -> Existing:
    """What exists that a form may mean; nothing for a product id that cannot be one."""
    application = application_of(request)
    context, principal = application.keeper.context, visitor.principal
    new, table = form.new_prototype, await application.keeper.context.store.owner_table()
    try:
        product_id = validation.product_id_of(new.product_id, must_be_uuid=table.product_is_uuid)
        provider = validation.provider_of(new.provider)
    except InvalidInput:
        return Existing()
    current = await context.store.current(principal.workspace_id, product_id, provider)
    card = await application.gallery.card(principal.workspace_id, current.id) if current else None
    matches = await application.similar.matches(principal, product_id, new.prompt)
    now = context.clock()
    shown = tuple(SimilarView(card_view(one.card, now), _reason(one), one.how is How.ID) for one in matches)
    return Existing(product_id, card_view(card, now) if card else None, shown)


def _reason(match: Match) -> str:
    return reason_of(match.how, match.alike)
