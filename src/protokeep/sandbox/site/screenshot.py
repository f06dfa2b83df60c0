"""The picture of a made-up prototype: a PNG of 1280 x 800, drawn with the standard library alone."""

from __future__ import annotations

import struct
import unicodedata
import zlib
from functools import lru_cache
from math import sqrt

from .theme import Theme

WIDTH, HEIGHT = 1280, 800

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.&'+%"

#: 5 x 7 pixels a letter: five columns, lowest bit on top.
_COLUMNS = """
3E5149453E 00427F4000 4261514946 2141454B31 1814127F10 2745454539 3C4A494930 0171090503 3649494936
064949291E 7E1111117E 7F49494936 3E41414122 7F4141221C 7F49494941 7F09090901 3E4149497A 7F0808087F
00417F4100 2040413F01 7F08142241 7F40404040 7F020C027F 7F0408107F 3E4141413E 7F09090906 3E4151215E
7F09192946 4649494931 01017F0101 3F4040403F 1F2040201F 3F4038403F 6314081463 0708700807 6151494543
2054545478 7F48444438 3844444420 384444487F 3854545418 087E090102 0C5252523E 7F08040478 00447D4000
2040443D00 7F10284400 00417F4000 7C04180478 7C08040478 3844444438 7C14141408 081414187C 7C08040408
4854545420 043F444020 3C4040207C 1C2040201C 3C4030403C 4428102844 0C5050503C 4464544C44
0808080808 0060600000 3649552250 0005030000 08083E0808 2313086462
"""

_FONT = {letter: bytes.fromhex(columns) for letter, columns in zip(_LETTERS, _COLUMNS.split(), strict=True)}

_WHITE, _BACK, _LINE, _INK, _DIM, _BAR, _ACCENT, _PALE, _SOFT = range(9)
_FIXED = ("#ffffff", "#f6f7f9", "#e3e7ee", "#1b2230", "#8b95a7", "#dde2ea")


