"""The filters of the home page. All are in the URL; each link changes one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from protokeep.core.prototype import State
from protokeep.core.state_labels import ATTENTION, IN_PROGRESS, STATE_LABELS
from protokeep.service.gallery import Search
from protokeep.store.gallery import COUNTED, Counts
from protokeep.web.pages import formatting
from protokeep.web.pages.session import is_on

#: The tabs after "All". Each state belongs to one of them, so that their numbers add up; a tab of several states shows
#: these below itself once it is chosen.
GROUPS: Mapping[str, tuple[str, tuple[State, ...]]] = {
    "attention": ("Needs attention", ATTENTION),
    "progress": ("In progress", IN_PROGRESS),
    "ready": (STATE_LABELS[State.READY].label, (State.READY,)),
    "other": ("Other", (State.STOPPED, State.UNTRACKED)),
}
TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters in a URL; empty ones filter nothing."""

    q: str = ""
    state: str = ""
    product: str = ""
    provider: str = ""
    mine: bool = False
    view: str = "grid"

    @classmethod
    def of(cls, query: QueryParams) -> Filters:
        """Read from the query. Unknown values are ignored, so that an old link still works."""
        state = query.get("state", "")
        return cls(
            q=query.get("q", "").strip()[:TEXT_MAX],
            state=state if state in GROUPS or state in list(State) else "",
            product=query.get("product", "").strip()[:TEXT_MAX],
            provider=query.get("provider", "")[:50],
            mine=is_on(query.get("mine")),
            view="table" if query.get("view") == "table" else "grid",
        )

    @property
    def search(self) -> Search:
        """The search for the gallery."""
        states: tuple[State, ...] = ()
        if self.state:
            states = GROUPS[self.state][1] if self.state in GROUPS else (State(self.state),)
        return Search(self.q, states, self.product or None, self.provider or None, self.mine)

    @property
    def counts_all(self) -> bool:
        """Whether the counts of the tabs are those of the whole workspace, as live events send them."""
        return not replace(self.search, states=()).narrows

    def url(self, **changes: object) -> str:
        """The home page's address with some filters changed; the first page, unless `cursor` is given."""
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
    """A link that filters by state; `count` is how many cards it shows, `name` its value of the filter."""

    name: str
    label: str
    count: str
    url: str
    is_selected: bool


@dataclass(frozen=True, slots=True)
class ActiveFilter:
    """A filter that is on, and the address of the page without it."""

    label: str
    url: str


def tabs(filters: Filters, counts: Counts) -> tuple[list[Tab], list[Tab]]:
    """(the tabs, which are always the same; those of the states within the chosen one)."""
    chosen = _group_of(filters.state)
    upper = [_tab(filters, counts, "", "All", tuple(State), chosen)]
    upper += [_tab(filters, counts, name, label, states, chosen) for name, (label, states) in GROUPS.items()]
    return upper, _tabs_within(chosen, filters, counts)


def every_tab(filters: Filters, counts: Counts) -> list[Tab]:
    """All tabs at once, whichever is chosen."""
    found, _ = tabs(filters, counts)
    return [*found, *(tab for name in GROUPS for tab in _tabs_within(name, filters, counts))]


def _tabs_within(group: str, filters: Filters, counts: Counts) -> list[Tab]:
    states = GROUPS[group][1] if group else ()
    if len(states) < 2:
        return []
    return [_tab(filters, counts, one.value, STATE_LABELS[one].label, (one,), filters.state) for one in states]


def _group_of(state: str) -> str:
    """The name of the tab that a state, or a group, belongs to; empty: the one of all."""
    if state in GROUPS or not state:
        return state
    return next((name for name, (_, states) in GROUPS.items() if State(state) in states), "")


def _tab(filters: Filters, counts: Counts, name: str, label: str, states: tuple[State, ...], chosen: str) -> Tab:
    number = min(sum(counts.of[state] for state in states), COUNTED)
    capped = any(counts.of[state] >= COUNTED for state in states) or number >= COUNTED
    text = formatting.count_text(COUNTED if capped else number, COUNTED)
    if not (capped or counts.is_whole):
        text = f"{number}+"
    return Tab(name, label, text, filters.url(state=name), chosen == name)


def active_filters(filters: Filters) -> list[ActiveFilter]:
    """The filters that are on, each with the address of the page without it."""
    found = []
    if filters.q:
        found.append(ActiveFilter(f"“{filters.q}”", filters.url(q="")))
    if filters.state:
        label = GROUPS[filters.state][0] if filters.state in GROUPS else STATE_LABELS[State(filters.state)].label
        found.append(ActiveFilter(label, filters.url(state="")))
    if filters.product:
        found.append(ActiveFilter(f"Product {filters.product}", filters.url(product="")))
    if filters.provider:
        found.append(ActiveFilter(f"App builder {filters.provider}", filters.url(provider="")))
    if filters.mine:
        found.append(ActiveFilter("Mine", filters.url(mine=False)))
    return found
