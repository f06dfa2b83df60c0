"""Kinds of trouble, one module each. Importing this package enters all of them."""

from adversary.scenarios import (
    absence,
    answers,
    clocks,
    copies,
    deletions,
    disks,
    failovers,
    follow_ups,
    hooks,
    lookups,
    marks,
    partitions,
    pauses,
    poison,
    walks,
)

__all__ = [
    "absence",
    "answers",
    "clocks",
    "copies",
    "deletions",
    "disks",
    "failovers",
    "follow_ups",
    "hooks",
    "lookups",
    "marks",
    "partitions",
    "pauses",
    "poison",
    "walks",
]
