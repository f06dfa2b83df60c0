"""What a plan deletes and keeps, over random accounts; and what a file of it may change."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from protokeep.core.census import CensusChat, ChatContent, ChatKind, ChatRecord, Claim
from protokeep.core.clean_up import ItemState, PlanAction, PlanItem, approvals_needed, digest_of
from protokeep.core.errors import InvalidInput
from protokeep.core.keep_rules import (
    ABSOLUTE,
    REASONS,
    SWITCHABLE,
    AccountFacts,
    DeleteRule,
    KeepRule,
    Selection,
    changed_rule,
    plan_items,
)
from protokeep.core.plan_file import edited, guarded, read_edits, write_csv, write_json

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD = NOW - timedelta(days=200)


def record(chat_id: str = "c", **more: Any) -> ChatRecord:
    """An old, finished, private chat that nobody has claimed; `more` are fields of the chat or of what is known."""
    known = {name: more.pop(name) for name in [*more] if name in ChatRecord.__dataclass_fields__}
    told: dict[str, Any] = {
        "content": ChatContent.FINISHED,
        "privacy": "private",
        "is_favorite": False,
        "created_at": OLD,
        "updated_at": OLD,
        **more,
    }
    return ChatRecord(CensusChat(chat_id, 2, **told), **{"first_seen_at": OLD, **known})


def item_of(*records: ChatRecord, selection: Selection | None = None, **facts: Any) -> PlanItem:
    """What a plan does with the first one of these chats."""
    items = plan_items(AccountFacts(records, NOW, **facts), selection or Selection())
    return next(item for item in items if item.chat_id == records[0].chat.chat_id)


KEPT: list[tuple[KeepRule, dict[str, Any]]] = [
    (KeepRule.UNREADABLE, {"content": ChatContent.UNREADABLE}),
    (KeepRule.MISSING, {"is_missing": True}),
    (KeepRule.OURS, {"claim": Claim.OURS}),
    (KeepRule.PINNED, {"pinned_by": "ann"}),
    (KeepRule.KEEP_WORD, {"name": "Shop (KEEP)"}),
    (KeepRule.KEEP_WORD, {"metadata": {"keep": "1"}}),
    (KeepRule.KEEP_WORD, {"metadata": {"note": "please Keep until March"}}),
    (KeepRule.KEEP_WORD, {"name": "\uff2b\uff45\uff45\uff50 Shop"}),  # full-width letters
    (KeepRule.KEEP_WORD, {"name": "ke\u00adep: Shop"}),  # a soft hyphen
    (KeepRule.NO_RIGHT, {"may_delete": False}),
    (KeepRule.GENERATING, {"content": ChatContent.GENERATING}),
    (KeepRule.CURRENT, {"kind": ChatKind.CURRENT}),
    (KeepRule.FAVORITE, {"is_favorite": True}),
    (KeepRule.SHARED, {"privacy": "public"}),
    (KeepRule.VERCEL, {"vercel_project_id": "prj"}),
    (KeepRule.RECENT, {"updated_at": NOW - timedelta(days=29)}),
]


@pytest.mark.parametrize(("rule", "told"), KEPT)
def test_each_rule_keeps_its_chat_names_itself_and_is_switched_off_only_where_it_may_be(
    rule: KeepRule, told: dict[str, Any]
) -> None:
    """The chat would be deleted without the rule; an admin who names the chat does not override it."""
    assert item_of(record()).action is PlanAction.DELETE
    selection = Selection(chat_ids=frozenset({"c"}))
    kept = item_of(record(**told), selection=selection)
    assert (kept.action, kept.rule, kept.reason, kept.state) == (
        PlanAction.KEEP,
        rule.value,
        REASONS[rule],
        ItemState.PROTECTED,
    )
    without = item_of(record(**told), selection=selection, rules_off=frozenset({rule}))
    assert (without.action is PlanAction.DELETE) is (rule in SWITCHABLE)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (DeleteRule.DUPLICATE, {"kind": ChatKind.DUPLICATE}),
        (DeleteRule.FAILED, {"content": ChatContent.FAILED}),
        (DeleteRule.EMPTY, {"content": ChatContent.EMPTY}),
        (DeleteRule.SUPERSEDED, {"kind": ChatKind.VARIANT, "product_id": "shop"}),
        (DeleteRule.NOT_CLAIMED, {}),
    ],
)
def test_each_kind_is_deleted_by_its_rule_and_only_if_it_is_selected(rule: DeleteRule, told: dict[str, Any]) -> None:
    """Another selection of kinds, authors or ages keeps it."""
    chat = record(author_id="ann", **told)
    assert item_of(chat).rule == rule.value
    others = frozenset(DeleteRule) - {rule}
    for selection in (
        Selection(kinds=others),
        Selection(author_ids=frozenset({"bob"})),
        Selection(older_than_days=300),
        Selection(chat_ids=frozenset({"another"})),
    ):
        assert item_of(chat, selection=selection).rule == KeepRule.NOT_SELECTED.value


def test_a_variant_of_a_group_without_a_product_goes_by_its_age_only() -> None:
    """That it is the same as others is only offered: it may be the one chat of a product that nobody has named yet."""
    young = record(kind=ChatKind.VARIANT, updated_at=NOW - timedelta(days=60))
    assert item_of(young).rule == KeepRule.NOT_SELECTED.value
    assert item_of(record(kind=ChatKind.VARIANT)).rule == DeleteRule.NOT_CLAIMED.value
    second = record(kind=ChatKind.VARIANT, claim=Claim.SURPLUS)
    assert item_of(second).rule == DeleteRule.SUPERSEDED.value


def test_a_chat_of_another_workspace_is_in_no_plan() -> None:
    """It is not even listed as kept: nothing of it is shown."""
    assert plan_items(AccountFacts([record(claim=Claim.FOREIGN, name="secret")], NOW), Selection()) == []


def test_a_chat_that_the_newest_of_two_censuses_saw_first_is_kept() -> None:
    """Lists lag and lie: one sight is no sight."""
    began = NOW - timedelta(days=1)
    assert item_of(record(first_seen_at=NOW), newest_census_at=began).rule == "seen_once"
    assert item_of(record(first_seen_at=OLD), newest_census_at=began).action is PlanAction.DELETE


CHATS: some.SearchStrategy[list[dict[str, Any]]] = some.lists(
    some.builds(
        dict,
        group_id=some.sampled_from([None, "g1", "g2", "g3"]),
        content=some.sampled_from(list(ChatContent)),
        kind=some.sampled_from([None, *ChatKind]),
        claim=some.sampled_from(list(Claim)),
        is_favorite=some.booleans(),
        is_missing=some.booleans(),
        pinned_by=some.sampled_from([None, None, "ann"]),
        updated_at=some.sampled_from([OLD, NOW, None]),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(CHATS, some.sets(some.sampled_from(sorted(SWITCHABLE))), some.booleans())
def test_whatever_is_selected_a_group_keeps_a_chat_and_an_absolute_rule_holds(
    chats: list[dict[str, Any]], rules_off: set[KeepRule], everything: bool
) -> None:
    """Of each group something usable stays if there was any; no absolute rule is overridden (R4)."""
    records = [record(f"c-{number}", **chat) for number, chat in enumerate(chats)]
    named = frozenset(one.chat.chat_id for one in records)
    selection = Selection(chat_ids=named) if everything else Selection()
    facts = AccountFacts(records, NOW, rules_off=frozenset(rules_off))
    items = {item.chat_id: item for item in plan_items(facts, selection)}
    groups: dict[str, list[ChatRecord]] = defaultdict(list)
    for one in records:
        if one.claim is Claim.FOREIGN:
            assert one.chat.chat_id not in items
            continue
        item = items[one.chat.chat_id]
        is_untouchable = one.pinned_by or one.claim is Claim.OURS or one.is_missing
        assert item.action is PlanAction.KEEP or not is_untouchable
        assert item.reason == REASONS[item.rule]
        if one.group_id and not one.is_missing:
            groups[one.group_id].append(one)
    for members in groups.values():
        staying = [one for one in members if items[one.chat.chat_id].action is PlanAction.KEEP]
        assert staying
        usable = (ChatContent.FINISHED, ChatContent.UNTOLD)
        if any(one.chat.content in usable for one in members):
            assert any(one.chat.content in usable for one in staying)


def test_more_than_half_or_a_thousand_needs_a_second_admin() -> None:
    """Exactly half, and exactly a thousand, need one."""
    found = [approvals_needed(*case) for case in ((5, 10), (6, 10), (1000, 9000), (1001, 9000))]
    assert found == [1, 2, 1, 2]


def test_a_chat_read_again_is_as_it_was_or_is_not_deleted() -> None:
    """Its fingerprint, and what v1's list does not show, decide."""
    item = item_of(record())
    assert changed_rule(item, record().chat, {}) is None
    assert changed_rule(item, record(name="x").chat, {}) == ("changed", "It changed after the plan was made.")
    assert changed_rule(item, record().chat, {"note": "Keep"}) == ("keep_word", REASONS[KeepRule.KEEP_WORD])


