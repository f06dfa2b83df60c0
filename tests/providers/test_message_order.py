"""The order of messages: by their times, and within one instant as they are listed."""

from __future__ import annotations

import pytest

from protokeep.providers.v0_common import newest_first

NOW, LATER = "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:06.000Z"


def row(message_id: str, at: str = NOW, role: str = "user") -> dict[str, str]:
    return {"id": message_id, "createdAt": at, "role": role}


@pytest.mark.parametrize("listed_newest_first", [True, False])
def test_messages_of_one_instant_stay_in_the_order_of_the_list(listed_newest_first: bool) -> None:
    """
    A question that came after a reply, in the same instant, is newer than that reply.
    """
    oldest_first = [row("m1"), row("a1", role="assistant"), row("m2"), row("a2", role="assistant")]
    listed = oldest_first[::-1] if listed_newest_first else oldest_first

    found = newest_first(listed, listed_newest_first=listed_newest_first)

    assert [one["id"] for one in found] == ["a2", "m2", "a1", "m1"]


@pytest.mark.parametrize("reverse", [True, False])
def test_times_say_how_a_list_is_ordered(reverse: bool) -> None:
    """
    Where the first and the last message differ in time, that says how the list is ordered, whatever was expected.
    """
    oldest_first = [row("m1"), row("a1", role="assistant"), row("m2", LATER)]
    listed = oldest_first[::-1] if reverse else oldest_first

    assert [one["id"] for one in newest_first(listed)] == ["m2", "a1", "m1"]
    assert [one["id"] for one in newest_first(listed, listed_newest_first=True)] == ["m2", "a1", "m1"]
