"""What counts as a picture: PNG, JPEG or WebP by its own first bytes, of a size that a browser can bear."""

from __future__ import annotations

import struct

from protokeep.providers.base import Image

MAX_BYTES = 4 * 1024 * 1024
#: Decoded, a pixel takes four bytes: this is 160 MB in a viewer's browser.
MAX_PIXELS = 40_000_000


def image_of(body: bytes) -> Image | None:
    """`body` as a picture with the content type it really has; None: it is none, or too large to show."""
    if len(body) > MAX_BYTES:
        return None
    try:
        if body.startswith(b"\x89PNG\r\n\x1a\n") and body[12:16] == b"IHDR":
            kind, (width, height) = "image/png", struct.unpack(">II", body[16:24])
        elif body.startswith(b"\xff\xd8\xff"):
            kind, (width, height) = "image/jpeg", _jpeg_size(body)
        elif body[:4] == b"RIFF" and body[8:12] == b"WEBP":
            kind, (width, height) = "image/webp", _webp_size(body)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return Image(kind, body) if 0 < width * height <= MAX_PIXELS else None


def _jpeg_size(body: bytes) -> tuple[int, int]:
    """Width and height from the frame header; (0, 0) when there is none."""
    at = 2
    while body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        (length,) = struct.unpack(">H", body[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", body[at + 5 : at + 9])
            return width, height
        if marker == 0xDA or length < 2:
            break
        at += 2 + length
    return 0, 0


def _webp_size(body: bytes) -> tuple[int, int]:
    """Width and height of the three kinds of WebP."""
    kind = body[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", body[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(body[24:27], "little") + 1, int.from_bytes(body[27:30], "little") + 1
    return 0, 0
