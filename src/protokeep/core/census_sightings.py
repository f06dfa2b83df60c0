"""What a census makes of a chat that a list shows: joined with what is known of it, and marked with whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from protokeep.core.census import CensusChat, Claim

#: Metadata that only protokeep writes. A chat with one of them belongs to somebody.
MARKS = ("protokeep", "protokeep_marker", "protokeep_workspace")
OURS, FOREIGN = "ours", "foreign"


@dataclass(frozen=True, slots=True)
class KnownChat:
    """What the table says of a chat. `walk` names the reading of a list that showed it last."""

    chat: CensusChat
    claim: Claim
    mark: str | None
    last_census_id: str
    walk: str
    is_missing: bool


@dataclass(frozen=True, slots=True)
class Sighting:
    """A chat as it is saved. `mark` says whose its metadata say it is; None: nobody's, or the list did not tell."""

    chat: CensusChat
    claim: Claim
    mark: str | None

    def changes(self, known: KnownChat | None) -> bool:
        """Whether the table does not say the same already."""
        if known is None or known.is_missing:
            return True
        return (self.chat, self.mark, self.claim is Claim.FOREIGN) != (
            known.chat,
            known.mark,
            known.claim is Claim.FOREIGN,
        )


def has_marks(metadata: Mapping[str, str] | None) -> bool:
    """Whether some protokeep wrote these metadata, or somebody who wants to look like one."""
    return metadata is not None and any(name in metadata for name in MARKS)


def sighting_of(shown: CensusChat, known: KnownChat | None, mark: str | None, owner: Claim | None) -> Sighting:
    """The chat that a list shows, joined with what another version's list has told of it.

    `mark`: whose `shown.metadata` say it is, where the list tells metadata. `owner`: OURS, SURPLUS or FOREIGN where a
    row has the chat.
    """
    if shown.metadata is None and known is not None:
        mark = known.mark
    marked = {OURS: Claim.LOST, FOREIGN: Claim.FOREIGN}.get(mark or "", Claim.NOBODY)
    claim = owner or marked
    if claim is Claim.FOREIGN:  # Nothing of it is kept but that it is there.
        before = shown.api_version if known is None or known.is_missing else known.chat.api_version
        return Sighting(CensusChat(shown.chat_id, min(shown.api_version, before)), claim, mark)
    return Sighting(shown if known is None else _joined(shown, known), claim, mark)


def _joined(shown: CensusChat, known: KnownChat) -> CensusChat:
    """The row of the lower version, which reads and deletes the chat, with what only the other one tells."""
    older = known.chat
    is_lower = shown.api_version <= older.api_version
    if known.claim is Claim.FOREIGN or (known.is_missing and not is_lower):
        return shown
    return replace(
        shown if is_lower else older,
        metadata=older.metadata if shown.metadata is None else shown.metadata,
        may_delete=older.may_delete if shown.may_delete is None else shown.may_delete,
    )
