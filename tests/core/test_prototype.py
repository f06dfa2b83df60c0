"""The one table that says how a status may change, in full."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import NOW, after, prototype, untracked
from protokeep.core.generation import RecoveryPoint
from protokeep.core.prototype import (
    SETTLED,
    TRANSITIONS,
    Observation,
    ObservedState,
    State,
    Status,
    TrackedPrototype,
    advance,
)
from protokeep.web.pages.presenters import note_of
from tracked import generation_of

P, R, C, F, T = Status.PENDING, Status.IN_PROGRESS, Status.COMPLETED, Status.FAILED, Status.TIMEOUT

#: Written out a second time, so that a change of the table has to be meant.
EXPECTED = {
    #               queued running waiting finished broke gone expired continued
    Status.PENDING: (P, R, R, C, F, F, T, R),
    Status.IN_PROGRESS: (R, R, R, C, F, F, T, R),
    Status.TIMEOUT: (T, T, T, C, F, F, T, R),
    Status.COMPLETED: (C, C, C, C, C, F, C, R),
    Status.FAILED: (F, F, F, F, F, F, F, R),
}
#: How far along a status is. `timeout` is our own clock's word, so it stands beside what it interrupted.
RANK = {P: 0, R: 1, T: 2, C: 3, F: 4}

CASES = [(status, seen, EXPECTED[status][index]) for status in Status for index, seen in enumerate(ObservedState)]
WORDS = st.text("abc", min_size=1, max_size=3)
OBSERVATIONS = st.builds(
    Observation,
    state=st.sampled_from([seen for seen in ObservedState if seen is not ObservedState.CONTINUED]),
    message_id=st.none() | WORDS,
    demo_url=st.none() | WORDS,
    web_url=st.none() | WORDS,
    chat_url=st.none() | WORDS,
    image_url=st.none() | WORDS,
    error_code=st.none() | WORDS,
    error_message=st.none() | WORDS,
)


def told(start: TrackedPrototype, observations: list[Observation]) -> list[TrackedPrototype]:
    """The prototype after each observation, a second apart."""
    told = [start]
    for second, observation in enumerate(observations, 1):
        told.append(advance(told[-1], observation, after(second)))
    return told


class TestTable:
    @pytest.mark.parametrize(("status", "seen", "expected"), CASES, ids=str)
    def test_every_status_meets_every_observation_as_the_table_says(
        self, status: Status, seen: ObservedState, expected: Status
    ) -> None:
        """
        Every status meets every word, and becomes what the table says.
        """
        assert advance(prototype(status), Observation(seen), NOW).status is expected

    def test_the_table_and_this_test_cover_every_status_and_observation(self) -> None:
        """
        The table and this test speak of every status and every word.
        """
        assert set(TRANSITIONS) == set(Status)
        assert len(CASES) == len(Status) * len(ObservedState)

    def test_a_question_after_the_poll_clock_is_the_reason_that_people_read(self) -> None:
        """
        A status never moves back; a question that comes after the clock ran out is told as the reason.
        """
        late = advance(
            prototype(Status.TIMEOUT, error_code="timeout"),
            Observation(ObservedState.WAITING, error_message="Which?"),
            NOW,
        )

        assert (late.status, generation_of(late).error.message) == (Status.TIMEOUT, "Which?")
        assert note_of(late, NOW) == "Which?"

    @given(st.sampled_from(Status), st.lists(OBSERVATIONS, max_size=12))
    def test_no_sequence_of_observations_moves_a_status_backwards(
        self, status: Status, observations: list[Observation]
    ) -> None:
        """
        No sequence of observations, in any order and however often repeated, moves a status backwards.
        """
        ranks = [RANK[one.status] for one in told(prototype(status), observations)]

        assert ranks == sorted(ranks)

    @given(st.lists(OBSERVATIONS, max_size=8))
    def test_nothing_is_completed_unless_the_builder_finished_it(self, observations: list[Observation]) -> None:
        """
        Nothing reads as completed unless the builder said that it is finished.
        """
        completed = any(one.status is C for one in told(prototype(), observations))

        assert not completed or any(observation.state is ObservedState.FINISHED for observation in observations)

    @given(st.sampled_from(Status), OBSERVATIONS)
    def test_a_repeated_observation_changes_only_the_observation_time(
        self, status: Status, observation: Observation
    ) -> None:
        """
        A repeated observation changes nothing but the time of the look.
        """
        once = advance(prototype(status), observation, after(1))
        twice = advance(once, observation, after(1))

        assert twice == once

    @given(st.lists(OBSERVATIONS, max_size=8))
    def test_news_after_a_failure_changes_neither_status_nor_reason(self, observations: list[Observation]) -> None:
        """
        What arrives after a failure changes neither status, nor reason, nor the time it settled.
        """
        failed = advance(prototype(), Observation(ObservedState.BROKE, error_code="x", error_message="y"), NOW)

        last = told(failed, observations)[-1]

        assert (last.status, last.updated_at) == (F, NOW)
        assert (generation_of(last).error.code, generation_of(last).error.message) == ("x", "y")
        assert generation_of(last).settled_at == NOW
        assert generation_of(last).awaiting_input is False

    def test_a_finish_after_a_timeout_completes_and_clears_the_reason(self) -> None:
        """
        `timeout` is not the end: a later look completes it, and the reason goes.
        """
        late = told(
            prototype(R),
            [
                Observation(ObservedState.EXPIRED),
                Observation(ObservedState.RUNNING),
                Observation(ObservedState.FINISHED),
            ],
        )

        assert [one.status for one in late] == [R, T, T, C]
        assert generation_of(late[1]).error.code == "timeout"
        assert generation_of(late[3]).error.code is None


class TestWhatItWrites:
    def test_updated_at_moves_with_the_status_and_observed_at_with_the_builder(self) -> None:
        """
        `updated_at` is when the status moved; `observed_at` when the builder last spoke.
        """
        running = advance(prototype(), Observation(ObservedState.RUNNING), after(3))
        again = advance(running, Observation(ObservedState.RUNNING), after(6))

        assert (running.updated_at, again.updated_at) == (after(3), after(3))
        assert generation_of(again).polling.observed_at == after(6)

    def test_a_timeout_by_our_clock_is_no_observation_of_the_builder(self) -> None:
        """
        Running out of polls is not an observation of the builder's.
        """
        observed = advance(prototype(), Observation(ObservedState.RUNNING), after(3))

        expired = advance(observed, Observation(ObservedState.EXPIRED), after(600))

        assert generation_of(expired).polling.observed_at == after(3)

    @given(st.sampled_from(Status), st.lists(OBSERVATIONS, max_size=6))
    def test_a_settled_status_settles_the_recovery_point_and_failures_have_reasons(
        self, status: Status, observations: list[Observation]
    ) -> None:
        """
        The recovery point says `settled` as soon as the status is, and a failure always has a reason.
        """
        for before, one in pairwise(told(prototype(status), observations)):
            assert (generation_of(one).submission.recovery_point is RecoveryPoint.SETTLED) == (one.status in SETTLED)
            if one.status is F and before.status is not F:
                assert generation_of(one).error.code
                assert generation_of(one).error.message

    @given(st.lists(OBSERVATIONS, min_size=1, max_size=6))
    def test_a_missing_address_keeps_the_known_one_and_the_best_one_is_shown(
        self, observations: list[Observation]
    ) -> None:
        """
        An observation that leaves an address out does not take it away; the best one is the project's.
        """
        seen = told(prototype(), observations)
        for before, now in pairwise(seen):
            assert before.generation.message_id is None or now.generation.message_id is not None
            for name in ("demo_url", "web_url", "chat_url"):
                if getattr(before.generation.links, name):
                    assert getattr(now.generation.links, name)
        last = generation_of(seen[-1])
        assert seen[-1].project_url == last.links.best

    def test_a_question_of_the_builder_is_shown_until_it_goes_on(self) -> None:
        """
        A builder that asks something is waiting, with its words as the reason, until it goes on.
        """
        asked = advance(
            prototype(),
            Observation(ObservedState.WAITING, error_code="waiting_for_answer", error_message="Which?"),
            NOW,
        )
        goes_on = advance(asked, Observation(ObservedState.RUNNING), after(3))

        assert (asked.status, asked.state) == (R, State.WAITING)
        assert (generation_of(asked).hold.code, generation_of(asked).hold.message) == ("waiting_for_answer", "Which?")
        assert (goes_on.status, goes_on.state) == (R, State.MAKING)
        assert generation_of(goes_on).hold.code is None


class TestState:
    @pytest.mark.parametrize(
        ("given", "state"),
        [
            (prototype(recovery_point=RecoveryPoint.CLAIMED), State.QUEUED),
            (prototype(recovery_point=RecoveryPoint.SENT), State.QUEUED),
            (prototype(recovery_point=RecoveryPoint.SENT, outcome_unknown=True), State.UNDECIDED),
            (prototype(recovery_point=RecoveryPoint.CLAIMED, hold_code="out_of_credits"), State.PARKED),
            (prototype(), State.MAKING),
            (prototype(R), State.MAKING),
            (prototype(R, awaiting_input=True), State.WAITING),
            (prototype(T), State.TIMED_OUT),
            (prototype(C), State.READY),
            (prototype(F), State.FAILED),
            (untracked(C), State.READY),
            (untracked(F), State.FAILED),
            (untracked(P), State.UNTRACKED),
            (untracked(T), State.UNTRACKED),
        ],
        ids=lambda value: value.value if isinstance(value, State) else "",
    )
    def test_status_and_recovery_point_are_told_as_one_state(self, given: TrackedPrototype, state: State) -> None:
        """
        Status and recovery point are told as one word.
        """
        assert given.state is state

    def test_a_completed_prototype_is_ready_whatever_hold_is_still_written(self) -> None:
        """
        What is completed is ready, though its reason for an earlier wait may still be written.
        """
        done = prototype(C, hold_code="x", awaiting_input=True, outcome_unknown=True)

        assert done.state is State.READY
