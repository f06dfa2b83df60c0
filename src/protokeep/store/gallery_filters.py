"""The filters and orders of the gallery, as conditions in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Bounds of the times of prototypes -> (the column of the owner's table, how it compares).
BOUNDS = {
    "created_after": ("created_at", ">="),
    "created_before": ("created_at", "<"),
    "updated_after": ("updated_at", ">="),
    "updated_before": ("updated_at", "<"),
}


#: The orders of cards -> (the name of their key in a row, whether the greatest comes first).
SORTS: Mapping[str, tuple[str, bool]] = {
    "newest": ("created_at", True),
    "oldest": ("created_at", False),
    "updated": ("updated_at", True),
    "name": ("name", False),
}
#: Tables that say of few products something that a filter asks for: the filter -> (the table, its conditions).
CHOSEN = {
    "tag": ("protokeep_product_tags", "x.tag = :tag"),
    "favourite": ("protokeep_favourites", "x.user_id = :favourite_of"),
    "archived": ("protokeep_archived_products", "1 = 1"),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which filters a statement has, without their values. `archived`: no, only or any; `sort`: out of `SORTS`."""

    words: int = 0
    product: bool = False
    provider: bool = False
    person: bool = False
    after: bool = False
    untracked: bool = False
    #: Names out of `BOUNDS`.
    bounds: frozenset[str] = frozenset()
    tag: bool = False
    favourite: bool = False
    archived: str = "no"
    sort: str = "newest"

    @property
    def oldest_first(self) -> bool:
        """Whether the least key comes first."""
        return not SORTS[self.sort][1]

    @property
    def chosen(self) -> list[str]:
        """Filters out of `CHOSEN`: each is met by few products, which a table names."""
        met = {"tag": self.tag, "favourite": self.favourite, "archived": self.archived == "only"}
        return [name for name, is_on in met.items() if is_on]


def narrowed(product: str, provider: str, person: str, filters: Filters) -> list[str]:
    """Conditions of the filters on a card, whose product, provider and person these are."""
    optional = (
        (filters.product, f"{product} = :product_id"),
        (filters.provider, f"{provider} = :provider"),
        (filters.person, person),
    )
    found = [condition for on, condition in optional if on]
    found += [_is_in(name, product) for name in filters.chosen]
    return [*found, f"NOT {_is_in('archived', product)}"] if filters.archived == "no" else found


def _is_in(name: str, product: str) -> str:
    """Whether a product is in a table of `CHOSEN`."""
    table, condition = CHOSEN[name]
    of_product = f"x.workspace_id = :workspace_id AND x.product_id = {product}"
    return f"EXISTS (SELECT 1 FROM {table} x WHERE {of_product} AND {condition})"  # noqa: S608 - names of ours


def beyond(filters: Filters) -> str:
    """How a key compares that comes after the last one of the page before."""
    return ">" if filters.oldest_first else "<"


def order_of(at: str, mockup_id: str, *, oldest: bool) -> str:
    """The order of rows by a key and their ids."""
    way = "ASC" if oldest else "DESC"
    return f"{at} {way}, {mockup_id} {way}"


def within(columns: Mapping[str, str], filters: Filters) -> list[str]:
    """Conditions that the times in these columns are within the bounds."""
    named = [(name, *BOUNDS[name]) for name in sorted(filters.bounds)]
    return [f"{columns[column]} {compares} :{name}" for name, column, compares in named]


def union_all(parts: Sequence[str]) -> str:
    """All rows of the parts."""
    return " UNION ALL ".join(parts)
