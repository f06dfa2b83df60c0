"""What somebody wrote when their session had ended: kept through the sign-in, and sent only when they say so again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from protokeep.web.pages.render import page
from protokeep.web.pages.session import FIELDS_MAX, Visitor

#: Forms that people write into: where they go, and the field that is shown for another look.
WRITTEN = ((re.compile(r"/new"), "prompt"), (re.compile(r"/prototypes/[0-9a-fA-F-]{1,64}/messages"), "message"))
FIELDS = frozenset({"product_id", "product_name", "prompt", "provider", "another", "key", "message"})
PREFIX = "kept_"
TARGET = "kept_target"


@dataclass(frozen=True, slots=True)
class FormDraft:
    """A form that was not taken: where it was going, the field that was written, and the others."""

    target: str
    name: str
    text: str
    others: Mapping[str, str]

    @property
    def hidden(self) -> dict[str, str]:
        """As fields of the sign-in form."""
        fields = {PREFIX + name: value for name, value in self.others.items()}
        return {TARGET: self.target, PREFIX + self.name: self.text, **fields}


async def draft_of(request: Request) -> FormDraft | None:
    """What a form of ours brought that cannot be taken now; None: nothing worth keeping, or from another site."""
    if request.method != "POST" or not _from_here(request):
        return None
    form = await request.form(max_files=0, max_fields=FIELDS_MAX)
    fields = {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
    return _kept(request.url.path, fields)


def draft_in(fields: Mapping[str, str]) -> FormDraft | None:
    """What the sign-in form carries."""
    known = {name.removeprefix(PREFIX): value for name, value in fields.items() if name.startswith(PREFIX)}
    return _kept(fields.get(TARGET, ""), known)


def again_page(request: Request, visitor: Visitor, kept: FormDraft, status: int = 200) -> Response:
    """What was kept, with a button that sends it."""
    return page(request, "again.html", visitor=visitor, status=status, kept=kept, live=None)


def _kept(target: str, fields: Mapping[str, str]) -> FormDraft | None:
    for pattern, name in WRITTEN:
        if pattern.fullmatch(target) and fields.get(name, "").strip():
            others = {one: value for one, value in fields.items() if one in FIELDS and one != name and value}
            return FormDraft(target, name, fields[name], others)
    return None


def _from_here(request: Request) -> bool:
    """Whether one of our pages sent it, as far as the browser tells. Nothing is done with it before a person agrees."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "null")  # Our pages send no referrer, and so no origin either.
    return site in ("same-origin", "none") and (origin == "null" or urlsplit(origin).netloc == request.url.netloc)
