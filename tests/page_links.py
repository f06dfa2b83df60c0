"""Links between pages: those of a page that lead nowhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_FENCE = re.compile(r"^( *)(```+).*?^ *\2`*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
#: Not of ours: nothing is asked on the network.
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:", re.IGNORECASE)


def broken_links(page: Path) -> list[str]:
    """Links of a page that name no file, or no heading that the file has."""
    text = _CODE.sub("", _COMMENT.sub("", _FENCE.sub("", page.read_text(encoding="utf-8"))))
    return [target for target in _LINK.findall(text) if not _ELSEWHERE.match(target) and not _leads(page, target)]


def _leads(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    return path.exists() and (not anchor or (path.is_file() and anchor in set(anchors(path))))


def anchors(page: Path) -> Iterator[str]:
    """Those that code hosts and the site's generator give to headings: the second one of a name gets a number."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    yield from re.findall(r"^\(([\w-]+)\)=$", text, flags=re.MULTILINE)
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1
