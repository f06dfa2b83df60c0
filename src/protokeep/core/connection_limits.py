"""How many connections to PostgreSQL one process has open, for how long, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass

#: Connections that a process keeps for as long as it runs, to hear of changes and of jobs.
LISTENING = 2
#: Connections for the statements of the job queue.
FOR_QUEUE = 2
#: The fewest that a process works with: two of them are for the requests of people.
LEAST = LISTENING + FOR_QUEUE + 2


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of one process."""

    #: All connections that the process has open at the most. A small number is faster than a large one: claims wait
    #: for each other's counters, and wait cheaper for a connection than for a lock.
    connections: int = 12
    #: How long a connection may be idle before it is given back to the server.
    idle_seconds: float = 30.0
    #: How long a statement may take. It is less than the lease of a create, so that no process goes on after another
    #: one has taken its rows over.
    statement_seconds: float = 5.5
    #: Whether statements pass through a pooler that hands out another session with every transaction, so that nothing
    #: may be kept in a session.
    through_pooler: bool = False

    @property
    def for_store(self) -> int:
        """The connections that requests and periodic tasks share."""
        return self.connections - LISTENING - FOR_QUEUE

    @property
    def direct(self) -> int:
        """The connections that go past the pooler, where there is one."""
        return LISTENING + FOR_QUEUE
