"""The reuse rule: which prototype a request gets, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protokeep.core.prototype import Prototype, State, Status, TrackedPrototype
from protokeep.core.provider_keys import NOT_IN_ACCOUNT_MESSAGE


class Outcome(StrEnum):
    """The result of a create request."""

    CREATED = "created"  #: the product had none, or another one was asked for
    REUSED = "reused"  #: the product has one
    REPLACED = "replaced"  #: the product had one that failed or is gone
    REPLAYED = "replayed"  #: the same idempotency key was answered before


#: The reason of a create that asked for another variant.
ANOTHER_VARIANT = "Another variant was asked for."


@dataclass(frozen=True, slots=True)
class Decision:
    """Why this prototype. `reason` is a sentence for people."""

    outcome: Outcome
    reason: str
    prompt_differs: bool = False


def usable(prototype: Prototype) -> bool:
    """Whether a request gets this prototype rather than a new one.

    An older row that nobody tracks is usable only by its URL, its chat, or a project whose chat may be found: otherwise
    old rows would block their product for ever.
    """
    if prototype.status is Status.FAILED:
        return False
    if not isinstance(prototype, TrackedPrototype):
        return bool(prototype.chat_id or prototype.project_id or prototype.project_url)
    generation = prototype.generation
    if generation.is_in_no_account and prototype.chat_id is None:
        return bool(prototype.project_url)  # No account shows its project, so there is no chat to wait for.
    return not generation.is_unwanted


def decide(current: Prototype | None, prompt: str, *, create_new: bool) -> Decision:
    """Reuse `current`, replace it, or make the first one. Pure: the claim carries it out."""
    if current is None:
        return Decision(Outcome.CREATED, "This product had no prototype.")
    if create_new:
        return Decision(
            Outcome.CREATED,
            ANOTHER_VARIANT,
            prompts_differ(current.prompt, prompt),
        )
    if not usable(current):
        return Decision(Outcome.REPLACED, _why_unusable(current), prompts_differ(current.prompt, prompt))
    differs = prompts_differ(current.prompt, prompt)
    reason = "This product has one already."
    if current.generation is not None and current.generation.not_visible:
        unknown = current.generation.is_in_no_account
        hidden = f"{current.provider} does not show it at present; protokeep keeps checking."
        reason += f" {NOT_IN_ACCOUNT_MESSAGE if unknown else hidden}"
    if differs:
        reason += " It was made from another prompt; ask with create_new=true for one from this prompt."
    return Decision(Outcome.REUSED, reason, differs)


def _why_unusable(previous: Prototype) -> str:
    generation = previous.generation
    if generation is not None and generation.is_unwanted:
        return "The previous one is in the bin." if generation.is_in_bin else "The previous one is being deleted."
    if previous.state is State.STOPPED:
        return "The previous one was stopped."
    if generation is not None and generation.error.message:
        return f"The previous one failed: {generation.error.message}"
    return "The previous one could not be used."


def prompts_differ(one: str | None, other: str | None) -> bool:
    """Whether two prompts differ materially: white space and letter case do not count."""
    return _folded(one) != _folded(other)


def _folded(prompt: str | None) -> str:
    return " ".join((prompt or "").split()).casefold()
