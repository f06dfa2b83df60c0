"""Other people at work on an account while a client reads it: they make, delete, rename, share and edit chats."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .backend import Backend
from .generated_content import title_of
from .knobs import EditKind, Knobs
from .state import Account, Api, Chat


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit by another person. It was made before the client's request of the number `before` acted.

    An edit by the knob is made right before that request. A test's own is made before the next one, at the earliest.
    """

    kind: EditKind
    chat_id: str
    api: Api
    before: int
    at: datetime


class People:
    """Makes edits: one when asked for, or one before every n-th request, as the knob `edit_every` says."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._requests: Counter[str] = Counter()
        self.edits: list[Edit] = []

    def before_request(self, account: Account, api: Api, now: datetime, knobs: Knobs) -> None:
        """Edit one of the account's chats if it is time to. The seed and the number of the edit decide which."""
        if not knobs.edit_every:
            return
        self._requests[account.id] += 1
        if self._requests[account.id] % knobs.edit_every:
            return
        rng = random.Random(f"{knobs.edit_seed}:{len(self.edits)}")
        kind = rng.choice(knobs.edit_kinds)
        chats = list(account.chats[api].values())
        if kind == "create":
            self._create(account, api, now, knobs, rng)
        elif chats:
            self.edit(rng.choice(chats), kind, now, knobs)

    def edit(self, chat: Chat, kind: EditKind, now: datetime, knobs: Knobs) -> Edit:
        """Edit a chat that exists. Raises ValueError for `create`."""
        number = len(self.edits)
        backend = self._backend
        if kind == "create":
            raise ValueError("create: makes a new chat, and edits none")
        if kind == "delete":
            backend.delete_chat(chat, now)
        elif kind == "favorite":
            chat.favorite = not chat.favorite
        elif kind == "write":
            backend.add_turn(chat, now, knobs, f"Please change the colours, number {number}.")
        elif kind == "link":
            chat.vercel_project_id = f"prj_{number:024d}"
            backend.change_chat(chat, now, {})
        else:
            title = f"{chat.shown_name or 'Untitled'} {number}"
            changes: dict[EditKind, dict[str, Any]] = {
                "rename": {"title": title},
                "share": {"privacy": "team"},
                "keep": {"metadata": {"keep": "yes"}},
            }
            backend.change_chat(chat, now, changes[kind])
        return self._told(kind, chat, now)

    def _create(self, account: Account, api: Api, now: datetime, knobs: Knobs, rng: random.Random) -> None:
        prompt = f"A page that somebody else wanted, number {rng.randrange(10**9)}"
        title = title_of(prompt)
        chat = self._backend.create_chat(account, api, now, knobs, message=prompt, title=title, author_id="user_mate")
        self._backend.add_turn(chat, now, knobs, prompt)
        self._told("create", chat, now)

    def _told(self, kind: EditKind, chat: Chat, now: datetime) -> Edit:
        edit = Edit(kind, chat.id, chat.api, self._backend.requests_made, now)
        self.edits.append(edit)
        return edit
