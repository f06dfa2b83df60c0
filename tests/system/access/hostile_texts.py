"""Texts, bytes and JSON that somebody else may send: made up, or known to have broken or slowed other programs."""

from __future__ import annotations

import base64
import encodings.aliases
import json
import string
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

#: Every codec that this Python has, by all of its names, and some that it has not.
CODECS = sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "idna", "punycode", "undefined", ""})
#: Text whose parts parsers look for; repeated up to a bound it finds what takes more than linear time.
UNITS: Sequence[str] = (
    *("a", "0", "9", "1_", "%", "%41", "%ED%A0%80", "&", "&=", "a=&", ";", '"', '\\"', "\\041", "\\", "=", ",", "-"),
    *("--X", "\r\n--X", "\r\n--Xy", "\r", "\n", "\r\n", ":", "/", "//", "../", ".", " ", "\t", "\x00", "[", "]", "{"),
    *('{"a":', '["', "\\ud800", "e9", "é", "\u0301", "\u202e", "\u200d", "\u0661", "🍞", "\xff", "wait=", "W/", "eyJ"),
)
MOMENTS = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01", "2025-02-30", "2025-01-01T24:00")
#: What breaks parsers at the edge of what they take.
EDGES: Sequence[str] = (
    *("", " ", "0" * 5001, "9" * 5001, "-0", "+1", "1e400", "NaN", "Infinity", "\u0661", "\xb2", "1_0", "\ufeff"),
    *MOMENTS,
    *("3d8e7646-ef1d-54ec-bbea-61227ced90d6", "{3d8e7646ef1d54ecbbea61227ced90d6}", "urn:uuid:" + "0" * 32),
    *("\ud800", "\udfff\ud800", "\x00", "\x1b[31m", "null", "true", "[]", "{}", '"', "*", "eyJ.eyJ.x"),
    *("wait=0000259999", "wait=000025" + "9" * 480, "respond-async, wait=", "http://[", "[::1", "::ffff:127.0.0.1%1"),
)


def either(*ways: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of these, each as often as the others, however many ways each has in itself."""
    return st.sampled_from(ways).flatmap(lambda way: way)


def texts(longest: int) -> st.SearchStrategy[str]:
    """Short made-up texts, edges, and units that are repeated up to `longest` characters."""
    repeated = st.builds(
        lambda before, unit, share, after: (before + unit * int(longest * share / len(unit)) + after)[:longest],
        st.sampled_from(["", "a=", '"', "[", "wait="]),
        st.sampled_from(UNITS),
        st.sampled_from([0.01, 0.1, 1.0]),
        st.sampled_from(["", '"', "\r\n--X--"]),
    )
    short = st.text(max_size=min(longest, 80)) | st.text(string.printable, max_size=min(longest, 80))
    surrogates = st.text(st.characters(categories=["Cs", "Ll"]), max_size=8)
    return st.one_of(short, st.sampled_from(EDGES).map(lambda text: text[:longest]), surrogates, repeated)


def octets(longest: int) -> st.SearchStrategy[bytes]:
    """The same as bytes, and bytes that are no text."""
    return texts(longest).map(lambda text: text.encode("utf-8", "surrogatepass")[:longest]) | st.binary(max_size=100)


def values(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """JSON values with these texts in them."""
    numbers = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 2**63, 1e308])
    return st.recursive(
        st.none() | st.booleans() | numbers | leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(leaves, inner, max_size=4),
        max_leaves=8,
    )


def objects(keys: Sequence[str], longest: int = 1000) -> st.SearchStrategy[bytes]:
    """JSON objects that have some of these keys, as bytes; and bytes that are no JSON."""
    object_ = st.dictionaries(st.sampled_from(keys) | texts(20), values(texts(longest)) | texts(longest), max_size=6)
    broken = st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 50_000, b"1" * 900_000, b"1." + b"1" * 900_000, b"1e" + b"9" * 99]
    )
    return (object_ | values(texts(longest))).map(_json) | octets(longest) | broken


def changed(valid: Mapping[str, Any], longest: int = 1000) -> st.SearchStrategy[bytes]:
    """A valid JSON object with a few of its values replaced or left out; and what `objects` gives."""
    other = values(texts(longest)) | texts(longest)
    changes = st.dictionaries(st.sampled_from(list(valid)), other, max_size=3)
    missing = st.sets(st.sampled_from(list(valid)), max_size=1)
    mended = st.builds(lambda new, gone: {k: v for k, v in {**valid, **new}.items() if k not in gone}, changes, missing)
    return either(mended.map(_json), mended.map(_json), objects(list(valid), longest))


def cursors() -> st.SearchStrategy[str]:
    """Cursors as they are, made from whatever somebody puts into one."""
    moment = either(st.datetimes().map(lambda when: f"{when.isoformat()}+00:00"), st.sampled_from(MOMENTS), texts(60))
    pair = either(st.tuples(moment, st.uuids().map(str)), st.tuples(moment, texts(60)), values(texts(40)))
    coded = either(pair.map(_json), octets(200)).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="))
    return either(coded, coded, texts(300))


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
