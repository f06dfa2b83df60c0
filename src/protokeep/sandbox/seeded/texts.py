"""Names, prompts and their variations, drawn from a seed."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

from .labels import Product


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split("|"))


_FIRST = _words(
    """
    Acme Harbor Nimbus Orchid Quartz Falcon Cedar Atlas Maple Comet Lumen Birch Delta Ember Frost Garnet Indigo
    Juniper Kestrel Lagoon Meadow Nova Opal Pebble Raven Sable Tundra Umber Velvet Willow Zephyr Aurora Basalt
    Cobalt Dune
    """
)
_THING = _words(
    """
    Checkout Invoice Order Ticket Fleet Patient Course Recipe Donor Claims Booking Roster Warehouse Lead Grant
    Survey Expense Payroll Menu Parcel Permit Contract Garden Library Studio Clinic Meter Safety Vendor Tenant
    """
)
_FORM = _words(
    """
    Desk Tracker Portal Board Planner Console Hub Register Viewer Assistant Deck Monitor
    """
)
_SORT = _words("small quick internal public weekly regional simple mobile shared quiet seasonal central daily first")
_WHO = _words(
    """
    nurses drivers teachers tenants cashiers planners auditors volunteers buyers clerks engineers students agents
    managers dispatchers curators
    """
)
_DO = _phrases(
    """
    filter by region | approve several at once | print a label | attach a photo | compare two weeks | assign a
    colleague | export to a spreadsheet | leave a note | see what is late | undo the last step | split an amount |
    scan a code | schedule a visit | merge duplicates | rate an answer | pin a row | search by number | draw a route
    | set a reminder | lock a period | hand over a case | sort by cost | archive old entries | invite a guest
    """
)
_LOOK = _phrases(
    """
    Use a calm layout with one accent colour. | Keep it dense, people work in it all day. | It has to work on a
    tablet. | Dark mode first. | Show empty states with a short hint. | Use cards, no tables. | A timeline on the
    left, details right. | Large buttons, it is used with gloves. | Charts only where a number is not enough. |
    Accessible by keyboard throughout.
    """
)
_SCRIPTS = (
    ("在庫管理画面", "注文一覧", "予約カレンダー", "検索できる", "印刷できる", "担当者を選べる", "、", "。"),
    ("لوحة الطلبات", "متابعة المخزون", "حجز المواعيد", "مع بحث", "مع طباعة", "مع تقارير", "، ", "."),
    ("Учёт заявок", "Панель склада", "Запись на приём", "и поиск", "и печать", "и отчёт", ", ", "."),
    ("Πίνακας παραγγελιών", "Κρατήσεις", "Αποθήκη", "με αναζήτηση", "με εκτύπωση", "με αναφορές", ", ", "."),
    ("ऑर्डर सूची", "भंडार पृष्ठ", "समय सारणी", "खोज के साथ", "छपाई के साथ", "रिपोर्ट के साथ", ", ", "।"),
    ("🛒 Панель", "📦 складу", "📅 запису", "з пошуком", "з друком", "зі звітом", ", ", "!"),
)
_TEMPLATE_HEAD = "Create a modern, responsive and fully interactive web application prototype for the product"
_TEMPLATE_PARTS = (
    "Start from the needs of the people who will use it every day, and make the most frequent task the shortest one",
    "Show a dashboard with the four most important figures, a list of recent events and one chart over time",
    "Every list has a search field, filters that can be combined, a clear empty state and paging at the bottom",
    "Every form validates while typing, explains mistakes beside the field and keeps what was typed when it fails",
    "Use realistic sample data with names, dates and amounts, and never use placeholder text anywhere in the interface",
    "Navigation stands on the left on wide screens and at the bottom on phones, with at most five entries in it",
    "Choose a neutral palette with one accent colour, generous white space and a type scale with four sizes at most",
    "All parts can be reached and used with a keyboard, contrast follows guidelines, and motion can be reduced",
    "Keep the state in the browser so that the prototype can be shown without a server, an account or a network",
    "Split the code into small components with clear names, and put all sample data into one file that is easy to read",
    "Finish with a settings page, a help page that explains the main flow in five steps, and a page that lists changes",
    "Think about what happens with no data, with one entry, and with ten thousand entries, and show all three well",
)
_MORE_PARTS = (
    "Write all texts as a friendly colleague would, in short sentences, and spell dates the way readers expect",
    "Show who did what and when on every record, and let a person go back to any earlier state with one click",
    "Offer a guided tour at the first visit that can be left at any step and started again from the help page",
    "Group notifications by day, mark the unread ones, and let people choose which of them arrive as a message",
    "Let people save a view with its filters and its order, share it with their team, and set one as their start page",
    "Print a clean page without navigation for every record, and export every list with the columns that are shown",
    "Handle slow answers with skeletons of the real layout, and failed ones with a reason and a button to try again",
    "Mention at the end which decisions you took, which you left open, and what you would ask the team",
)
_RENAMINGS = ("{} copy", "Copy of {}", "{} v2", "{} (2)", "{} V3 final", "{} - copy 2", "{} 2")


def make_product(rng: random.Random, number: int) -> Product:
    """A product whose name no other number has."""
    first, rest = number % len(_FIRST), number // len(_FIRST)
    thing, form = rest % len(_THING), rest // len(_THING)
    name = f"{_FIRST[first]} {_THING[(thing + first) % len(_THING)]} {_FORM[(form + first) % len(_FORM)]}"
    identity = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    if rng.random() < 0.4:
        identity = name.lower().replace(" ", "-")
    elif rng.random() < 0.2:
        identity = f"PRJ-{10_000 + number}"
    return Product(identity, name)


def make_subject(rng: random.Random) -> str:
    """What somebody wants that belongs to no product."""
    return f"a {rng.choice(_SORT)} {rng.choice(_THING).lower()} {rng.choice(_FORM).lower()}"


def name_with(rng: random.Random, word: str) -> str:
    """A name that begins with this word."""
    return f"{word} {rng.choice(_THING)} {rng.choice(_FORM)}"


def own_prompt(rng: random.Random, subject: str) -> str:
    """A prompt that somebody wrote for this subject alone."""
    wishes = rng.sample(_DO, 5)
    return (
        f"{rng.choice(('Build', 'Make', 'I need', 'Design', 'Sketch'))} {subject} for {rng.choice(_WHO)} in a team of "
        f"{rng.randint(3, 900)}. They have to {wishes[0]}, {wishes[1]} and {wishes[2]}. On a second page they "
        f"{wishes[3]} or {wishes[4]}. {' '.join(rng.sample(_LOOK, 2))} Reference {rng.randrange(10**6):06d}."
    )


def template_prompt(template: int, subject: str) -> str:
    """A long prompt of template 0, 1 or 2. Only the subject differs, after the words that v0 makes a title of.

    The longer the template, the nearer its prompts: those of 0 share 94 of 100 runs of five words, the others 96.
    """
    parts = _TEMPLATE_PARTS if template == 0 else _TEMPLATE_PARTS[template:] + _MORE_PARTS
    return f"{_TEMPLATE_HEAD} {subject}. {'. '.join(parts)}."


def foreign_prompt(rng: random.Random) -> tuple[str, str]:
    """A name and a prompt in another script."""
    *words, comma, stop = rng.choice(_SCRIPTS)
    letters = [letter for letter in "".join(words) if letter.isalpha()]
    name = f"{rng.choice(words[:3])} {''.join(rng.choices(letters, k=5))}"
    wishes = rng.sample(words[3:], 2)
    return name, f"{name}{comma}{comma.join(wishes)}{comma}{rng.randrange(10**6)}{stop}"


def retouched(rng: random.Random, prompt: str) -> str:
    """The same prompt as a person types it again: other blanks, case, marks, a word more. Its subject stays."""
    changes: tuple[Callable[[str], str], ...] = (
        lambda text: text.replace(". ", ".  "),
        lambda text: text.replace(",", " ,"),
        lambda text: text[:1].swapcase() + text[1:],
        lambda text: f"{text} Thanks!",
        lambda text: f"Please: {text}",
        lambda text: text.replace(" and ", " & ", 1),
        lambda text: text.replace("\n", " ") + "\n",
        lambda text: text.upper(),
    )
    changed = prompt
    while changed == prompt:
        for change in rng.sample(changes, rng.randint(1, 2)):
            changed = change(changed)
    return changed


def renamed(rng: random.Random, name: str) -> str:
    """The same name as a copy bears it."""
    return rng.choice((*_RENAMINGS, "{}")).format(rng.choice((name, name, name.upper(), name.lower())))
