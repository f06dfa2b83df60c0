"""Lists of people and keys: which lines are taken, and what is said of the others."""

from __future__ import annotations

import json

import pytest

from protokeep.core.errors import InvalidInput
from protokeep.core.key_import import LINES_MAX, read_key_list
from protokeep.core.provider_keys import KeyOwner

SECRET = "v1:ana:0123456789-secret"


def test_csv_and_json_say_the_same() -> None:
    """
    Columns in any order, quotes, a byte order mark and Windows' line ends; workspace where it is named.
    """
    csv = f'\ufeffkey,user_id,workspace\r\n{SECRET}-1,ana,\r\n\r\n"{SECRET}-2","ben, b.",team\r\n'
    entries = [
        {"user_id": "ana", "key": f"{SECRET}-1"},
        {"user_id": "ben, b.", "key": f" {SECRET}-2 ", "workspace": "team"},
    ]

    for text in (csv, json.dumps(entries), json.dumps(entries, indent=2)):
        lines, faults = read_key_list(text, "default")
        assert faults == []
        assert [(line.owner, line.key) for line in lines] == [
            (KeyOwner("default", "ana"), f"{SECRET}-1"),
            (KeyOwner("team", "ben, b."), f"{SECRET}-2"),
        ]
        assert SECRET not in repr(lines)


def test_every_line_that_cannot_be_used_is_named_without_its_key() -> None:
    """
    By its line in CSV; the others are taken.
    """
    bad = {
        3: f",{SECRET},",
        4: "cyd,short,",
        5: f"dan,{SECRET},team,more",
        6: "eve",
        7: f"ana,{SECRET}-again,",
        8: f"fay,{SECRET} {SECRET},",
        9: f"gus,{SECRET},no workspace!",
        10: f"h\x1bal,{SECRET},",
    }
    text = "\n".join(["user_id,key,workspace", f"ana,{SECRET},", *bad.values(), f"zoe,{SECRET},"])

    lines, faults = read_key_list(text, "default")

    assert [line.owner.user_id for line in lines] == ["ana", "zoe"]
    assert [fault.number for fault in faults] == list(bad)
    assert "line 2" in faults[4].message
    assert all(SECRET not in fault.message and "short" not in fault.message for fault in faults)


def test_one_person_may_have_a_key_in_each_workspace() -> None:
    """
    The same person twice is a fault within one workspace only.
    """
    text = f"user_id,key,workspace\nana,{SECRET},one\nana,{SECRET},two\nana,{SECRET},one\n"

    lines, faults = read_key_list(text, "default")

    assert ([line.owner.workspace_id for line in lines], [fault.number for fault in faults]) == (["one", "two"], [4])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "user_id,key\n",
        f"ana,{SECRET}\nben,{SECRET}\n",
        f"user_id,key,colour\nana,{SECRET},red\n",
        f"user_id\nana {SECRET}\n",
        f'user_id,key\nana,"{SECRET}\n',
        "[]",
        "[[",
        "[" * 100_000,
        f'{{"ana": "{SECRET}"}}',
        f'["{SECRET}"]',
        f'[{{"user_id": "ana", "key": "{SECRET}"}}',
        f"[{'9' * 5000}]",
    ],
)
def test_text_that_is_no_list_is_refused_with_the_form_and_without_what_it_holds(text: str) -> None:
    """
    The words say what to send; whatever was sent may be a key.
    """
    with pytest.raises(InvalidInput, match="user_id,key") as caught:
        read_key_list(text, "default")
    assert SECRET not in str(caught.value)
    assert "ana" not in str(caught.value).replace('"ana"', "")


@pytest.mark.parametrize(
    "entry",
    [
        {"user_id": "ana"},
        {"user_id": "ana", "key": None},
        {"user_id": 7, "key": SECRET},
        {"user_id": "ana", "key": SECRET, "workspace": None},
        {"user_id": "ana", "key": SECRET, "role": "admin"},
        {},
    ],
)
def test_an_entry_of_another_form_is_a_fault(entry: dict[str, object]) -> None:
    """
    Texts, of these names and no others.
    """
    lines, faults = read_key_list(json.dumps([entry]), "default")

    assert (lines, [fault.number for fault in faults]) == ([], [1])
    assert SECRET not in faults[0].message


def test_a_list_of_too_many_lines_is_refused() -> None:
    """
    So that a wrong file is not worked through for hours.
    """
    text = "user_id,key\n" + "".join(f"u{number},{SECRET}\n" for number in range(LINES_MAX + 1))

    with pytest.raises(InvalidInput, match="in parts"):
        read_key_list(text, "default")
