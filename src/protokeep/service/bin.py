"""The bin: what people delete waits there, its chat is copied, and it can be taken back until its time is over.

Each step is one guarded write of the row, so that a process that is killed, or another one that does the same, harms
nothing: a prototype is in use, in the bin, or being deleted, and its slot goes along with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from protokeep.bus import Change
from protokeep.core import bin as steps
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.call_budget import Priority
from protokeep.core.errors import ArchiveFault, NotFound, NotNow, ProviderError
from protokeep.core.events import Event, Source
from protokeep.core.principals import Principal
from protokeep.core.prototype import Prototype, TrackedPrototype
from protokeep.core.provider_keys import missing_key_message
from protokeep.providers.census_port import with_census
from protokeep.service.archives import ChatArchives
from protokeep.service.call_budget import CallBudget
from protokeep.service.context import Context
from protokeep.service.deletion import CHANGED_TOO_OFTEN, MAX_LOSSES, Deleter, require_known_account
from protokeep.store.audit import write
from protokeep.store.slots import pass_slot_on, take_free_slot
from protokeep.store.sql import Connection

log = structlog.get_logger(__name__)

#: The longest copy of a chat.
COPY_SECONDS = 60
#: How long everything in the bin stays at least after a start that follows on a long silence.
AFTER_SILENCE = timedelta(hours=1)
TOO_LATE = "It is deleted, so it cannot be taken back. An admin can make a new chat from its copy."


@dataclass(frozen=True, slots=True)
class _Copied:
    """The copy of a chat. `problem`: why there is none of the chat as it is now. `is_to_come`: it may succeed later."""

    archive_id: str | None = None
    problem: str = ""
    is_to_come: bool = False

    def recorded(self, prototype: TrackedPrototype) -> TrackedPrototype:
        """The prototype with what became of the copy."""
        if self.problem and self.archive_id is None:
            log.warning("chat_not_archived", prototype_id=prototype.id, reason=self.problem)
            return steps.not_archived(prototype, self.problem, None)
        return steps.archived(prototype, self.archive_id)


class Bin:
    """Puts prototypes into the bin, takes them back, and deletes those whose time is over."""

    def __init__(self, context: Context, deleter: Deleter, budget: CallBudget) -> None:
        self._context = context
        self._budget = budget
        self._deleter = deleter
        self._archives = ChatArchives(context)
        self._checked_epoch = 0

    async def delete(
        self, principal: Principal, prototype: Prototype, *, at_once: bool = False
    ) -> TrackedPrototype | None:
        """Put a prototype into the bin, or delete it `at_once`. None: it is deleted. Raises `NotNow`.

        A prototype without a chat has nothing that could be kept, and a row that nothing tracks has no bin: both are
        deleted at once. One that is in the bin already stays there until its time.
        """
        if not isinstance(prototype, TrackedPrototype):
            return await self._deleter.request(principal, prototype)
        require_known_account(prototype)
        current: TrackedPrototype | None = prototype
        for _ in range(MAX_LOSSES):
            if current is None:
                return None
            if current.generation.deletion_requested_at is not None or current.chat_id is None:
                return await self._deleter.request(principal, current)
            if at_once or not self._context.bin_time:
                return await self._deleter.request(principal, await self._archive_now(current))
            current = current if current.generation.is_in_bin else await self._put(principal, current)
            if current is not None:
                return current
            current = await self._context.store.get_unscoped(prototype.id)
        raise NotNow(CHANGED_TOO_OFTEN)

    async def _put(self, principal: Principal, prototype: TrackedPrototype) -> TrackedPrototype | None:
        now = self._context.clock()
        due_at = now + self._context.bin_time
        event = Event("binned", Source.PERSON, now, actor=principal.user_id, data={"due_at": due_at.isoformat()})
        details = {"product_id": prototype.product_id, "due_at": due_at.isoformat()}
        entry = AuditEntry.of(principal, Action.DELETED, now, prototype.id, **details)

        queries = await self._context.store.prepared()
        workspace_id = prototype.generation.workspace_id

        async def pass_slot_on_and_audit(connection: Connection) -> Sequence[Change]:
            told = await pass_slot_on(connection, queries, prototype, now, workspace_id)
            await write(connection, entry)
            return told

        after = steps.put_into_bin(prototype, now, due_at, principal.user_id)
        saved = await self._context.store.save(prototype, after, event, belongs=pass_slot_on_and_audit)
        self._context.checkpoint("after_put")
        return saved

    async def take_back(self, principal: Principal, prototype: Prototype) -> Prototype:
        """Take a prototype out of the bin. One that is in use is returned as it is. Raises `NotNow`.

        It is the product's current one again if the product has no other by now, and a variant otherwise.
        """
        current: Prototype | None = prototype
        for _ in range(MAX_LOSSES):
            if not isinstance(current, TrackedPrototype):
                break
            if current.generation.deletion_requested_at is not None:
                raise NotNow(TOO_LATE)
            if not current.generation.is_in_bin or await self._take_back(principal, current):
                return await self._context.store.get_unscoped(prototype.id) or current
            current = await self._context.store.get_unscoped(prototype.id)
        if current is None:
            raise NotFound(TOO_LATE)
        if isinstance(current, TrackedPrototype):
            raise NotNow(CHANGED_TOO_OFTEN)
        return current

    async def _take_back(self, principal: Principal, prototype: TrackedPrototype) -> bool:
        context = self._context
        now = context.clock()
        event = Event("taken_back", Source.PERSON, now, actor=principal.user_id, status=prototype.status.value)
        entry = AuditEntry.of(principal, Action.TAKEN_BACK, now, prototype.id, product_id=prototype.product_id)

        async def take_slot_and_audit(connection: Connection) -> None:
            await take_free_slot(connection, prototype, now)
            await write(connection, entry)

        after = steps.taken_back(prototype, now, context.timing)
        saved = await context.store.save(prototype, after, event, belongs=take_slot_and_audit)
        if saved is None:
            return False
        context.checkpoint("after_take_back")
        if saved.generation.submission.is_open:
            await context.queue.submit(saved.id, saved.generation.submission.fence)
        elif saved.generation.polling.next_poll_at is not None:
            await context.queue.track(saved.generation.account)
        return True

    async def list(
        self, principal: Principal, limit: int, after: tuple[datetime, str] | None = None
    ) -> tuple[Sequence[TrackedPrototype], tuple[datetime, str] | None]:
        """A page of what waits in the workspace's bin, what goes next first, and the place of the next page."""
        found = await self._context.store.bin.newest_to_go(principal.workspace_id, limit + 1, after)
        rows = found[:limit]
        if len(found) <= limit:
            return rows, None
        last = rows[-1]
        return rows, (last.generation.deletion_due_at or last.updated_at, last.id)

    async def sweep(self) -> int:
        """Copy chats in the bin that have no copy yet, and delete what was there long enough. Returns their number."""
        await self._context.providers.refresh()
        await self._wait_longer_on_older_copy()
        due = await self._context.store.bin.due(self._context.clock())
        refusing: set[str] = set()
        for prototype in due:
            account = prototype.generation.account
            if account in refusing or await self._has_no_call_left(account):
                continue  # It stays due.
            try:
                if not await self._step(prototype):
                    refusing.add(account)
            except Exception as error:  # The others go on all the same.
                log.exception("bin_step_failed", prototype_id=prototype.id)
                await self._retry_later(prototype, f"{type(error).__name__}.")
        return len(due)

    async def _wait_longer_on_older_copy(self) -> None:
        """Let people look first, where what they took back since a copy was made may be in the bin again.

        Once for each time that the database went back; on a start after a long silence, which may be one, for a moment
        only, so that the bin of a server that is often stopped empties, too.
        """
        heartbeat = self._context.heartbeat
        await heartbeat.started()
        if heartbeat.epoch == self._checked_epoch:
            return
        if heartbeat.may_lack_changes:
            pause = self._context.bin_time if heartbeat.is_older_copy else min(self._context.bin_time, AFTER_SILENCE)
            due_at = self._context.clock() + pause
            if number := await self._context.store.bin.wait_longer(due_at):
                log.warning("bin_waits_longer", prototypes=number, until=due_at.isoformat())
        self._checked_epoch = heartbeat.epoch

    async def _has_no_call_left(self, account: str) -> bool:
        """Whether all calls that others leave are made: creates, polls and look-ups have priority."""
        return (await self._budget.allowance(account)).left(Priority.RECENT) == 0

    async def _step(self, prototype: TrackedPrototype) -> bool:
        """Copy the chat, if it is time, and delete it, if it is time. False: the app builder gives out no copy now."""
        context = self._context
        due_at = prototype.generation.deletion_due_at
        is_over = due_at is not None and due_at <= context.clock()
        copied = await self._copy(prototype, must_be_fresh=is_over)
        if copied.is_to_come and steps.may_wait_for_archive(prototype, context.clock()):
            await self._retry_later(prototype, copied.problem)
            return False
        saved = await context.store.save(prototype, copied.recorded(prototype))
        context.checkpoint("after_archived")
        if is_over and saved is not None:
            await self._deleter.end_of_bin(saved)
        return True

    async def _archive_now(self, prototype: TrackedPrototype) -> TrackedPrototype:
        """The prototype, not saved yet, with a copy of its chat if there can be one now: it is deleted at once."""
        await self._context.providers.refresh()
        return (await self._copy(prototype, must_be_fresh=True)).recorded(prototype)

    async def _copy(self, prototype: TrackedPrototype, *, must_be_fresh: bool) -> _Copied:
        """Copy the chat. `must_be_fresh`: a copy that is there counts only if the chat has not changed since."""
        context, generation = self._context, prototype.generation
        serving = context.providers.serving(generation.account, generation.api_version)
        provider = with_census(serving)
        if serving is None:  # A key may be set again, but for a chat that is in no account.
            return _Copied(generation.archive_id, missing_key_message(generation.account), generation.is_account_known)
        if provider is None:
            return _Copied(generation.archive_id, f"{serving.label} gives out no copies.")
        try:
            async with asyncio.timeout(COPY_SECONDS):
                before = (await provider.read_chat(prototype.chat_id or "")).chat.fingerprint
                if generation.archive_id is not None and await self._is_of(prototype, before):
                    return _Copied(generation.archive_id)
                copy = await provider.copy_chat(prototype.chat_id or "")
                if copy.chat.fingerprint != before:  # Somebody changed it meanwhile: it would lack what they did.
                    copy = await provider.copy_chat(prototype.chat_id or "")
            context.checkpoint("after_copy")
            archive = await self._archives.make(
                generation.workspace_id,
                generation.account,
                copy,
                product_id=prototype.product_id,
                mockup_id=prototype.id,
            )
        except ArchiveFault as error:
            return _Copied(generation.archive_id, str(error))
        except ProviderError as error:
            # What "not found" means is decided by the deletion.
            is_to_come = not (must_be_fresh and error.status == 404)
            return _Copied(generation.archive_id, str(error), is_to_come)
        except TimeoutError:
            return _Copied(generation.archive_id, f"{provider.label} took longer than {COPY_SECONDS} s.", True)
        context.checkpoint("after_archive")
        return _Copied(archive.id)

    async def _is_of(self, prototype: TrackedPrototype, fingerprint: str) -> bool:
        """Whether the copy that there is shows the chat as its fingerprint does."""
        generation = prototype.generation
        try:
            kept = await self._archives.copy_of(generation.workspace_id, generation.archive_id or "")
        except (ArchiveFault, NotFound):
            return False
        return kept.chat.fingerprint == fingerprint

    async def _retry_later(self, prototype: TrackedPrototype, problem: str) -> None:
        until = steps.retry_at(prototype, self._context.clock())
        if prototype.generation.hold.code is None:
            log.warning("chat_not_archived", prototype_id=prototype.id, reason=problem)
        await self._context.store.save(prototype, steps.not_archived(prototype, problem, until))
