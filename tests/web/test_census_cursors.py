"""Cursors of censuses: what was encoded comes back, and anything else is refused."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.errors import InvalidInput
from protokeep.core.foreign_text import is_id
from protokeep.web.census_cursors import decode_place, encode_place

KEYS: dict[str, st.SearchStrategy[Any]] = {
    "created": st.datetimes(timezones=st.just(UTC)),
    "name": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=100),
    "credits": st.floats(allow_nan=False, allow_infinity=False),
    "members": st.integers(0, 2**31 - 1),
}
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4))


@given(st.data(), st.sampled_from(list(KEYS)))
def test_a_place_comes_back_and_only_for_its_order(data: st.DataObject, sort: str) -> None:
    """
    A cursor stands for the place that it was made of, in the order that it was made for.
    """
    place = data.draw(KEYS[sort]), "chat-1"
    cursor = encode_place(sort, place)

    assert decode_place(sort, cursor) == place
    with pytest.raises(InvalidInput):
        decode_place("updated", cursor)


@given(ANYTHING.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode()) | st.text(max_size=50))
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """
    Whatever somebody sends is a place or invalid input.
    """
    for sort in KEYS:
        with contextlib.suppress(InvalidInput):
            place = decode_place(sort, cursor)
            assert place is not None
            assert is_id(place[1])
