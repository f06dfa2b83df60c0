"""Whose the marks of a chat say it is: this workspace's, or somebody else's."""

from __future__ import annotations

from collections.abc import Mapping

from protokeep.core.census_sightings import FOREIGN, OURS, has_marks
from protokeep.service.chat_metadata import Signer


def mark_of(metadata: Mapping[str, str] | None, signer: Signer, workspace_id: str) -> str | None:
    """`ours`, if this installation signed the metadata for the workspace; `foreign`, if they have any other marks.

    None: they have no marks, or are not known. Marks that we did not sign are another installation's, or were written
    by somebody with a key of the account: in doubt the chat is somebody else's.
    """
    if metadata is None or not has_marks(metadata):
        return None
    signed_for_us = signer.has_signed(metadata) and metadata.get("protokeep_workspace") == workspace_id
    return OURS if signed_for_us else FOREIGN
