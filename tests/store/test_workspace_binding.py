"""Every statement is bound to a workspace, or is known to act for all of them."""

from __future__ import annotations

import re
from pathlib import Path

from protokeep.store import prototype_queries
from protokeep.store.owner_table import OWN_TABLES

QUERIES = Path(prototype_queries.__file__).parent / "queries"

#: What jobs run: they act for every workspace, and nobody sees what they read.
JOBS = {
    "accounts_to_track", "ask_for_look", "due_for_submit", "give_chat_to_generation", "give_chat_to_mockup",
    "has_other_chats", "hook_heard", "hook_look", "known_chats", "mockup_of_marker", "newest_chat", "next_due_poll",
    "next_wrap_up", "note_surplus", "postpone_look", "renew_lease", "save_generation", "save_mockup", "take_for_submit",
    "take_wrap_up", "touch_looked", "untracked_chats", "wake_keyless", "wake_parked", "all_provider_keys",
    "forget_create_counts", "forget_idempotency_keys", "any_older", "admins_for_ever", "count_tokens",
    "wind_back_generations", "future_generations", "knew_chats", "has_history", "lost_creates",
}  # fmt: skip
#: By the id of a prototype that was found in the caller's workspace right before.
AFTER_A_BOUND_ONE = {
    "delete_mockup",
    "find_picture",
    "forget_surplus",
    "free_slot",
    "keep_picture",
    "surplus_of_prototype",
}
#: The row itself says to which workspace it belongs, in another table or beside the secret that found it.
OTHERWISE = {"insert_mockup", "insert_mockup_of_tenant", "find_token", "token_used", "find_session", "use_code"}

#: Tables whose rows are a workspace's.
OURS = (set(OWN_TABLES) | {"design_mockups"}) - {
    "protokeep_meta", "protokeep_accounts", "protokeep_hooks", "protokeep_budgets", "protokeep_sessions",
    "protokeep_processes",
}  # fmt: skip


def test_every_query_is_bound_to_a_workspace_or_listed() -> None:
    """
    A new query that reads or writes a workspace's rows names the workspace, or is put on a list above on purpose.
    """
    known = JOBS | AFTER_A_BOUND_ONE | OTHERWISE
    unbound = set()
    for path in QUERIES.glob("*.sql"):
        sql = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        if any(table in sql for table in OURS) and ":workspace_id" not in sql:
            unbound.add(path.stem)
    assert unbound - known == set()
    assert known - {path.stem for path in QUERIES.glob("*.sql")} == set()
