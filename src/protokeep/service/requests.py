"""Requests for prototypes: a caller's values, checked against the owner's table, with the account that pays."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from protokeep.core import validation
from protokeep.core.create_request import CreateRequest
from protokeep.core.errors import InvalidInput
from protokeep.core.principals import Principal
from protokeep.service.context import Context
from protokeep.service.provider_accounts import DEFAULT_PROVIDER
from protokeep.store.owner_table import OwnerTable


@dataclass(frozen=True, slots=True)
class NewPrototype:
    """A request of a caller, unchecked."""

    product_id: str
    prompt: str
    provider: str = DEFAULT_PROVIDER
    create_new: bool = False
    product_name: str | None = None
    phase_submission_id: str | None = None
    idempotency_key: str | None = None
    #: Whether the asker knows that a similar id is another product.
    product_is_new: bool = False


async def check_request(context: Context, principal: Principal, new: NewPrototype) -> CreateRequest:
    """The request as it can be claimed. Raises `InvalidInput`, `NotConfigured`, `NotMigrated`.

    Where this process can start the create at once, the claim is leased to it.
    """
    table = await context.store.owner_table()
    await context.providers.refresh()
    choice = context.providers.choose(new.provider, principal.workspace_id, principal.user_id)
    mockup_id = str(uuid4())
    if table.required_unknown:
        raise InvalidInput(
            "This database's design_mockups needs values that protokeep does not have: "
            f"{', '.join(table.required_unknown)}. Give these columns a default."
        )
    return CreateRequest(
        mockup_id=mockup_id,
        workspace_id=principal.workspace_id,
        product_id=validation.product_id_of(new.product_id, must_be_uuid=table.product_is_uuid),
        provider=new.provider,
        prompt=validation.prompt_of(new.prompt),
        user_id=principal.user_id,
        account=choice.account,
        api_version=choice.api_version,
        marker=mockup_id,
        now=context.clock(),
        create_new=new.create_new,
        product_name=validation.name_of(new.product_name),
        phase_submission_id=_phase_submission_of(table, new),
        idempotency_key=validation.idempotency_key_of(new.idempotency_key),
        principal=principal,
        leased_until=context.clock() + context.timing.lease if context.queue.has_room(principal.workspace_id) else None,
    )


def _phase_submission_of(table: OwnerTable, new: NewPrototype) -> str | None:
    """The phase submission that the row names; None where the owner's table has no column for it."""
    if not table.has_phase_submission:
        return None
    return validation.phase_submission_id_of(new.phase_submission_id, must_be_uuid=table.phase_submission_is_uuid)
