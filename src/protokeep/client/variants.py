"""Operations on the variants of a product: which one is current, and what they are called."""

from __future__ import annotations

from protokeep.client.models import Prototype
from protokeep.client.operations import Call, Operation, quoted, request

PROTOTYPES = "/api/design/prototypes"


def make_current(prototype_id: str) -> Operation[Prototype]:
    """`POST /api/design/prototypes/{id}/make-current`: the prototype, which its product has from now on."""
    advice = (
        "It may be the current one by now. Asking again is safe, unless another variant was made current meanwhile."
    )
    call = Call("POST", f"{PROTOTYPES}/{quoted(prototype_id)}/make-current", True, advice)
    return (yield from request(Prototype, call))


def name_variant(prototype_id: str, name: str | None) -> Operation[Prototype]:
    """`PUT /api/design/prototypes/{id}/name`; None takes the name away."""
    advice = "It may have the name by now. Asking again is safe."
    call = Call("PUT", f"{PROTOTYPES}/{quoted(prototype_id)}/name", True, advice, body={"name": name})
    return (yield from request(Prototype, call))
