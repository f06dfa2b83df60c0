"""A transport between our adapters and the emulated v0 that holds both to v0's documents."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import httpx2

from sandbox.v0_contract import Document


class ContractTransport(httpx2.AsyncBaseTransport):
    """A transport that holds every request, and every answer that v0 could give, against v0's documents."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._documents = documents
        self._inner = httpx2.AsyncHTTPTransport()
        self.problems: list[str] = []
        self.calls: Counter[str] = Counter()
        self.answers_checked = True

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        api, _, path = request.url.path.lstrip("/").partition("/")
        document = self._documents.get(api)
        operation = document.at(request.method, f"/{path}") if document else None
        self.calls[f"{api}:{operation or request.url.path}"] += 1
        if document is not None:
            self._check_request(document, operation, request, await request.aread())
        response = await self._inner.handle_async_request(request)
        if document is None or operation is None or not self.answers_checked:
            return response
        content = await response.aread()
        await response.aclose()
        kind = response.headers.get("content-type", "")
        self.problems += document.response_problems(operation, response.status_code, kind, content)
        return httpx2.Response(response.status_code, headers=response.headers, content=content)

    def _check_request(
        self, document: Document, operation: str | None, request: httpx2.Request, content: bytes
    ) -> None:
        where = f"{request.method} {request.url.path}"
        if operation is None:
            self.problems.append(f"{where}: not in the document of {document.api}")
            return
        described = document.operations[operation][2]
        if content:
            self.problems += document.body_problems(operation, json.loads(content))
        elif described.get("requestBody", {}).get("required"):
            self.problems.append(f"{where}: has no body")
        named = {one["name"]: one for one in described.get("parameters", ()) if one.get("in") == "query"}
        given = dict(request.url.params.multi_items())
        for name, value in given.items():
            plain = name.partition("[")[0]
            if plain == "scope":
                continue  # Not in the documents, and sent all the same: the owner asked for it.
            if plain not in named:
                self.problems.append(f"{where}: query {name} is not in the document")
            elif named[plain].get("schema", {}).get("type") in ("integer", "number") and not value.isdigit():
                self.problems.append(f"{where}: query {name}={value} is no number")
        missing = [name for name, one in named.items() if one.get("required") and name not in given]
        self.problems += [f"{where}: query {name} is missing" for name in missing]

    async def aclose(self) -> None:
        await self._inner.aclose()
