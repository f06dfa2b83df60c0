"""A small client of protokeep's HTTP API, which the command line uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx2

#: Longer than the longest hold the server grants.
TIMEOUT_SECONDS = 40.0


class ClientError(Exception):
    """The server refused, or is not there. `problem` is its RFC 9457 document, where there is one."""

    def __init__(self, message: str, problem: dict[str, Any] | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.status = status


class Client:
    """One server, one token. Use as a context manager."""

    def __init__(self, url: str, token: str, transport: httpx2.BaseTransport | None = None) -> None:
        self._url = url
        self._http = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_SECONDS,
            transport=transport,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ensure(
        self, product_id: str, prompt: str, *, provider: str = "v0", create_new: bool = False, key: str | None = None
    ) -> dict[str, Any]:
        """The product's prototype, made if need be. Always carries an idempotency key when another one is asked for."""
        body = {"product_id": product_id, "prompt": prompt, "provider": provider, "create_new": create_new}
        headers = {"Idempotency-Key": key or uuid4().hex} if create_new or key else {}
        return self._json("POST", "/api/design/create-project", json=body, headers=headers)

    def list(self, product_id: str, **filters: str | int | bool) -> Iterator[dict[str, Any]]:
        """All prototypes of a product, newest first, page after page."""
        params: dict[str, Any] = dict(filters)
        while True:
            page = self._json("GET", f"/api/design/mockups/{quote(product_id, safe='')}", params=params)
            yield from page["mockups"]
            if page["next_cursor"] is None:
                return
            params["cursor"] = page["next_cursor"]

    def status(self, product_id: str, *, provider: str = "v0", wait: int = 0) -> dict[str, Any]:
        """The product's prototype now; with `wait`, held until its state changes."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        path = f"/api/design/mockups/{quote(product_id, safe='')}/status"
        return self._json("GET", path, params={"provider": provider}, headers=headers)

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **request)
        except httpx2.HTTPError as error:
            raise ClientError(
                f"No answer from {self._url} ({type(error).__name__}). Is `protokeep serve` running there? "
                "PROTOKEEP_URL says where to look."
            ) from error
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ClientError(f"{self._url} answered {response.status_code} and no JSON. Is that protokeep?")
        if response.status_code >= 400:
            raise ClientError(str(value.get("detail", "refused")), value, response.status_code)
        return value
