"""What callers may send, and what it becomes."""

from __future__ import annotations

import unicodedata
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protokeep.core.errors import InvalidInput
from protokeep.core.validation import (
    KEY_MAX,
    NAME_MAX,
    PRODUCT_ID_MAX,
    PROMPT_MAX,
    idempotency_key_of,
    is_plain,
    name_of,
    person_of,
    product_id_of,
    prompt_of,
    title_of,
    user_id_for,
    whole_number_of,
)

CONTROLS = ["\x00", "\n", "\t", "\x1b", "\x7f", "\x85", "\ud800"]
#: Zero width, writing direction, line ends, letters that are drawn as nothing, and variation selectors.
UNSEEN = ["\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\xad", "\u2028", "\u3164", "\u2800", "\U000e0041"]
UNSEEN += ["\u180b", "\u180f", "\u2065", "\ufe00", "\ufff0", "\U0001d159", "\U000e0100", "\U000e0fff"]
#: Blanks that look like one space, and signs that choose a drawing: names differ by none of them.
BLANKS = ["  ", "\xa0", "\u2003", "\u202f", "\u3000", "\ufe0f ", " \ufe0e"]

HIDDEN = [*CONTROLS, *UNSEEN]


class TestProductId:
    @pytest.mark.parametrize("value", ["1", "shop", "a b", "ä/ö?ü#%", "日本", "x" * PRODUCT_ID_MAX, "'; DROP TABLE x"])
    def test_any_text_of_1_to_200_characters_is_a_product_id(self, value: str) -> None:
        """
        Any text of 1-200 characters is an id, and stays as it is.
        """
        assert product_id_of(value) == value

    @pytest.mark.parametrize("value", ["", "  ", "x" * (PRODUCT_ID_MAX + 1), *(f"p{one}q" for one in HIDDEN)])
    def test_a_refused_product_id_names_the_field_and_what_would_do(self, value: str) -> None:
        """
        Empty, too long, or with control characters: the refusal names the field and what would do.
        """
        with pytest.raises(InvalidInput) as caught:
            product_id_of(value)
        assert (caught.value.field, str(caught.value).startswith("product_id ")) == ("product_id", True)

    @given(st.text(max_size=PRODUCT_ID_MAX + 5))
    def test_an_accepted_product_id_is_kept_but_for_its_spelling(self, value: str) -> None:
        """
        Whatever is taken is kept, in one spelling, and can be written to any database.
        """
        try:
            taken = product_id_of(value)
        except InvalidInput:
            return
        plain = value.replace("\ufe0e", "").replace("\ufe0f", "")
        assert taken == " ".join(unicodedata.normalize("NFC", plain).split())
        assert product_id_of(taken) == taken
        assert taken.encode()
        assert "\x00" not in taken
        assert not any(unicodedata.category(character) == "Cc" for character in taken)

    @pytest.mark.parametrize("spelling", [str, lambda u: str(u).upper(), lambda u: f"{{{u}}}", lambda u: u.hex])
    def test_every_spelling_of_a_uuid_is_one_product(self, spelling: object) -> None:
        """
        Where ids are uuids, every spelling of one is the same product.
        """
        product = uuid4()
        assert callable(spelling)
        assert product_id_of(spelling(product), must_be_uuid=True) == str(product)

    def test_a_text_that_is_no_uuid_is_refused_where_ids_are_uuids(self) -> None:
        """
        Where ids are uuids, another text is refused with words that say so.
        """
        with pytest.raises(InvalidInput, match="UUID"):
            product_id_of("shop", must_be_uuid=True)

    def test_an_accent_is_the_same_letter_however_it_was_typed(self) -> None:
        """
        What looks alike is one product: a letter with its accent apart, and blanks around an id.
        """
        assert product_id_of(" cafe\u0301 ") == product_id_of("caf\xe9") == "caf\xe9"


class TestPeople:
    @pytest.mark.parametrize("one", HIDDEN)
    def test_no_person_or_name_looks_like_another_by_what_nobody_sees(self, one: str) -> None:
        """
        "amy" and "amy" with a character that nobody sees are not two people, tokens or products.
        """
        for check in (person_of, title_of, name_of):
            with pytest.raises(InvalidInput):
                check(f"am{one}y")
        assert not is_plain(f"am{one}y")

    @pytest.mark.parametrize("blank", BLANKS)
    def test_blanks_that_look_alike_are_one_blank(self, blank: str) -> None:
        """
        "Amy Lee" is one person, whichever blanks are typed, and a claim with others is somebody else's.
        """
        for check in (person_of, title_of, name_of, product_id_of):
            assert check(f"Amy{blank}Lee") == "Amy Lee"
        assert is_plain("Amy Lee")
        assert not is_plain(f"Amy{blank}Lee")

    def test_a_sign_is_one_name_however_it_is_drawn(self) -> None:
        """
        Telephones add to a heart that it is to be red: it stays the same name.
        """
        assert name_of("\u2764\ufe0f Shop") == name_of("\u2764 Shop") == "\u2764 Shop"

    def test_a_person_is_written_in_one_way(self) -> None:
        """
        Outer blanks are off and accents composed; a claim that is written otherwise is another's, and is refused.
        """
        assert (person_of(" amy "), person_of("Jose\u0301"), title_of(" CI "), name_of(" Shop ")) == (
            "amy",
            "Jos\xe9",
            "CI",
            "Shop",
        )
        assert is_plain("amy")
        assert not any(is_plain(value) for value in (" amy", "Jose\u0301", "", "x" * 201, None, 7))


