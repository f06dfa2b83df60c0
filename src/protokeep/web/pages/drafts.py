"""Drafts: a form that was sent after the session had ended is carried through the sign-in, and sent on request only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request, Response

from protokeep.web.pages.render import page
from protokeep.web.pages.session import Visitor
from protokeep.web.posted_forms import posted_fields

#: Forms that people write texts into: their address, and the field with the text.
TEXT_FORMS = ((re.compile(r"/new"), "prompt"), (re.compile(r"/prototypes/[0-9a-fA-F-]{1,64}/messages"), "message"))
#: The fields of those forms.
FIELDS = frozenset({"product_id", "product_name", "prompt", "provider", "another", "key", "message"})
#: Names of a draft's fields within the sign-in form.
PREFIX = "draft_"
TARGET = "draft_target"


@dataclass(frozen=True, slots=True)
class FormDraft:
    """A form that was not accepted: its address, the field with the text, and the other fields."""

    target: str
    name: str
    text: str
    others: Mapping[str, str]

    @property
    def hidden_fields(self) -> dict[str, str]:
        """The draft as fields of the sign-in form."""
        fields = {PREFIX + name: value for name, value in self.others.items()}
        return {TARGET: self.target, PREFIX + self.name: self.text, **fields}


async def posted_draft(request: Request) -> FormDraft | None:
    """The draft in a posted form; None: it has no text, or another site has posted it.

    Raises what `posted_fields` raises.
    """
    if request.method != "POST" or not _is_same_site(request):
        return None
    return _draft_of(request.scope["path"], await posted_fields(request))


def carried_draft(fields: Mapping[str, str]) -> FormDraft | None:
    """The draft that a sign-in form carries; None: it carries none."""
    carried = {name.removeprefix(PREFIX): value for name, value in fields.items() if name.startswith(PREFIX)}
    return _draft_of(fields.get(TARGET, ""), carried)


def resubmit_page(request: Request, visitor: Visitor, draft: FormDraft, status: int = 200) -> Response:
    """The draft, with a button that sends it."""
    return page(request, "again.html", visitor=visitor, status=status, draft=draft, live=None)


def _draft_of(target: str, fields: Mapping[str, str]) -> FormDraft | None:
    for pattern, name in TEXT_FORMS:
        if pattern.fullmatch(target) and fields.get(name, "").strip():
            others = {other: value for other, value in fields.items() if other in FIELDS and other != name and value}
            return FormDraft(target, name, fields[name], others)
    return None


def _is_same_site(request: Request) -> bool:
    """Whether one of our pages posted the form, as far as the browser tells. A person agrees before it is sent on."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "null")  # Our pages send no referrer, and so no origin either.
    ours = ("null", f"{request.scope['scheme']}://{request.headers.get('host', '')}")
    return site in ("same-origin", "none") and origin in ours
