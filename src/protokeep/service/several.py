"""One action on several prototypes. Each is answered on its own: one that is refused stops no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from protokeep.core import validation
from protokeep.core.errors import InvalidInput, NotReady, ProtokeepError
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype
from protokeep.service.keeper import Keeper

log = structlog.get_logger(__name__)

#: Prototypes of one request. A page shows about thirty.
AT_ONCE = 100


class SeveralAction(StrEnum):
    """What is done. All but a deletion is done to the prototype's product."""

    TAG = "tag"
    UNTAG = "untag"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    DELETE = "delete"  #: into the bin, as a single deletion


@dataclass(frozen=True, slots=True)
class SeveralResult:
    """What became of one prototype. `error`: why nothing was done; `prototype` None: deleted for good, or unknown."""

    id: str
    prototype: Prototype | None = None
    error: ProtokeepError | None = None


class Several:
    """Does one action to several prototypes, one after the other."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def run(
        self, principal: Principal, ids: Sequence[str], action: SeveralAction, tags: Sequence[str] = ()
    ) -> list[SeveralResult]:
        """The results in the order of `ids`; an id that is named twice has one.

        Raises `InvalidInput` for no ids or too many, for texts that no id can be, and for tags that are none; then
        nothing is done.
        """
        named = list(dict.fromkeys(ids))
        if not 1 <= len(named) <= AT_ONCE:
            raise InvalidInput(f"Name 1 to {AT_ONCE} prototypes at once; these are {len(named)}.", field="ids")
        if not all(validation.is_plain(one) for one in named):  # They are in the answer, which has to be text.
            raise InvalidInput("ids holds a text that is no id of a prototype. Take it out.", field="ids")
        act = self._act(principal, action, [validation.tag_of(tag) for tag in tags])
        return [await self._one(principal, one, act) for one in named]

    def _act(
        self, principal: Principal, action: SeveralAction, tags: Sequence[str]
    ) -> Callable[[Prototype], Awaitable[Prototype | None]]:
        arrangement = self._keeper.arrangement
        if action in (SeveralAction.TAG, SeveralAction.UNTAG) and not tags:
            raise InvalidInput("tags is empty. Send at least one.", field="tags")

        async def act(prototype: Prototype) -> Prototype | None:
            match action:
                case SeveralAction.TAG:
                    return await arrangement.change_tags(principal, prototype, add=tags)
                case SeveralAction.UNTAG:
                    return await arrangement.change_tags(principal, prototype, remove=tags)
                case SeveralAction.DELETE:
                    return await self._keeper.delete(principal, prototype.id)
            archived = action is SeveralAction.ARCHIVE
            return await arrangement.set_archived(principal, prototype, archived=archived)

        return act

    async def _one(
        self, principal: Principal, prototype_id: str, act: Callable[[Prototype], Awaitable[Prototype | None]]
    ) -> SeveralResult:
        prototype: Prototype | None = None
        try:
            prototype = await self._keeper.get(principal, prototype_id)
            return SeveralResult(prototype_id, await act(prototype))
        except ProtokeepError as error:
            return SeveralResult(prototype_id, prototype, error)
        except Exception:  # The others are done all the same.
            log.exception("one_of_several_failed", prototype_id=prototype_id)
            failed = NotReady(
                "Something went wrong here, and nothing is known of this one. Look at it, then try again."
            )
            return SeveralResult(prototype_id, prototype, failed)
