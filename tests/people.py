"""Who asks in tests, what for, and with which keys."""

from __future__ import annotations

from protokeep.core.principals import Principal, Role

ANN = Principal("default", "ann", Role.MAKER, "token-of-ann")
BOB = Principal("default", "bob", Role.MAKER, "token-of-bob")
#: Ann's and Bob's admin, who may delete what anybody asked for.
ADA = Principal("default", "ada", Role.ADMIN, "token-of-ada")
#: Somebody of another workspace.
EVE = Principal("elsewhere", "eve", Role.ADMIN, "token-of-eve")

PROMPT = "A landing page for a bakery"
KEY = "key-of-the-tests"
SECRET = b"secret-of-the-tests"
MASTER = "a master key of the tests, long enough to be one"
GENERATION_SECONDS = 10.0
