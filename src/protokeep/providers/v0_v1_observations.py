"""Translates chats of v0's API v1 (ChatSummary and ChatDetail) into observations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from protokeep.core.errors import OutcomeUnknown
from protokeep.core.prototype import Observation, ObservedState
from protokeep.providers.base import RemoteChat
from protokeep.providers.v0_common import UNFINISHED_REASONS, newest_first
from protokeep.providers.v0_fields import id_of, identifier, instant, link, missing_id


def messages_of(detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a ChatDetail, newest first; none if it shows none."""
    rows = detail.get("messages")
    return newest_first(rows if isinstance(rows, list) else [])


def newest_message_id(detail: Mapping[str, Any]) -> str | None:
    """The id of a ChatDetail's newest message."""
    return next((str(message["id"]) for message in messages_of(detail)), None)


def observation_of_row(row: Mapping[str, Any], plain_hosts: Collection[str] = ()) -> Observation | None:
    """The state that a list row shows; None if the chat has no version yet, so that only its detail knows.

    Links may be http at `plain_hosts`.
    """
    version = row.get("latestVersion")
    if not isinstance(version, dict):
        return None
    status = version.get("status")
    web_url = link(row.get("webUrl"), plain_hosts)
    demo_url = link(version.get("demoUrl"), plain_hosts)
    version_id = id_of(version)
    if status == "pending":
        return Observation(ObservedState.RUNNING, version_id, web_url=web_url, demo_url=demo_url)
    if status == "completed":
        image_url = link(version.get("screenshotUrl"), plain_hosts)
        return Observation(ObservedState.FINISHED, version_id, web_url=web_url, demo_url=demo_url, image_url=image_url)
    if status == "failed":
        state, code, message = ObservedState.BROKE, "builder_error", "v0 says that this version failed."
    else:
        state, code = ObservedState.WAITING, "needs_a_look"
        message = "v0 reports a status that is not known here. Look at the chat's page."
    return Observation(state, version_id, web_url=web_url, error_code=code, error_message=message)


def chat_of_detail(
    detail: Mapping[str, Any], metadata: Mapping[str, str], what: str, plain_hosts: Collection[str] = ()
) -> RemoteChat:
    """The chat that a create answers, as a ChatDetail. Raises `OutcomeUnknown`, which names `what` has no id."""
    chat_id = id_of(detail)
    if chat_id is None:
        raise missing_id(what)
    return RemoteChat(
        chat_id,
        project_id=identifier(detail.get("projectId")),
        metadata=metadata,
        created_at=instant(detail.get("createdAt")),
        observation=observation_of_detail(detail, chat_id, plain_hosts=plain_hosts),
        newest_message_id=newest_message_id(detail),
    )


def observation_of_detail(
    detail: Any,
    chat_id: str,
    previous_message_id: str | None = None,
    baseline_message_id: str | None = None,
    *,
    plain_hosts: Collection[str] = (),
) -> Observation:
    """The state that a ChatDetail shows: of its latest version, or else of the newest answer in this turn.

    `previous_message_id` is the version of the turn before, `baseline_message_id` the last message before this turn.
    Raises `OutcomeUnknown` if the detail cannot be read.
    """
    if not isinstance(detail, dict) or detail.get("id") != chat_id:
        raise OutcomeUnknown("v0's chat could not be read, or is another one.", code="bad_answer")
    latest = observation_of_row(detail, plain_hosts)
    if latest is not None and (latest.message_id is None or latest.message_id != previous_message_id):
        return latest
    web_url = link(detail.get("webUrl"), plain_hosts)
    reason = _finish_reason(detail, baseline_message_id)
    if isinstance(reason, str) and reason in UNFINISHED_REASONS:
        state, code, message = UNFINISHED_REASONS[reason]
        return Observation(state, web_url=web_url, error_code=code, error_message=message)
    if reason == "stop" and latest is not None:  # v0 answered with text only; the version before stays the result.
        return Observation(ObservedState.FINISHED, web_url=web_url)
    return Observation(ObservedState.QUEUED, web_url=web_url)


def _finish_reason(detail: Mapping[str, Any], baseline_message_id: str | None) -> Any:
    """The `finishReason` of the newest answer after the baseline message; None without an answer."""
    for message in messages_of(detail):
        if message["id"] == baseline_message_id:
            return None
        if message.get("role") == "assistant":
            return message.get("finishReason")
    return None
