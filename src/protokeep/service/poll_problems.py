"""Problems of polls, in the log: each once when it begins or changes, not at every poll."""

from __future__ import annotations

import structlog

log = structlog.get_logger(__name__)


class PollProblems:
    """The problems of accounts and of single chats that are in the log."""

    def __init__(self) -> None:
        self._of_accounts: dict[str, str] = {}
        self._of_chats: dict[str, str] = {}

    def note_account(self, account: str, problem: str | None) -> None:
        """A poll of an account had this problem; None: it had none."""
        if problem is None:
            if self._of_accounts.pop(account, None) is not None:
                log.info("polling_recovered", account=account)
        elif self._of_accounts.get(account) != problem:
            self._of_accounts[account] = problem
            log.warning("polling_failing", account=account, reason=problem)

    def note_chat(self, prototype_id: str, reason: str | None) -> None:
        """The answer about one chat made no sense, for this reason; None: it did."""
        if reason is None:
            self._of_chats.pop(prototype_id, None)
        elif self._of_chats.get(prototype_id) != reason:
            self._of_chats[prototype_id] = reason
            log.warning("poll_answer_unreadable", prototype_id=prototype_id, reason=reason)
