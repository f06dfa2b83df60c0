"""Whether two approvals of a plan come from two people, however many tokens one of them has made for other names.

Who makes a token sees it, and can use it. So an approval stands for the person that it names and for everybody who
made its token, or a token that it was made with; two approvals that have one of these people in common are one.
"""

from __future__ import annotations

from dataclasses import replace

from protokeep.core.errors import NotNow
from protokeep.core.principals import Principal
from protokeep.store.approvers import Approvers

NEXT = (
    "Nothing was approved. The second approval has to come from an admin who signs in with your sign-in service, or "
    "whose token an operator made: protokeep token create --local --role admin --user NAME."
)


async def require_other_person(approvers: Approvers, principal: Principal, plan_id: str) -> None:
    """Raises `NotNow`, and says why, if the approval of `principal` counts as one that the plan has already."""
    behind = await approvers.behind(principal)
    for user_id, token_id in await approvers.of_plan(plan_id):
        shared = behind & await approvers.behind(replace(principal, user_id=user_id, token_id=token_id))
        if shared:
            raise NotNow(f"{_reason(user_id, principal.user_id, shared)} {NEXT}")


def _reason(first: str, second: str, shared: frozenset[str]) -> str:
    if first in shared:
        return f"Your approval does not count beside that of {first}, who made your token, or a token that led to it."
    if second in shared:
        return f"Your approval does not count beside that of {first}, whose token you made, or a token that led to it."
    return (
        f"Your approval does not count beside that of {first}: {min(shared)} made both your tokens, or tokens that led "
        "to them."
    )
