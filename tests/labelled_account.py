"""Accounts with thousands of chats, made from a seed, of which it is known which chats are the same request.

One comes from the sandbox, as its lists would show it. The other is made here, and holds what happens and what
misleads: click storms, the same request days later, edited prompts, copies, one author for everybody, titles that say
nothing, one template for many products, products' names in others' prompts, projects that hold everything, prompts of
one word, and scripts without blanks.
"""

from __future__ import annotations

import random
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import combinations
from typing import Literal

from factories import NOW
from protokeep.core.census import CensusChat, ChatContent, ChatGroup, ChatRecord, KnownProduct
from protokeep.core.chat_links import AUTOMATIC
from protokeep.core.grouping import group_chats
from protokeep.core.prompt_choice import prompts_to_read
from protokeep.sandbox import Sandbox, seed_account
from protokeep.sandbox.state import Chat

FIRMS = (
    *("Acme", "Globex", "Initech", "Umbrella", "Hooli", "Vandelay", "Stark"),
    *("Wayne", "Cyberdyne", "Tyrell", "Wonka", "Soylent", "Aperture", "Oscorp"),
)
THINGS = (
    *("Checkout", "Billing", "Roster", "Ledger", "Inbox", "Planner", "Catalog"),
    *("Tracker", "Wallet", "Survey", "Kiosk", "Roadmap", "Helpdesk", "Depot"),
)
GENERIC = ("Dashboard", "Landing page", "Admin panel", "Untitled", "Login form")
TEMPLATE = (
    "Design a modern, accessible web application for {}. It has a home page with the most important numbers, a list "
    "with search and filters, a page for each entry with its history, settings for the team, dark and light mode, and "
    "works on phones. Use shadcn components, keep the texts short, show empty states, and explain every error."
)
HAN = "为团队设计一个简洁的任务看板页面支持拖拽筛选搜索通知权限报表导出登录注册支付订单库存客户合同日历地图图表"


@dataclass
class LabelledAccount:
    """Records without prompts, the prompts as reading would find them, and which request each chat is."""

    records: list[ChatRecord] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    products: list[KnownProduct] = field(default_factory=list)
    projects: dict[str, str] = field(default_factory=dict)
    made_for: dict[str, str | None] = field(default_factory=dict)  #: the id of the product of each chat

    def read(self, chat_ids: Iterable[str]) -> list[ChatRecord]:
        """The records after these prompts were read."""
        known = set(chat_ids)
        return [
            replace(record, prompt=self.prompts[record.chat.chat_id]) if record.chat.chat_id in known else record
            for record in self.records
        ]

    def grouped(self, most: int) -> tuple[list[ChatGroup], list[str]]:
        """The groups as a census makes them: by names, then with at most so many prompts; and the chats it read."""
        chosen = prompts_to_read(
            self.records, group_chats(self.records, self.products, self.projects), most, self.products
        )
        return group_chats(self.read(chosen), self.products, self.projects), chosen


def sandbox_account(seed: int, chats: int = 4000, api: Literal["v1", "v2"] = "v1") -> LabelledAccount:
    """The seeded account of the sandbox; v2 has no projects, and its lists do not tell what a chat holds."""
    sandbox = Sandbox(lambda: NOW)
    truth = seed_account(sandbox, "key", chats=chats, seed=seed, api=api)
    contents = {chat_id: _CONTENTS[label.outcome] for chat_id, label in truth.labels.items()}
    [account] = sandbox.backend.accounts.values()
    return LabelledAccount(
        [_record(chat, contents[chat.id] if api == "v1" else ChatContent.UNTOLD) for chat in sandbox.chats.values()],
        {chat.id: chat.message for chat in sandbox.chats.values()},
        {chat_id: str(label.group) for chat_id, label in truth.labels.items()},
        [KnownProduct(product.id, product.name) for product in truth.products],
        {project.id: project.name for project in account.projects.values()},
        {chat_id: label.product_id for chat_id, label in truth.labels.items()},
    )


_CONTENTS = {
    "completed": ChatContent.FINISHED,
    "failed": ChatContent.FAILED,
    "waiting": ChatContent.GENERATING,
    "empty": ChatContent.EMPTY,
}


def _record(chat: Chat, content: ChatContent) -> ChatRecord:
    return ChatRecord(
        CensusChat(
            chat.id,
            1 if chat.api == "v1" else 2,
            content,
            name=chat.shown_name or "",
            author_id=chat.author_id or "owner",
            created_at=chat.created_at,
            updated_at=chat.changed_at,
            project_id=chat.project_id,
            vercel_project_id=chat.vercel_project_id,
        )
    )


