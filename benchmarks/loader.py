"""Load where `wrk` is not installed: one request again and again over kept connections; prints as `wrk` does."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit


async def main(given: dict[str, Any]) -> None:
    """Run what `benchmarks.harness` asks for."""
    target = urlsplit(given["url"])
    path = target.path + (f"?{target.query}" if target.query else "")
    body = (given["body"] or "").encode()
    headers = {"Host": target.netloc, "Content-Length": str(len(body)), **given["headers"]}
    if body:
        headers["Content-Type"] = "application/json"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"{given['method']} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
    began = time.monotonic()
    counts = [0, 0]

    async def send_again() -> None:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        while time.monotonic() - began < given["seconds"]:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            counts[0] += 1
            counts[1] += head[9:10] not in (b"2", b"3")
        writer.close()

    await asyncio.gather(*(send_again() for _ in range(given["connections"])))
    sys.stdout.write(f"{counts[0]} requests in {time.monotonic() - began:.2f}s\n")
    if counts[1]:
        sys.stdout.write(f"Non-2xx or 3xx responses: {counts[1]}\n")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
