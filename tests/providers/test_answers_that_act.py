"""Which answers say for certain that nothing was made; after every other one v0 may have acted."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from protokeep.core.errors import OutcomeUnknown, ProviderBusy, ProviderError, ProviderRejected, ProviderUnreachable
from protokeep.providers.v0_refusals import redirect_target, retry_after
from providers.conftest import MARKS, V0Provider, answering, none_known, provider_of, says

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CERTAIN = (400, 401, 403, 404, 413, 422)
BUSY = (402, 429)
#: 405 to 451: refusals by name, which v0 never documents for a create; a gateway may say them after v0 has acted.
UNCLEAR = (405, 406, 407, 408, 409, 410, 412, 415, 418, 421, 424, 425, 426, 428, 431, 451, 499)
OWN_ERRORS = (500, 501, 502, 503, 504, 505, 511, 520, 524, 599)
ACTS: dict[str, Callable[[V0Provider], Awaitable[Any]]] = {
    "create": lambda provider: provider.create("A shop", MARKS),
    "send": lambda provider: provider.send("chat-1", "Make it blue"),
}
acts = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


class TestStatuses:
    @acts
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            *((status, ProviderRejected) for status in CERTAIN),
            *((status, ProviderBusy) for status in BUSY),
            *((status, OutcomeUnknown) for status in (*UNCLEAR, *OWN_ERRORS)),
        ],
    )
    async def test_a_create_counts_as_refused_only_by_a_documented_refusal(
        self, version: int, act: Callable[[V0Provider], Awaitable[Any]], status: int, error: type[ProviderError]
    ) -> None:
        """
        A create or a message counts as refused only by what v0 documents as a refusal; else v0 may have acted.
        """
        provider, transport = answering(version, says(status, {"message": "In v0's words"}, retry_after="7"))

        with pytest.raises(ProviderError, match="In v0's words") as caught:
            await act(provider)

        assert type(caught.value) is error
        assert caught.value.status == status
        assert len(transport.asked) == 1
        if error is not ProviderRejected:
            assert caught.value.retry_after == timedelta(seconds=7)

    @pytest.mark.parametrize("status", [400, 403, 409, 410, 418, 425, 451, 499])
    async def test_a_refused_read_is_certain_and_a_refused_deletion_may_have_acted(
        self, version: int, status: int
    ) -> None:
        """
        What only reads takes every 4xx for a refusal. A deletion may be repeated; what was refused for certain is there
        still, and by what else v0 may have deleted it.
        """
        provider, _ = answering(version, says(status, {"message": "no"}))

        with pytest.raises(ProviderRejected if status in CERTAIN else OutcomeUnknown):
            await provider.delete("chat-1")
        with pytest.raises(ProviderRejected):
            await provider.find([MARKS], sent_after=NOW, known=none_known)

    async def test_a_409_to_a_stop_says_that_nothing_was_running(self, version: int) -> None:
        """
        A 409 to a stop says, in both documents, that nothing was running.
        """
        provider, _ = answering(version, says(409, {"message": "not running"}))

        assert await provider.cancel("chat-1", "message-1") is False

    async def test_a_404_to_a_stop_does_not_say_that_nothing_was_running(self, version: int) -> None:
        """
        A 404 to a stop says nothing of whether something was running.
        """
        provider, _ = answering(version, says(404, {"message": "no such chat"}))

        with pytest.raises(ProviderRejected, match="404"):
            await provider.cancel("chat-1", "message-1")

    @pytest.mark.parametrize("status", [408, 425, 499, 500])
    async def test_an_unclear_answer_to_a_stop_is_no_nothing_was_running(self, version: int, status: int) -> None:
        """
        A stop that may or may not have acted is no "nothing was running".
        """
        provider, _ = answering(version, says(status, {"message": "hm"}))

        with pytest.raises(OutcomeUnknown):
            await provider.cancel("chat-1", "message-1")

    @pytest.mark.parametrize("status", [407, 511])
    async def test_a_proxy_that_wants_a_sign_in_is_named(self, version: int, status: int) -> None:
        """
        A proxy or a network that wants a sign-in is named, since v0 cannot mend it.
        """
        provider, _ = answering(version, says(status, "<html>sign in</html>"))

        with pytest.raises(OutcomeUnknown, match=r"proxy|network"):
            await provider.create("A shop", MARKS)


class TestRedirects:
    @acts
    @pytest.mark.parametrize("status", [301, 307, 308])
    async def test_a_307_to_an_act_is_unknown_and_names_target_and_setting(
        self, version: int, act: Callable[[V0Provider], Awaitable[Any]], status: int
    ) -> None:
        """
        A redirect to the same request elsewhere may follow an act; it names where, and the setting to change.
        """
        location = "https://user:secret@api.v0.example:8443/v2/chats?token=secret"
        provider, transport = answering(version, says(status, b"", location=location))

        with pytest.raises(OutcomeUnknown) as caught:
            await act(provider)

        words = str(caught.value)
        assert f"answered {status}, which points to https://api.v0.example and" in words
        assert "V0_BASE_URL" in words
        assert "secret" not in words
        assert [request.url.host for request in transport.asked] == ["v0.test"]

    @acts
    @pytest.mark.parametrize("status", [300, 302, 303, 304, 305, 306, 399])
    async def test_a_302_to_an_act_is_unknown_and_names_its_target(
        self, version: int, act: Callable[[V0Provider], Awaitable[Any]], status: int
    ) -> None:
        """
        A redirect to the result of what was done (302, 303) proves nothing, and names where it points all the same.
        """
        provider, _ = answering(version, says(status, b"", location="https://api.v0.example/chats/1"))

        with pytest.raises(OutcomeUnknown, match=r"api\.v0\.example.*V0_BASE_URL"):
            await act(provider)

    async def test_a_redirected_look_up_has_not_looked_and_names_its_target(self, version: int) -> None:
        """
        A look-up that is redirected looked at nothing; it too says where it points.
        """
        provider, _ = answering(version, says(308, b"", location="https://api.v0.example/"))

        with pytest.raises(ProviderError, match=r"api\.v0\.example.*V0_BASE_URL"):
            await provider.find([MARKS], sent_after=NOW, known=none_known)

    @pytest.mark.parametrize(
        ("location", "shown"),
        [
            (None, "nowhere"),
            ("", "nowhere"),
            ("/v3/chats", "another path of the same host"),
            ("https://api.v0.example/x", "https://api.v0.example"),
            ("HTTP://API.v0.example", "http://api.v0.example"),
            ("//api.v0.example/x", "api.v0.example"),
            ("javascript:alert(1)", "another path of the same host"),
            ("ftp://api.v0.example", "api.v0.example"),
            ("https://[::1", "an address that cannot be read"),
            ("https://a\x1b[31mb\u202e.example/", "https://a?[31mb?.example"),
            ("https://" + "a" * 5000, "https://" + "a" * 100),
        ],
    )
    def test_a_redirect_target_is_shown_as_a_short_printable_host(self, location: str | None, shown: str) -> None:
        """
        Whatever the header holds, what people are shown is short, printable, and no more than a host.
        """
        text = redirect_target(location)

        assert text.isprintable()
        assert len(text) <= 120
        assert text == shown or (location or "").startswith("https://a\x1b")


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("date", "until", "seconds"),
        [
            ("Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:17 GMT", 17),
            ("Thu, 01 Jan 1998 00:00:00 GMT", "Thu, 01 Jan 1998 00:00:17 GMT", 17),
            ("Thu, 01 Jan 2099 00:00:00 GMT", "Wed, 31 Dec 2098 23:59:59 GMT", None),
            ("Thu, 01 Jan 1998 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT", 3600),
            ("soon", "Thu, 01 Jan 2099 00:00:00 GMT", 3600),
            ("Thu, 01 Jan 2099 00:00:00 GMT", "17", 17),
        ],
    )
    @pytest.mark.parametrize("status", [402, 409, 429, 503])
    async def test_a_retry_date_is_measured_by_the_answers_own_date(
        self, version: int, status: int, date: str, until: str, seconds: int | None
    ) -> None:
        """
        A date is as far away as the answer's own Date says, whatever our clock shows.
        """
        provider, _ = answering(version, says(status, {}, date=date, retry_after=until))

        with pytest.raises(ProviderError) as caught:
            await provider.create("A shop", MARKS)

        assert caught.value.retry_after == (None if seconds is None else timedelta(seconds=seconds))

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (" 30 ", 30),
            ("1.5", 1.5),
            ("9" * 5000, 3600),
            ("0", None),
            ("-5", None),
            ("inf", None),
            ("Infinity", None),
            ("nan", None),
            ("1e3", None),
            ("1_000", None),
            ("\u0663\u0660", None),
            ("\uff13\uff10", None),
            ("30, 60", None),
            ("30 seconds", None),
            ("Thu, 01 Jan 0000 00:00:00 GMT", None),
            ("Thu, 01 Jan 2099 25:61:61 GMT", None),
            ("Thu, 01 Jan 2099 00:00:00 +9999", None),
        ],
    )
    def test_only_plain_seconds_up_to_an_hour_count_as_a_pause(self, value: str, seconds: float | None) -> None:
        """
        Plain decimal seconds count, at most an hour of them; all other notations ask for nothing.
        """
        assert retry_after(value) == (None if seconds is None else timedelta(seconds=seconds))

    async def test_the_longest_of_several_retry_after_headers_counts(self, version: int) -> None:
        """
        A gateway adds its own header to v0's: the longer pause counts.
        """
        headers = [("Retry-After", "5"), ("Retry-After", "nonsense"), ("Retry-After", "20")]
        provider, _ = answering(version, lambda request: httpx2.Response(429, headers=headers))

        with pytest.raises(ProviderBusy) as caught:
            await provider.create("A shop", MARKS)

        assert caught.value.retry_after == timedelta(seconds=20)


class TestNothingSent:
    @acts
    @pytest.mark.parametrize(
        "raised",
        [
            httpx2.UnsupportedProtocol("no scheme"),
            httpx2.LocalProtocolError("illegal header"),
            httpx2.ProxyError("407 Proxy Authentication Required"),
            httpx2.InvalidURL("no host"),
            UnicodeError("label too long"),
        ],
        ids=lambda raised: type(raised).__name__,
    )
    async def test_an_error_before_the_request_was_written_sent_nothing(
        self, version: int, act: Callable[[V0Provider], Awaitable[Any]], raised: Exception
    ) -> None:
        """
        What fails while a request is written, or a proxy asked, reached nobody.
        """

        def fail(request: httpx2.Request) -> httpx2.Response:
            raise raised

        provider, _ = answering(version, fail)

        with pytest.raises(ProviderUnreachable, match="nothing was sent"):
            await act(provider)

    @pytest.mark.parametrize("root", ["v0.test", "ftp://v0.test", "http://a..b", "http://" + "x" * 300, "//x"])
    async def test_an_unusable_address_is_an_outage_and_needs_no_look_up(self, version: int, root: str) -> None:
        """
        An address that no request can be sent to is an outage with words, and nothing to be looked up.
        """
        provider = provider_of(version, root)

        with pytest.raises(ProviderUnreachable):
            await provider.create("A shop", MARKS)
        await provider.aclose()

    @pytest.mark.parametrize("address", ["https://" + "x" * 64 + ".v0.dev/a.png", "https://a..v0.dev/a.png"])
    async def test_a_picture_at_an_impossible_host_is_one_bad_picture(self, version: int, address: str) -> None:
        """
        An address that v0 names and nobody can look up is one bad picture, not the end of a sweep.
        """
        provider = provider_of(version, "https://api.v0.dev")

        with pytest.raises(OutcomeUnknown):
            await provider.picture(address)
        assert await provider.opens(address) is None
        await provider.aclose()


#: What a raw server does with one connection.
End = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{"id": "c1", "chatId": "c1"}'


@contextlib.asynccontextmanager
async def raw(end: End) -> AsyncIterator[str]:
    """A server that does what no HTTP library would."""

    serving: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await end(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*(task for task in serving if task))


async def read_request(reader: asyncio.StreamReader) -> None:
    """Read one request to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *([0-9]+)", head)
    await reader.readexactly(int(length[1]) if length else 0)


