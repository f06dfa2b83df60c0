"""What requests carry, as values: what a claim begins with, whose a key is, caps, rates, roles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from factories import NOW, after
from protokeep.core import validation
from protokeep.core.audit import Action, AuditEntry
from protokeep.core.create_request import CreateRequest, IdempotentRequest, claimed_prototype
from protokeep.core.errors import InvalidInput, NotAllowed, NotAuthenticated, TooMany
from protokeep.core.failed_sign_ins import OTHERS, SEPARATE_LINES, FailedSignInCounter
from protokeep.core.generation import RecoveryPoint
from protokeep.core.jwt_claims import ClaimRules, roles_of
from protokeep.core.principals import Role
from protokeep.core.prototype import State, Status
from protokeep.core.provider_keys import (
    KeyOwner,
    KeySource,
    hint_of,
    key_of,
    key_source_of,
    missing_key_message,
    owner_of,
)
from protokeep.core.quotas import Quotas, day_of
from protokeep.core.rate_limit import MOST_BUCKETS, TokenBucket
from tracked import generation_of


def wanted(**values: Any) -> CreateRequest:
    """A request for a prototype of p-1."""
    given = {
        "mockup_id": "id-1", "workspace_id": "default", "product_id": "p-1", "provider": "v0", "prompt": "A shop",
        "user_id": "ann", "account": "v0:environment", "api_version": 2, "marker": "m-1", "now": NOW,
    }  # fmt: skip
    return CreateRequest(**{**given, **values})


class TestClaim:
    def test_a_new_claim_may_be_sent_at_once_by_any_process(self) -> None:
        """
        A claim is ours to send at once, by whoever comes.
        """
        one = claimed_prototype(wanted(), "uuid-of-ann")
        begun = generation_of(one)

        assert (one.id, one.product_id, one.user_id, one.provider, one.prompt) == (
            "id-1", "p-1", "uuid-of-ann", "v0", "A shop",
        )  # fmt: skip
        assert (one.status, one.state, one.is_current, one.chat_id) == (Status.PENDING, State.QUEUED, True, None)
        assert (one.created_at, one.updated_at, begun.created_at, begun.submission.next_try_at) == (NOW,) * 4
        assert (begun.submission.recovery_point, begun.submission.attempts, begun.submission.lookups) == (
            RecoveryPoint.CLAIMED,
            0,
            0,
        )
        assert (begun.submission.fence, begun.version, begun.submission.lease_until) == (0, 0, None)
        assert (begun.workspace_id, begun.account, begun.marker, begun.created_by) == (
            "default", "v0:environment", "m-1", "ann",
        )  # fmt: skip

    def test_a_leased_claim_has_a_fence_and_a_lease_from_the_beginning(self) -> None:
        """
        One that its process holds has a fence and a lease from the beginning.
        """
        held = generation_of(claimed_prototype(wanted(leased_until=after(6)), "ann"))
        assert (held.submission.fence, held.submission.lease_until) == (1, after(6))

    @pytest.mark.parametrize(
        "other",
        [
            {"product_id": "p-2"}, {"provider": "stitch"}, {"prompt": "A bar"}, {"create_new": True},
            {"product_name": "Shop"},
        ],
    )  # fmt: skip
    def test_the_fingerprint_of_a_create_leaves_out_time_person_and_id(self, other: dict[str, Any]) -> None:
        """
        What is asked for makes the fingerprint; when, by whom and under which id does not.
        """
        assert wanted(**other).fingerprint != wanted().fingerprint
        same = wanted(mockup_id="id-2", now=after(60), user_id="bob", idempotency_key="k")
        assert same.fingerprint == wanted().fingerprint

    def test_the_fingerprint_of_a_change_leaves_out_time_person_and_id(self) -> None:
        """
        So it is with changes of what exists.
        """
        one = IdempotentRequest("default", "ann", "k", ("message", "id-1", "Blue"), NOW)
        assert one.fingerprint == replace(one, now=after(9), key="l").fingerprint
        assert one.fingerprint != replace(one, request=("message", "id-1", "Red")).fingerprint


class TestKeys:
    @pytest.mark.parametrize(
        ("account", "owner", "source"),
        [
            ("v0:environment", None, KeySource.ENVIRONMENT),
            ("v0:key-12ab", None, KeySource.ARGUMENT),
            ("v0:workspace:team", KeyOwner("team"), KeySource.WORKSPACE),
            ("v0:person:team:ann", KeyOwner("team", "ann"), KeySource.OWN),
            ("v0:person:team", None, KeySource.ENVIRONMENT),
            ("v0:workspace:team:ann", None, KeySource.ENVIRONMENT),
        ],
    )
    def test_an_account_name_tells_whose_key_it_stands_for(
        self, account: str, owner: KeyOwner | None, source: KeySource
    ) -> None:
        """
        An account's name says whose key it stands for.
        """
        assert (owner_of(account), key_source_of(account)) == (owner, source)

    @pytest.mark.parametrize("name", ["a:b", "a%3Ab", "ä ö", "a/b@c.d", "person:x:y"])
    def test_any_owners_account_name_leads_back_to_that_owner_only(self, name: str) -> None:
        """
        Whatever a workspace or a person is called, the name of the account leads back to them, and to nobody else.
        """
        for owner in (KeyOwner(name), KeyOwner("team", name), KeyOwner(name, name)):
            assert owner_of(owner.account("v0")) == owner

    def test_a_key_has_some_length_and_no_blanks_inside(self) -> None:
        """
        A key is of some length and has no blanks in it; blanks around it are nobody's.
        """
        assert key_of(" 12345678\n") == "12345678"
        assert key_of("x" * 500) == "x" * 500
        for bad in ("1234567", "x" * 501, "1234 5678", "schlüssel-x", ""):
            with pytest.raises(InvalidInput) as caught:
                key_of(bad)
            assert not bad or bad not in str(caught.value)
        assert hint_of("key-abcd") == "abcd"

    def test_a_missing_key_is_named_by_its_owner(self) -> None:
        """
        Where a key is missing it is said whose it was.
        """
        assert "The operator sets it and restarts" in missing_key_message("v0:environment")
        assert "The workspace's key" in missing_key_message("v0:workspace:team")
        assert "ann's own key" in missing_key_message("v0:person:team:ann")


class TestCaps:
    def test_each_quota_that_is_set_counts_and_zero_is_none(self) -> None:
        """
        Each cap that is set counts, in one order; 0 is none.
        """
        every = Quotas(1, 2, 3).of("default", "ann", "p-1")
        assert [(cap.kind, cap.subject, cap.limit) for cap in every] == [
            ("person", "ann", 1), ("product", "p-1", 2), ("workspace", "default", 3),
        ]  # fmt: skip
        assert [cap.kind for cap in Quotas(0, 2, 0).of("default", "ann", "p-1")] == ["product"]

    def test_a_quota_refusal_says_how_long_the_day_lasts(self) -> None:
        """
        A refusal says how long the day lasts.
        """
        (cap,) = Quotas(per_person=3).of("default", "ann", "p-1")
        refusal = cap.refusal(NOW)

        assert refusal.retry_after == day_of(NOW) + timedelta(days=1) - NOW
        assert "ann has reached the limit of 3 new prototypes a day" in str(refusal)
        assert "PROTOKEEP_CREATES_PER_PERSON" in str(refusal)


class TestRates:
    def test_half_of_a_minutes_rate_comes_at_once_then_evenly(self) -> None:
        """
        Half of a minute's number may come at once, then one each time its part of a minute is over.
        """
        rate = TokenBucket(6, "Too fast")
        for _ in range(3):
            rate.take("ann", 0)
        with pytest.raises(TooMany, match="Too fast") as caught:
            rate.take("ann", 0)
        assert caught.value.retry_after == timedelta(seconds=10)
        rate.take("bob", 0)
        with pytest.raises(TooMany):
            rate.take("ann", 9.9)
        rate.take("ann", 10)
        with pytest.raises(TooMany):
            rate.take("ann", 10)

    def test_a_long_pause_never_saves_up_more_than_half_a_minutes_rate(self) -> None:
        """
        Whoever was away for long has no more than half of a minute's number.
        """
        rate = TokenBucket(6, "Too fast")
        rate.take("ann", 0)
        for _ in range(3):
            rate.take("ann", 9999)
        with pytest.raises(TooMany):
            rate.take("ann", 9999)

    def test_once_a_minute_is_possible_and_zero_is_no_limit(self) -> None:
        """
        Once a minute is once a minute; 0 is no limit.
        """
        rate = TokenBucket(1, "Too fast")
        rate.take("ann", 0)
        with pytest.raises(TooMany):
            rate.take("ann", 59)
        rate.take("ann", 60)
        free = TokenBucket(0, "Too fast")
        for _ in range(99):
            free.take("ann", 0)

    def test_the_rate_limiter_forgets_the_oldest_callers(self) -> None:
        """
        Of those who came longest ago nothing is known when too many came since.
        """
        rate = TokenBucket(1, "Too fast")
        rate.take("first", 0)
        for number in range(MOST_BUCKETS - 1):
            rate.take(f"n-{number}", 0)
        with pytest.raises(TooMany):
            rate.take("first", 1)
        rate.take("one more", 1)
        rate.take("first", 1)


class TestRoles:
    def test_claims_give_person_workspace_and_the_highest_role(self) -> None:
        """
        Claims say who, where and what; the highest role counts.
        """
        rules = ClaimRules(workspace_claim="app.team", role_claim="https://x.example/roles")
        claims = {"sub": "ann", "app": {"team": "design"}, "https://x.example/roles": ["viewer", "admin", "?", 7]}

        who = rules.principal_of(claims)
        assert (who.user_id, who.workspace_id, who.role) == ("ann", "design", Role.ADMIN)
        assert ClaimRules().principal_of({"sub": "ann", "role": "maker"}).workspace_id == "default"

    @pytest.mark.parametrize("user", [None, "", "  ", 7, "a\nb", "x" * 5000])
    def test_claims_without_a_usable_name_are_refused(self, user: Any) -> None:
        """
        Without a usable name it is nobody.
        """
        with pytest.raises(NotAuthenticated):
            ClaimRules().principal_of({"sub": user, "role": "maker"})

    def test_claims_without_workspace_or_role_are_refused_unless_a_default_is_set(self) -> None:
        """
        Without a workspace or a role nobody comes in, unless a role is given to all.
        """
        with pytest.raises(NotAllowed, match="no workspace"):
            ClaimRules(workspace_claim="team").principal_of({"sub": "ann", "role": "maker"})
        for role in (None, "owner", ["owner"]):
            with pytest.raises(NotAllowed, match="no role"):
                ClaimRules().principal_of({"sub": "ann", "role": role})
        assert ClaimRules(default_role=Role.VIEWER).principal_of({"sub": "ann"}).role is Role.VIEWER

    def test_mapped_role_values_count_only_by_their_mapping(self) -> None:
        """
        Where values have a meaning of their own, only those count.
        """
        rules = ClaimRules(roles=roles_of("designers=maker, platform=admin,"))
        assert rules.principal_of({"sub": "ann", "role": "designers"}).role is Role.MAKER
        with pytest.raises(NotAllowed):
            rules.principal_of({"sub": "ann", "role": "admin"})

    @pytest.mark.parametrize("text", ["designers", "=maker", "designers=", "designers=owner", "a=maker,b"])
    def test_a_malformed_role_mapping_is_reported(self, text: str) -> None:
        """
        What is not of that form is said.
        """
        with pytest.raises(ValueError, match="is not of the form"):
            roles_of(text)

    def test_the_last_equals_sign_of_a_mapping_parts_value_and_role(self) -> None:
        """
        The last equals sign parts value and role.
        """
        assert roles_of("cn=x=viewer") == {"cn=x": Role.VIEWER}


class TestNames:
    @pytest.mark.parametrize("value", ["a", "Team-1.x_y", "7", "x" * 64])
    def test_a_workspace_name_takes_letters_digits_dots_dashes_underscores(self, value: str) -> None:
        """
        A workspace is called by letters, digits, dots, dashes and underscores.
        """
        assert validation.workspace_id_of(value) == value

    @pytest.mark.parametrize("value", ["", "-a", ".a", "a b", "a:b", "ä", "x" * 65, "a\n"])
    def test_any_other_workspace_name_is_refused(self, value: str) -> None:
        """
        Anything else is refused.
        """
        with pytest.raises(InvalidInput):
            validation.workspace_id_of(value)

    @pytest.mark.parametrize("read", [validation.person_of, validation.title_of, validation.name_of])
    def test_names_are_short_plain_texts_and_stay_as_they_are(self, read: Callable[[str], str | None]) -> None:
        """
        Names are short plain texts, kept as they are.
        """
        for value in ("ann@example.com", "Ä ö", "x" * 200):
            assert read(value) == value
        for bad in ("x" * 201, "a\x00", "a\x1bb"):
            with pytest.raises(InvalidInput):
                read(bad)

    def test_a_message_has_visible_text_and_stays_as_it_is(self) -> None:
        """
        A message has something to read in it, and is kept as it is.
        """
        assert validation.message_of(" Make it\nblue ") == " Make it\nblue "
        assert validation.message_of("x" * 100_000)
        for bad in ("", " \n ", "x" * 100_001, "a\x00", "\ud800"):
            with pytest.raises(InvalidInput):
                validation.message_of(bad)


class TestRefusals:
    def refusal(self, address: str = "10.0.0.1", workspace: str = "default", reason: str = "expired") -> AuditEntry:
        return AuditEntry(workspace, NOW, Action.SIGN_IN_FAILED, "", "", address, "x", {"reason": reason})

    def test_identical_failed_sign_ins_become_one_line_and_a_number(self) -> None:
        """
        The first of a kind is told at once, and how many more there were when the minute is over.
        """
        refusals = FailedSignInCounter()
        first = self.refusal()
        assert [refusals.count(first, 0), refusals.count(first, 1), refusals.count(first, 2)] == [first, None, None]
        assert refusals.count(self.refusal("10.0.0.2"), 3) is not None
        assert refusals.count(self.refusal(reason="other"), 3) is not None
        waiting = [refusals.has_open_window]

        assert refusals.end_window(59) == []
        (told,) = refusals.end_window(60)
        assert (told.address, told.data) == ("10.0.0.1", {"reason": "expired", "times": 2})
        waiting.append(refusals.has_open_window)
        assert waiting == [True, False]
        assert refusals.count(first, 61) == first

    def test_a_window_lasts_a_minute_from_its_first_failure(self) -> None:
        """
        A window lasts a minute from its first one, and may be ended before.
        """
        refusals = FailedSignInCounter()
        for _ in range(2):
            refusals.count(self.refusal(), 100)
        assert refusals.end_window(159) == []
        assert len(refusals.end_window(101, at_once=True)) == 1

    def test_very_many_kinds_of_failure_share_one_line_per_workspace(self) -> None:
        """
        Of very many kinds only some are told apart, the others are one line; each workspace has its own.
        """
        refusals = FailedSignInCounter()
        told = [refusals.count(self.refusal(f"10.0.1.{number}"), 0) for number in range(SEPARATE_LINES + 5)]
        assert [one is not None for one in told] == [True] * SEPARATE_LINES + [False] * 5
        assert refusals.count(self.refusal(workspace="elsewhere"), 1) is not None

        (others,) = refusals.end_window(60)
        assert (others.workspace_id, others.address, others.subject) == ("default", "", None)
        assert others.data == {"reason": OTHERS, "times": 5}
