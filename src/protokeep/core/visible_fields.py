"""Everything that people see of a prototype, in one place.

The API's JSON, its validator (the ETag) and the decision whether open pages and streams are notified of a change all
come from here, so that none of them can forget a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from protokeep.core.generation import Generation
from protokeep.core.prototype import SETTLED, Prototype
from protokeep.core.provider_keys import (
    LOOKING_MESSAGE,
    NOT_IN_ACCOUNT_MESSAGE,
    key_source_of,
)

#: Fields that change without news: with every poll, or with every second. A change of these alone keeps the ETag and
#: notifies nobody; otherwise no poll of an unchanged prototype could be answered with 304.
VOLATILE_FIELDS = frozenset({"observed_at", "poll_count", "elapsed_seconds"})

#: Characters of a prompt that lists and live events have. One prototype by itself has all of it.
LISTED_PROMPT = 500

IN_BIN_MESSAGE = "It is in the bin. Until its time there is over, its chat stays, and it can be taken back."
_UNKNOWN_OUTCOME = (
    "protokeep lost the app builder's reply, and is finding out whether the app builder started. Nothing is sent twice."
)


def visible_fields(prototype: Prototype, now: datetime | None) -> dict[str, Any]:
    """The values of the API's view of a prototype, by field name.

    `now` gives the elapsed time of an unfinished prototype, and ends a polling pause; None: no time is given, and a
    pause counts however old it is.
    """
    generation = prototype.generation
    picture = f"/api/design/prototypes/{prototype.id}/picture" if _has_picture(generation) else None
    return {
        "id": prototype.id,
        "product_id": prototype.product_id,
        "product_name": prototype.product_name,
        "tags": list(prototype.tags),
        "archived_at": prototype.archived_at,
        "user_id": prototype.user_id,
        "provider": prototype.provider,
        "prompt": prototype.prompt,
        "prompt_cut": False,
        "v0_chat_id": prototype.chat_id,
        "v0_project_id": prototype.project_id,
        "project_status": prototype.status.value,
        "state": prototype.state.value,
        "reason": _reason(prototype, now),
        "project_url": prototype.project_url,
        "thumbnail_url": picture or prototype.thumbnail_url,
        "image_url": picture or prototype.image_url,
        "phase_submission_id": prototype.phase_submission_id,
        "metadata": prototype.metadata,
        "is_current": prototype.is_current,
        "created_at": prototype.created_at,
        "updated_at": prototype.updated_at,
        "elapsed_seconds": None if now is None else elapsed_seconds(prototype, now),
        **_generation_fields(generation),
    }


def visible_version(prototype: Prototype, now: datetime | None = None) -> dict[str, Any]:
    """The fields whose change people see: two prototypes with equal versions look the same.

    Everything of `visible_fields` but the volatile ones, and the digest of the picture, because every picture has the
    same address.
    """
    return version_of(prototype, visible_fields(prototype, now))


def version_of(prototype: Prototype, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same from the `visible_fields` of a prototype."""
    generation = prototype.generation
    lasting = {name: value for name, value in fields.items() if name not in VOLATILE_FIELDS}
    return {**lasting, "picture_etag": generation.picture_etag if generation else None}


def listed_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """`visible_fields` as lists and live events have them: a long prompt is cut, and `prompt_cut` says so.

    Prompts may have 100,000 characters, and a list many of them.
    """
    prompt = fields["prompt"]
    if prompt is None or len(prompt) <= LISTED_PROMPT:
        return fields
    return {**fields, "prompt": prompt[:LISTED_PROMPT], "prompt_cut": True}


def elapsed_seconds(prototype: Prototype, now: datetime) -> float | None:
    """How long the last turn has taken, or took; None: it is not known, as of a chat that was taken over."""
    generation = prototype.generation
    if generation is None or (prototype.status in SETTLED and not generation.end_is_known):
        return None
    end = generation.settled_at or (now if prototype.status not in SETTLED else prototype.updated_at)
    began = generation.began_at
    if generation.follow_up_pending:
        began, end = generation.turn_at, now
    return round(max((end - began).total_seconds(), 0.0), 3)


def _has_picture(generation: Generation | None) -> bool:
    return generation is not None and generation.picture_etag is not None


def _generation_fields(generation: Generation | None) -> dict[str, Any]:
    """The fields that only a tracked prototype has values for."""
    if generation is None:
        names = ["demo_url", "web_url", "chat_url", "error", "observed_at", "credits", "key_source"]
        names += ["deletion_due_at", "archive_id", "variant", "variant_name"]
        return {**dict.fromkeys(names), "poll_count": 0}
    error = None
    if generation.error.code is not None:
        error = {"code": generation.error.code, "message": generation.error.message or ""}
    return {
        "demo_url": generation.links.demo_url,
        "web_url": generation.links.web_url,
        "chat_url": generation.links.chat_url,
        "error": error,
        "observed_at": generation.polling.observed_at,
        "poll_count": generation.polling.poll_count,
        "credits": generation.credits,
        "key_source": key_source_of(generation.account).value,
        "deletion_due_at": generation.deletion_due_at if generation.is_in_bin else None,
        "archive_id": generation.archive_id,
        "variant": generation.variant,
        "variant_name": generation.variant_name,
    }


def _reason(prototype: Prototype, now: datetime | None) -> dict[str, Any] | None:
    """The reason why a prototype waits, and when it is tried again; None: it does not wait."""
    generation = prototype.generation
    if generation is None:
        return None
    if generation.is_in_bin:
        message = f"{IN_BIN_MESSAGE} {generation.hold.message or ''}".strip()
        return _reason_of("in_bin", message, generation.deletion_due_at)
    if generation.hold.code is not None:
        return _reason_of(generation.hold.code, generation.hold.message or "", generation.submission.next_try_at)
    if generation.submission.outcome_unknown:
        return _reason_of("outcome_unknown", _UNKNOWN_OUTCOME, generation.submission.next_try_at)
    if not generation.is_account_known:
        code, message = (
            ("not_in_account", NOT_IN_ACCOUNT_MESSAGE)
            if generation.is_in_no_account
            else ("looking_for_account", LOOKING_MESSAGE)
        )
        return _reason_of(code, message, None)
    if generation.not_visible:
        message = (
            f"{prototype.provider} does not show it at present. protokeep keeps checking, and keeps what is "
            "known of it."
        )
        return _reason_of("not_visible", message, generation.polling.next_poll_at)
    pause = prototype.polling_pause
    if pause is not None and (now is None or pause.until > now) and prototype.status not in SETTLED:
        return _reason_of(pause.code, pause.message, pause.until)
    return None


def _reason_of(code: str, message: str, next_try_at: datetime | None) -> dict[str, Any]:
    return {"code": code, "message": message, "next_try_at": next_try_at}
