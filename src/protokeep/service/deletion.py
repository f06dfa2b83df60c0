"""Deletion of a prototype, here and at the provider, so that no chat is left there that no row knows.

The request is written first, and frees the product's slot. The row goes when the provider has deleted its chats; until
then it stays in sight, with the reason, and the deletion is tried again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from enum import Enum

import structlog

from protokeep.bus import Change
from protokeep.core import absence, deletion
from protokeep.core.audit import ITSELF, Action, AuditEntry
from protokeep.core.bin import NOT_ARCHIVED
from protokeep.core.errors import UNCLEAR_REFUSAL, NotConfigured, NotNow, ProviderError
from protokeep.core.events import Event, Source
from protokeep.core.generation import GONE
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.provider_keys import LOOKING_MESSAGE, missing_key_message
from protokeep.core.submission import NO_KEY
from protokeep.core.timing import backoff, must_look_up_first
from protokeep.providers.base import Provider
from protokeep.service.context import Context
from protokeep.service.visibility import Visibility
from protokeep.store.audit import write
from protokeep.store.slots import pass_slot_on
from protokeep.store.sql import Connection

log = structlog.get_logger(__name__)

#: How often a change is tried again because another process changed the row.
MAX_LOSSES = 10
#: The same for a row that nothing tracks, which a trigger of the owner's may keep.
UNTRACKED_TRIES = 3
CHANGED_TOO_OFTEN = "Too many people are changing this prototype at once. Try again in a moment."
#: Codes of a deletion that the provider may have carried out. "Not found" after one of them says that it did: should
#: the chat show up again all the same, the next search of the account deletes it.
PERHAPS_DELETED = ("no_answer", "server_error", "bad_answer", UNCLEAR_REFUSAL)


class _DeletionAnswer(Enum):
    """What the provider answered to the deletion of a prototype's chats."""

    DELETED = "deleted"
    NOT_VISIBLE = "not visible"


