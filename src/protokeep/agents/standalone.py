"""Without a product: one chat at v0, created and polled. Nothing is kept, yet a lost answer makes no second chat.

What was seen is told by the same pure core as everywhere: statuses, the poll budget, a chat that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from protokeep.core import submission as steps
from protokeep.core.errors import OutcomeUnknown, ProviderError, ProviderRejected
from protokeep.core.generation import Generation, RecoveryPoint, Submission
from protokeep.core.polling import ChatMissing, ChatShown, NoAnswer, polled
from protokeep.core.prototype import Status, TrackedPrototype
from protokeep.core.timing import Timing, next_lookup, settled_since_sent
from protokeep.providers.base import PollTarget, Provider, RemoteChat, Search

#: The clocks of two hosts differ; a look-up goes back this far before the moment of sending.
LOOK_BACK = timedelta(minutes=5)
#: What the chats of this way carry beside their marker: they belong to no installation of protokeep.
OWNER = "agent"
UNFINISHED = (Status.PENDING, Status.IN_PROGRESS)

Sleep = Callable[[float], Awaitable[None]]


async def created(
    provider: Provider, prompt: str, pace: Timing, *, wait_seconds: float, sleep: Sleep = asyncio.sleep
) -> TrackedPrototype:
    """A new chat, polled until it is finished or the budget is spent.

    A refusal is a failed prototype. Raises `ProviderBusy` or `ProviderUnreachable` when nothing was made, and
    `OutcomeUnknown` when something may have been made that cannot be found; none of these was sent twice.
    """
    prototype = _sent(prompt, provider, datetime.now(UTC))
    marker = prototype.generation.marker
    try:
        made = await provider.create(prompt, {"protokeep": OWNER, "protokeep_marker": marker})
    except ProviderRejected as error:
        return steps.refused(prototype, error, datetime.now(UTC))
    except OutcomeUnknown as error:
        made = await _found(provider, prototype, error, pace, sleep)
    prototype = steps.accepted(
        prototype,
        chat_id=made.chat_id,
        message_id=made.message_id,
        project_id=made.project_id,
        seen=made.observation,
        now=datetime.now(UTC),
        timing=pace,
        batched=True,
    )
    ends = datetime.now(UTC) + timedelta(seconds=wait_seconds)
    while prototype.status in UNFINISHED and datetime.now(UTC) < ends:
        await sleep(pace.poll_interval.total_seconds())
        prototype = await _polled(provider, prototype, pace, sleep)
    return prototype


async def _found(
    provider: Provider, prototype: TrackedPrototype, error: OutcomeUnknown, pace: Timing, sleep: Sleep
) -> RemoteChat:
    """The chat whose create was not answered, by its marker."""
    generation = prototype.generation
    while True:
        now = datetime.now(UTC)
        due = next_lookup(generation, now, pace)
        was_settled = settled_since_sent(generation, now, pace)
        try:
            search = await provider.find(
                [{"protokeep_marker": generation.marker}],
                sent_after=generation.created_at - LOOK_BACK,
                known=_none_known,
            )
        except ProviderError:
            search = Search()
        if search.chats:
            return search.chats[0]
        decides = was_settled and search.whole_since(generation.created_at)
        lookups = generation.submission.lookups + (1 if decides else 0)
        generation = replace(generation, submission=replace(generation.submission, lookups=lookups))
        if generation.submission.lookups >= pace.required_lookups or now - generation.created_at > 2 * pace.settle:
            raise OutcomeUnknown(
                f"{error} It was not found afterwards either, and was not sent again. Look at v0 before asking anew.",
                code=error.code,
            ) from error
        await sleep(max((due - datetime.now(UTC)).total_seconds(), 0.0))


async def _none_known(_chats: Sequence[str]) -> set[str]:
    return set()


async def _polled(provider: Provider, prototype: TrackedPrototype, pace: Timing, sleep: Sleep) -> TrackedPrototype:
    chat_id = prototype.chat_id or ""
    generation = prototype.generation
    looked = await provider.observe([PollTarget(chat_id, generation.message_id, generation.created_at)])
    if looked.retry_after is not None:
        await sleep(looked.retry_after.total_seconds())
    seen = looked.observations.get(chat_id)
    missing = ChatMissing() if chat_id in looked.missing else NoAnswer()
    return polled(prototype, ChatShown(seen) if seen else missing, datetime.now(UTC), pace, batched=True)


def _sent(prompt: str, provider: Provider, now: datetime) -> TrackedPrototype:
    marker = str(uuid4())
    return TrackedPrototype(
        id=marker,
        product_id="",
        user_id=None,
        provider=provider.name,
        prompt=prompt,
        status=Status.PENDING,
        created_at=now,
        updated_at=now,
        generation=Generation(
            workspace_id="",
            account="",
            api_version=provider.api_version,
            marker=marker,
            created_by=OWNER,
            created_at=now,
            submission=Submission(RecoveryPoint.SENT, attempts=1, sent_at=now),
        ),
    )
