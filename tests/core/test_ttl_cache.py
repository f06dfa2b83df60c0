"""The cache: entries expire by the clock that is passed in, and a full cache drops its oldest entry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from protokeep.core.ttl_cache import TtlCache


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def cache(clock: Clock, size: int = 10) -> TtlCache[str, int]:
    return TtlCache(clock, timedelta(seconds=1), size)


def test_an_entry_is_returned_until_its_ttl_has_passed() -> None:
    clock = Clock()
    numbers = cache(clock)
    numbers.put("one", 1)
    clock.now += timedelta(milliseconds=999)
    assert numbers.get("one") == 1
    clock.now += timedelta(milliseconds=1)
    assert numbers.get("one") is None


def test_an_entry_expires_when_the_clock_is_set_back() -> None:
    clock = Clock()
    numbers = cache(clock)
    numbers.put("one", 1)
    clock.now -= timedelta(seconds=1)
    assert numbers.get("one") is None


def test_putting_a_key_again_renews_its_time() -> None:
    clock = Clock()
    numbers = cache(clock)
    numbers.put("one", 1)
    clock.now += timedelta(milliseconds=600)
    numbers.put("one", 2)
    clock.now += timedelta(milliseconds=600)
    assert numbers.get("one") == 2


def test_a_full_cache_drops_its_oldest_entry() -> None:
    numbers = cache(Clock(), size=2)
    numbers.put("one", 1)
    numbers.put("two", 2)
    numbers.put("one", 3)  # Renewed: "two" is the oldest now.
    numbers.put("three", 4)
    assert [numbers.get(key) for key in ("one", "two", "three")] == [3, None, 4]


def test_discard_and_clear_forget_entries() -> None:
    numbers = cache(Clock())
    numbers.put("one", 1)
    numbers.put("two", 2)
    numbers.discard("one")
    numbers.discard("never put")
    assert (numbers.get("one"), numbers.get("two")) == (None, 2)
    numbers.clear()
    assert numbers.get("two") is None
