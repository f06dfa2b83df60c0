"""The history of prototypes: events are added and read, and nothing else."""

from __future__ import annotations

import json

from protokeep.core.events import Event
from protokeep.store.sql import Connection, query


async def add_event(connection: Connection, workspace_id: str, product_id: str, mockup_id: str, event: Event) -> None:
    """Adds an event to the history of a prototype, in the transaction of the change that it tells of."""
    added = await connection.fetch_one(
        query("insert_event"),
        {
            "workspace_id": workspace_id,
            "product_id": product_id,
            "mockup_id": mockup_id,
            "kind": event.kind,
            "source": event.source.value,
            "actor": event.actor,
            "status": event.status,
            "data": json.dumps(dict(event.data), ensure_ascii=False) if event.data else None,
            "at": event.at,
        },
    )
    if added is not None:
        connection.new_events.append(added["id"])
