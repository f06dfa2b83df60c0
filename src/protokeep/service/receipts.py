"""Receipts: one line of the audit for what became of each chat of a plan, and their signed export.

A line names no person but those who decided, and holds no name and no prompt of a chat.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from protokeep.core.audit import ITSELF, Action, AuditEntry
from protokeep.core.clean_up import Plan, PlanItem
from protokeep.service.chat_metadata import Signer
from protokeep.store.audit import AuditRecord

#: The form of an export. A reader refuses another one.
FORM = "protokeep-receipts-1"


def receipt_of(plan: Plan, item: PlanItem, now: datetime, sha256: str | None = None) -> AuditEntry:
    """The receipt of an item that reached a final state: committed together with that state."""
    data = {
        "chat_id": item.chat_id,
        "outcome": item.state.value,
        "rule": item.rule,
        "fingerprint": item.fingerprint,
        "digest": plan.digest,
        "approved_by": [by for by, _ in plan.approvals],
        "archive_id": item.archive_id,
        "archive_sha256": sha256,
        "answer": item.answer,
        "decided_by": item.undo_by or item.decided_by,
        "restored_as": item.restored_as,
    }
    given = {name: value for name, value in data.items() if value is not None}
    return AuditEntry(plan.workspace_id, now, Action.PLAN_ITEM, ITSELF, subject=plan.id, data=given)


def signed_export(signer: Signer, plan: Plan, records: list[AuditRecord]) -> dict[str, Any]:
    """The receipts of a plan with a signature over all of them, as a JSON object."""
    content: dict[str, Any] = {
        "form": FORM,
        "plan": {
            "id": plan.id,
            "workspace": plan.workspace_id,
            "account": plan.account,
            "digest": plan.digest,
            "deletions": plan.deletions,
            "requested_by": plan.requested_by,
            "approvals": [{"by": by, "at": at.isoformat()} for by, at in plan.approvals],
        },
        "receipts": [{"id": record.id, "at": record.entry.at.isoformat(), **record.entry.data} for record in records],
    }
    return {**content, "signature": signer.sign_receipts(_canonical(content))}


def is_signed_by_us(signer: Signer, export: Mapping[str, Any]) -> bool:
    """Whether this installation wrote an export, and nobody changed it since."""
    content = {name: value for name, value in export.items() if name != "signature"}
    given = export.get("signature")
    if export.get("form") != FORM or not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode(errors="replace"), signer.sign_receipts(_canonical(content)).encode())


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