class TestNumber:
    @pytest.mark.parametrize(("text", "number"), [("0", 0), ("25", 25), ("0025", 25), ("0" * 19 + "7", 7)])
    def test_a_whole_number_may_have_leading_zeros(self, text: str, number: int) -> None:
        """
        As HTTP's numbers may.
        """
        assert whole_number_of(text, 25) == number

    @pytest.mark.parametrize(
        "text",
        ["", "26", "-1", "+1", "1e1", "1_0", " 1", "1\n", "\u0661", "\xb2", "0000259999", "0" * 5001],
    )
    def test_what_is_no_whole_number_in_bounds_is_none(self, text: str) -> None:
        """
        The bound is on the number itself, and no text is so long that Python refuses to read it.
        """
        assert whole_number_of(text, 25) is None


class TestPrompt:
    @pytest.mark.parametrize("value", ["x", "x" * PROMPT_MAX, "two\nlines\tand a tab", "🍞" * PROMPT_MAX])
    def test_a_prompt_of_1_to_100000_characters_stays_as_it_is(self, value: str) -> None:
        """
        1-100,000 characters, line breaks and all.
        """
        assert prompt_of(value) == value

    @pytest.mark.parametrize("value", ["", " \n\t", "x" * (PROMPT_MAX + 1), "a\x00b", "half \ud83d"])
    def test_an_empty_too_long_or_unstorable_prompt_is_refused(self, value: str) -> None:
        """
        Nothing to read, too long, or what no database keeps.
        """
        with pytest.raises(InvalidInput) as caught:
            prompt_of(value)
        assert caught.value.field == "prompt"

    def test_a_refused_prompt_is_told_its_length_and_the_limit(self) -> None:
        """
        The refusal says how long it is and how long it may be.
        """
        with pytest.raises(InvalidInput, match=r"100,001 characters; at most 100,000"):
            prompt_of("x" * 100_001)


class TestName:
    @pytest.mark.parametrize(("value", "name"), [(None, None), ("", None), ("  ", None), (" Shop ", "Shop")])
    def test_an_empty_product_name_is_none(self, value: str | None, name: str | None) -> None:
        """
        An empty name is none.
        """
        assert name_of(value) == name

    @pytest.mark.parametrize("value", ["x" * (NAME_MAX + 1), "a\nb"])
    def test_a_product_name_is_one_line_of_at_most_200_characters(self, value: str) -> None:
        """
        Names are one line of at most 200 characters.
        """
        with pytest.raises(InvalidInput, match="product_name"):
            name_of(value)


class TestIdempotencyKey:
    @pytest.mark.parametrize(("value", "key"), [(None, None), ("k", "k"), ('"k"', "k"), (' "a b" ', "a b"), ('"', '"')])
    def test_a_quoted_and_a_bare_idempotency_key_are_the_same(self, value: str | None, key: str | None) -> None:
        """
        The draft's quoted string and the bare text that most clients send are the same key.
        """
        assert idempotency_key_of(value) == key

    @pytest.mark.parametrize("value", ["", '""', " ", "x" * (KEY_MAX + 1), "a\x01"])
    def test_an_empty_or_too_long_idempotency_key_is_refused(self, value: str) -> None:
        """
        A key that names nothing, or too much, is refused rather than ignored.
        """
        with pytest.raises(InvalidInput, match="Idempotency-Key"):
            idempotency_key_of(value)


class TestUserId:
    def test_a_user_id_stays_as_the_token_says_where_it_is_text(self) -> None:
        """
        Where `user_id` is text, a user is what the token says.
        """
        assert user_id_for("ann", must_be_uuid=False) == "ann"

    @given(st.text(min_size=1, max_size=20))
    def test_a_user_name_becomes_the_same_uuid_every_time(self, value: str) -> None:
        """
        Where `user_id` is a uuid, a name becomes one, the same every time.
        """
        mapped = user_id_for(value, must_be_uuid=True)

        assert str(UUID(mapped)) == mapped
        assert user_id_for(value, must_be_uuid=True) == mapped

    def test_a_user_id_that_is_a_uuid_stays_and_no_two_names_share_one(self) -> None:
        """
        A uuid is not mapped to another, and two names not to one.
        """
        user = str(uuid4())

        assert user_id_for(user, must_be_uuid=True) == user
        assert user_id_for(user.upper(), must_be_uuid=True) == user
        assert user_id_for("ann", must_be_uuid=True) != user_id_for("bob", must_be_uuid=True)

    def test_the_mapping_of_names_to_uuids_never_changes(self) -> None:
        """
        Rows are found by it for years: another namespace would lose everybody's rows.
        """
        assert user_id_for("ann", must_be_uuid=True) == "3d8e7646-ef1d-54ec-bbea-61227ced90d6"
