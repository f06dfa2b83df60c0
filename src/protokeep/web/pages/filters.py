"""The filters of the home page: all of them in the URL, and links that change one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from protokeep.core.prototype import State
from protokeep.core.state_labels import ATTENTION, IN_PROGRESS, STATE_WORDS
from protokeep.service.gallery import Search
from protokeep.store.gallery import COUNTED
from protokeep.web.pages import formatting
from protokeep.web.pages.session import flag_of

GROUPS: Mapping[str, tuple[str, tuple[State, ...]]] = {
    "attention": ("Needs attention", ATTENTION),
    "progress": ("In progress", IN_PROGRESS),
}
#: Always offered; the other states only where there are any.
ALWAYS = (State.READY, State.FAILED)
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """What the URL asks for."""

    q: str = ""
    state: str = ""
    product: str = ""
    provider: str = ""
    mine: bool = False
    view: str = "grid"

    @classmethod
    def of(cls, query: QueryParams) -> Filters:
        """From the query; words that are none of ours are left out, so an old link still leads somewhere."""
        state = query.get("state", "")
        return cls(
            q=query.get("q", "").strip()[:LONGEST],
            state=state if state in GROUPS or state in list(State) else "",
            product=query.get("product", "").strip()[:LONGEST],
            provider=query.get("provider", "")[:50],
            mine=flag_of(query.get("mine")),
            view="table" if query.get("view") == "table" else "grid",
        )

    @property
    def search(self) -> Search:
        """As the gallery takes it."""
        states: tuple[State, ...] = ()
        if self.state:
            states = GROUPS[self.state][1] if self.state in GROUPS else (State(self.state),)
        return Search(self.q, states, self.product or None, self.provider or None, self.mine)

    def url(self, **changes: object) -> str:
        """The home page with these filters changed. Always from the first page on."""
        cursor = changes.pop("cursor", None)
        changed = replace(self, **changes)  # type: ignore[arg-type]
        query = {
            name: value
            for name, value in (
                ("q", changed.q),
                ("state", changed.state),
                ("product", changed.product),
                ("provider", changed.provider),
                ("mine", "1" if changed.mine else ""),
                ("view", changed.view if changed.view != "grid" else ""),
                ("cursor", cursor),
            )
            if value
        }
        return "/" + (f"?{urlencode(query)}" if query else "")


@dataclass(frozen=True, slots=True)
class Tab:
    """One way to narrow by state."""

    label: str
    count: str | None
    url: str
    on: bool


@dataclass(frozen=True, slots=True)
class Narrowing:
    """One filter that is on, and the page without it."""

    label: str
    url: str


def tabs(filters: Filters, counts: Mapping[State, int]) -> list[Tab]:
    """All, the two groups, and the states; with how many there are."""

    def tab(label: str, name: str, states: tuple[State, ...]) -> Tab:
        number = min(sum(counts[state] for state in states), COUNTED)
        capped = any(counts[state] >= COUNTED for state in states) or number >= COUNTED
        text = formatting.count_text(COUNTED if capped else number, COUNTED)
        return Tab(label, text, filters.url(state=name), filters.state == name)

    made = [tab("All", "", tuple(State))]
    made += [tab(label, name, states) for name, (label, states) in GROUPS.items()]
    for state in State:
        only = (State.QUEUED, State.MAKING)
        if state in ALWAYS or filters.state == state.value or (counts[state] and state not in only):
            made.append(tab(STATE_WORDS[state].label, state.value, (state,)))
    return made


def narrowings(filters: Filters) -> list[Narrowing]:
    """What hides things, each with a way out."""
    found = []
    if filters.q:
        found.append(Narrowing(f"“{filters.q}”", filters.url(q="")))
    if filters.state:
        label = GROUPS[filters.state][0] if filters.state in GROUPS else STATE_WORDS[State(filters.state)].label
        found.append(Narrowing(label, filters.url(state="")))
    if filters.product:
        found.append(Narrowing(f"Product {filters.product}", filters.url(product="")))
    if filters.provider:
        found.append(Narrowing(f"Made by {filters.provider}", filters.url(provider="")))
    if filters.mine:
        found.append(Narrowing("Mine", filters.url(mine=False)))
    return found
