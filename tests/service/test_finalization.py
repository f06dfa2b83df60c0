"""What is read once at the end: picture, cost, links. Each may fail without harm."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import httpx2
import pytest

from protokeep.core.errors import NotFound, OutcomeUnknown
from protokeep.core.prototype import Status
from protokeep.providers.images import MAX_BYTES, image_of
from protokeep.providers.v0_http import V0Config
from protokeep.providers.v0_v1 import V0V1
from protokeep.web.models import PrototypeView
from tracked import generation_of
from world import ANN, EVE, World, both_versions, every_version_and_database

pytestmark = pytest.mark.world(checked=True, generation_seconds=20, timeout_seconds=10.0)


def png(width: int = 2, height: int = 2, filler: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"\x00" * filler) + chunk(b"IEND", b"")


JPEG = b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0\x00\x0b\x08\x00\x10\x00\x20\x01\x01\x11\x00\xff\xd9"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x0f\x00\x00\x1f\x00\x00"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (png(), "image/png"),
        (JPEG, "image/jpeg"),
        (WEBP, "image/webp"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", None),
        (b"<html>", None),
        (b"GIF89a" + b"\0" * 20, None),
        (b"", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"\xff\xd8\xff", None),
        (b"RIFF\0\0\0\0WEBP", None),
        (png(0, 0), None),
        (png(60_000, 60_000), None),
        (png(filler=MAX_BYTES), None),
        (b"\xff\xd8" + b"\xff" * 5000, None),
    ],
)
def test_png_jpeg_and_webp_count_as_pictures_by_their_bytes(body: bytes, kind: str | None) -> None:
    """
    PNG, JPEG and WebP by their own bytes, of a sane size; nothing else, whatever it calls itself.
    """
    image = image_of(body)
    assert kind == (None if image is None else image.content_type)


@every_version_and_database
async def test_a_picture_is_fetched_once_and_shown_to_its_workspace(world: World) -> None:
    """
    v1's picture is fetched once, kept, and shown from our own address to its workspace only; v2 has none.
    """
    done = await world.finish()
    view = PrototypeView.of(done, world.clock())
    if world.api_version == 2:
        assert (view.thumbnail_url, view.image_url) == (None, None)
        with pytest.raises(NotFound):
            await world.keeper.picture(ANN, done.id)
        return
    assert view.thumbnail_url == view.image_url == f"/api/design/prototypes/{done.id}/picture"
    picture = await world.keeper.picture(ANN, done.id)
    assert picture.content_type == "image/png"
    assert picture.body.startswith(b"\x89PNG")
    with pytest.raises(NotFound):
        await world.keeper.picture(EVE, done.id)
    await world.keeper.finalize()
    assert world.transport is not None
    assert sum(count for path, count in world.transport.calls.items() if "screenshot" in path) == 1


def v1_with_pictures(answer: httpx2.Response) -> tuple[V0V1, list[httpx2.Request]]:
    asked: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return answer

    config = V0Config(api_key="secret", root_url="https://api.v0.dev", timeout_seconds=2)
    return V0V1(config, httpx2.MockTransport(handle)), asked


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/x.png",
        "http://api.v0.dev/x.png",
        "https://api.v0.dev.evil.example/x.png",
        "https://evil-v0.dev/x.png",
        "https://api.v0.dev@evil.example/x.png",
        "https://someone@v0.dev/x.png",
        "https://v0.dev:8443/x.png",
        "https://[::1]/x.png",
        "https://api.v0.dev:99999/x.png",
        "file:///etc/passwd",
        "//v0.dev/x.png",
    ],
)
async def test_a_picture_address_that_is_not_v0s_is_not_asked(address: str) -> None:
    """
    A picture's address that is not v0's own is not asked for at all.
    """
    v0, asked = v1_with_pictures(httpx2.Response(200, content=png()))
    assert await v0.picture(address) is None
    assert not asked


@pytest.mark.parametrize("address", ["https://api.v0.dev/x.png", "https://v0.app/x.png", "https://img.v0.dev/x.png"])
async def test_v0s_own_hosts_get_the_key_and_redirects_are_not_followed(address: str) -> None:
    """
    v0's own hosts get the key; a redirect is not followed.
    """
    v0, asked = v1_with_pictures(httpx2.Response(200, content=png()))
    assert await v0.picture(address) is not None
    assert asked[0].headers["authorization"] == "Bearer secret"
    moved, asked = v1_with_pictures(httpx2.Response(302, headers={"location": "https://evil.example/"}))
    assert await moved.picture(address) is None
    assert len(asked) == 1


@every_version_and_database
async def test_credits_are_read_once_at_each_end(world: World) -> None:
    """
    Credits are read once when it is done, and again after each round.
    """
    done = await world.finish()
    first = generation_of(done).credits
    assert first is not None
    assert first > 0
    assert first == PrototypeView.of(done, world.clock()).credits
    world.clock.advance(60)
    await world.keeper.iterate(ANN, done.id, "Make it blue", wait=0)
    await world.keeper.submit(done.id)
    await world.pass_time(70)
    await world.keeper.finalize()
    second = generation_of(await world.get(done.id)).credits
    assert second is not None
    assert second > first
    reports = world.sandbox.stats()["v1"]["calls"].get("reports.getUsage", 0)
    assert reports == (2 if world.api_version == 1 else 0)


@both_versions
async def test_v1_reads_the_cost_of_all_that_ended_together_in_one_call(world: World) -> None:
    """
    v1: the cost of all that ended together is one call.
    """
    if world.api_version == 2:
        pytest.skip("v2 tells the cost with each message")
    for index in range(40):
        await world.make(f"p-{index}")
    await world.pass_time(30)
    await world.keeper.finalize()
    assert world.sandbox.stats()["v1"]["calls"]["reports.getUsage"] == 1


@pytest.mark.parametrize("knobs", [{"status": 500}, {"status": 404}, {"status": 403}])
@both_versions
async def test_a_failure_to_read_the_cost_harms_nothing(world: World, knobs: dict[str, Any]) -> None:
    """
    Without its cost a prototype is completed all the same; the figure is null, and read later when it can be.
    """
    if world.api_version == 2:
        pytest.skip("v2 reads nothing at the end")
    world.sandbox.set_knobs(fail_next=[{"operation": "reports.getUsage", **knobs}])
    done = await world.finish()
    assert (done.status, generation_of(done).credits) == (Status.COMPLETED, None)
    world.clock.advance(90)
    await world.keeper.finalize()
    assert generation_of(await world.get(done.id)).credits is not None


@both_versions
async def test_a_preview_that_answers_404_is_taken_down_and_comes_back(world: World) -> None:
    """
    A preview that answers 404 twice is taken down for the chat's page, and comes back when it opens again.
    """
    if world.api_version == 2:
        pytest.skip("v2 has no preview that may be kept")
    done = await world.finish()
    demo = generation_of(done).links.demo_url
    assert done.project_url == demo
    chat = world.sandbox.chats[done.chat_id or ""]
    reply = chat.messages[-1]
    assert reply.generation is not None
    was, reply.generation.outcome = reply.generation.outcome, "error"
    for _ in range(3):
        world.clock.advance(700)
        await check_link(world)
    dead = await world.get(done.id)
    assert dead.status is Status.COMPLETED
    assert dead.project_url == generation_of(dead).links.web_url
    reply.generation.outcome = was
    world.clock.advance(700)
    await check_link(world)
    assert (await world.get(done.id)).project_url == demo


@both_versions
async def test_a_preview_is_checked_again_for_a_day(world: World) -> None:
    """
    A preview that is not there for a minute is not taken down; one that was comes back by itself within a day.
    """
    if world.api_version == 2:
        pytest.skip("v2 has no preview that may be kept")
    done = await world.finish()
    demo = generation_of(done).links.demo_url
    reply = world.sandbox.chats[done.chat_id or ""].messages[-1]
    assert reply.generation is not None
    world.clock.advance(700)
    was, reply.generation.outcome = reply.generation.outcome, "error"
    await check_link(world)
    reports = world.sandbox.stats()["v1"]["calls"]["reports.getUsage"]
    for seconds, opens in ((60, False), (60, False), (100, True), (100, False), (100, False), (100, False)):
        reply.generation.outcome = was if opens else "error"
        world.clock.advance(seconds)
        await world.keeper.finalize()
        assert (await world.get(done.id)).project_url == demo
    reply.generation.outcome = "error"
    world.clock.advance(700)
    await check_link(world)
    for _ in range(4):
        world.clock.advance(100)
        await world.keeper.finalize()
    assert (await world.get(done.id)).project_url == generation_of(done).links.web_url
    reply.generation.outcome = was

    for _ in range(8):
        world.clock.advance(100)
        await world.keeper.finalize()

    assert (await world.get(done.id)).project_url == demo
    assert world.sandbox.stats()["v1"]["calls"]["reports.getUsage"] - reports <= 3


async def test_a_picture_that_answers_404_is_asked_for_again() -> None:
    """
    A picture that answers 404 is asked for again; one that is none is not.
    """
    v0, _ = v1_with_pictures(httpx2.Response(404))
    with pytest.raises(OutcomeUnknown):
        await v0.picture("https://api.v0.dev/x.png")
    v0, _ = v1_with_pictures(httpx2.Response(200, content=b"<html>"))
    assert await v0.picture("https://api.v0.dev/x.png") is None


async def check_link(world: World) -> None:
    """As a status request does that comes long after the end."""
    await world.keeper.status(ANN, "p-1", "v0")
    await world.keeper.finalize()


@both_versions
async def test_no_preview_token_is_kept(world: World) -> None:
    """
    No link of a v2 prototype holds a token, and none is asked for.
    """
    done = await world.finish()
    assert "chats.getPreview" not in world.sandbox.stats()["v2"]["calls"]
    if world.api_version == 2:
        assert done.project_url == generation_of(done).links.chat_url
        assert generation_of(done).links.demo_url is None
