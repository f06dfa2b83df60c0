"""The requests that an old account is made of: click storms, copies, repeats, and things that only look the same."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from ..generated_content import title_of
from ..state import Account, Api
from .chat import SeededChat
from .labels import Kind, Label, Outcome, Product
from .texts import (
    foreign_prompt,
    make_product,
    make_subject,
    name_with,
    own_prompt,
    renamed,
    retouched,
    template_prompt,
)

_ALPHABET = string.ascii_letters + string.digits
_PRIVACY = ("private", "team", "public", "unlisted", "team-edit")
_PRIVACY_WEIGHTS = (82, 7, 4, 5, 2)
_OUTCOMES: tuple[Outcome, ...] = ("completed", "failed", "waiting")
_OUTCOME_WEIGHTS = (85, 11, 4)
#: Three messages a chat as a rule, so that a report of usage has about as many rows a chat.
_TURNS = (1, 2, 3, 4, 5, 6)
_TURN_WEIGHTS = (20, 22, 24, 17, 10, 7)
_AUTHORS = 60
#: How often each way of `Requests.make` is taken. In `storms` nearly all are clicks too many, a dozen a request.
Profile = Literal["mixed", "storms"]
_WEIGHTS: dict[Profile, tuple[int, ...]] = {
    "mixed": (30, 20, 16, 9, 6, 9, 1, 2, 3, 3, 4, 2, 1),
    "storms": (4, 90, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0),
}
_WORDS_WITH_KEEP = ("Housekeeping", "Bookkeeping", "Timekeeper", "Shopkeeper", "Beekeeping", "Goalkeeper", "Upkeep")
_KEPT_NAMES = ("keep: {}", "{} [keep]", "KEEP {}", "{} - keep")
_SHARED_PROJECTS = ("Experiments", "Client work", "Dashboard drafts", "Old stuff", "Demo day")


@dataclass(frozen=True, slots=True)
class _Request:
    """What somebody asked for. Without a `name` the chat has the title that v0 makes of the prompt."""

    group: int
    prompt: str
    author: str | None
    name: str | None = None
    product: Product | None = None
    project: str | None = None
    trap: str | None = None


class Requests:
    """Makes the chats of one account, request by request. Every draw comes from the seed, the ids from the key too."""

    def __init__(
        self, seed: int, now: datetime, account: Account, api: Api, also_in: Api | None, profile: Profile
    ) -> None:
        self._rng = random.Random(f"seeded account {seed}")
        self._ids = random.Random(f"ids {seed} {account.id} {api}")
        self._profile = profile
        self._now = now
        self._account = account
        self._api = api
        self._also_in = also_in
        self._groups = 0
        self._made: list[tuple[SeededChat, Label]] = []
        self._authors = [None] * _AUTHORS + [f"user_{self._rng.getrandbits(48):012x}" for _ in range(_AUTHORS)]
        self._project_of: dict[str, str | None] = {}
        self.products: list[Product] = []
        self.projects: dict[str, tuple[str, datetime]] = {}  #: name, and the time of the first chat, by id

    def make(self, count: int) -> list[tuple[SeededChat, Label]]:
        """So many chats with their labels, oldest first."""
        kinds: tuple[Callable[[], None], ...] = (
            self._alone, self._clicks, self._copies, self._again, self._foreign, self._empty, self._template_batch,
            self._template, self._sprint, self._twins, self._same_name, self._shared_project, self._word_with_keep,
        )  # fmt: skip
        while len(self._made) < count:
            self._rng.choices(kinds, _WEIGHTS[self._profile])[0]()
        made = sorted(self._made[:count], key=lambda one: one[0].created_at)
        used = {label.product_id for _, label in made}
        self.products = [product for product in self.products if product.id in used]
        return made

    # What people do.

    def _alone(self) -> None:
        self._add(self._ask(), self._some_time())

    def _clicks(self) -> None:
        """A storm of clicks: the same author, prompt and name within seconds."""
        request, at = self._ask(), self._some_time()
        self._add(request, at)
        clicks = min(1 + int(self._rng.expovariate(0.5)), 11)
        if self._profile == "storms":
            clicks += self._rng.randint(6, 20)
        for _ in range(clicks):
            at += timedelta(seconds=self._rng.uniform(0.2, 6))
            self._add(request, at, "click")

    def _copies(self) -> None:
        """Copies with near-equal prompts and names, by the same person or another one."""
        request, at = self._ask(named=0.7), self._some_time(low=30)
        self._add(request, at)
        for _ in range(self._rng.randint(1, 3)):
            at = self._later(at)
            name = renamed(self._rng, request.name or title_of(request.prompt))
            author = request.author if self._rng.random() < 0.6 else self._author()
            prompt = retouched(self._rng, request.prompt)
            self._add(replace(request, prompt=prompt, name=name, author=author), at, "copy")

    def _again(self) -> None:
        """The same prompt, byte for byte, sent again later."""
        request, at = self._ask(), self._some_time(low=30)
        self._add(request, at)
        for _ in range(self._rng.randint(1, 3)):
            at = self._later(at)
            self._add(replace(request, author=self._author()), at, "again")

    def _foreign(self) -> None:
        """A request in another script, at times with a click too many."""
        name, prompt = foreign_prompt(self._rng)
        request, at = _Request(self._new_group(), prompt, self._author(), name), self._some_time()
        self._add(request, at)
        if self._rng.random() < 0.3:
            self._add(request, at + timedelta(seconds=2), "click")

    def _empty(self) -> None:
        """A chat without a prompt and a version, which belongs to nothing."""
        name = self._rng.choice(("Untitled", "New Chat", None))
        self._add(_Request(self._new_group(), "", self._author(), name), self._some_time(), outcome="empty")

    # What only looks the same. Every chat of a trap is a group of its own.

    def _template_batch(self) -> None:
        """One template for several products by one person within seconds: v0 gives all of them the same title."""
        author, at, template = self._author(), self._some_time(), self._rng.randrange(3)
        for _ in range(self._rng.randint(3, 6)):
            product = self._product(reused=0)
            prompt = template_prompt(template, product.name)
            self._trap("template batch", at, _Request(0, prompt, author, None, product))
            at += timedelta(seconds=self._rng.uniform(0.5, 8))

    def _template(self) -> None:
        """One template for several products, weeks apart."""
        template = self._rng.randrange(3)
        for _ in range(self._rng.randint(2, 4)):
            product = self._product(reused=0)
            prompt = template_prompt(template, product.name)
            self._trap("template", self._some_time(), _Request(0, prompt, self._author(), product.name, product))

    def _sprint(self) -> None:
        """One person asks for different things within seconds."""
        author, at = self._author(), self._some_time()
        for _ in range(self._rng.randint(2, 5)):
            self._trap("sprint", at, replace(self._ask(named=0.2), author=author))
            at += timedelta(seconds=self._rng.uniform(1, 15))

    def _twins(self) -> None:
        """Products whose names differ in a number alone."""
        author, base = self._author(), self._product(reused=0).name
        for year in self._rng.sample(range(2019, 2026), 2):
            name = f"{base} {year}"
            product = Product(name.lower().replace(" ", "-"), name)
            self.products.append(product)
            prompt = own_prompt(self._rng, name)
            self._trap("twins", self._some_time(), _Request(0, prompt, author, name, product))

    def _same_name(self) -> None:
        """Different requests for one product under its name, by one person, minutes or weeks apart."""
        author, product, at = self._author(), self._product(), self._some_time(low=30)
        for part in self._rng.sample(("the landing page", "the administration", "the phone app", "the reports"), 2):
            prompt = own_prompt(self._rng, f"{part} of {product.name}")
            self._trap("same name", at, _Request(0, prompt, author, product.name, product))
            at = at + timedelta(seconds=self._rng.uniform(20, 110)) if self._rng.random() < 0.4 else self._later(at)

    def _shared_project(self) -> None:
        """Unrelated requests in one v0 project."""
        project = self._new_project(self._rng.choice(_SHARED_PROJECTS))
        for _ in range(self._rng.randint(2, 5)):
            self._trap("shared project", self._some_time(), replace(self._ask(), project=project))

    def _word_with_keep(self) -> None:
        """A name in which `keep` is a part of a word."""
        name = name_with(self._rng, self._rng.choice(_WORDS_WITH_KEEP))
        prompt = own_prompt(self._rng, name)
        self._trap("keep in a word", self._some_time(), _Request(0, prompt, self._author(), name))

    # Parts of a request.

    def _ask(self, named: float = 0.45) -> _Request:
        """A new request, for a product as a rule; `named` is the share that has a name of its own."""
        rng = self._rng
        product = None if rng.random() < 0.35 else self._product()
        subject = product.name if product else make_subject(rng)
        name: str | None = None
        if rng.random() < named:
            name = subject.removeprefix("a ").capitalize() if product is None else subject
            if product is not None and rng.random() < 0.3:
                name = rng.choice((f"{product.name} ({product.id})", f"{product.id} prototype", f"{product.id}"))
        project = self._project(product) if product is not None else None
        return _Request(self._new_group(), own_prompt(rng, subject), self._author(), name, product, project)

    def _product(self, reused: float = 0.2) -> Product:
        """A product; `reused` is the share of those that were asked for before."""
        if self.products and self._rng.random() < reused:
            return self._rng.choice(self.products)
        product = make_product(self._rng, len(self.products))
        self.products.append(product)
        return product

    def _project(self, product: Product) -> str | None:
        """The v0 project of a product's chats: its name tells the product's id, or a part of it, as a rule."""
        if product.id not in self._project_of:
            names = (f"V0 Project {product.id[:8]}", f"{product.name} - {product.id}", product.name)
            name = self._rng.choices((*names, None), (25, 8, 7, 60))[0]
            self._project_of[product.id] = None if name is None else self._new_project(name)
        return self._project_of[product.id] if self._rng.random() < 0.9 else None

    def _new_project(self, name: str) -> str:
        identity = self._new_id()
        self.projects[identity] = (name, self._now)
        return identity

    def _author(self) -> str | None:
        return self._rng.choice(self._authors)  # One half is the account's own user.

    def _new_group(self) -> int:
        self._groups += 1
        return self._groups

    def _new_id(self) -> str:
        return "".join(self._ids.choices(_ALPHABET, k=11))

    def _some_time(self, low: float = 0.5) -> datetime:
        """A time up to two years ago; one of eight lies within the last 35 days."""
        young = low < 35 and self._rng.random() < (0.12 if self._profile == "mixed" else 0)
        days = self._rng.uniform(low, 35) if young else self._rng.uniform(max(low, 35), 720)
        return self._now - timedelta(days=days)

    def _later(self, at: datetime) -> datetime:
        """A time after `at`, and at least half a day ago."""
        return at + (self._now - timedelta(days=0.5) - at) * self._rng.uniform(0.02, 0.5)

    def _trap(self, trap: str, at: datetime, request: _Request) -> None:
        self._add(replace(request, group=self._new_group(), trap=trap), at)

    # The chat.

    def _add(self, request: _Request, at: datetime, kind: Kind = "first", *, outcome: Outcome | None = None) -> None:
        """Make the chat of a request, with what else people and v0 do to a chat."""
        rng = self._rng
        outcome = outcome or rng.choices(_OUTCOMES, _OUTCOME_WEIGHTS)[0]
        turns = {"empty": 0, "waiting": 1}.get(outcome, rng.choices(_TURNS, _TURN_WEIGHTS)[0])
        name, metadata, keep = self._marks(request)
        named = {"name" if self._api == "v1" else "title": name} if name is not None else {}
        project = request.project if "v1" in (self._api, self._also_in) else None
        chat = SeededChat(
            turns=turns,
            outcome=outcome,
            id=self._new_id(),
            api=self._api,
            also_in=self._also_in,
            account=self._account.id,
            message=request.prompt,
            created_at=at,
            changed_at=self._changed_at(at),
            listed_at=at,
            sequence=0,
            **{"title": title_of(request.prompt) if request.prompt else None, **named},
            author_id=request.author,
            metadata=metadata,
            project_id=project,
            **self._standing(request.author),
        )
        self._note_project(project, at)
        product = request.product.id if request.product else None
        label = Label(chat.id, request.group, product, kind, outcome, keep, request.trap)
        self._made.append((chat, label))

    def _marks(self, request: _Request) -> tuple[str | None, dict[str, str], bool]:
        """The name, the metadata, and whether one of them says that somebody wants to keep the chat."""
        draw = self._rng.random()
        if self._profile == "storms":
            return request.name, {}, False
        if draw < 0.008:
            name = request.name or title_of(request.prompt)
            return self._rng.choice(_KEPT_NAMES).format(name), {}, True
        if draw < 0.016:
            return request.name, {"keep": self._rng.choice(("yes", "true", "please"))}, True
        if draw < 0.05:
            return request.name, {"environment": "production", "team": "growth"}, False
        return request.name, {}, False

    def _standing(self, author: str | None) -> dict[str, Any]:
        """Who may see and change the chat, and what it is linked to. In `storms` nobody has touched it."""
        rng = self._rng
        if self._profile == "storms":
            return {}
        return {
            "privacy": rng.choices(_PRIVACY, _PRIVACY_WEIGHTS)[0],
            "vercel_project_id": f"prj_{rng.getrandbits(64):016x}" if rng.random() < 0.02 else None,
            "favorite": rng.random() < 0.03,
            "forbidden": author is not None and rng.random() < 0.01,
            "writable": author is None or rng.random() < 0.95,
        }

    def _changed_at(self, at: datetime) -> datetime:
        """The time of creation; for a few old chats a time of the last weeks."""
        if self._rng.random() < (0.03 if self._profile == "mixed" else 0):
            return max(at, self._now - timedelta(days=self._rng.uniform(0.1, 25)))
        return at

    def _note_project(self, project: str | None, at: datetime) -> None:
        if project is not None:
            name, first = self.projects[project]
            self.projects[project] = (name, min(first, at))
