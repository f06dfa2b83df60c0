"""The messages of a chat, as every provider reports them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat. `created_at` None: the provider does not date it."""

    id: str
    role: str
    content: str
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of a chat, newest first; `whole`: there are no older messages.

    `previous_message_id` names the message or version that the newest finished turn ended with, as
    `Observation.message_id` would.
    """

    messages: Sequence[Message]
    previous_message_id: str | None
    whole: bool

    def newer_than(self, message_id: str) -> Sequence[Message] | None:
        """The messages after one of the chat ("": after its beginning); None: `messages` do not hold that message."""
        ids = [message.id for message in self.messages]
        if message_id in ids:
            return self.messages[: ids.index(message_id)]
        return self.messages if self.whole and not message_id else None

    def answer_to(self, message: Message) -> str | None:
        """The id of the assistant's message right after `message`; None: there is none yet."""
        newer = self.newer_than(message.id)
        return newer[-1].id if newer and newer[-1].role == "assistant" else None