def answers(*pieces: bytes, reset: bool = False) -> End:
    """Read a request, say this, and close or reset."""

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if reset:
            writer.transport.abort()

    return end


HEAD = b"HTTP/1.1 200 OK\r\n"
UNCLEAR_ENDS: dict[str, End] = {
    "closed without a word": answers(),
    "reset without a word": answers(reset=True),
    "reset in the head": answers(b"HTTP/1.1 200", reset=True),
    "too short for its length": answers(HEAD + b'Content-Length: 99\r\n\r\n{"id": "c1", "chatId": "c1"}'),
    "negative length": answers(HEAD + b"Content-Length: -1\r\n\r\n{}"),
    "two lengths": answers(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "cut chunk": answers(HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"),
    "bad chunk": answers(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "no HTTP": answers(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "status that is none": answers(b"HTTP/1.1 abc OK\r\n\r\n"),
    "endless head": answers(HEAD + b"X: " + b"x" * 300_000),
    "switching protocols": answers(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "continue and no more": answers(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "hints and no more": answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "no content": answers(b"HTTP/1.1 204 No Content\r\n\r\n"),
}


class TestOnTheWire:
    @pytest.mark.parametrize("end", UNCLEAR_ENDS.values(), ids=UNCLEAR_ENDS)
    async def test_a_connection_that_ends_without_an_answer_may_have_acted(self, version: int, end: End) -> None:
        """
        However a connection ends after the request has arrived, v0 may have acted.
        """
        async with raw(end) as url:
            provider = provider_of(version, url)
            with pytest.raises(OutcomeUnknown):
                await provider.create("A shop", MARKS)
            await provider.aclose()

    async def test_interim_answers_before_the_real_one_change_nothing(self, version: int) -> None:
        """
        Interim answers (1xx) before the real one change nothing.
        """
        async with raw(answers(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", OK)) as url:
            provider = provider_of(version, url)
            assert (await provider.create("A shop", MARKS)).chat_id == "c1"
            await provider.aclose()

    async def test_a_kept_connection_closed_by_v0_is_not_used_to_send_again(self, version: int) -> None:
        """
        A kept connection that v0 closes as the next request arrives tells nothing about that request: it is not sent
        again by itself.
        """
        heads = 0

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal heads
            for answer in (OK, b""):
                await read_request(reader)
                heads += 1
                writer.write(answer)
                await writer.drain()

        async with raw(once) as url:
            provider = provider_of(version, url)
            await provider.create("A shop", MARKS)
            with pytest.raises(OutcomeUnknown):
                await provider.create("A shop", MARKS)
            await provider.aclose()

        assert heads == 2

    async def test_a_prompt_whose_sending_breaks_off_may_have_been_read(self, version: int) -> None:
        """
        A long prompt whose sending breaks off may have been read far enough.
        """

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(5000)
            writer.transport.abort()

        async with raw(cut) as url:
            provider = provider_of(version, url)
            with pytest.raises(OutcomeUnknown):
                await provider.create("x" * 8_000_000, MARKS)
            await provider.aclose()

    async def test_a_413_before_the_whole_body_was_read_is_a_refusal(self, version: int) -> None:
        """
        A 413 that comes while the body is still being written is a refusal like any other.
        """

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            while await reader.read(65536):
                pass

        async with raw(refuse) as url:
            provider = provider_of(version, url)
            with pytest.raises(ProviderRejected, match="413"):
                await provider.create("x" * 2_000_000, MARKS)
            await provider.aclose()

    async def test_a_failed_tls_handshake_sent_nothing(self, version: int) -> None:
        """
        A handshake that fails comes before the request.
        """

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(5)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        async with raw(plain) as url:
            provider = provider_of(version, url.replace("http://", "https://"))
            with pytest.raises(ProviderUnreachable):
                await provider.create("A shop", MARKS)
            await provider.aclose()

    async def test_an_unknown_host_was_sent_nothing(self, version: int) -> None:
        """
        A host that no name server knows was sent nothing.
        """
        provider = provider_of(version, "http://no-such-host.invalid")

        with pytest.raises(ProviderUnreachable):
            await provider.create("A shop", MARKS)
        await provider.aclose()

    @pytest.mark.parametrize(
        "status_line", [b"407 Proxy Authentication Required", b"502 Bad Gateway", b"403 Forbidden"]
    )
    async def test_a_proxy_that_opens_no_tunnel_passed_nothing_on(
        self, version: int, status_line: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A proxy that opens no tunnel passed nothing on, whatever it answers.
        """
        async with raw(answers(b"HTTP/1.1 " + status_line + b"\r\nContent-Length: 0\r\n\r\n")) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            provider = provider_of(version, "https://v0.example")
            with pytest.raises(ProviderUnreachable):
                await provider.create("A shop", MARKS)
            await provider.aclose()
