"""Changing a product's prototype from the command line: iterate, stop, delete."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import typer

Url = Annotated[str, typer.Option(envvar="PROTOKEEP_URL", help="Where the server is.")]
Token = Annotated[str, typer.Option(envvar="PROTOKEEP_TOKEN", help="Your API token.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ProductId = Annotated[str, typer.Argument(help="The product's id.")]
Provider = Annotated[str, typer.Option(help="The app builder.")]
DEFAULT_URL = "http://127.0.0.1:8400"
#: Longer than the server waits for the builder.
TIMEOUT_SECONDS = 60.0


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (iterate, stop, delete):
        app.command()(command)


def iterate(
    product_id: ProductId,
    text: Annotated[str, typer.Argument(help="What should change.")],
    key: Annotated[str | None, typer.Option(help="Idempotency key: sent twice, it acts once. [a fresh one]")] = None,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Send a follow-up into the chat of a product's prototype."""
    from uuid import uuid4

    with _Server(url, token) as server:
        prototype = server.current(product_id, provider)
        path = f"/api/design/prototypes/{prototype['id']}/messages"
        headers = {"Idempotency-Key": key or uuid4().hex}
        _show(server.ask("POST", path, json={"message": text}, headers=headers), as_json)


def stop(
    product_id: ProductId,
    provider: Provider = "v0",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Stop what is being generated for a product."""
    with _Server(url, token) as server:
        prototype = server.current(product_id, provider)
        _show(server.ask("POST", f"/api/design/prototypes/{prototype['id']}/stop"), as_json)


def delete(
    product_id: ProductId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    provider: Provider = "v0",
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Delete a product's prototype, here and at the builder. Needs an admin's token."""
    with _Server(url, token) as server:
        prototype = server.current(product_id, provider)
        if not yes:
            typer.confirm(
                f"Delete prototype {prototype['id']} of {product_id}, and its chat at {provider}?", abort=True
            )
        left = server.ask("DELETE", f"/api/design/prototypes/{prototype['id']}")
    if left is None:
        sys.stdout.write("Deleted.\n")
        return
    reason = left["reason"]["message"] if left["reason"] else "It is being decided whether the builder has it."
    sys.stdout.write(f"Being deleted; it is tried again by itself. {reason}\n")


class _Server:
    """One server, one token; every failure is one line and exit code 1."""

    def __init__(self, url: str, token: str) -> None:
        import httpx2

        if not token:
            _fail("set PROTOKEEP_TOKEN, or give --token. `protokeep token create` makes one.", 2)
        self._url = url
        self._http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def current(self, product_id: str, provider: str) -> dict[str, Any]:
        """The product's prototype."""
        path = f"/api/design/mockups/{quote(product_id, safe='')}/status"
        found: dict[str, Any] = self.ask("GET", path, params={"provider": provider})
        return found

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON, None where it has no body."""
        import httpx2

        try:
            response = self._http.request(method, path, **request)
        except httpx2.HTTPError as error:
            _fail(f"no answer from {self._url} ({type(error).__name__}). Is `protokeep serve` running there?")
        try:
            value = response.json() if response.content else None
        except ValueError:
            _fail(f"{self._url} answered {response.status_code} and no JSON. Is that protokeep?")
        if response.status_code >= 400:
            _fail(str(value.get("detail", "refused")) if isinstance(value, dict) else "refused")
        return value


def _show(prototype: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(prototype, ensure_ascii=False, indent=2) + "\n")
        return
    said = prototype["reason"] or prototype["error"]
    words = f": {said['message']}" if said else ""
    sys.stdout.write(f"{prototype['product_id']}  {prototype['state']}{words}\n")
    if prototype["project_url"]:
        sys.stdout.write(f"{prototype['project_url']}\n")


def _fail(words: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"protokeep: {words}\n")
    raise typer.Exit(code)
