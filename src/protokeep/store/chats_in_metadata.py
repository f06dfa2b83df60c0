"""Chats that rows of an owner's table name in their metadata only, from the time before the tracking columns.

The old system kept the agent's whole answer there. protokeep changes no row to take them over: the owner does, with one
statement, and from then on these rows are tracked like all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ON_POSTGRESQL = "metadata ->> 'chat_id'"
ON_SQLITE = "CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.chat_id') END"
#: The kinds of columns on PostgreSQL in which it is found.
JSON_KINDS = ("json", "jsonb")


@dataclass(frozen=True, slots=True)
class ChatsInMetadata:
    """SQL that counts such rows, and the statement of the owner's that copies their chats to `v0_chat_id`."""

    count: str
    copy: str


def chats_in_metadata(columns: Mapping[str, str], *, is_sqlite: bool) -> ChatsInMetadata | None:
    """What finds them in a table with these columns and their kinds; None: its rows have no such metadata."""
    if not {"metadata", "provider"} <= columns.keys() or not (is_sqlite or columns["metadata"] in JSON_KINDS):
        return None
    chat = ON_SQLITE if is_sqlite else ON_POSTGRESQL
    named = f"provider = 'v0' AND {chat} <> ''"
    nowhere_else = "COALESCE(v0_chat_id, '') = ''"
    counted = f"{named} AND {nowhere_else}" if "v0_chat_id" in columns else named
    return ChatsInMetadata(
        count=f"SELECT count(*) FROM design_mockups WHERE {counted}",  # noqa: S608 - expressions of ours
        copy=f"UPDATE design_mockups SET v0_chat_id = {chat} WHERE {named} AND {nowhere_else}",  # noqa: S608
    )
