"""The pages about several chosen cards: what can be done with them, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from protokeep.core.errors import InvalidInput
from protokeep.service.several import AT_ONCE, Several, SeveralAction, SeveralResult
from protokeep.web.dependencies import application_of
from protokeep.web.pages.arrangement import tags_of
from protokeep.web.pages.bin import days_in_bin
from protokeep.web.pages.gallery import page_slot
from protokeep.web.pages.presenters import CardView, card_view
from protokeep.web.pages.render import page
from protokeep.web.pages.session import AdminDep, FormFieldsDep, MakerDep, Visitor, local_path

router = APIRouter(prefix="/chosen")

#: What was done, for the results.
DONE = {
    SeveralAction.TAG: "Tagged",
    SeveralAction.UNTAG: "Tags removed",
    SeveralAction.ARCHIVE: "Archived",
    SeveralAction.UNARCHIVE: "Brought back",
    SeveralAction.DELETE: "Deleted",
}


@router.get("")
async def chosen(request: Request, visitor: MakerDep) -> Response:
    """The chosen cards, and what can be done with them."""
    ids = request.query_params.getlist("id")
    return await _page(request, visitor, ids, request.query_params.get("next"))


@router.post("")
async def act(request: Request, visitor: MakerDep, fields: FormFieldsDep) -> Response:
    """Tag, untag, archive or bring back. Repeating it is harmless."""
    action = fields.get("do", "")
    allowed = (SeveralAction.TAG, SeveralAction.UNTAG, SeveralAction.ARCHIVE, SeveralAction.UNARCHIVE)
    if action not in allowed:
        return await _page(request, visitor, _ids_of(fields), fields.get("next"), trouble="Choose what to do.")
    return await _done(request, visitor, fields, SeveralAction(action))


@router.get("/delete")
async def confirm_deletion(request: Request, visitor: AdminDep) -> Response:
    """The chosen cards that would be deleted, and one button that does it."""
    ids = request.query_params.getlist("id")
    return await _page(request, visitor, ids, request.query_params.get("next"), deletes=True)


@router.post("/delete")
async def delete(request: Request, visitor: AdminDep, fields: FormFieldsDep) -> Response:
    """Put them into the bin, as single deletions do."""
    return await _done(request, visitor, fields, SeveralAction.DELETE)


def _ids_of(fields: Any) -> list[str]:
    return str(fields.get("ids", "")).split()[: AT_ONCE + 1]


async def _done(request: Request, visitor: Visitor, fields: Any, action: SeveralAction) -> Response:
    ids = _ids_of(fields)
    names = {card.id: card.title for card in await _cards(request, visitor, ids)}
    try:
        several = Several(application_of(request).keeper)
        results = await several.run(visitor.principal, ids, action, tags_of(fields.get("tags", "")))
    except InvalidInput as error:
        deletes = action is SeveralAction.DELETE
        trouble = "Write at least one tag." if error.field == "tags" else _plain(str(error))
        return await _page(request, visitor, ids, fields.get("next"), trouble=trouble, deletes=deletes)
    lines = [(names.get(one.id, one.id), _words_of(one, action), one.error is None) for one in results]
    return await _page(request, visitor, ids, fields.get("next"), results=lines, deletes=False)


def _words_of(result: SeveralResult, action: SeveralAction) -> str:
    if result.error is not None:
        return f"Not done. {_plain(str(result.error))}"
    return "In the bin" if action is SeveralAction.DELETE and result.prototype is not None else DONE[action]


def _plain(text: str) -> str:
    """A sentence of the core's without what only programs know."""
    if text.startswith("There is no such prototype."):
        return "This prototype does not exist, or was deleted."
    return f"A {text}" if text.startswith("tag ") else text


async def _page(
    request: Request,
    visitor: Visitor,
    ids: Sequence[str],
    onward: str | None,
    *,
    trouble: str | None = None,
    deletes: bool = False,
    results: Sequence[tuple[str, str, bool]] = (),
) -> Response:
    named = list(dict.fromkeys(ids))
    if len(named) > AT_ONCE:
        named, trouble = [], f"You chose more than {AT_ONCE}, which is the most at once. Choose fewer."
    async with page_slot(request, visitor):
        cards = [] if results else await _cards(request, visitor, named)
        if not (cards or results or trouble):
            trouble = "Nothing was chosen. Tick some prototypes, then continue."
        return page(
            request,
            "chosen.html",
            visitor=visitor,
            status=422 if trouble else 200,
            live=None,
            cards=cards,
            ids=" ".join(card.id for card in cards),
            next=local_path(onward),
            trouble=trouble,
            deletes=deletes,
            days=days_in_bin(application_of(request)),
            results=results,
        )


async def _cards(request: Request, visitor: Visitor, ids: Sequence[str]) -> list[CardView]:
    """Those of the prototypes that there are here, in their order."""
    application = application_of(request)
    found = await application.gallery.cards(visitor.principal, [one for one in ids if _is_id(one)])
    now = application.keeper.context.clock()
    return [card_view(card, now) for card in found]


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
