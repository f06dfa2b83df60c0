"""A chat that is made from a seed. Its messages and files are made when somebody reads them."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from ..knobs import FinishReason
from ..state import Chat, Generation, Message
from .labels import Outcome

_TURN = timedelta(minutes=10)
_GENERATION = timedelta(seconds=40)
_REASONS: dict[Outcome, FinishReason] = {"completed": "stop", "failed": "error", "waiting": "tool-calls"}
_FOLLOW_UPS = (
    "Make the header smaller.",
    "Use our colours, please.",
    "Add a page for settings.",
    "The table should sort by date.",
    "It should work on a phone too.",
)
_LINES = (
    "const total = rows.reduce((sum, row) => sum + row.amount, 0)",
    'export const title = "Übersicht, 概要"',
    "  return <section className='grid gap-4'>{children}</section>",
    "// TODO: ask whether this is still wanted",
    'import { Card } from "@/components/ui/card"',
    "",
    '  const [open, setOpen] = useState<Record<string, boolean>>({ "ключ": true })',
)


class SeededChat(Chat):
    """A chat of so many turns, of which the last one ended as `outcome` says. An empty chat has no turn."""

    __slots__ = ("_begun_from", "_written", "outcome", "turns")

    def __init__(self, *, turns: int, outcome: Outcome, **fields: Any) -> None:
        super().__init__(**fields)
        self.turns = turns
        self.outcome = outcome
        self._written: list[Message] | None = None
        self._begun_from: dict[str, str | bytes] | None = None

    @property
    def messages(self) -> list[Message]:
        """The messages, oldest first. They are kept from the first reading on, since others may add to them."""
        if self._written is None:
            self._written = list(self._write())
        return self._written

    @messages.setter
    def messages(self, messages: list[Message]) -> None:
        self._written = messages

    @property
    def files(self) -> dict[str, str | bytes]:
        """The files: the same at every reading, and not kept."""
        return files_of_seed(self.id) if self._begun_from is None else self._begun_from

    @files.setter
    def files(self, files: dict[str, str | bytes]) -> None:
        self._begun_from = files

    def _write(self) -> list[Message]:
        rng = random.Random(self.id)
        messages: list[Message] = []
        for turn in range(self.turns):
            at = self.created_at + turn * _TURN
            text = self.message if turn == 0 else rng.choice(_FOLLOW_UPS)
            reason = _REASONS[self.outcome] if turn == self.turns - 1 else "stop"
            name = f"{self.id}{turn:02d}"
            generation = Generation(reason, at + _GENERATION, f"{name}v", at, announced=True)
            # Numbers below zero stand before those of all messages that are sent later.
            number = 2 * (turn - self.turns)
            messages.append(Message(f"{name}u", self.id, "user", text, at, number))
            messages.append(Message(f"{name}a", self.id, "assistant", "", at, number + 1, generation=generation))
        return messages


def files_of_seed(seed: str) -> dict[str, str | bytes]:
    """The files of a chat: a few as a rule, at times more than 20, with what archives get wrong.

    Among them are empty files, line ends of Windows, other scripts, a last line without an end, and a picture.
    """
    rng = random.Random(f"files of {seed}")
    count = 24 if rng.random() < 0.03 else rng.randint(2, 7)
    files: dict[str, str | bytes] = {"app/page.tsx": _code(rng)}
    for number in range(1, count):
        files[f"components/{rng.choice(('card', 'table', 'chart', 'форма'))}-{number}.tsx"] = _code(rng)
    if rng.random() < 0.05:
        files["public/logo.png"] = b"\x89PNG\r\n\x1a\n" + rng.randbytes(300)
    return files


def _code(rng: random.Random) -> str:
    if rng.random() < 0.03:
        return ""
    ending = "\r\n" if rng.random() < 0.1 else "\n"
    text = ending.join(rng.choices(_LINES, k=rng.randint(5, 60)))
    return text + rng.choice((ending, ""))
