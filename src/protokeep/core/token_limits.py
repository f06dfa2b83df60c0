"""Limits of API tokens: how many valid ones a workspace has, and how long a new one lasts."""

from __future__ import annotations

from dataclasses import dataclass

from protokeep.core.errors import InvalidInput, LimitReached

#: The longest life of a token that expires, where the operator sets no shorter one.
DAYS_MAX = 3650


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """The most valid tokens of a workspace, and the longest life of a new one in days (0: it may never expire)."""

    per_workspace: int = 500
    days_most: int = 0

    def life_of(self, days: int | None) -> int | None:
        """The days after which a new token expires; None: never. A token that names none has the longest life.

        Raises `InvalidInput`.
        """
        most = self.days_most or DAYS_MAX
        if days is None:
            return self.days_most or None
        if not 1 <= days <= most:
            never = "" if self.days_most else ", or never"
            raise InvalidInput(f"A token expires after 1 to {most} days{never}.", field="days")
        return days

    def refusal(self) -> LimitReached:
        """The refusal of one more token, with the next step."""
        return LimitReached(
            f"This workspace has {self.per_workspace} valid tokens, which is the limit. Revoke some that are no "
            "longer needed, or ask the operator to raise PROTOKEEP_TOKENS_PER_WORKSPACE."
        )