class _Canvas:
    """Rectangles and letters on a grid of palette indexes."""

    def __init__(self) -> None:
        self.rows = [bytearray([_BACK]) * WIDTH for _ in range(HEIGHT)]

    def box(self, x: int, y: int, width: int, height: int, color: int, radius: int = 0) -> None:
        """A filled rectangle, with round corners if `radius` is given. It is cut at the edges of the canvas."""
        for line in range(max(y, 0), min(y + height, HEIGHT)):
            edge = min(line - y, y + height - 1 - line)
            inset = 0
            if edge < radius:
                inset = radius - int(sqrt(radius**2 - (radius - edge - 0.5) ** 2) + 0.5)
            left, right = max(x + inset, 0), min(x + width - inset, WIDTH)
            if right > left:
                self.rows[line][left:right] = bytes([color]) * (right - left)

    def card(self, x: int, y: int, width: int, height: int) -> None:
        """White with a thin border."""
        self.box(x, y, width, height, _LINE, 12)
        self.box(x + 1, y + 1, width - 2, height - 2, _WHITE, 11)

    def text(self, x: int, y: int, words: str, scale: int, color: int, limit: int) -> None:
        """One line of letters, cut at `limit` pixels. A letter that the font lacks becomes a space."""
        plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
        for letter in plain[: limit // (6 * scale)]:
            for column, bits in enumerate(_FONT.get(letter, b"")):
                for row in range(7):
                    if bits >> row & 1:
                        self.box(x + column * scale, y + row * scale, scale, scale, color)
            x += 6 * scale

    def lines(self, x: int, y: int, widths: tuple[int, ...]) -> None:
        """Gray bars that stand for text."""
        for index, width in enumerate(widths):
            self.box(x, y + index * 22, width, 10, _BAR, 5)


@lru_cache(maxsize=256)
def screenshot_of(theme: Theme) -> bytes:
    """The PNG, well under 60 KB; the same bytes for the same theme."""
    canvas = _Canvas()
    canvas.box(0, 0, WIDTH, 64, _WHITE)
    canvas.box(0, 64, WIDTH, 1, _LINE)
    canvas.box(32, 18, 28, 28, _ACCENT, 8)
    canvas.text(76, 25, theme.title, 2, _INK, 620)
    for index in range(3):
        canvas.text(900 + index * 120, 25, theme.name("menu", index), 2, _DIM, 110)
    _DRAW[theme.layout](canvas, theme)
    return _png(canvas.rows, (*_FIXED, theme.accent, theme.pale, theme.soft))


def _headline(canvas: _Canvas, theme: Theme, x: int, y: int) -> None:
    canvas.text(x, y, theme.title, 4, _INK, 1140)
    canvas.lines(x, y + 48, (theme.pick("line") % 300 + 360, theme.pick("second") % 200 + 240))


def _dashboard(canvas: _Canvas, theme: Theme) -> None:
    _headline(canvas, theme, 64, 104)
    for index in range(4):
        x = 64 + index * 292
        canvas.card(x, 220, 276, 124)
        canvas.text(x + 20, 240, theme.name("card", index), 2, _DIM, 240)
        canvas.text(x + 20, 270, f"{theme.pick('value', index) % 9000 + 120}", 5, _INK, 240)
        canvas.box(x + 20, 322, theme.share("up", index) * 2, 8, _ACCENT, 4)
    canvas.card(64, 368, 1152, 372)
    for index in range(14):
        height = theme.share("bar", index) * 3
        canvas.box(96 + index * 79, 716 - height, 56, height, _PALE if index % 2 == 0 else _ACCENT, 6)


def _landing(canvas: _Canvas, theme: Theme) -> None:
    canvas.box(64, 96, 1152, 328, _SOFT, 20)
    _headline(canvas, theme, 112, 152)
    canvas.box(112, 320, 190, 52, _ACCENT, 12)
    canvas.text(136, 339, "Get started", 2, _WHITE, 160)
    for index in range(3):
        x = 64 + index * 392
        canvas.card(x, 456, 368, 284)
        canvas.box(x + 20, 476, 328, 140, _PALE if index % 2 else _ACCENT, 10)
        canvas.text(x + 20, 640, theme.name("feature", index), 3, _INK, 320)
        canvas.lines(x + 20, 680, (300, 220))


def _shop(canvas: _Canvas, theme: Theme) -> None:
    _headline(canvas, theme, 64, 104)
    for index in range(8):
        x, y = 64 + index % 4 * 292, 220 + index // 4 * 268
        canvas.card(x, y, 276, 248)
        canvas.box(x + 16, y + 16, 244, 140, (_PALE, _ACCENT, _SOFT)[theme.pick("art", index) % 3], 10)
        canvas.text(x + 16, y + 174, theme.name("item", index), 3, _INK, 240)
        canvas.text(x + 16, y + 208, f"{theme.pick('price', index) % 90 + 9}.00", 2, _DIM, 120)
        canvas.box(x + 196, y + 202, 64, 26, _ACCENT, 13)


def _board(canvas: _Canvas, theme: Theme) -> None:
    _headline(canvas, theme, 64, 104)
    for index, column in enumerate(("To do", "Doing", "Done")):
        x = 64 + index * 392
        canvas.box(x, 216, 368, 532, _SOFT, 14)
        canvas.text(x + 20, 236, column, 2, _INK, 300)
        for row in range(2 + theme.pick("rows", index) % 3):
            y = 272 + row * 116
            canvas.card(x + 16, y, 336, 100)
            canvas.text(x + 34, y + 18, theme.name("task", index, row), 3, _INK, 300)
            canvas.box(x + 34, y + 64, 300, 10, _PALE, 5)
            canvas.box(x + 34, y + 64, theme.share("task", index, row) * 3, 10, _ACCENT, 5)


def _table(canvas: _Canvas, theme: Theme) -> None:
    _headline(canvas, theme, 64, 104)
    canvas.card(64, 216, 1152, 532)
    for index in range(9):
        y = 236 + index * 56
        canvas.box(92, y, 32, 32, (_PALE, _ACCENT, _SOFT)[theme.pick("face", index) % 3], 16)
        canvas.text(148, y + 6, theme.name("row", index), 3, _INK, 300)
        canvas.box(420, y + 12, theme.share("amount", index) * 4, 10, _BAR, 5)
        canvas.box(1060, y + 2, 120, 28, _PALE, 14)
        canvas.box(84, y + 44, 1112, 1, _LINE)


def _form(canvas: _Canvas, theme: Theme) -> None:
    _headline(canvas, theme, 64, 104)
    canvas.card(64, 216, 640, 532)
    canvas.box(96, 244, 576, 10, _PALE, 5)
    canvas.box(96, 244, theme.share("step") * 5, 10, _ACCENT, 5)
    for index, label in enumerate(("Name", "Email", "Team", "Message")):
        canvas.text(96, 278 + index * 98, label, 2, _DIM, 400)
        canvas.box(96, 302 + index * 98, 576, 50, _LINE, 8)
        canvas.box(97, 303 + index * 98, 574, 48, _WHITE, 7)
    canvas.box(96, 676, 170, 48, _ACCENT, 12)
    canvas.text(118, 693, "Continue", 2, _WHITE, 140)
    canvas.box(744, 216, 472, 532, _SOFT, 20)
    canvas.box(820, 320, 320, 220, _PALE, 16)
    canvas.lines(820, 570, (320, 260, 290))


_DRAW = {
    "dashboard": _dashboard,
    "landing": _landing,
    "shop": _shop,
    "board": _board,
    "table": _table,
    "form": _form,
}


def _png(rows: list[bytearray], palette: tuple[str, ...]) -> bytes:
    """An 8-bit PNG with a palette."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    colors = b"".join(bytes.fromhex(color[1:]) for color in palette)
    pixels = zlib.compress(b"".join(b"\x00" + bytes(row) for row in rows), 6)
    parts = (chunk(b"IHDR", header), chunk(b"PLTE", colors), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
