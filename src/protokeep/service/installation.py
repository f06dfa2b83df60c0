"""What an installation knows about itself: whose secret it goes by, and whether it was made from a copy of another."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

from protokeep.core import submission
from protokeep.core.audit import ITSELF
from protokeep.core.errors import DatabaseBusy, NotConfigured, NotNow, ProviderRejected
from protokeep.core.events import Event, Source
from protokeep.service.chat_metadata import Signer
from protokeep.service.context import Context
from protokeep.store.installation import FORKED_FROM, INSTALLATION_ID, SECRET_MARK, InstallationStore

#: Later than any request is due.
AT_LAST = timedelta(days=3650)
#: A process leaves a beat every three seconds.
BEAT_IS_ALIVE = timedelta(seconds=10)


class OtherSecret(NotConfigured):
    """The database was made with another secret: no token counts, no key opens, no mark of a chat is ours."""

    def __init__(self) -> None:
        super().__init__(
            "This database was made with another secret. Set PROTOKEEP_SECRET_KEY to that one, or restore the file "
            "`.secret` that belongs beside the database; if it is lost, run `protokeep accept-secret`."
        )


async def require_secret(store: InstallationStore, signer: Signer, *, leaves_mark: bool = True) -> None:
    """Compare the secret with the mark in the database, which the first start leaves. Raises `OtherSecret`."""
    known = await store.read(SECRET_MARK)
    if known is not None and known != signer.mark:
        raise OtherSecret
    if known is None and leaves_mark:
        with contextlib.suppress(DatabaseBusy):  # A read-only database is read all the same.
            await store.save({SECRET_MARK: signer.mark})


async def accept_secret(store: InstallationStore, signer: Signer) -> bool:
    """Let the database be the one of this secret from now on. False: it is already."""
    if await store.read(SECRET_MARK) == signer.mark:
        return False
    await store.save({SECRET_MARK: signer.mark})
    return True


class ForkGuard:
    """Implements `providers.of_fork.ChatGuard`: a chat is of the installation that its signed metadata name."""

    def __init__(self, store: InstallationStore, signer: Signer) -> None:
        self._store = store
        self._signer = signer
        self._is_fork: bool | None = None

    async def is_fork(self) -> bool:
        if self._is_fork is None:  # It stays so: no process is at work while a copy becomes a fork.
            self._is_fork = await self._store.read(FORKED_FROM) is not None
        return self._is_fork

    async def is_own(self, metadata: Mapping[str, str]) -> bool:
        own = await self._store.read(INSTALLATION_ID)
        return self._signer.has_signed(metadata) and metadata.get("protokeep") == own


async def fork(context: Context) -> tuple[str, str, int]:
    """Make an installation of its own of this database, which is a copy.

    From here on it makes chats under an id of its own, takes back none of the original's, and changes none. Requests
    that were under way when the copy was made are the original's, and fail here. Returns (the original's id, the new
    id, how many requests failed). Raises `NotNow` while a process is at work on the copy.
    """
    now = context.clock()
    reading = await context.store.processes.read(context.owner, now, "")
    if any(beat.beat_at > now - BEAT_IS_ALIVE for beat in reading.beats):
        raise NotNow("A process is at work on this database. Stop every `serve` and `worker`, and wait ten seconds.")
    ended = 0
    while due := await context.store.due_for_submit(context.clock() + AT_LAST):
        done = sum([await _end_request(context, mockup_id) for mockup_id, _, _ in due])
        if not done:
            break
        ended += done
    installation_id = str(uuid4())
    original = await context.store.installation_values.fork(installation_id, context.clock())
    return original, installation_id, ended


async def _end_request(context: Context, mockup_id: str) -> bool:
    prototype = await context.store.get_unscoped(mockup_id)
    if prototype is None or not prototype.generation.submission.is_open:
        return False
    now = context.clock()
    error = ProviderRejected("This was under way in the installation that this one was copied from.", code="forked")
    after = submission.refused(prototype, error, now)
    event = Event("status", Source.SWEEP, now, actor=ITSELF, status=after.status.value, data={"code": "forked"})
    return await context.store.save(prototype, after, event) is not None
