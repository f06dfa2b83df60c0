"""What admins set for their workspace. What nobody has set there is as the process is set up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from protokeep.core.audit import Action, AuditEntry
from protokeep.core.errors import NotAllowed
from protokeep.core.principals import Principal, Role
from protokeep.core.similar import UnclearProductRule
from protokeep.core.ttl_cache import TtlCache
from protokeep.service.heartbeat import Clock
from protokeep.store.workspace_settings import WorkspaceSettingsStore

#: How long a setting is remembered, so that a storm of requests does not read it for each. Another process that
#: changes it is followed after this.
REMEMBERED_FOR = timedelta(seconds=1)
CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class UnclearProducts:
    """What happens to requests for unclear products. `chosen` None: no admin chose, and the process's rule counts."""

    rule: UnclearProductRule
    chosen: UnclearProductRule | None


class WorkspaceSettings:
    """Reads and sets the settings of workspaces."""

    def __init__(self, store: WorkspaceSettingsStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._chosen: TtlCache[str, tuple[UnclearProductRule | None]] = TtlCache(clock, REMEMBERED_FOR, CACHE_SIZE)

    async def unclear_products(self, workspace_id: str, default: UnclearProductRule) -> UnclearProducts:
        """What counts in a workspace; `default`: the rule of the process."""
        remembered = self._chosen.get(workspace_id)
        if remembered is None:
            remembered = (await self._store.unclear_product(workspace_id),)
            self._chosen.put(workspace_id, remembered)
        chosen = remembered[0]
        return UnclearProducts(chosen or default, chosen)

    async def set_unclear_products(self, by: Principal, rule: UnclearProductRule | None) -> None:
        """Choose a rule for the workspace of `by`, or (None) let that of the process count. Raises `NotAllowed`."""
        if not by.role.covers(Role.ADMIN):
            raise NotAllowed("Only an admin changes the settings of the workspace.")
        value = "default" if rule is None else rule.value
        entry = AuditEntry.of(by, Action.SETTING_CHANGED, self._clock(), "unclear_product", value=value)
        await self._store.save(by.workspace_id, rule, entry)
        self._chosen.discard(by.workspace_id)
