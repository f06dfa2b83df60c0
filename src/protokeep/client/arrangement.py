"""Operations on how people arrange products: tags, the archive, favourites, and one action on several prototypes."""

from __future__ import annotations

from collections.abc import Sequence

from protokeep.client.models import ActionResult, Prototype
from protokeep.client.operations import Call, Operation, quoted, request, send, value_of

AGAIN = "It may have been done. Asking again is safe."


def set_tag(product_id: str, tag: str, *, has: bool) -> Operation[Prototype]:
    """`PUT` or `DELETE /api/design/mockups/{product_id}/tags/{tag}`: the product's prototype."""
    return (yield from request(Prototype, _call(has, product_id, f"tags/{quoted(tag)}")))


def set_archived(product_id: str, *, archived: bool) -> Operation[Prototype]:
    """`PUT` or `DELETE /api/design/mockups/{product_id}/archive`: the product's prototype."""
    return (yield from request(Prototype, _call(archived, product_id, "archive")))


def set_favourite(product_id: str, *, favourite: bool) -> Operation[None]:
    """`PUT` or `DELETE /api/design/mockups/{product_id}/favourite`."""
    yield from send(_call(favourite, product_id, "favourite"))


def list_tags() -> Operation[Sequence[str]]:
    """`GET /api/design/tags`: the tags of the workspace, in the order of the alphabet."""
    answer = yield from send(Call("GET", "/api/design/tags", repeatable=True))
    return [str(tag) for tag in answer["tags"]]


def several(prototype_ids: Sequence[str], action: str, tags: Sequence[str]) -> Operation[Sequence[ActionResult]]:
    """`POST /api/design/several`: what became of each."""
    body = {"ids": list(prototype_ids), "action": action, "tags": list(tags)}
    answer = yield from send(Call("POST", "/api/design/several", True, AGAIN, body=body))
    return [value_of(ActionResult, view) for view in answer["results"]]


def _call(is_put: bool, product_id: str, what: str) -> Call:
    path = f"/api/design/mockups/{quoted(product_id)}/{what}"
    return Call("PUT" if is_put else "DELETE", path, True, AGAIN)
