"""What a browser would fetch from another server while it shows the site. Links, which a person follows, are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_ADDRESS = r"""["'`]?\s*(?:https?:)?//[^"'`\s>)]+"""
_FETCHED = (
    re.compile(rf"<(?:script|img|iframe|source|video|audio|embed|track)\b[^>]*?\ssrc(?:set)?\s*=\s*{_ADDRESS}", re.I),
    re.compile(rf"<object\b[^>]*?\sdata\s*=\s*{_ADDRESS}", re.I),
    re.compile(rf"<link\b(?![^>]*\brel=[\"']?(?:canonical|license))[^>]*?\shref\s*=\s*{_ADDRESS}", re.I),
    re.compile(rf"(?:\burl\(|@import)\s*{_ADDRESS}", re.I),
    re.compile(rf"(?:\bfetch|\bimportScripts|\bimport)\s*\(\s*{_ADDRESS}", re.I),
    re.compile(rf"\.(?:src|href)\s*=\s*{_ADDRESS}", re.I),
)


def outside_requests(site: Path) -> Iterator[str]:
    """Each with its file."""
    for path in sorted(site.rglob("*")):
        if path.suffix in {".html", ".css", ".js", ".svg"}:
            text = path.read_text(encoding="utf-8")
            yield from (f"{path.relative_to(site)}: {found[0]}" for one in _FETCHED for found in one.finditer(text))
