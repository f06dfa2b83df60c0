"""How people arrange products: favourites, tags, the archive, and one action on several prototypes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from protokeep.core.validation import TAG_MAX
from protokeep.service.several import AT_ONCE, Several, SeveralAction, SeveralResult
from protokeep.store.arrangement import TAGS_PER_PRODUCT, TAGS_PER_WORKSPACE
from protokeep.web.dependencies import KeeperDep, Maker, Viewer, product_in_path
from protokeep.web.models import PrototypeView
from protokeep.web.problems import kind_of, responses

router = APIRouter(prefix="/api/design", tags=["arrangement"])

Tag = Annotated[str, Path(max_length=4 * TAG_MAX, description="1-40 characters without a comma; case does not count.")]
CHANGES = responses(400, 401, 403, 404, 413, 422, 503)


class TagsView(BaseModel):
    """The tags of a workspace."""

    tags: Annotated[list[str], Field(description="In the order of the alphabet.")]


class SeveralBody(BaseModel):
    """One action on several prototypes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"ids": ["4e1c0d5a-6f0e-4b5e-9f57-0a3c1c1d2e3f"], "action": "archive"}]},
    )

    ids: Annotated[list[str], Field(max_length=AT_ONCE, description="Ids of prototypes, 100 at most.")]
    action: Annotated[SeveralAction, Field(description="All but delete are done to the product of each prototype.")]
    tags: Annotated[list[str], Field(max_length=TAGS_PER_PRODUCT, description="For tag and untag.")] = []


class FaultView(BaseModel):
    """Why one of several was refused."""

    type: Annotated[str, Field(description="The type of the problem, as a single request would have it.")]
    status: Annotated[int, Field(description="Its status.")]
    detail: Annotated[str, Field(description="What to do.")]


class SeveralItem(BaseModel):
    """What became of one of several prototypes."""

    id: Annotated[str, Field(description="The id that was sent.")]
    problem: Annotated[FaultView | None, Field(description="Why nothing was done; null: it was done.")]
    prototype: Annotated[
        PrototypeView | None, Field(description="As it is now; null: it is deleted for good, or there is none.")
    ]


class SeveralView(BaseModel):
    """What became of each, in the order in which they were sent."""

    results: Annotated[list[SeveralItem], Field(description="One for each id.")]


@router.get("/tags", summary="List the workspace's tags", responses=responses(401, 403, 503))
async def list_tags(keeper: KeeperDep, principal: Viewer) -> TagsView:
    """Every tag that a product has."""
    return TagsView(tags=await keeper.arrangement.tags(principal, TAGS_PER_WORKSPACE))


@router.put("/mockups/{product_id}/tags/{tag}", summary="Give a product a tag", responses=CHANGES)
async def add_tag(product_id: str, tag: Tag, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The product's prototype. A tag that the product has already changes nothing."""
    found = await keeper.arrangement.find(principal, product_in_path(product_id))
    tagged = await keeper.arrangement.change_tags(principal, found, add=[product_in_path(tag)])
    return PrototypeView.of(tagged, keeper.context.clock())


@router.delete("/mockups/{product_id}/tags/{tag}", summary="Take a tag away from a product", responses=CHANGES)
async def remove_tag(product_id: str, tag: Tag, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The product's prototype. A tag that the product does not have is no error."""
    found = await keeper.arrangement.find(principal, product_in_path(product_id))
    untagged = await keeper.arrangement.change_tags(principal, found, remove=[product_in_path(tag)])
    return PrototypeView.of(untagged, keeper.context.clock())


@router.put("/mockups/{product_id}/archive", summary="Archive a product", responses=CHANGES)
async def archive(product_id: str, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The product's prototype, which is out of the default lists now and stays the product's.

    A request for the product gets it again, and brings it back.
    """
    found = await keeper.arrangement.find(principal, product_in_path(product_id))
    archived = await keeper.arrangement.set_archived(principal, found, archived=True)
    return PrototypeView.of(archived, keeper.context.clock())


@router.delete("/mockups/{product_id}/archive", summary="Bring an archived product back", responses=CHANGES)
async def unarchive(product_id: str, keeper: KeeperDep, principal: Maker) -> PrototypeView:
    """The product's prototype. One that is not archived is no error."""
    found = await keeper.arrangement.find(principal, product_in_path(product_id))
    back = await keeper.arrangement.set_archived(principal, found, archived=False)
    return PrototypeView.of(back, keeper.context.clock())


@router.put(
    "/mockups/{product_id}/favourite", summary="Make a product your favourite", status_code=204, responses=CHANGES
)
async def add_favourite(product_id: str, keeper: KeeperDep, principal: Viewer) -> Response:
    """Yours alone. `GET /api/design/mockups?favourite=true` lists them."""
    found = await keeper.arrangement.find(principal, product_in_path(product_id))
    await keeper.arrangement.set_favourite(principal, found, favourite=True)
    return Response(status_code=204)


@router.delete(
    "/mockups/{product_id}/favourite", summary="Take a product from your favourites", status_code=204, responses=CHANGES
)
async def remove_favourite(product_id: str, keeper: KeeperDep, principal: Viewer) -> Response:
    """One that is no favourite is no error."""
    found = await keeper.arrangement.find(principal, product_in_path(product_id))
    await keeper.arrangement.set_favourite(principal, found, favourite=False)
    return Response(status_code=204)


@router.post("/several", summary="Tag, archive or delete several prototypes", responses=CHANGES)
async def several(body: SeveralBody, keeper: KeeperDep, principal: Maker) -> SeveralView:
    """Each is answered on its own: one that is refused stops no other. Deleted ones wait in the bin.

    Repeating the request is safe.
    """
    found = await Several(keeper).run(principal, body.ids, body.action, body.tags)
    now = keeper.context.clock()
    return SeveralView(results=[SeveralItem(**_item(one, now)) for one in found])


def _item(result: SeveralResult, now: datetime) -> dict[str, Any]:
    problem = None
    if result.error is not None:
        status, kind = kind_of(result.error)
        problem = FaultView(type=kind, status=status, detail=str(result.error))
    prototype = None if result.prototype is None else PrototypeView.of(result.prototype, now)
    return {"id": result.id, "problem": problem, "prototype": prototype}
