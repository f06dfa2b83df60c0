"""What v0's API v1 says of a chat, in words of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protokeep.core.errors import OutcomeUnknown
from protokeep.core.prototype import Observation, ObservedState
from protokeep.providers.v0_common import newest_first
from protokeep.providers.v0_http import link, text

_NO_VERSION_FINAL: Mapping[str, tuple[ObservedState, str, str]] = {
    "error": (ObservedState.BROKE, "builder_error", "v0 ended the generation with an error."),
    "content-filter": (ObservedState.BROKE, "content_filter", "v0's content filter stopped the generation."),
    "tool-calls": (ObservedState.WAITING, "waiting_for_answer", "v0 asked a question. Answer it on the chat's page."),
    "length": (ObservedState.WAITING, "needs_a_look", "v0 stopped at its length limit. Look at the chat's page."),
    "other": (ObservedState.WAITING, "needs_a_look", "v0 stopped without saying why. Look at the chat's page."),
}


def newest_message_id(detail: Mapping[str, Any]) -> str | None:
    """The id of a ChatDetail's newest message."""
    rows = detail.get("messages")
    messages = newest_first(rows if isinstance(rows, list) else [])
    return str(messages[0]["id"]) if messages else None


def of_row(row: Mapping[str, Any]) -> Observation | None:
    """What a list row tells; None: it has no version yet, so only the detail knows."""
    version = row.get("latestVersion")
    if not isinstance(version, dict):
        return None
    status = version.get("status")
    web_url = link(row.get("webUrl"))
    demo_url = link(version.get("demoUrl"))
    image_url = link(version.get("screenshotUrl"))
    version_id = text(version.get("id"), 200)
    if status == "pending":
        return Observation(ObservedState.RUNNING, version_id, web_url=web_url, demo_url=demo_url)
    if status == "completed":
        return Observation(ObservedState.FINISHED, version_id, web_url=web_url, demo_url=demo_url, image_url=image_url)
    if status == "failed":
        return Observation(
            ObservedState.BROKE,
            version_id,
            web_url=web_url,
            error_code="builder_error",
            error_message="v0 says that this version failed.",
        )
    return Observation(
        ObservedState.WAITING,
        version_id,
        web_url=web_url,
        error_code="needs_a_look",
        error_message="v0 reports a status that is not known here. Look at the chat's page.",
    )


def of_detail(
    detail: Any, chat_id: str, previous_message_id: str | None = None, baseline_message_id: str | None = None
) -> Observation:
    """What a ChatDetail tells: its latest version, or without a new one the last assistant message of this round."""
    if not isinstance(detail, dict) or detail.get("id") != chat_id:
        raise OutcomeUnknown("v0's chat could not be read, or is another one.", code="bad_answer")
    known = of_row(detail)
    if known is not None and (known.message_id is None or known.message_id != previous_message_id):
        return known
    web_url = link(detail.get("webUrl"))
    messages = detail.get("messages")
    reason: Any = None
    for row in newest_first(messages if isinstance(messages, list) else []):
        if row["id"] == baseline_message_id:
            break
        if row.get("role") == "assistant":
            reason = row.get("finishReason")
            break
    if isinstance(reason, str) and reason in _NO_VERSION_FINAL:
        seen, code, words = _NO_VERSION_FINAL[reason]
        return Observation(seen, web_url=web_url, error_code=code, error_message=words)
    if reason == "stop" and known is not None:
        return Observation(
            ObservedState.FINISHED, web_url=web_url
        )  # It was answered in words: the version before stands.
    return Observation(ObservedState.QUEUED, web_url=web_url)
