"""What a census makes of a chat that two lists show, in any order and as often as they like."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from factories import NOW
from protokeep.core.census import CensusChat, ChatContent, Claim
from protokeep.core.census_sightings import FOREIGN, KnownChat, Sighting, sighting_of
from protokeep.core.census_tasks import CensusTasks, Task, Work, tasks_of

V1 = CensusChat("chat", 1, ChatContent.FINISHED, "Shop", is_favorite=True, version_id="v", updated_at=NOW)
V2 = CensusChat("chat", 2, ChatContent.UNTOLD, "Shop", metadata={"a": "b"}, may_delete=False, updated_at=NOW)
SHOWN = {1: V1, 2: V2}


def _known(sighting: Sighting) -> KnownChat:
    return KnownChat(sighting.chat, sighting.claim, sighting.mark, "census", "census:1:1", is_missing=False)


@given(st.lists(st.sampled_from([1, 2]), min_size=1, max_size=6))
def test_a_chat_of_two_lists_is_what_both_tell_of_it(lists: list[int]) -> None:
    """
    The older version reads the chat and makes its fingerprint; what only the newer one tells stands beside it.
    """
    known = None
    for version in lists:
        known = _known(sighting_of(SHOWN[version], known, None, None))
    assert known is not None

    both = replace(V1, metadata=V2.metadata, may_delete=V2.may_delete)
    assert known.chat == (both if set(lists) == {1, 2} else SHOWN[lists[0]])
    assert known.chat.fingerprint == SHOWN[min(lists)].fingerprint
    assert not sighting_of(SHOWN[lists[-1]], known, None, None).changes(known)


@given(st.lists(st.sampled_from([V1, V2]), max_size=4), st.sampled_from([1, 2]))
def test_nothing_is_kept_of_a_chat_with_a_foreign_mark(before: list[CensusChat], version: int) -> None:
    """
    Once the newer list has shown a foreign mark, the older one, which shows none, brings no name back.
    """
    known = None
    for chat in before:
        known = _known(sighting_of(chat, known, None, None))
    known = _known(sighting_of(V2, known, FOREIGN, None))
    after = sighting_of(V1 if version == 1 else V2, known, FOREIGN if version == 2 else None, None)

    assert (known.claim, after.claim) == (Claim.FOREIGN, Claim.FOREIGN)
    assert after.chat == CensusChat("chat", after.chat.api_version)


def test_tasks_are_the_same_after_a_restart() -> None:
    """
    The tasks in a census's row are the tasks that were written there.
    """
    tasks = tasks_of([1, 2], with_costs=True).moved({"offset": 5}).again().noted("No costs.").failed_once()
    tasks = replace(tasks.was_refused(2, "no"), projects={"p": "Project"}).done(Task(Work.PROMPTS, 0, ("a", "b")))

    assert CensusTasks.of(tasks.as_json()) == tasks