# -- files -------------------------------------------------------------------------------------------------------


NAMES = some.text(max_size=30) | some.sampled_from(
    ['=cmd|"/c calc"!A1', "+1", "@x", "-2", "\t=1", '"a","b"', "a\r\nb", "'=1", "\uff1d1"]
)


@settings(max_examples=60)
@given(some.lists(NAMES, min_size=1, max_size=8), some.data())
def test_a_file_comes_back_as_it_was_but_for_the_actions(names: list[str], data: some.DataObject) -> None:
    """Any name survives both forms; no cell begins like a formula; the digest follows the actions alone."""
    records = [record(f"c-{number}", name=name) for number, name in enumerate(names)]
    items = plan_items(AccountFacts(records, NOW), Selection())
    write = data.draw(some.sampled_from([write_csv, write_json]))
    text = write(items)
    assert edited(items, read_edits(text, items), "ada") == items
    if write is write_csv:
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\uff1d", "\t", "\r"))]
    changeable = [item for item in items if item.action is PlanAction.DELETE]
    if changeable:
        chosen = data.draw(some.sampled_from(changeable))
        rows = json.loads(write_json(items))
        for row in rows:
            if row["chat_id"] == guarded(chosen.chat_id):
                row["action"] = "keep"
        after = edited(items, read_edits(json.dumps(rows), items), "ada")
        changed = [one for one, before in zip(after, items, strict=True) if one != before]
        assert [(one.chat_id, one.action, one.decided_by) for one in changed] == [
            (chosen.chat_id, PlanAction.KEEP, "ada")
        ]
        assert digest_of("w", "a", after) != digest_of("w", "a", items)


