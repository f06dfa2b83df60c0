"""The form for a new prototype: what stands in it, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from uuid import uuid4

from protokeep.core.validation import NAME_MAX, PRODUCT_ID_MAX, PROMPT_MAX
from protokeep.service import NewPrototype

LIMITS = {"product_id": PRODUCT_ID_MAX, "product_name": NAME_MAX, "prompt": PROMPT_MAX}
#: What people call the fields that the core names in its errors.
FIELDS = {"product_id": "The product", "prompt": "The prompt", "product_name": "The name"}


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form. `key` is one per rendering: sent twice, it still makes one."""

    product_id: str = ""
    product_name: str = ""
    prompt: str = ""
    provider: str = "v0"
    another: bool = False
    key: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    trouble: str | None = None

    def with_fault(self, name: str | None, text: str) -> Form:
        """With what is wrong said at its field, or above the form if it belongs to none."""
        words = FIELDS.get(name or "")
        if name is None or words is None:
            return replace(self, trouble=text)
        return replace(self, faults={name: words + text.removeprefix(name)})

    @property
    def new_prototype(self) -> NewPrototype:
        """As the keeper takes it. Browsers send line ends of two characters."""
        return NewPrototype(
            product_id=self.product_id.strip(),
            prompt=self.prompt.replace("\r\n", "\n"),
            provider=self.provider,
            create_new=self.another,
            product_name=self.product_name or None,
            idempotency_key=self.key or new_key(),
        )


def new_key() -> str:
    """An idempotency key for one rendering of one form."""
    return f"page-{uuid4().hex}"


def blank_form() -> Form:
    """A form with nothing in it."""
    return Form(key=new_key())
