"""The form for a new prototype: its values, and the request that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from uuid import uuid4

from protokeep.core.errors import InvalidInput
from protokeep.core.validation import NAME_MAX, PRODUCT_ID_MAX, PROMPT_MAX, name_of, product_id_of, prompt_of
from protokeep.service import NewPrototype
from protokeep.store.owner_table import OwnerTable

LIMITS = {"product_id": PRODUCT_ID_MAX, "product_name": NAME_MAX, "prompt": PROMPT_MAX}
#: Labels of the fields that errors of the core name.
LABELS = {"product_id": "The product", "prompt": "The prompt", "product_name": "The name"}


@dataclass(frozen=True, slots=True)
class Form:
    """The values of the form. `key` is new for each rendering: a form that is sent twice makes one prototype."""

    product_id: str = ""
    product_name: str = ""
    prompt: str = ""
    provider: str = "v0"
    another: bool = False
    #: The product of which the person knows that it is another one than a product whose id reads the same.
    different: str = ""
    key: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    trouble: str | None = None

    def with_fault(self, name: str | None, message: str) -> Form:
        """This form with an error message at the field `name`, or above the form if it has no such field."""
        label = LABELS.get(name or "")
        if name is None or label is None:
            return replace(self, trouble=message)
        return replace(self, faults={name: label + message.removeprefix(name)})

    def with_faults(self, table: OwnerTable) -> Form:
        """This form with an error message at each field that cannot be used, all at once."""
        checks: Mapping[str, Callable[[], object]] = {
            "product_id": lambda: product_id_of(self.product_id.strip(), must_be_uuid=table.product_is_uuid),
            "prompt": lambda: prompt_of(self.new_prototype.prompt),
            "product_name": lambda: name_of(self.product_name or None),
        }
        faults: dict[str, str] = {}
        for name, check in checks.items():
            try:
                check()
            except InvalidInput as error:
                faults |= self.with_fault(name, str(error)).faults
        return replace(self, faults=faults)

    @property
    def new_prototype(self) -> NewPrototype:
        """The request for the keeper. Browsers send CRLF for each line end; the prompt gets LF."""
        return NewPrototype(
            product_id=self.product_id.strip(),
            prompt=self.prompt.replace("\r\n", "\n"),
            provider=self.provider,
            create_new=self.another,
            product_name=self.product_name or None,
            idempotency_key=self.key or new_key(),
            product_is_new=True,  # The page asks by itself, also where programs are not asked.
        )


def new_key() -> str:
    """An idempotency key for one rendering of one form."""
    return f"page-{uuid4().hex}"


def blank_form() -> Form:
    """An empty form."""
    return Form(key=new_key())
