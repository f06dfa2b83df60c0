"""Every kind of problem: its status, and what it means, as docs/api.md and the page `/docs` say it."""

from __future__ import annotations

from collections.abc import Mapping

#: The last part of a problem's type -> (status, meaning). Words in backticks are code.
KINDS: Mapping[str, tuple[int, str]] = {
    "invalid-json": (400, "the body is not JSON"),
    "not-authenticated": (401, "no token, or one that is unknown, expired or revoked"),
    "not-allowed": (403, "the token's role does not cover this, or it belongs to another person"),
    "not-found": (404, "no such thing in this workspace"),
    "method-not-allowed": (405, "the address does not take this method"),
    "idempotency-key-in-flight": (409, "the first request with this key is still being claimed; `Retry-After`"),
    "limit-reached": (
        409,
        "the workspace has as many valid tokens, open invitations, or keys of app builders, as it may have; the detail "
        "says how to make room",
    ),
    "not-now": (409, "the prototype's state does not allow this now"),
    "unclear-product": (
        409,
        "the product has no prototype, and another one whose id reads the same has one: `similar` names it; ask for "
        "that one, or send `product_is_new`",
    ),
    "too-large": (413, "the body is too large, or is JSON of more than 1,000 values"),
    "address-too-long": (414, "the address is too long"),
    "unsupported-media-type": (415, "the body has to be JSON"),
    "invalid-input": (422, "a value cannot be used"),
    "product-unknown": (422, "your `products` table does not hold this product"),
    "idempotency-key-reused": (422, "the key was sent with another request before"),
    "too-many": (
        429,
        "too many requests, sign-ins, streams, searches or idempotency keys, of a person, a workspace or "
        "a process; the detail says whose; `Retry-After`",
    ),
    "cap-reached": (429, "a quota of creates per day is used up; `Retry-After`"),
    "headers-too-large": (431, "the headers are too large"),
    "unexpected": (500, "a fault of protokeep; tell its operator the `request_id`"),
    "provider-rejected": (502, "the app builder refused"),
    "provider-unavailable": (503, "the app builder is not available"),
    "not-ready": (
        503,
        "not possible right now: the database does not answer, or undid the change (a lock, a full disk, "
        "no writes at present), or the process is stopping; `Retry-After`",
    ),
    "too-slow": (
        503,
        "a search or filtered list took longer than 3 s and was ended; `Retry-After`, or search for "
        "fewer or other words",
    ),
    "not-migrated": (503, "the database is not migrated; the detail names the command"),
    "not-configured": (503, "a setting is missing; the detail names it"),
}
