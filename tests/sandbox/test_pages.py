"""What can be opened: pages, previews, pictures."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from protokeep.sandbox.site.preview import preview_page
from protokeep.sandbox.site.screenshot import screenshot_of
from protokeep.sandbox.site.theme import LAYOUTS, Theme
from sandbox.conftest import V0
from sandbox.test_time import create_v1, create_v2
from world import Clock


def rows_of(png: bytes) -> list[bytes]:
    """The pixel rows of an 8-bit PNG without filters; checks its chunks."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data, kinds = 8, b"", []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        kinds.append(kind)
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    assert kinds == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert struct.unpack(">II", png[16:24]) == (1280, 800)
    raw = zlib.decompress(data)
    assert len(raw) == 800 * 1281
    return [raw[row * 1281 + 1 : (row + 1) * 1281] for row in range(800)]


async def test_a_completed_chat_can_be_opened_until_it_is_deleted(v0: V0, nobody: V0, other: V0, clock: Clock) -> None:
    """
    Its preview and page open without a key, its picture with the account's own key; deleted, all are gone.
    """
    chat = await create_v1(v0, "A <script>alert(1)</script> dashboard & more")
    preview = f"/preview/{chat['id']}"
    assert (await nobody.get(preview)).status_code == 404
    assert (await nobody.get(chat["webUrl"])).status_code == 200
    clock.advance(10)
    version = (await v0.get(f"/v1/chats/{chat['id']}")).json()["latestVersion"]
    assert version["demoUrl"] == v0.url + preview

    page = await nobody.get(version["demoUrl"])

    assert page.status_code == 200
    assert "&lt;script&gt;alert(1)&lt;/script&gt; dashboard &amp; more" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    chat_page = (await nobody.get(chat["webUrl"])).text  # The prototype itself, with its chat folded above.
    assert page.text.partition("<header>")[2] == chat_page.partition("<header>")[2]
    assert chat_page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > page.text.count("&lt;script&gt;")
    assert "<script" not in chat_page

    picture = await v0.get(version["screenshotUrl"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert len(set(rows_of(picture.content))) > 50
    assert (await nobody.get(version["screenshotUrl"])).status_code == 401
    assert (await other.get(version["screenshotUrl"])).status_code == 404
    assert (await v0.get(version["screenshotUrl"].replace(version["id"], "none"))).status_code == 404

    await v0.delete(f"/v1/chats/{chat['id']}")
    for address in (version["demoUrl"], version["screenshotUrl"], chat["webUrl"], f"{v0.url}/nothing"):
        assert (await v0.get(address)).status_code == 404


async def test_links_name_the_host_that_the_client_asked(v0: V0, clock: Clock) -> None:
    """
    Links name the host that the client asked.
    """
    remote_chat = await v0.post(
        "/v1/chats", json={"message": "x", "responseMode": "async"}, headers={"host": "localhost:81"}
    )
    assert remote_chat.json()["webUrl"].startswith("http://localhost:81/chat/")
    chat, _ = await create_v2(v0)
    clock.advance(10)
    preview = (await v0.get(f"{chat}/preview")).json()
    assert preview["url"] == f"{v0.url}/preview/{chat.rpartition('/')[2]}"
    assert preview["expiresAt"] == "2026-01-02T05:00:00.000Z"
    assert (await v0.get(preview["url"])).status_code == 200


async def test_the_home_page_lists_the_chats(v0: V0) -> None:
    """
    The emulator says what it is, and lists its chats; an empty list says so.
    """
    assert "No chats yet" in (await v0.get("/")).text
    chat = await create_v1(v0, "Birds & <bees>")
    home = (await v0.get("/")).text
    assert f'href="/chat/{chat["id"]}"' in home
    assert "<bees>" not in home


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_draws_a_page_and_a_picture(layout: str) -> None:
    """
    Each layout makes a page and a small picture, the same for the same chat and another for another.
    """
    fields: dict[str, Any] = {
        "prompt": "p",
        "layout": layout,
        "accent": "#2f6fed",
        "pale": "#cfe0ff",
        "soft": "#eaf1ff",
    }
    one, two = (Theme(title="Zoë's \U0001f600 plan & more", seed=seed, **fields) for seed in (1, 2))
    assert len(screenshot_of(one)) < 60_000
    assert rows_of(screenshot_of(one)) != rows_of(screenshot_of(two))
    assert screenshot_of(one) == screenshot_of(one)
    assert preview_page(one) != preview_page(two)
