"""Which chats are the same: right where it is sure, the same for every order, and never unlike things in a chain."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import NOW
from labelled_account import LabelledAccount, labelled_account, sandbox_account, score
from protokeep.core.census import CensusChat, ChatContent, ChatGroup, ChatKind, ChatRecord, Claim, KnownProduct
from protokeep.core.chat_kinds import best_of, kinds_of
from protokeep.core.chat_links import AUTOMATIC, OFFERED
from protokeep.core.grouping import group_chats
from protokeep.core.near_duplicates import NEAR, Likeness, words_of
from protokeep.core.prompt_choice import prompts_to_read

ACME = KnownProduct("1a2b3c4d-0000-4000-8000-00000000000a", "Acme Checkout")
GLOBEX = KnownProduct("5e6f7a8b-0000-4000-8000-00000000000b", "Globex Billing")
PROMPT = "Build a checkout with a cart, three ways to pay and a summary that people can print for their accounts"
OTHER = "Sketch a calendar in which nurses swap their shifts and see who is on call in the coming night"


def chat(
    chat_id: str, at: float = 0, prompt: str | None = None, *, claim: Claim = Claim.NOBODY, **values: Any
) -> ChatRecord:
    """A finished chat called "Shop" by one person, made so many seconds after NOW."""
    product_id = values.pop("product_id", None)
    given = {"name": "Shop", "author_id": "ann", "content": ChatContent.FINISHED, **values}
    made = CensusChat(chat_id, 1, created_at=NOW + timedelta(seconds=at), **given)
    return ChatRecord(made, claim, prompt, product_id=product_id)


def grouped(*records: ChatRecord, products: Any = (ACME, GLOBEX), projects: Any = None) -> list[ChatGroup]:
    """The groups of these chats."""
    return group_chats(records, products, projects or {})


def confidence_of(*records: ChatRecord, **values: Any) -> float:
    """The confidence with which all of these chats are one group; 0.0: they are none."""
    ids = {record.chat.chat_id for record in records}
    return next((group.confidence for group in grouped(*records, **values) if set(group.chat_ids) == ids), 0.0)


@pytest.mark.parametrize(
    ("account", "recall"),
    [
        pytest.param(lambda: sandbox_account(7, 1500), 0.45, id="sandbox-v1"),
        pytest.param(lambda: sandbox_account(8, 1500, "v2"), 0.45, id="sandbox-v2"),
        pytest.param(lambda: labelled_account(1), 0.15, id="misleading"),
    ],
)
def test_what_is_joined_by_itself_is_right_and_what_is_offered_mostly_is(account: Any, recall: float) -> None:
    """
    On labelled accounts every pair at >= 0.95 is right, with no prompt read, with a part, and with all. Reading adds.
    """
    known: LabelledAccount = account()
    found = []
    for most in (0, len(known.records) * 15 // 100, len(known.records)):
        groups, read = known.grouped(most)
        sure, offered = (score(groups, known.labels, least) for least in (AUTOMATIC, OFFERED))

        assert len(read) <= most
        assert sure.precision == 1.0, [(known.prompts[one], known.prompts[two]) for one, two in sure.wrong[:3]]
        assert offered.precision > 0.75
        assert offered.recall > sure.recall
        found.append(sure.recall)
    assert recall < found[1] == max(found[:2]) < found[2]
    every = group_chats(known.read(known.prompts), known.products, known.projects)
    assert score(every, known.labels, AUTOMATIC).precision == 1.0
    assert score(every, known.labels, OFFERED).recall > 0.9


def test_the_evidence_for_products_is_right_where_it_is_sure() -> None:
    """
    In the sandbox's account, a product that is sure for a sure group is that of every chat in it.
    """
    known = sandbox_account(9, 1500)
    sure = [one for one in known.grouped(225)[0] if min(one.confidence, one.product_confidence) >= AUTOMATIC]

    assert len(sure) > 20
    assert all(known.made_for[chat_id] == group.product_id for group in sure for chat_id in group.chat_ids)


PIECES = st.tuples(
    st.sampled_from(("Shop", "shop (2)", "Copy of Shop", "Untitled", "Acme Checkout app", "")),
    st.sampled_from(("ann", "bob", None)),
    st.sampled_from((None, PROMPT, PROMPT.upper(), f"{PROMPT} now", OTHER, "test", "")),
    st.sampled_from((None, "p", "q")),
    st.integers(0, 400),
    st.sampled_from((Claim.NOBODY, Claim.NOBODY, Claim.OURS, Claim.FOREIGN)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=14), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_groups_and_each_chat_is_in_one(pieces: list[Any], dice: random.Random) -> None:
    """
    Groups are disjoint, hold no foreign chat, have reasons and a confidence of 0.7 to 1.0, and their copies have one
    prompt. The order of chats, products and projects changes nothing, nor does what an earlier grouping left.
    """
    records = [
        chat(f"c{n}", at, prompt, name=name, author_id=author, project_id=project, claim=claim,
             product_id=ACME.product_id if claim is Claim.OURS else None)
        for n, (name, author, prompt, project, at, claim) in enumerate(pieces)
    ]  # fmt: skip
    projects = {"p": "V0 Project 5e6f7a8b", "q": "Things"}
    groups = grouped(*records, projects=projects)

    members = [chat_id for group in groups for chat_id in group.chat_ids]
    prompts = {record.chat.chat_id: record.prompt for record in records}
    assert len(members) == len(set(members))
    assert not {one.chat.chat_id for one in records if one.claim is Claim.FOREIGN} & set(members)
    assert len({group.id for group in groups}) == len(groups)
    for group in groups:
        assert OFFERED <= group.confidence <= 1.0
        assert group.reasons
        assert all(reason.endswith(".") and PROMPT[:20] not in reason for reason in group.reasons)
        assert {chat_id for part in group.copies for chat_id in part} <= set(group.chat_ids)
        for part in group.copies:
            assert len({words_of(text) for chat_id in part if (text := prompts[chat_id])}) <= 1
    again = [replace(one, group_id="old", kind=ChatKind.SINGLE) for one in dice.sample(records, len(records))]
    assert group_chats(again, (GLOBEX, ACME), dict(reversed(projects.items()))) == groups
    assert set(kinds_of(records, groups)) == set(prompts)


def test_a_group_keeps_its_id_when_a_chat_is_added() -> None:
    """
    A younger chat changes a group's members and not its id.
    """
    [before] = grouped(chat("b", 0, PROMPT), chat("a", 10, PROMPT))
    [after] = grouped(chat("0", 900, PROMPT), chat("b", 0, PROMPT), chat("a", 10, PROMPT))

    assert after.id == before.id
    assert after.chat_ids == ("b", "a", "0")


@pytest.mark.parametrize(
    ("second", "third"),
    [
        pytest.param({"prompt": OTHER}, {}, id="other-prompt-under-the-same-name-in-the-same-minute"),
        pytest.param({"name": "Untitled"}, {"name": "Untitled"}, id="names-that-name-nothing"),
        pytest.param({"author_id": "bob"}, {}, id="two-people"),
        pytest.param({"author_id": None}, {"author_id": None}, id="nobody-known"),
        pytest.param({"project_id": "p"}, {"project_id": "q"}, id="projects-of-two-products"),
        pytest.param({"at": 60}, {}, id="a-minute-between"),
        pytest.param({"name": "Shop copy"}, {}, id="a-copy"),
    ],
)
def test_what_only_looks_the_same_is_not_joined_by_itself(second: dict[str, Any], third: dict[str, Any]) -> None:
    """
    Two chats of one name within seconds are sure (0.95) only if one known person made them and nothing contradicts.
    """
    projects = {"p": "V0 Project 1a2b3c4d", "q": "Globex Billing - 5e6f7a8b-0000-4000-8000-00000000000b"}
    one: dict[str, Any] = {"prompt": PROMPT, **third}
    two: dict[str, Any] = {"at": 5, **second}

    assert confidence_of(chat("1"), chat("2", 5)) == AUTOMATIC
    assert confidence_of(chat("1", **one), chat("2", **two), projects=projects) < AUTOMATIC


def test_equal_prompts_join_and_one_word_of_two_people_or_a_cut_prompt_is_a_question() -> None:
    """
    Equal prompts join under any name, also in capitals; near-equal ones are offered, unless they name two products.
    """
    far: dict[str, Any] = {"at": 9999, "name": "X", "author_id": "bob"}
    assert confidence_of(chat("1", 0, PROMPT), chat("2", prompt=f" {PROMPT}\n", **far)) == 0.98
    assert confidence_of(chat("1", 0, PROMPT), chat("2", prompt=PROMPT.upper() + "!", **far)) == AUTOMATIC
    assert OFFERED < confidence_of(chat("1", 0, PROMPT), chat("2", prompt=f"{PROMPT} and tax", **far)) < AUTOMATIC
    assert confidence_of(chat("1", 0, "test"), chat("2", prompt="test", **far)) < AUTOMATIC
    assert confidence_of(chat("1", 0, "a C++ editor"), chat("2", prompt="a C# editor", **far)) < AUTOMATIC
    long = PROMPT * 250
    assert confidence_of(chat("1", 0, long[:20_000]), chat("2", prompt=long[:20_000], **far)) < AUTOMATIC
    for_both = [f"{product.name}: {PROMPT} {PROMPT.upper()} {OTHER}" for product in (ACME, GLOBEX)]
    assert confidence_of(chat("1", 0, for_both[0]), chat("2", prompt=for_both[1], **far)) == 0.0


def test_a_chain_of_like_prompts_ends_where_its_ends_are_unlike() -> None:
    """
    Each prompt has three other words than the one before it: neighbours are alike, and the last is not with the first.
    """
    texts = [" ".join(f"w{n}" for n in range(3 * step, 3 * step + 60)) for step in range(10)]
    groups = grouped(*(chat(f"c{n}", 9999 * n, text, name=f"N{text[:3]}{n}x") for n, text in enumerate(texts)))

    together = {pair for group in groups for pair in combinations(group.chat_ids, 2)}
    assert ("c0", "c1") in together
    assert ("c0", "c9") not in together


def test_products_of_two_slots_are_never_one_group() -> None:
    """
    Chats that protokeep made for two products stay apart though their prompts are equal, and say whose they are. Chats
    of nobody with that prompt join neither.
    """
    known = (ACME, GLOBEX, ACME, GLOBEX)
    ours = [chat(str(n), n, PROMPT, claim=Claim.OURS, product_id=p.product_id) for n, p in enumerate(known)]
    groups = grouped(*ours, chat("4", 4, PROMPT), chat("5", 5, PROMPT, author_id="bob"))

    assert {group.product_id: group.chat_ids for group in groups} == {
        ACME.product_id: ("0", "2"),
        GLOBEX.product_id: ("1", "3"),
        None: ("4", "5"),
    }
    assert "made by protokeep for Globex Billing" in " ".join(group.reasons[0] for group in groups)


def test_evidence_for_a_product_stands_in_the_reasons() -> None:
    """
    The project's name, the prompt and the name tie a chat to a product, and people read which it was.
    """
    asked = replace(ACME, prompts=[PROMPT])
    by = {
        0.97: (chat("1", name="x", project_id="p"), {"p": f"Acme Checkout - {ACME.product_id}"}),
        0.95: (chat("1", name="x", project_id="p"), {"p": "V0 Project 1a2b3c4d"}),
        0.98: (chat("1", 0, PROMPT, name="x"), {}),
        0.90: (chat("1", name=f"for {ACME.product_id}"), {}),
        0.70: (chat("1", name="Acme Checkout, in blue"), {}),
    }
    for confidence, (record, projects) in by.items():
        [group] = grouped(record, products=(asked, GLOBEX), projects=projects)
        assert (group.product_id, group.product_confidence) == (ACME.product_id, confidence)
        assert "Acme Checkout" in group.reasons[0]
    twin = KnownProduct("1a2b3c4d-ffff-4000-8000-00000000000a", "Twin")
    assert grouped(by[0.95][0], products=(ACME, twin), projects=by[0.95][1]) == []


def test_a_click_storm_is_told_in_a_sentence() -> None:
    """
    The reason says who, when and what: one person, within so many seconds, the same prompt.
    """
    [group] = grouped(chat("1", 0, PROMPT), chat("2", 40, PROMPT))

    assert group.reasons[0] == "Both were made by the same person within 40 seconds with the same prompt."


LANGUAGES = [
    "为团队设计一个简洁的任务看板页面支持拖拽筛选搜索通知权限和报表导出并且可以在手机上使用",
    "チームのためのシンプルなタスクボードを設計してくださいドラッグと検索と通知ができるようにしてください",
    "Создай доску задач для команды, есть поиск, фильтрами, уведомлениями, ролями и выгрузкой отчётов в таблицу",
    "팀을 위한 간단한 작업 보드를 만들어 주세요 검색과 필터와 알림과 역할과 보고서 내보내기가 있어야 합니다",
    "🛒📦🚚🧾💳🎁🏷️🛍️📈📉🧮🔔👥🔒🌍",
]


@pytest.mark.parametrize("text", LANGUAGES)
def test_prompts_in_any_script_compare(text: str) -> None:
    """
    The same prompt in another Unicode form is equal, with a sign more it is near-equal, and others are unlike it.
    """
    far: dict[str, Any] = {"at": 9999, "name": "X", "author_id": "bob"}
    decomposed = unicodedata.normalize("NFD", text)

    assert confidence_of(chat("1", 0, text), chat("2", prompt=decomposed, **far)) == 0.98
    assert OFFERED < confidence_of(chat("1", 0, text), chat("2", prompt=f"{text}✨", **far)) < AUTOMATIC
    assert all(confidence_of(chat("1", 0, text), chat("2", prompt=o, **far)) == 0 for o in LANGUAGES if o != text)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=25), st.randoms(use_true_random=False))
def test_the_search_finds_what_comparing_all_finds(texts: list[list[str]], dice: random.Random) -> None:
    """
    For every two texts with edits, the search by rare pairs tells the same as comparing each with each.
    """
    texts += [[*text, dice.choice("abc")] for text in texts] + [text * 3 for text in texts[:3]]
    likeness = Likeness(texts[:30])
    every = {(a, b) for a, b in combinations(range(len(texts[:30])), 2) if likeness.of(a, b) >= NEAR}

    contents: list[frozenset[Any]] = [frozenset(pairwise(text)) or frozenset(text) for text in texts[:30]]
    found = {(pair.first, pair.second) for pair in likeness.near()}
    assert found <= every
    assert {frozenset((contents[a], contents[b])) for a, b in every} == {
        frozenset((contents[a], contents[b])) for a, b in found
    }


def test_prompts_are_read_where_they_decide() -> None:
    """
    One prompt of each sure part is read, none where nothing is open, and the question about the most chats comes first.
    """
    storm = [chat(f"s{n}", n) for n in range(5)]
    later = [chat(f"t{n}", 9000 + n) for n in range(3)]
    two = [chat("u1", 0, name="Diary", author_id="bob"), chat("u2", 9999, name="diary 2", author_id="bob")]
    sure = [chat("v1", 0, name="Maps", author_id="cy"), chat("v2", 1, name="Maps", author_id="cy")]
    dead = [chat("w1", 5000, name="Diary", author_id="bob", content=ChatContent.FAILED)]
    records = [*sure, *two, *later, *storm, *dead]

    assert prompts_to_read(records, grouped(*records), 9) == ["s0", "t0", "u1", "u2"]
    assert prompts_to_read(records, grouped(*records), 1) == ["s0"]
    read = [replace(one, prompt=PROMPT if one.chat.chat_id in ("s0", "t0") else one.prompt) for one in records]
    assert prompts_to_read(read, grouped(*read), 9) == ["u1", "u2"]


def test_the_best_chat_stays_and_the_others_are_told_apart() -> None:
    """
    Of one request the slot's chat stays, else the complete one with a picture that changed last; failed, empty and
    running ones are what they are, and a group that is only offered makes no duplicate.
    """
    records = [
        chat("1", 0, PROMPT, content=ChatContent.FAILED),
        chat("2", 1, PROMPT, picture_url="https://x/1"),
        chat("3", 2, PROMPT),
        chat("4", 3, PROMPT, content=ChatContent.EMPTY),
        chat("5", 4, PROMPT, content=ChatContent.GENERATING),
        chat("6", 9000, f"{PROMPT} now", name="Y"),
        chat("7", 9999, OTHER, name="Z"),
        chat("8", 9999, claim=Claim.FOREIGN),
    ]
    kinds = {
        "1": ChatKind.FAILED, "2": ChatKind.VARIANT, "3": ChatKind.DUPLICATE, "4": ChatKind.EMPTY,
        "5": ChatKind.UNDECIDED, "6": ChatKind.VARIANT, "7": ChatKind.SINGLE, "8": ChatKind.FOREIGN,
    }  # fmt: skip
    groups = grouped(*records)

    assert best_of(records[:6]).chat.chat_id == "2"
    assert kinds_of(records, groups) == kinds
    assert kinds_of(records, groups, {"3"}) == {**kinds, "2": ChatKind.DUPLICATE, "3": ChatKind.CURRENT}
