"""Quotas: how many creates are allowed in a UTC day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from protokeep.core.errors import QuotaReached

Kind = Literal["person", "product", "workspace"]


@dataclass(frozen=True, slots=True)
class Quota:
    """The limit of creates in a UTC day for one person, product or workspace."""

    kind: Kind
    subject: str
    limit: int

    def refusal(self, now: datetime) -> QuotaReached:
        """The refusal of one more create, with the next step."""
        whose = {
            "person": f"{self.subject} has reached the limit",
            "product": f"Product {self.subject} has reached the limit",
            "workspace": "This workspace has reached the limit",
        }[self.kind]
        tomorrow = day_of(now) + timedelta(days=1)
        return QuotaReached(
            f"{whose} of {self.limit} new prototypes a day. Existing prototypes stay available. Try again after 00:00 "
            f"UTC, or ask the operator to raise PROTOKEEP_CREATES_PER_{self.kind.upper()}.",
            retry_after=tomorrow - now,
        )


@dataclass(frozen=True, slots=True)
class Quotas:
    """The most creates in a UTC day; 0: any number. Follow-ups and reuse are not counted."""

    per_person: int = 0
    per_product: int = 0
    per_workspace: int = 0

    def of(self, workspace_id: str, user_id: str, product_id: str) -> list[Quota]:
        """The quotas that one create counts against. Always in this order, so that two claims cannot deadlock."""
        quotas = [
            Quota("person", user_id, self.per_person),
            Quota("product", product_id, self.per_product),
            Quota("workspace", workspace_id, self.per_workspace),
        ]
        return [quota for quota in quotas if quota.limit]


def day_of(now: datetime) -> datetime:
    """The beginning of the UTC day that `now` is in."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
