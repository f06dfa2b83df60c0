"""The filters of the home page. All are in the URL; each link changes one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import QueryParams

from protokeep.core.errors import InvalidInput
from protokeep.core.prototype import State
from protokeep.core.state_labels import ATTENTION, IN_PROGRESS, STATE_LABELS
from protokeep.core.validation import TAG_MAX, person_of, tag_of
from protokeep.service.gallery import Archived, Search, Sort
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
Choice = TypeVar("Choice", bound=str)
#: Orders, and what people read for them. The first one is the default, as of the choices below.
SORTS: Mapping[Sort, str] = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "updated": "Last changed first",
    "name": "By name",
}
ARCHIVED: Mapping[Archived, str] = {"no": "Not archived", "only": "Only archived", "any": "Archived too"}
#: Columns of the table beside the product's, and their headings.
COLUMNS: Mapping[str, str] = {
    "state": "Status",
    "person": "Owner",
    "made": "Made",
    "updated": "Updated",
    "took": "Took",
    "variants": "Variants",
    "tags": "Tags",
    "provider": "Made by",
    "credits": "Cost",
    "id": "ID",
}
DEFAULT_COLUMNS = ("state", "person", "made", "took")
MANY_COLUMNS = 6
#: In the address: no column but the product's.
NO_COLUMNS = "-"


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters in a URL; empty ones filter nothing."""

    q: str = ""
    state: str = ""
    product: str = ""
    provider: str = ""
    mine: bool = False
    view: str = "grid"
    person: str = ""
    tag: str = ""
    favourite: bool = False
    archived: Archived = "no"
    sort: Sort = "newest"
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    select: bool = False

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
            person=_plain(person_of, query.get("person", "")),
            tag=_plain(tag_of, query.get("tag", "")[: 2 * TAG_MAX]),
            favourite=is_on(query.get("favourite")),
            archived=_choice(ARCHIVED, query.get("archived")),
            sort=_choice(SORTS, query.get("sort")),
            columns=_columns_of(query),
            select=is_on(query.get("select")),
        )

    @classmethod
    def of_text(cls, query: str) -> Filters:
        """The same, read from the text of a query."""
        try:
            pairs = parse_qsl(query[:4000], max_num_fields=40)
        except ValueError:
            pairs = []
        return cls.of(QueryParams(pairs))

    @property
    def search(self) -> Search:
        """The search for the gallery."""
        states: tuple[State, ...] = ()
        if self.state:
            states = GROUPS[self.state][1] if self.state in GROUPS else (State(self.state),)
        return Search(
            self.q,
            states,
            self.product or None,
            self.provider or None,
            self.mine,
            person=self.person or None,
            tag=self.tag or None,
            favourite=self.favourite,
            archived=self.archived,
            sort=self.sort,
        )

    @property
    def counts_all(self) -> bool:
        """Whether the counts of the tabs are those of the whole workspace, as live events send them."""
        return not replace(self.search, states=()).narrows

    @property
    def column_classes(self) -> str:
        """The classes of a table that shows these columns. Many leave no room for pictures."""
        many = ["has-many"] if len(self.columns) > MANY_COLUMNS else []
        return " ".join([*(f"has-{name}" for name in self.columns), *many])

    @property
    def in_panel(self) -> int:
        """How many filters of the panel are on."""
        given = (self.product, self.provider, self.mine, self.person, self.tag, self.favourite, self.archived != "no")
        return sum(map(bool, given))

    def url(self, path: str = "/", **changes: object) -> str:
        """The home page's address with some filters changed; the first page, unless `cursor` is given."""
        cursor = changes.pop("cursor", None)
        query = replace(self, **changes).values  # type: ignore[arg-type]
        query |= {"cursor": str(cursor)} if cursor else {}
        return path + (f"?{urlencode(query)}" if query else "")

    @property
    def values(self) -> dict[str, str]:
        """The parameters of the address, in their order; what is as it is by default is left out."""
        columns = "" if self.columns == DEFAULT_COLUMNS else ",".join(self.columns) or NO_COLUMNS
        named = {
            "q": self.q,
            "state": self.state,
            "product": self.product,
            "provider": self.provider,
            "mine": "1" if self.mine else "",
            "person": self.person,
            "tag": self.tag,
            "favourite": "1" if self.favourite else "",
            "archived": self.archived if self.archived != "no" else "",
            "sort": self.sort if self.sort != "newest" else "",
            "view": self.view if self.view != "grid" else "",
            "columns": columns,
            "select": "1" if self.select else "",
        }
        return {name: value for name, value in named.items() if value}


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
    state = filters.state
    label = GROUPS[state][0] if state in GROUPS else STATE_LABELS[State(state)].label if state else ""
    labels = {
        "q": f"“{filters.q}”",
        "state": label,
        "product": f"Product {filters.product}",
        "provider": f"App builder {filters.provider}",
        "mine": "Mine",
        "person": f"Asked for by {filters.person}",
        "tag": f"Tag {filters.tag}",
        "favourite": "Favourites",
        "archived": ARCHIVED[filters.archived],
        "sort": SORTS[filters.sort],
    }
    usual = Filters()
    changed = [name for name in labels if getattr(filters, name) != getattr(usual, name)]
    return [ActiveFilter(labels[name], filters.url(**{name: getattr(usual, name)})) for name in changed]


def _plain(check: Callable[[str], str], text: str) -> str:
    """A name or a tag as it is stored; empty for what can be none, which filters nothing."""
    try:
        return check(text)
    except InvalidInput:
        return ""


def _choice(choices: Mapping[Choice, str], text: str | None) -> Choice:
    """One of the choices; the first for any other text."""
    return next((one for one in choices if one == text), next(iter(choices)))


def _columns_of(query: QueryParams) -> tuple[str, ...]:
    """The columns in an address, as our links have them (`columns`), and as the form has them (`column`)."""
    if "columns" not in query:
        return DEFAULT_COLUMNS
    named = {*query["columns"][:TEXT_MAX].split(","), *query.getlist("column")}
    return tuple(name for name in COLUMNS if name in named)