class Deleter:
    """Writes down that a prototype is to be deleted, and deletes it."""

    def __init__(self, context: Context, visibility: Visibility) -> None:
        self._context = context
        self._visibility = visibility

    async def request(self, principal: Principal, prototype: Prototype) -> TrackedPrototype | None:
        """Delete a prototype as soon as possible. None: it is deleted already. Raises `NotNow`."""
        current = prototype
        for _ in range(UNTRACKED_TRIES):
            if isinstance(current, TrackedPrototype):
                return await self._request(principal, current)
            if await self._delete_untracked(principal, current):
                return None
            found = await self._context.store.get(principal.workspace_id, prototype.id)
            if found is None:
                return None
            current = found  # It is tracked by now, or its slot changed hands in the same moment.
        if isinstance(current, TrackedPrototype):
            return await self._request(principal, current)
        raise NotNow("The database did not delete this row. Is there a trigger or a policy on design_mockups?")

    async def _delete_untracked(self, principal: Principal, prototype: Prototype) -> bool:
        """Delete a row that nothing tracks. False: it is gone, or is tracked since a moment ago.

        Its chat, if it names one, stays at the provider: nobody knows whose account it is in, or who else uses it.
        """
        now = self._context.clock()
        chat = {"chat_id": prototype.chat_id} if prototype.chat_id else {}
        event = Event("deleted", Source.PERSON, now, actor=principal.user_id, data=chat)
        entry = AuditEntry.of(
            principal, Action.DELETED, now, prototype.id, product_id=prototype.product_id, tracked=False, **chat
        )
        if not await self._context.store.delete_untracked(principal.workspace_id, prototype, event, entry):
            return False
        log.info("untracked_row_deleted", prototype_id=prototype.id)
        return True

    async def _request(self, principal: Principal, prototype: TrackedPrototype) -> TrackedPrototype | None:
        require_known_account(prototype)
        current: TrackedPrototype | None = prototype
        for _ in range(MAX_LOSSES):
            if current is None:
                return None
            if current.generation.deletion_requested_at is None:
                current = await self._record_request(principal, current)
            if current is not None:
                return await self._try(current)
            current = await self._context.store.get_unscoped(prototype.id)
        raise NotNow(CHANGED_TOO_OFTEN)

    async def _record_request(self, principal: Principal, prototype: TrackedPrototype) -> TrackedPrototype | None:
        """Write down that a person asked for the deletion. None: another process changed the row."""
        now = self._context.clock()
        data = _archive_data(prototype)
        event = Event("deleting", Source.PERSON, now, actor=principal.user_id, data=data)
        entry = AuditEntry.of(principal, Action.DELETED, now, prototype.id, product_id=prototype.product_id, **data)
        return await self._save_request(prototype, event, entry)

    async def end_of_bin(self, prototype: TrackedPrototype) -> TrackedPrototype | None:
        """Delete a prototype whose time in the bin is over. None: it is deleted, or another process changed the row."""
        now = self._context.clock()
        generation, data = prototype.generation, _archive_data(prototype)
        event = Event("deleting", Source.SWEEP, now, data=data)
        details = {"product_id": prototype.product_id, "requested_by": generation.deletion_requested_by, **data}
        entry = AuditEntry(generation.workspace_id, now, Action.DELETED, ITSELF, subject=prototype.id, data=details)
        saved = await self._save_request(prototype, event, entry)
        self._context.checkpoint("after_bin")
        return None if saved is None else await self._try(saved)

    async def _save_request(
        self, prototype: TrackedPrototype, event: Event, entry: AuditEntry
    ) -> TrackedPrototype | None:
        now = event.at

        queries = await self._context.store.prepared()
        workspace_id = prototype.generation.workspace_id

        async def pass_slot_on_and_audit(connection: Connection) -> Sequence[Change]:
            told = await pass_slot_on(connection, queries, prototype, now, workspace_id)
            await write(connection, entry)
            return told

        after = deletion.deletion_requested(prototype, now)
        return await self._context.store.save(prototype, after, event, belongs=pass_slot_on_and_audit)

    async def sweep(self) -> int:
        """Try every due deletion again. Returns their number."""
        await self._context.providers.refresh()
        due = await self._context.store.due_for_deletion(self._context.clock())
        for prototype in due:
            try:
                await self._try(prototype)
            except Exception:  # The other prototypes are deleted all the same.
                log.exception("deletion_failed", prototype_id=prototype.id)
                unwritten = ProviderError("It could not be written down here.", code="not_written")
                with contextlib.suppress(Exception):
                    await self._retry_later(prototype, unwritten)
        return len(due)

    async def delete_row(self, prototype: TrackedPrototype) -> None:
        """Delete the row, because the provider has no chat of it (any more)."""
        data = {"chat_id": prototype.chat_id, **_archive_data(prototype)}
        event = Event("deleted", Source.SWEEP, self._context.clock(), data=data)
        if await self._context.store.delete(prototype, event):
            log.info("prototype_deleted", prototype_id=prototype.id)

    async def _try(self, prototype: TrackedPrototype) -> TrackedPrototype | None:
        """Try the deletion. None: the prototype is deleted. Otherwise its deletion is tried again by itself."""
        if prototype.generation.submission.is_open and prototype.chat_id is None:
            return await self._try_without_chat(prototype)
        try:
            return await self._delete_at_provider(prototype)
        except (ProviderError, NotConfigured) as error:
            return await self._retry_later(prototype, error)

    async def _try_without_chat(self, prototype: TrackedPrototype) -> TrackedPrototype | None:
        """Delete a row without a chat. If its create may be under way, the delivery decides and deletes the row."""
        context, generation = self._context, prototype.generation
        await context.heartbeat.started()
        never_sent = generation.submission.attempts == 0 and context.heartbeat.trusts(generation.turn_at)
        if never_sent and not must_look_up_first(generation, context.clock(), context.timing):
            # A delivery that holds the row finds nothing to write to, and sends nothing.
            await self.delete_row(prototype)
            return None
        await context.queue.submit(prototype.id, generation.submission.fence)
        return prototype

    async def _delete_at_provider(self, prototype: TrackedPrototype) -> TrackedPrototype | None:
        generation = prototype.generation
        provider = self._context.providers.serving(generation.account, generation.api_version)
        if await self._delete_chats(prototype, provider) is _DeletionAnswer.NOT_VISIBLE and provider is not None:
            waiting = await self._wait_for_chat(prototype, provider)
            if waiting is not None:
                return waiting
        await self.delete_row(prototype)
        return None

    async def _delete_chats(self, prototype: TrackedPrototype, provider: Provider | None) -> _DeletionAnswer:
        """Delete the chat and its surplus chats. Raises `ProviderError`, `NotConfigured`."""
        store = self._context.store
        chats = [chat for chat in (prototype.chat_id, *await store.surplus(prototype.id)) if chat is not None]
        # A chat goes with the last row that names it, whoever's row that is.
        shared = await store.shared_chats(prototype.id, chats)
        if not prototype.generation.is_account_known:
            return _DeletionAnswer.DELETED  # No account shows its chat, so there is nothing that could be deleted.
        known_gone = prototype.chat_id if prototype.generation.error.code == GONE else None
        result = _DeletionAnswer.DELETED
        for chat_id in [chat_id for chat_id in chats if chat_id not in shared]:
            if provider is None:
                raise NotConfigured(missing_key_message(prototype.generation.account))
            if not await provider.delete(chat_id) and chat_id != known_gone:
                result = _DeletionAnswer.NOT_VISIBLE
        return result

    async def _wait_for_chat(self, prototype: TrackedPrototype, provider: Provider) -> TrackedPrototype | None:
        """Decide after a "not found". None: the chats certainly exist no more. Otherwise the prototype as it waits."""
        context = self._context
        now = context.clock()
        after = absence.recorded_missing(prototype, now)
        generation = after.generation
        in_doubt = absence.missing_long_enough(generation, now, context.timing)
        account = await self._visibility.assess(generation.account, provider, [prototype], shown=0, in_doubt=in_doubt)
        answer_was_lost = prototype.generation.hold.code in PERHAPS_DELETED
        if answer_was_lost or absence.deletion_is_done(generation, account, now, context.timing):
            return None
        until = now + absence.retry_after(generation, now, context.timing)
        saved = await context.store.save(prototype, deletion.deletion_not_visible(after, until))
        if generation.absence.missing_polls == 1:
            log.warning("deletion_chat_not_visible", prototype_id=prototype.id)
        return saved or prototype

    async def _retry_later(self, prototype: TrackedPrototype, error: ProviderError | NotConfigured) -> TrackedPrototype:
        context = self._context
        if isinstance(error, NotConfigured):
            error = ProviderError(str(error), code=NO_KEY)
        pause = error.retry_after or backoff(prototype.generation.submission.attempts + 2, context.timing)
        saved = await context.store.save(prototype, deletion.deletion_failed(prototype, error, context.clock() + pause))
        if prototype.generation.hold.code != error.code:
            log.warning("prototype_not_deleted", prototype_id=prototype.id, code=error.code, reason=str(error))
        return saved or prototype


def require_known_account(prototype: TrackedPrototype) -> None:
    """Raises `NotNow` for an older row while the account that its chat is in is being found out."""
    if not prototype.generation.is_account_known and not prototype.generation.is_in_no_account:
        raise NotNow(f"{LOOKING_MESSAGE} Try again in a minute.")


def _archive_data(prototype: TrackedPrototype) -> dict[str, str]:
    """What the history tells of the copy of the chat."""
    generation = prototype.generation
    if generation.archive_id is not None:
        return {"archive_id": generation.archive_id}
    return {"message": generation.hold.message or ""} if generation.hold.code == NOT_ARCHIVED else {}
