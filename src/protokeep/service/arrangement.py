"""How people arrange products: tags and the archive of a workspace, favourites and saved views of each person.

None of this touches a prototype, or which one a product has: an archived product is out of sight, not deleted, and
whoever asks for it gets the same prototype, which brings it back into sight.
"""

from __future__ import annotations

from collections.abc import Sequence

from protokeep.core import validation
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.create_request import ClaimResult
from protokeep.core.errors import InvalidInput, NotFound
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype
from protokeep.core.reuse import Outcome
from protokeep.service.context import Context
from protokeep.store.arrangement import TAGS_PER_PRODUCT, ProductKey, SavedView
from protokeep.store.prototypes import Page

#: The longest query of a saved view.
VIEW_QUERY_MAX = 1000


class Arrangement:
    """Arranges the products of a workspace. Every change may be repeated."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store.arrangement

    async def find(self, principal: Principal, product_id: str) -> Prototype:
        """The prototype that a product has, whichever app builder made it. Raises `InvalidInput` and `NotFound`."""
        store = self._context.store
        table = await store.owner_table()
        product = validation.product_id_of(product_id, must_be_uuid=table.product_is_uuid)
        newest = await store.list_of_product(principal.workspace_id, product, Page(1))
        if not newest:
            raise NotFound(f"Product {product} has no prototype here.")
        current = await store.current(principal.workspace_id, newest[0].product_id, newest[0].provider)
        return current or newest[0]

    async def change_tags(
        self, principal: Principal, prototype: Prototype, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> Prototype:
        """Give the prototype's product tags, and take some away. Raises `InvalidInput` for what is no tag."""
        new = sorted({validation.tag_of(tag) for tag in add})
        old = sorted({validation.tag_of(tag) for tag in remove} - set(new))
        if len(new) > TAGS_PER_PRODUCT:
            raise InvalidInput(f"A product has at most {TAGS_PER_PRODUCT} tags.", field="tag")
        data = {"added": new or None, "removed": old or None}
        entry = self._entry(principal, Action.TAGGED, prototype, **data)
        await self._store.change_tags(_key_of(principal, prototype), new, old, entry)
        return await self._again(principal, prototype)

    async def set_tags(self, principal: Principal, prototype: Prototype, tags: Sequence[str]) -> Prototype:
        """Let the prototype's product have just these tags."""
        wanted = {validation.tag_of(tag) for tag in tags}
        return await self.change_tags(principal, prototype, sorted(wanted), sorted(set(prototype.tags) - wanted))

    async def tags(self, principal: Principal, limit: int = 50) -> list[str]:
        """Tags of the workspace to choose from, in the order of the alphabet."""
        return await self._store.tags(principal.workspace_id, limit)

    async def makers(self, principal: Principal, limit: int = 100) -> list[str]:
        """People of the workspace to choose from: who asked for prototypes, in the order of the alphabet."""
        return await self._store.makers(principal.workspace_id, limit)

    async def set_archived(self, principal: Principal, prototype: Prototype, *, archived: bool) -> Prototype:
        """Archive the prototype's product, or bring it back. Nothing happens at the app builder."""
        action = Action.ARCHIVED if archived else Action.UNARCHIVED
        now = self._context.clock()
        entry = self._entry(principal, action, prototype)
        await self._store.set_archived(_key_of(principal, prototype), now, entry, archived=archived)
        return await self._again(principal, prototype)

    async def after_claim(self, principal: Principal, claim: ClaimResult) -> Prototype:
        """The prototype of a claim. A product that somebody asked for and that is archived comes back."""
        prototype = claim.prototype
        if claim.won or claim.decision.outcome is not Outcome.REUSED or prototype.archived_at is None:
            return prototype
        return await self.set_archived(principal, prototype, archived=False)

    async def set_favourite(self, principal: Principal, prototype: Prototype, *, favourite: bool) -> None:
        """Make the prototype's product a favourite of the person, or no more. Raises `InvalidInput` for too many."""
        await self._store.set_favourite(_key_of(principal, prototype), principal.user_id, favourite=favourite)

    async def favourites(self, principal: Principal) -> frozenset[str]:
        """The person's favourite products."""
        return await self._store.favourites(principal.workspace_id, principal.user_id)

    async def save_view(self, principal: Principal, name: str, query: str) -> None:
        """Save filters of the gallery by a name. Raises `InvalidInput`."""
        plain = validation.view_name_of(name)
        if len(query) > VIEW_QUERY_MAX or not (query.isascii() and query.isprintable()):
            raise InvalidInput("These filters are too long to be saved. Use fewer or shorter words.", field="name")
        await self._store.save_view(principal.workspace_id, principal.user_id, SavedView(plain, query))

    async def delete_view(self, principal: Principal, name: str) -> None:
        """Delete a saved view of the person. One that is gone is no error."""
        await self._store.delete_view(principal.workspace_id, principal.user_id, validation.view_name_of(name))

    async def views(self, principal: Principal) -> Sequence[SavedView]:
        """The person's saved views, in the order of their names."""
        return await self._store.views(principal.workspace_id, principal.user_id)

    def _entry(self, principal: Principal, action: Action, prototype: Prototype, **data: object) -> AuditEntry:
        return AuditEntry.of(principal, action, self._context.clock(), prototype.product_id, **data)

    async def _again(self, principal: Principal, prototype: Prototype) -> Prototype:
        """The prototype as it is now. Raises `NotFound` if it was deleted meanwhile."""
        found = await self._context.store.get(principal.workspace_id, prototype.id)
        if found is None:
            raise NotFound("This prototype was deleted.")
        return found


def _key_of(principal: Principal, prototype: Prototype) -> ProductKey:
    return ProductKey(principal.workspace_id, prototype.product_id, prototype.id)
