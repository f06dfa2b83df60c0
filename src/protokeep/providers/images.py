"""Checks pictures: PNG, JPEG or WebP by their own first bytes, of a size that a browser can display."""

from __future__ import annotations

import struct

from protokeep.providers.base import Image

MAX_BYTES = 4 * 1024 * 1024
#: A decoded pixel takes four bytes, so this is 160 MB in a viewer's browser.
MAX_PIXELS = 40_000_000


def image_of(body: bytes) -> Image | None:
    """`body` as a picture with its real content type; None if it is no picture, or too large to show."""
    if len(body) > MAX_BYTES:
        return None
    try:
        if body.startswith(b"\x89PNG\r\n\x1a\n") and body[12:16] == b"IHDR":
            content_type, (width, height) = "image/png", struct.unpack(">II", body[16:24])
        elif body.startswith(b"\xff\xd8\xff"):
            content_type, (width, height) = "image/jpeg", _jpeg_size(body)
        elif body[:4] == b"RIFF" and body[8:12] == b"WEBP":
            content_type, (width, height) = "image/webp", _webp_size(body)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return Image(content_type, body) if 0 < width * height <= MAX_PIXELS else None


def _jpeg_size(body: bytes) -> tuple[int, int]:
    """Width and height from the frame header; (0, 0) if there is none."""
    position = 2
    while body[position] == 0xFF:
        marker = body[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        (length,) = struct.unpack(">H", body[position + 2 : position + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", body[position + 5 : position + 9])
            return width, height
        if marker == 0xDA or length < 2:
            break
        position += 2 + length
    return 0, 0


def _webp_size(body: bytes) -> tuple[int, int]:
    """Width and height of the three kinds of WebP; (0, 0) for any other kind."""
    chunk = body[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", body[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        (bits,) = struct.unpack("<I", body[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        return int.from_bytes(body[24:27], "little") + 1, int.from_bytes(body[27:30], "little") + 1
    return 0, 0
