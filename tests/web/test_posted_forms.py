"""Posted forms: in UTF-8 only, within bounds, and parsed only after their sender was counted."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from protokeep.core.errors import InvalidInput
from protokeep.web import posted_forms
from protokeep.web.posted_forms import BYTES_MAX, FIELDS_MAX, UnsupportedForm, fields_of
from world import Site, World, on_sqlite

HTML = {"accept": "text/html"}
#: Codecs that take quadratic time, give halves of surrogate pairs, or turn ASCII into something else.
CODECS = ("punycode", "idna", "unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "latin-1", "hex", "none-such")


def multipart(fields: dict[str, str], codec: str = "") -> dict[str, Any]:
    """A form as browsers send it, with a charset if one is given."""
    parts = "".join(
        f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    kind = "multipart/form-data; boundary=X" + (f"; charset={codec}" if codec else "")
    return {"content": f"{parts}--X--\r\n".encode(), "headers": {**HTML, "content-type": kind}}


@contextlib.asynccontextmanager
async def browser(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser without a session."""
    client = httpx2.AsyncClient(base_url=site.url, headers=HTML, transport=site.http._transport)
    try:
        yield client
    finally:
        await client.aclose()


def signature(page: httpx2.Response) -> str:
    """The form token of a page."""
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None
    return html.unescape(found[1])


@on_sqlite
@pytest.mark.parametrize("path", ["/sign-in", "/new", "/prototypes/3d8e7646-ef1d-54ec-bbea-61227ced90d6/messages"])
@pytest.mark.parametrize("codec", CODECS)
async def test_a_form_in_another_codec_is_refused_and_never_decoded(site: Site, path: str, codec: str) -> None:
    """
    The sender does not choose how a form is decoded, on any page, with a session or without.
    """
    fields = {"token": "\\ud800", "prompt": "\\ud800", "product_id": "p", "message": "\\ud800"}
    async with browser(site) as client:
        token = signature(await client.get("/sign-in"))
        answer = await client.post(path, **multipart({**fields, "form_token": token}, codec))

    assert answer.status_code == 415
    assert "UTF-8" in answer.text


@pytest.mark.parametrize("charset", ["", "utf-8", "UTF-8", '"utf8"'])
async def test_a_form_in_utf_8_is_read(charset: str) -> None:
    """
    A charset that says what is so anyway is no fault.
    """
    sent = multipart({"prompt": "Bäckerei 🍞"}, charset)

    assert await fields_of(sent["headers"]["content-type"], sent["content"]) == {"prompt": "Bäckerei 🍞"}


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/mixed; boundary=X", "x" * 5000, ""])
async def test_what_is_no_form_is_refused(kind: str) -> None:
    """
    Only the two kinds that browsers send are forms.
    """
    with pytest.raises(UnsupportedForm):
        await fields_of(kind, b"form_token=x")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"&" * 100_000),
        ("application/x-www-form-urlencoded", b"a=" + b"%" * (posted_forms.URLENCODED_MAX + 1)),
        ("application/x-www-form-urlencoded", b"a=\xff"),
        ("multipart/form-data; boundary=X", b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 30),
        ("multipart/form-data; boundary=X", b'--X\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'),
        ("multipart/form-data; boundary=X", b"--X\r\nContent-Disposition: form-data\r\n\r\n\r\n--X--"),
        ("multipart/form-data; boundary=X", b"no boundary"),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ('multipart/form-data; boundary="a b"', b"--a b\r\n"),
        ("multipart/form-data", b"--X\r\n"),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused_in_words(kind: str, body: bytes) -> None:
    """
    Too many fields, files, bytes that are no UTF-8, and bodies that are broken.
    """
    with pytest.raises(InvalidInput, match="reload the page"):
        await fields_of(kind, body)


async def test_no_field_holds_half_of_a_surrogate_pair() -> None:
    """
    Escaped halves become the sign for what cannot be read, so that every text of a form can be written and hashed.
    """
    body = b"a=%ED%A0%80&b=%uD800&c=\\ud800"

    for text in (await fields_of("application/x-www-form-urlencoded", body)).values():
        assert text.encode()


@on_sqlite
@pytest.mark.parametrize("chunked", [False, True], ids=["told", "chunked"])
async def test_a_form_is_read_up_to_what_forms_need(real_site: Site, chunked: bool) -> None:
    """
    More than a form needs is not read; the API, where each character may be escaped, takes more.
    """
    text = b"x" * (BYTES_MAX + 1)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(text), 65_536):
            yield text[start : start + 65_536]

    kind = {"content-type": "application/x-www-form-urlencoded"}
    form = await real_site.http.post("/new", content=pieces() if chunked else text, headers=kind)
    program = await real_site.create(prompt="\x01" * 90_000)

    assert form.status_code == 413
    assert "439 KiB" in form.json()["detail"]
    assert program.status_code == 201


@on_sqlite
async def test_the_longest_prompt_fits_into_its_form_and_through_a_sign_in(site: Site, world: World) -> None:
    """
    100,000 characters of four bytes each fit into the form, and are kept when the session has ended meanwhile.
    """
    prompt = "🍞" * 100_000
    words = {"product_id": "p-1", "product_name": "n" * 200, "prompt": prompt, "key": "page-1"}
    async with browser(site) as client:
        gate = await client.post("/new", **multipart(words))
        assert (gate.status_code, prompt in gate.text) == (401, True)
        kept = {"draft_target": "/new", **{f"draft_{name}": value for name, value in words.items()}}
        signed = {"form_token": signature(gate), "token": await site.token()}
        again = await client.post("/sign-in", **multipart({**signed, **kept}))
        assert (again.status_code, prompt in again.text) == (200, True)
        made = await client.post("/new", **multipart({**words, "form_token": signature(again)}))

    assert made.status_code == 303
    assert (await world.get(made.headers["location"].rpartition("/")[2])).prompt == prompt


@on_sqlite
async def test_nothing_is_parsed_before_its_sender_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever has sent too many forms without a session is told so, and what else they send is not even parsed.
    """
    parsed = []

    async def parse(kind: str, body: bytes) -> dict[str, str]:
        parsed.append(body)
        return {}

    monkeypatch.setattr(posted_forms, "fields_of", parse)
    async with world.serving(real=False, sign_ins_per_minute=4) as site, browser(site) as client:
        answers = [await client.post(path, data={"prompt": "x"}) for path in ("/sign-in", "/new", "/new", "/sign-in")]

    assert [answer.status_code for answer in answers] == [403, 303, 429, 429]
    assert "Too many tries" in answers[2].text
    assert 'name="token"' in answers[3].text
    assert len(parsed) == 2


def test_a_form_has_room_for_every_field_of_ours() -> None:
    """
    The sign-in form with a draft has the most fields.
    """
    assert len(("form_token", "next", "code", "token", "draft_target")) + 7 <= FIELDS_MAX
