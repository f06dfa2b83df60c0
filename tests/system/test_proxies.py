"""The examples of nginx and Caddy, run before a real server: live events, `/mcp`, addresses, https and limits."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from processes import run, started
from protokeep.settings import Settings
from system.test_deployment_files import CADDY, NGINX

NAME = "prototypes.example.com"
#: Where a client is in these tests; the proxy is at 127.0.0.1.
CLIENT = "127.0.0.2"
PATIENCE = 20
SECRET = "q8Zt3mVw1Lr7Yk5Nc9Xb2Hs4Jd6Gf0Pa"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
#: What stands around the example in /etc/nginx/nginx.conf, in one process that writes to its own folder only.
NGINX_MAIN = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    include site.conf;
}
"""


def nginx(folder: Path, port: int, upstream: int) -> list[str]:
    """How nginx is started with its example, whose ports and certificates are the test's."""
    text = NGINX.read_text().replace("127.0.0.1:8400", f"127.0.0.1:{upstream}")
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{port} ").replace("/etc/nginx/certificates", str(folder))
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(NGINX_MAIN)
    certificate, key = _certificate()
    (folder / f"{NAME}.pem").write_bytes(certificate)
    (folder / f"{NAME}.key").write_bytes(key)
    return ["nginx", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]


def caddy(folder: Path, port: int, upstream: int) -> list[str]:
    """How Caddy is started with its example; its certificates are its own, and it leaves the machine's trust alone."""
    text = CADDY.read_text().replace("127.0.0.1:8400", f"127.0.0.1:{upstream}")
    text = text.replace(f"\n{NAME} {{", f"\nhttps://{NAME}:{port} {{\n\tbind 127.0.0.1")
    options = "{\n\tadmin off\n\tlocal_certs\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return signed.public_bytes(serialization.Encoding.PEM), secret


@contextlib.contextmanager
def proxied(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """A proxy that listens, for as long as the context lasts."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + PATIENCE
        while not _is_open(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < ends, (folder / "log").read_text()
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _is_open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[int, str]]:
    """The port of a server that believes the proxy, and an admin's token."""
    # Without PROTOKEEP_PUBLIC_URL: what the server knows of its name and of https, the proxy told it.
    values = {"PROTOKEEP_MCP_ALLOWED_HOSTS": NAME, "PROTOKEEP_TRUSTED_PROXIES": "127.0.0.1"}
    values |= {"PROTOKEEP_SECRET_KEY": SECRET}
    made = await run(folder, "token", "create", "--local", "--plain", "--role", "admin", "--user", "ana", **values)
    async with started(folder, "serve", "--port", "0", **values) as server:
        port = (await server.says(r"serving on http://127.0.0.1:(\d+)"))[1]
        yield int(port), made.out.strip()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=lambda proxy: proxy.__name__)
async def test_a_proxy_passes_everything_on_and_the_client_s_address(proxy: Any, tmp_path: Path) -> None:
    """
    Live events come at once, assistants are answered under the public name, links begin with https and that name, the
    audit has the client's address whatever the client says about itself, and a body that is too large is refused.
    """
    if shutil.which(proxy.__name__) is None:
        pytest.skip(f"{proxy.__name__} is not installed (apt-get install nginx-light caddy)")
    port = free_port()
    async with served(tmp_path) as (upstream, token):
        headers = {"Host": NAME, "Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.9"}
        with proxied(proxy(tmp_path, port, upstream), tmp_path, port):
            transport = httpx2.AsyncHTTPTransport(local_address=CLIENT, verify=False)
            base = f"https://127.0.0.1:{port}"
            async with httpx2.AsyncClient(
                base_url=base, transport=transport, headers=headers, timeout=PATIENCE
            ) as http:
                found = await _what_comes_through(http)

    assert found == {
        "events": "event: hello",
        "assistant": "protokeep",
        "link": f"https://{NAME}/join",
        "from": CLIENT,
        "is too large refused": True,
    }


async def _what_comes_through(http: httpx2.AsyncClient) -> dict[str, object]:
    named: dict[str, Any] = {"extensions": {"sni_hostname": NAME}}
    async with http.stream("GET", "/api/design/events", **named) as stream:
        lines = stream.aiter_lines()
        first = await asyncio.wait_for(anext(lines), PATIENCE)
        while not first.startswith("event:"):
            first = await asyncio.wait_for(anext(lines), PATIENCE)
    accepted = {"Accept": "application/json, text/event-stream"}
    hello = await http.post("/mcp", json=HELLO, headers=accepted, **named)
    invitation = (await http.post("/api/design/invitations", json={"user_id": "mia"}, **named)).json()
    audit = (await http.get("/api/design/audit", **named)).json()
    most = Settings.model_fields["max_body_bytes"].default
    large = await http.post("/api/design/create-project", content=b" " * (most + 1), **named)
    return {
        "events": first,
        "assistant": hello.json()["result"]["serverInfo"]["name"],
        "link": invitation["link"].partition("?")[0],
        "from": audit["entries"][0]["address"],
        # 502: the server refused it and closed the connection while Caddy was still passing it on.
        "is too large refused": large.status_code in (413, 502),
    }