def labelled_account(seed: int, products: int = 150, chats: int = 1500) -> LabelledAccount:
    """The account of a seed; the same seed gives the same account."""
    return _Maker(random.Random(seed)).make(products, chats)


class _Maker:
    def __init__(self, dice: random.Random) -> None:
        self.dice, self.account = dice, LabelledAccount()
        consonants, vowels = "bcdfghklmnprstvw", "aeiou"
        self.words = [
            "".join(dice.choice(consonants) + dice.choice(vowels) for _ in range(n % 3 + 1)) for n in range(900)
        ]
        self.people = [f"user-{n}" for n in range(25)]

    def make(self, products: int, chats: int) -> LabelledAccount:
        names = [f"{firm} {thing}" for firm in FIRMS for thing in THINGS]
        for name in self.dice.sample(names, products):
            product_id = str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
            self.account.products.append(KnownProduct(product_id, name))
            self.account.projects[f"p-{product_id}"] = f"V0 Project {product_id[:8]}"
        self.account.projects["everything"] = "My things"
        wishes = {product.product_id: self._prompt(str(product.name)) for product in self.account.products}
        while len(self.account.records) < chats:
            product = self.dice.choice(self.account.products)
            self._burst(product, wishes[product.product_id])
        self._tests()
        self.dice.shuffle(self.account.records)
        return self.account

    def _prompt(self, name: str) -> str:
        kind = self.dice.random()
        if kind < 0.4:
            return TEMPLATE.format(name)
        if kind < 0.5:
            return "".join(self.dice.choices(HAN, k=self.dice.randint(12, 80)))
        text = self.dice.choices(self.words, k=self.dice.randint(8, 90))
        if kind < 0.6:  # It names another product.
            text.insert(3, f"like {self.dice.choice(self.account.products).name}")
        return " ".join(text)

    def _burst(self, product: KnownProduct, prompt: str) -> None:
        """Clicks on one product: one, or a storm within two minutes; the prompt as it is, or edited."""
        dice = self.dice
        if dice.random() < 0.25:
            place = dice.randrange(len(prompt.split()) + 1)
            prompt = " ".join([*prompt.split()[:place], dice.choice(self.words), *prompt.split()[place:]])
        author = "service" if dice.random() < 0.4 else dice.choice(self.people)
        # Everybody clicks in the same few hours: other products' chats stand between those of a storm.
        began = NOW - timedelta(days=dice.randint(1, 40), seconds=dice.randint(0, 900))
        title = dice.choice(GENERIC) if dice.random() < 0.3 else f"{product.name} {dice.choice(('app', 'site', 'UI'))}"
        project = dice.choice((None, None, "everything", f"p-{product.product_id}"))
        for n in range(dice.choice((1, 1, 2, 3, 8))):
            name = f"{title} (copy)" if n and dice.random() < 0.15 else title
            made = began + timedelta(seconds=n * dice.randint(0, 12))
            self._chat(product.product_id, prompt, name, author, made, project)

    def _tests(self) -> None:
        """Everybody tries the app builder with the same word, each for themselves."""
        for n, person in enumerate(self.people):
            self._chat(f"trial of {person}", "test", "Test", person, NOW - timedelta(days=2, seconds=n), None)

    def _chat(self, label: str, prompt: str, name: str, author: str, made: datetime, project: str | None) -> None:
        chat_id = f"c{len(self.account.records):05}-{self.dice.getrandbits(32):08x}"
        chat = CensusChat(
            chat_id, 1, ChatContent.FINISHED, name=name, author_id=author, created_at=made, project_id=project
        )
        self.account.records.append(ChatRecord(chat))
        self.account.prompts[chat_id], self.account.labels[chat_id] = prompt, label


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the pairs that were grouped are right, and how many of the right ones were grouped."""

    precision: float
    recall: float
    wrong: tuple[tuple[str, str], ...]


def score(groups: Iterable[ChatGroup], labels: dict[str, str], least: float) -> Score:
    """The score of all pairs that are grouped with a confidence of `least` or more."""
    pairs: set[tuple[str, str]] = set()
    for group in groups:
        parts = [group.chat_ids] if group.confidence >= least else []
        parts += group.copies if least <= AUTOMATIC else []
        pairs.update(pair for part in parts for pair in combinations(sorted(part), 2))
    wrong = tuple(sorted(pair for pair in pairs if labels[pair[0]] != labels[pair[1]]))
    sizes: dict[str, int] = defaultdict(int)
    for label in labels.values():
        sizes[label] += 1
    right = sum(size * (size - 1) // 2 for size in sizes.values())
    found = len(pairs) - len(wrong)
    return Score(found / max(len(pairs), 1), found / max(right, 1), wrong)