HEAD = "chat_id,action,fingerprint,name"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("other,delete,{print},Shop", "line 3: this chat is not in the plan"),
        ("c,delete,abc,Shop", "line 3: the fingerprint was changed"),
        ("c,delete,{print},Renamed", "line 3: name was changed, and only action may be"),
        ("c,remove,{print},Shop", "line 3: action has to be keep or delete"),
        ("c,,{print},Shop", "line 3: action is missing"),
        ("c,delete,{print}", "line 3 has 3 cells"),
        ("p,delete,{pinned},", "line 3: it cannot be deleted. It is pinned"),
        ("c,keep,{print},Shop\r\nc,delete,{print},Shop", "line 4: the chat is in line 3, too"),
        ('c,"delete,{print},Shop', "not the list that was exported"),
    ],
)
def test_a_file_with_anything_else_changed_is_refused_with_the_line(line: str, fault: str) -> None:
    """Nothing but the action may differ, and rules that are absolute cannot be edited away. Blank lines count."""
    items = plan_items(AccountFacts([record("c", name="Shop"), record("p", pinned_by="ann")], NOW), Selection())
    prints = {"print": items[0].fingerprint, "pinned": items[1].fingerprint}
    with pytest.raises(InvalidInput, match=fault):
        read_edits(f"{HEAD}\r\n\r\n{line.format(**prints)}\r\n", items)


@pytest.mark.parametrize(
    "content", ["", "a,b\n1,2", "[1]", '[{"chat_id": 1}]', "[" * 10_000, "chat_id,action\nc,keep", "\x00"]
)
def test_a_file_that_is_no_list_is_refused(content: str) -> None:
    """Whatever it is, the answer says what was expected."""
    with pytest.raises(InvalidInput):
        read_edits(content, plan_items(AccountFacts([record()], NOW), Selection()))


def test_every_rule_has_a_reason_and_is_either_absolute_or_switchable() -> None:
    """A rule that is neither would be kept by nobody's word."""
    assert {*REASONS} == {*KeepRule, *DeleteRule}
    assert frozenset(KeepRule) == ABSOLUTE | SWITCHABLE | {KeepRule.NOT_SELECTED}
