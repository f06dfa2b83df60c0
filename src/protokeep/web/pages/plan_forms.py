"""The form of a new plan: what it may remove, what it keeps, and how slowly it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from starlette.datastructures import QueryParams

from protokeep.core.errors import InvalidInput
from protokeep.core.foreign_text import is_id
from protokeep.core.keep_rules import DELETABLE, DeleteRule, KeepRule, Selection
from protokeep.core.validation import whole_number_of
from protokeep.service.plan_drafts import PlanOptions
from protokeep.web.pages.clean_up_words import DELETE_KINDS, KEEP_CHOICES, without_code

#: Chats, groups and authors that one form names. A longer address would not be taken anyway.
MOST_CHOSEN = 900
LABELS = {
    "workspace": "The name",
    "grace_days": "The days of grace",
    "per_day": "The number for a day",
    "older_than_days": "The age",
    "content": "The list",
}
#: The fields that hold a number, and the largest one that is looked at.
NUMBERS = {"grace_days": "14", "per_day": "100", "older_than_days": ""}
NUMBER_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class PlanForm:
    """The values of the form. `chosen` holds lines like `chat ID`, `group ID` and `author ID`."""

    account: str = ""
    workspace: str = ""
    chosen: tuple[str, ...] = ()
    kinds: frozenset[DeleteRule] = DELETABLE
    keeps: frozenset[KeepRule] = frozenset(KEEP_CHOICES)
    numbers: Mapping[str, str] = field(default_factory=lambda: dict(NUMBERS))
    faults: Mapping[str, str] = field(default_factory=dict)
    trouble: str | None = None

    @classmethod
    def of_address(cls, query: QueryParams) -> PlanForm:
        """The form that a link opens: with some kinds, or for chats, groups and authors."""
        known = {kind.value for kind in DELETE_KINDS}
        kinds = frozenset(DeleteRule(kind) for kind in query.getlist("kind") if kind in known)
        chosen = _chosen(f"{name} {value}" for name in ("chat", "group", "author") for value in query.getlist(name))
        of_list = query.get("ticked") == "1" and not chosen
        return cls(
            account=query.get("account", "")[:700],
            chosen=chosen,
            kinds=kinds or DELETABLE,
            trouble="No chat was ticked, so this plan is about the whole account." if of_list else None,
        )

    @classmethod
    def of_fields(cls, fields: Mapping[str, str]) -> PlanForm:
        """The form as it was sent. A rule is off only if the form showed it, and nobody ticked it."""
        was_shown = fields.get("shown") == "1"
        return cls(
            account=fields.get("account", "")[:700],
            workspace=fields.get("workspace", ""),
            chosen=_chosen(fields.get("chosen", "").split("\n")),
            kinds=frozenset(kind for kind in DELETE_KINDS if fields.get(f"kind_{kind.value}")),
            keeps=frozenset(rule for rule in KEEP_CHOICES if not was_shown or fields.get(f"keep_{rule.value}")),
            numbers={name: fields.get(name, usual).strip() for name, usual in NUMBERS.items()},
        )

    def with_fault(self, error: Exception) -> PlanForm:
        """This form with an error at its field, or above the form."""
        name = getattr(error, "field", None)
        if name not in LABELS:
            return replace(self, trouble=without_code(str(error)))
        text = str(error)
        return replace(self, faults={name: LABELS[name] + text.removeprefix(name) if text.startswith(name) else text})

    @property
    def selection(self) -> Selection:
        """Which chats the plan may remove. Raises `InvalidInput`."""
        named = self.names("chat") | self.names("group")
        if not self.kinds and not named:
            raise InvalidInput("Choose at least one kind of chat that may go.")
        age = self.numbers["older_than_days"]
        return Selection(
            kinds=self.kinds,
            group_ids=self.names("group"),
            chat_ids=self.names("chat"),
            author_ids=self.names("author"),
            older_than_days=self._number("older_than_days", 1) if age else None,
        )

    @property
    def options(self) -> PlanOptions:
        """How slowly the plan goes, and which rules are off. Raises `InvalidInput`."""
        off = frozenset(rule.value for rule in KEEP_CHOICES if rule not in self.keeps)
        return PlanOptions(self._number("grace_days"), self._number("per_day"), off)

    def names(self, what: str) -> frozenset[str]:
        """The ids of the chosen chats, groups or authors."""
        return frozenset(line.partition(" ")[2] for line in self.chosen if line.startswith(f"{what} "))

    @property
    def chosen_text(self) -> str:
        """ "3 chats", "1 group"; empty: all of the account is looked at."""
        counts = [(len(self.names(what)), what) for what in ("chat", "group", "author")]
        return " and ".join(f"{number} {what}{'s' * (number > 1)}" for number, what in counts if number)

    @property
    def names_chats(self) -> bool:
        """Whether chats or groups are named, so that kinds do not choose."""
        return bool(self.names("chat") or self.names("group"))

    def _number(self, name: str, least: int = 0) -> int:
        number = whole_number_of(self.numbers[name], NUMBER_MAX)
        if number is None or number < least:
            raise InvalidInput(f"{name} must be a whole number.", field=name)
        return number


def _chosen(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that name something, each once."""
    stripped = (line.strip() for line in lines)
    wanted = [line for line in stripped if line.partition(" ")[0] in ("chat", "group", "author")]
    return tuple(dict.fromkeys(line for line in wanted if is_id(line.partition(" ")[2])))[:MOST_CHOSEN]
