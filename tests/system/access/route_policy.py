"""Who may use which route. A route that is missing here fails the matrix: say what its rule is when you add one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi.routing import iter_route_contexts

from protokeep.core.principals import Role


class Way(Enum):
    """How a route knows who asks."""

    OPEN = "open"  #: asks nobody
    BEARER = "bearer"  #: a token in a header; refused with 401 and 403
    PAGE = "page"  #: a session's cookie; refused by leading to the sign-in page, and with 403


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks for.

    `of_workspace`: it names something that only one workspace may see. `own`: an admin may do it with anything, others
    only with what is theirs.
    """

    way: Way
    role: Role = Role.VIEWER
    of_workspace: bool = False
    own: bool = False
    body: Any = None
    query: str = ""


OPEN = Rule(Way.OPEN)
MESSAGE = {"message": "Make it blue"}
NO_KEY = {"key": ""}
CREATE = {"product_id": "another", "prompt": "x"}

RULES: dict[str, Rule] = {
    "GET /openapi.json": OPEN,
    "HEAD /openapi.json": OPEN,
    "GET /docs": OPEN,
    "GET /livez": OPEN,
    "GET /readyz": OPEN,
    # It takes a token of its own; without that setting it is 404 for everybody.
    "GET /metrics": OPEN,
    "POST /api/design/create-project": Rule(Way.BEARER, Role.MAKER, body=CREATE),
    "GET /api/design/events": Rule(Way.BEARER),
    "GET /api/design/mockups": Rule(Way.BEARER),
    "GET /api/design/mockups/{product_id}": Rule(Way.BEARER),
    "GET /api/design/mockups/{product_id}/status": Rule(Way.BEARER, of_workspace=True),
    "GET /api/design/prototypes/{prototype_id}": Rule(Way.BEARER, of_workspace=True),
    "GET /api/design/prototypes/{prototype_id}/picture": Rule(Way.BEARER, of_workspace=True),
    "POST /api/design/prototypes/{prototype_id}/messages": Rule(
        Way.BEARER, Role.MAKER, of_workspace=True, body=MESSAGE
    ),
    "POST /api/design/prototypes/{prototype_id}/stop": Rule(Way.BEARER, Role.MAKER, of_workspace=True),
    "DELETE /api/design/prototypes/{prototype_id}": Rule(Way.BEARER, Role.MAKER, of_workspace=True, own=True),
    "POST /api/design/prototypes/{prototype_id}/restore": Rule(Way.BEARER, Role.MAKER, of_workspace=True, own=True),
    "POST /api/design/prototypes/{prototype_id}/make-current": Rule(Way.BEARER, Role.MAKER, of_workspace=True),
    "PUT /api/design/prototypes/{prototype_id}/name": Rule(
        Way.BEARER, Role.MAKER, of_workspace=True, body={"name": "Dark header"}
    ),
    "GET /api/design/tags": Rule(Way.BEARER),
    "PUT /api/design/mockups/{product_id}/tags/{tag}": Rule(Way.BEARER, Role.MAKER, of_workspace=True),
    "DELETE /api/design/mockups/{product_id}/tags/{tag}": Rule(Way.BEARER, Role.MAKER, of_workspace=True),
    "PUT /api/design/mockups/{product_id}/archive": Rule(Way.BEARER, Role.MAKER, of_workspace=True),
    "DELETE /api/design/mockups/{product_id}/archive": Rule(Way.BEARER, Role.MAKER, of_workspace=True),
    "PUT /api/design/mockups/{product_id}/favourite": Rule(Way.BEARER, of_workspace=True),
    "DELETE /api/design/mockups/{product_id}/favourite": Rule(Way.BEARER, of_workspace=True),
    # Each of its answers says what one prototype's own address says; see tests/service/test_arrangement.py.
    "POST /api/design/several": Rule(Way.BEARER, Role.MAKER, body={"ids": ["none"], "action": "archive"}),
    "GET /api/design/bin": Rule(Way.BEARER),
    "GET /api/design/archives": Rule(Way.BEARER, Role.ADMIN),
    "DELETE /api/design/archives": Rule(Way.BEARER, Role.ADMIN, query="?older_than_days=365"),
    "GET /api/design/archives/{archive_id}": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "DELETE /api/design/archives/{archive_id}": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "POST /api/design/archives/{archive_id}/restore": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "DELETE /api/design/mockups/{prototype_id}": Rule(Way.BEARER, Role.MAKER, of_workspace=True, own=True),
    "GET /api/design/check-status/{product_id}": Rule(Way.BEARER, of_workspace=True),
    "POST /api/design/tokens": Rule(Way.BEARER, Role.ADMIN, body={"role": "viewer"}),
    "GET /api/design/tokens": Rule(Way.BEARER, Role.ADMIN),
    "DELETE /api/design/tokens/{token_id}": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "POST /api/design/invitations": Rule(Way.BEARER, Role.ADMIN, body={"role": "viewer"}),
    "GET /api/design/invitations": Rule(Way.BEARER, Role.ADMIN),
    "DELETE /api/design/invitations/{invitation_id}": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "GET /api/design/settings": Rule(Way.BEARER),
    "PUT /api/design/settings": Rule(Way.BEARER, Role.ADMIN, body={"unclear_product": None}),
    "POST /settings/workspace": Rule(Way.PAGE, Role.ADMIN, body={"unclear_product": ""}),
    "GET /api/design/people": Rule(Way.BEARER, Role.ADMIN),
    "POST /api/design/people/revoke": Rule(Way.BEARER, Role.ADMIN, body={"user_id": "nobody"}),
    "GET /api/design/audit": Rule(Way.BEARER, Role.ADMIN),
    "PUT /api/design/keys": Rule(Way.BEARER, Role.ADMIN, body=NO_KEY),
    "GET /api/design/keys": Rule(Way.BEARER, Role.ADMIN),
    "DELETE /api/design/keys": Rule(Way.BEARER, Role.ADMIN),
    "PUT /api/design/keys/mine": Rule(Way.BEARER, Role.MAKER, body=NO_KEY),
    "GET /api/design/keys/mine": Rule(Way.BEARER, Role.MAKER),
    "DELETE /api/design/keys/mine": Rule(Way.BEARER, Role.MAKER),
    "POST /api/design/plans": Rule(Way.BEARER, Role.ADMIN, body={"workspace": "another"}),
    "GET /api/design/plans": Rule(Way.BEARER),
    "PUT /api/design/plans/policy": Rule(Way.BEARER, Role.ADMIN, body={"workspace": "another", "older_than_days": 30}),
    "GET /api/design/plans/policy": Rule(Way.BEARER),
    "DELETE /api/design/plans/policy": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "GET /api/design/plans/{plan_id}": Rule(Way.BEARER, of_workspace=True),
    "GET /api/design/plans/{plan_id}/items": Rule(Way.BEARER, of_workspace=True),
    "GET /api/design/plans/{plan_id}/export": Rule(Way.BEARER, of_workspace=True),
    "POST /api/design/plans/{plan_id}/import": Rule(
        Way.BEARER, Role.ADMIN, of_workspace=True, body={"content": "chat_id,action,fingerprint"}
    ),
    "POST /api/design/plans/{plan_id}/approve": Rule(
        Way.BEARER, Role.ADMIN, of_workspace=True, body={"digest": "", "workspace": "another"}
    ),
    "POST /api/design/plans/{plan_id}/apply": Rule(Way.BEARER, Role.ADMIN, of_workspace=True, body={"digest": ""}),
    "POST /api/design/plans/{plan_id}/pause": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "POST /api/design/plans/{plan_id}/resume": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "POST /api/design/plans/{plan_id}/cancel": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "POST /api/design/plans/{plan_id}/undo": Rule(Way.BEARER, Role.ADMIN, of_workspace=True, body={}),
    "GET /api/design/plans/{plan_id}/people": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "GET /api/design/plans/{plan_id}/report": Rule(Way.BEARER, of_workspace=True),
    "GET /api/design/plans/{plan_id}/receipts": Rule(Way.BEARER, Role.ADMIN, of_workspace=True),
    "POST /api/design/census": Rule(Way.BEARER, Role.ADMIN, body={}),
    "GET /api/design/census": Rule(Way.BEARER),
    "DELETE /api/design/census": Rule(Way.BEARER, Role.ADMIN),
    "GET /api/design/census/summary": Rule(Way.BEARER),
    "GET /api/design/census/chats": Rule(Way.BEARER),
    "GET /api/design/census/groups": Rule(Way.BEARER),
    "PUT /api/design/census/pins/{chat_id}": Rule(Way.BEARER, of_workspace=True),
    "DELETE /api/design/census/pins/{chat_id}": Rule(Way.BEARER, of_workspace=True),
    "POST /api/design/census/adopt": Rule(Way.BEARER, Role.ADMIN, body={"product_id": "x", "chat_ids": ["none"]}),
    "GET /api/design/census/export": Rule(Way.BEARER),
    "POST /mcp": Rule(Way.BEARER),
    # The address itself is the secret; a wrong one is 404 for everybody.
    "POST /hooks/{provider}/{secret}": OPEN,
    "GET /": Rule(Way.PAGE),
    "GET /p": Rule(Way.PAGE, of_workspace=True, query="?product=seen"),
    "GET /p/{product_id:path}": Rule(Way.PAGE, of_workspace=True),
    "GET /prototypes/{prototype_id}": Rule(Way.PAGE, of_workspace=True),
    "POST /prototypes/{prototype_id}/retry": Rule(Way.PAGE, Role.MAKER, of_workspace=True),
    "GET /prototypes/{prototype_id}/picture": Rule(Way.PAGE, of_workspace=True),
    "POST /prototypes/{prototype_id}/messages": Rule(Way.PAGE, Role.MAKER, of_workspace=True, body=MESSAGE),
    "POST /prototypes/{prototype_id}/stop": Rule(Way.PAGE, Role.MAKER, of_workspace=True),
    "GET /prototypes/{prototype_id}/delete": Rule(Way.PAGE, Role.ADMIN, of_workspace=True),
    "POST /prototypes/{prototype_id}/delete": Rule(Way.PAGE, Role.ADMIN, of_workspace=True),
    "POST /prototypes/{prototype_id}/restore": Rule(Way.PAGE, Role.MAKER, of_workspace=True, own=True),
    "GET /prototypes/{prototype_id}/menu": Rule(Way.PAGE, of_workspace=True),
    "POST /prototypes/{prototype_id}/favourite": Rule(Way.PAGE, of_workspace=True, body={"favourite": "1"}),
    "POST /prototypes/{prototype_id}/tags": Rule(Way.PAGE, Role.MAKER, of_workspace=True, body={"tags": "retail"}),
    "POST /prototypes/{prototype_id}/archive": Rule(Way.PAGE, Role.MAKER, of_workspace=True, body={"archived": "1"}),
    "GET /filters": Rule(Way.PAGE),
    "GET /filters/panel": Rule(Way.PAGE),
    "GET /list.csv": Rule(Way.PAGE),
    "GET /views": Rule(Way.PAGE),
    "POST /views": Rule(Way.PAGE, body={"name": "Mine", "query": "mine=1"}),
    "POST /views/remove": Rule(Way.PAGE, body={"name": "Mine"}),
    "GET /chosen": Rule(Way.PAGE, Role.MAKER, query="?id=none"),
    "POST /chosen": Rule(Way.PAGE, Role.MAKER, body={"ids": "none", "do": "archive"}),
    "GET /chosen/delete": Rule(Way.PAGE, Role.ADMIN, query="?id=none"),
    "POST /chosen/delete": Rule(Way.PAGE, Role.ADMIN, body={"ids": "none"}),
    "GET /bin": Rule(Way.PAGE),
    "GET /clean-up": Rule(Way.PAGE),
    "POST /clean-up/scan": Rule(Way.PAGE, Role.ADMIN),
    "POST /clean-up/scan/cancel": Rule(Way.PAGE, Role.ADMIN),
    "GET /clean-up/chats": Rule(Way.PAGE),
    "POST /clean-up/chats/{chat_id}/pin": Rule(Way.PAGE, of_workspace=True),
    "GET /clean-up/chats/{chat_id}/picture": Rule(Way.PAGE, of_workspace=True),
    "GET /clean-up/groups": Rule(Way.PAGE),
    "GET /clean-up/export": Rule(Way.PAGE),
    "GET /clean-up/adopt": Rule(Way.PAGE, Role.ADMIN, query="?chat=none"),
    "POST /clean-up/adopt": Rule(Way.PAGE, Role.ADMIN, body={"product_id": "x", "chats": "none"}),
    "GET /clean-up/plans": Rule(Way.PAGE),
    "GET /clean-up/plans/new": Rule(Way.PAGE, Role.ADMIN),
    "POST /clean-up/plans": Rule(Way.PAGE, Role.ADMIN, body={"workspace": "another"}),
    "POST /clean-up/plans/policy": Rule(Way.PAGE, Role.ADMIN, body={"workspace": "another"}),
    "POST /clean-up/plans/policy/off": Rule(Way.PAGE, Role.ADMIN),
    "GET /clean-up/plans/{plan_id}": Rule(Way.PAGE, of_workspace=True),
    "GET /clean-up/plans/{plan_id}/export": Rule(Way.PAGE, of_workspace=True),
    "GET /clean-up/plans/{plan_id}/receipts": Rule(Way.PAGE, Role.ADMIN, of_workspace=True),
    "POST /clean-up/plans/{plan_id}/import": Rule(Way.PAGE, Role.ADMIN, of_workspace=True, body={"content": "x"}),
    "POST /clean-up/plans/{plan_id}/approve": Rule(
        Way.PAGE, Role.ADMIN, of_workspace=True, body={"digest": "", "workspace": "another"}
    ),
    "POST /clean-up/plans/{plan_id}/apply": Rule(Way.PAGE, Role.ADMIN, of_workspace=True, body={"digest": ""}),
    "POST /clean-up/plans/{plan_id}/pause": Rule(Way.PAGE, Role.ADMIN, of_workspace=True),
    "POST /clean-up/plans/{plan_id}/resume": Rule(Way.PAGE, Role.ADMIN, of_workspace=True),
    "POST /clean-up/plans/{plan_id}/cancel": Rule(Way.PAGE, Role.ADMIN, of_workspace=True),
    "POST /clean-up/plans/{plan_id}/undo": Rule(Way.PAGE, Role.ADMIN, of_workspace=True, body={"all": "1"}),
    "POST /prototypes/{prototype_id}/make-current": Rule(Way.PAGE, Role.MAKER, of_workspace=True),
    "POST /prototypes/{prototype_id}/name": Rule(Way.PAGE, Role.MAKER, of_workspace=True, body={"name": "Dark"}),
    "GET /p/{product_id:path}/compare": Rule(Way.PAGE, of_workspace=True),
    "GET /people": Rule(Way.PAGE, Role.ADMIN),
    "POST /people/invite": Rule(Way.PAGE, Role.ADMIN, body={"role": "viewer", "days": "1"}),
    "POST /people/invitations/take-back": Rule(Way.PAGE, Role.ADMIN, body={"invitation": "none"}),
    "POST /people/revoke": Rule(Way.PAGE, Role.ADMIN, body={"user_id": "nobody"}),
    "GET /people/tokens": Rule(Way.PAGE, Role.ADMIN),
    "POST /people/tokens": Rule(Way.PAGE, Role.ADMIN, body={"role": "viewer", "user_id": "somebody"}),
    "POST /people/tokens/revoke": Rule(Way.PAGE, Role.ADMIN, body={"token_id": "none"}),
    "GET /audit": Rule(Way.PAGE, Role.ADMIN),
    "GET /audit/export": Rule(Way.PAGE, Role.ADMIN),
    "GET /join": OPEN,
    "POST /join": OPEN,
    "GET /settings/v0-key": Rule(Way.PAGE, Role.MAKER),
    "POST /settings/v0-key": Rule(Way.PAGE, Role.MAKER, body={"whose": "own", "v0_key": ""}),
    "POST /new/similar": Rule(Way.PAGE, Role.MAKER, body=CREATE),
    "GET /find": Rule(Way.PAGE),
    "GET /new": Rule(Way.PAGE, Role.MAKER),
    "POST /new": Rule(Way.PAGE, Role.MAKER, body=CREATE),
    "GET /live": Rule(Way.PAGE),
    "GET /settings": Rule(Way.PAGE),
    "POST /settings": Rule(Way.PAGE),
    "POST /settings/live": Rule(Way.PAGE),
    "POST /sign-out": Rule(Way.PAGE),
    # Their forms are signed, and hold what signs in; see tests/identity/test_oidc_flow.py and tests/web/test_pages.py.
    "GET /sign-in": OPEN,
    "POST /sign-in": OPEN,
    "GET /sign-in/begin": OPEN,
    "GET /sign-in/finish": OPEN,
    "GET /static/{name}": OPEN,
    "GET /favicon.ico": OPEN,
}


def routes_of(app: Any) -> Sequence[str]:
    """Every route of an application, as `METHOD /path`; `*` takes any method."""
    return [
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in sorted(getattr(route, "methods", None) or {"*"})
    ]
