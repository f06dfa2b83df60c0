"""The number of values in a JSON body, counted before it is parsed.

A parser makes an object of each value, and a check of types makes an error of each that it does not know: a mebibyte
of short fields is a quarter of a second of work, in which the event loop answers nobody. Our requests hold few values,
however long their texts are.
"""

from __future__ import annotations

#: More than any request of ours or of an assistant needs.
VALUES_MAX = 1000
#: A shorter body cannot cost much.
_SHORT = 4 * VALUES_MAX


def has_too_many_values(body: bytes) -> bool:
    """Whether a JSON body holds more than `VALUES_MAX` values. What a parser refuses anyway may be told either way."""
    if len(body) <= _SHORT:
        return False
    if b"\x00" in body:  # UTF-16 or UTF-32, which a parser takes too, and where a quotation mark is no single byte.
        return True
    parts = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    outside = b"".join(parts[::2])  # Every second part stands between two texts.
    return outside.count(b",") + outside.count(b"[") + outside.count(b"{") > VALUES_MAX
