"""Every statement is bound to a workspace, or is known to act for all of them."""

from __future__ import annotations

import re
from pathlib import Path

from protokeep.store import prototype_queries
from protokeep.store.owner_table import OWN_TABLES

QUERIES = Path(prototype_queries.__file__).parent / "queries"

#: What jobs run: they act for every workspace, and nobody sees what they read.
JOBS = {
    "accounts_to_track", "acquire_submission_lease", "attach_chat_to_generation", "attach_chat_to_mockup",
    "claim_for_finalizing", "count_tokens", "defer_poll_after_hook", "delete_expired_create_counts",
    "delete_expired_idempotency_keys", "due_for_submission", "find_generation_by_marker", "find_newest_chat",
    "find_next_due_poll", "has_chats_before", "has_due_finalization", "has_events", "has_generations_in_future",
    "has_other_visible_chats", "has_untracked_rows", "list_all_provider_keys", "list_known_chats",
    "list_lost_creates", "adopt_beside_known", "adopt_older", "number_variants", "count_adoptions", "has_unknown_chats",
    "find_next_census_step", "list_due_censuses",
    "acquire_clean_up_turn", "lock_clean_up_turn", "find_next_plan_step", "list_due_plans",
    "list_due_policies", "find_due_plan_item", "find_next_due_of_plan",
    "list_applying_plans", "find_plan_obstacles", "delete_texts", "count_texts", "delete_text", "list_texts_gone",
    "wait_longer_in_bin", "count_restored_items", "count_sent_deletions",
    "list_open_plan_chats", "list_prototype_chats", "forget_surplus_chat",
    "list_shared_chats", "list_two_tenants", "list_unknown_chats", "mark_not_in_account",
    "delete_expired_invitations", "permanent_admin_tokens", "poll_after_hook", "postpone_poll",
    "record_poll", "release_older_rows", "renew_lease", "request_poll",
    "resume_after_new_key", "resume_parked", "save_generation",
    "save_mockup", "save_surplus_chat", "wind_back_generations",
    "count_prototypes", "list_gauges",
    "count_expired_idempotency_keys", "delete_audit", "delete_events", "delete_pictures", "find_event_window",
    "find_next_audited_workspace", "forget_pictures", "list_removable_events", "list_removable_pictures",
    "allow_audit_deletion", "allow_audit_deletion_in_sqlite", "refuse_audit_deletion",
    "refuse_audit_deletion_in_sqlite",
}  # fmt: skip
#: By the id of a prototype or a plan that was found in the caller's workspace right before.
AFTER_A_BOUND_ONE = {
    "find_text",
    "count_pinned_touched",
    "count_plan_items",
    "find_plan_item",
    "hold_plan_state",
    "insert_plan_approval",
    "list_approvers",
    "insert_plan_item",
    "list_plan_approvals",
    "list_plan_items",
    "save_plan",
    "save_plan_item",
    "start_grace_of_plan",
    "delete_mockup",
    "delete_untracked_mockup",
    "find_picture",
    "delete_surplus_chats",
    "free_slot",
    "hold_generation",
    "save_picture",
    "list_surplus_chats",
}
#: The row itself says to which workspace it belongs, in another table or beside the secret that found it.
OTHERWISE = {
    "insert_mockup",
    "insert_tenant_mockup",
    "find_token",
    "find_invitation",
    "consume_invitation",
    "save_token_use",
    "find_session",
    "consume_sign_in_code",
    "find_newest_event",  # These two tell processes that rows changed; whoever is told reads as themselves.
    "list_events_since",
    "count_connections",  # Counts processes, which are nobody's.
    "save_ready",
    "list_lacking_rights",
}

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
