"""The theme of a made-up prototype: the same for its page and its picture, another for the next chat."""

from __future__ import annotations

from dataclasses import dataclass

from ..generated_content import number_of, title_of
from ..state import Chat

LAYOUTS = ("dashboard", "landing", "shop", "board", "table", "form")

_WORDS = {
    "dashboard": ("dashboard", "analytics", "metric", "report", "chart", "monitor"),
    "landing": ("landing", "homepage", "marketing", "launch", "website", "portfolio"),
    "shop": ("shop", "store", "product", "catalog", "recipe", "gallery", "menu", "booking"),
    "board": ("board", "kanban", "task", "todo", "to-do", "planner", "project", "roadmap"),
    "table": ("table", "list", "crm", "inbox", "admin", "invoice", "directory", "tracker"),
    "form": ("form", "survey", "signup", "sign-up", "checkout", "onboarding", "wizard", "login"),
}

#: Accent color, its pale variant, and its soft background.
_ACCENTS = (
    ("#2f6fed", "#cfe0ff", "#eaf1ff"),
    ("#0f8f7a", "#c2efe6", "#e6f7f3"),
    ("#c2410c", "#ffdcc7", "#fff1e8"),
    ("#7c3aed", "#e1d3ff", "#f3edff"),
    ("#be185d", "#fccfe2", "#fdeaf3"),
    ("#4d7c0f", "#dcedb9", "#f1f8e2"),
    ("#0369a1", "#c3e6f9", "#e5f4fc"),
    ("#a16207", "#f6e2a8", "#fcf5dd"),
)

_NAMES = (
    "Aurora",
    "Beacon",
    "Cedar",
    "Delta",
    "Ember",
    "Fjord",
    "Grove",
    "Harbor",
    "Indigo",
    "Juniper",
    "Kestrel",
)


@dataclass(frozen=True)
class Theme:
    """The values that the page and the picture are drawn from."""

    title: str
    prompt: str
    layout: str
    accent: str
    pale: str
    soft: str
    seed: int

    def pick(self, *detail: object) -> int:
        """A large number for a detail, the same every time."""
        return number_of(self.seed, *detail)

    def name(self, *detail: object) -> str:
        """A made-up name for a detail."""
        return _NAMES[self.pick("name", *detail) % len(_NAMES)]

    def share(self, *detail: object) -> int:
        """A percentage from 22 to 97 for a detail."""
        return 22 + self.pick("share", *detail) % 76


def theme_of(chat: Chat) -> Theme:
    """The theme of a chat, derived from its id and its newest prompt."""
    prompts = (one.content for one in reversed(chat.messages) if one.role == "user" and one.kind == "message")
    prompt = next(prompts, "") or chat.message
    seed = number_of(chat.id, prompt)
    lowered = prompt.lower()
    named = (layout for layout in LAYOUTS if any(word in lowered for word in _WORDS[layout]))
    layout = next(named, LAYOUTS[seed % len(LAYOUTS)])
    accent, pale, soft = _ACCENTS[(seed >> 8) % len(_ACCENTS)]
    title = chat.name or chat.title or title_of(prompt)
    return Theme(title, prompt, layout, accent, pale, soft, seed)
