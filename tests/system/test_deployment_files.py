"""Image, compose, systemd, Kubernetes and proxies: files that nothing runs here, held against the program."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from protokeep import __version__
from protokeep.settings import SECRETS, Settings
from protokeep.web.app import create_app
from system.access.route_policy import routes_of
from system.test_documentation import ROOT, unknown_words
from world import settings_of

IMAGE = ROOT / "Dockerfile"
COMPOSE = ROOT / "compose.yaml"
UNIT = ROOT / "deploy" / "systemd" / "protokeep.service"
KUBERNETES = ROOT / "deploy" / "kubernetes" / "protokeep.yaml"
NGINX = ROOT / "deploy" / "nginx" / "protokeep.conf"
CADDY = ROOT / "deploy" / "caddy" / "Caddyfile"
FILES = (IMAGE, COMPOSE, UNIT, KUBERNETES, NGINX, CADDY)
#: Who runs protokeep in the image and in pods.
UID = 10001


def settings_in(text: str) -> set[str]:
    """The names of settings, and of files of secrets, that a text uses."""
    return set(re.findall(r"\b(?:PROTOKEEP|V0)_[A-Z0-9_]+\b", text))


def known_settings() -> set[str]:
    """Every name that the program reads."""
    names = {
        name: getattr(field.validation_alias, "choices", [f"PROTOKEEP_{name.upper()}"])[0]
        for name, field in Settings.model_fields.items()
    }
    return {*names.values(), *(f"{names[secret]}_FILE" for secret in SECRETS)}


def documents() -> list[Any]:
    """What is in the manifest."""
    return list(yaml.safe_load_all(KUBERNETES.read_text()))


def pods() -> Iterator[Mapping[str, Any]]:
    """The pods of the manifest, a server's and a worker's."""
    yield from (one["spec"]["template"]["spec"] for one in documents() if one["kind"] == "Deployment")


def services() -> Mapping[str, Any]:
    """The services of compose.yaml that run protokeep."""
    found: Mapping[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return {name: one for name, one in found.items() if name != "database"}


def commands() -> Iterator[str]:
    """What the files tell protokeep to do."""
    yield " ".join(json.loads(re.findall(r"^CMD (\[.*\])$", IMAGE.read_text(), re.M)[-1]))
    yield from (" ".join(one["command"]) for one in services().values())
    yield from re.findall(r"^ExecStart=\S+/protokeep (.*)$", UNIT.read_text(), re.M)
    for pod in pods():
        yield from (" ".join(one["args"]) for one in (*pod["initContainers"], *pod["containers"]))
    yield from re.findall(r"docker compose run --rm server (.*?)(?:  +#.*)?$", COMPOSE.read_text(), re.M)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_setting_in_a_file_exists(file: Path) -> None:
    """
    A file names no setting that the program does not read, in comments neither.
    """
    assert settings_in(file.read_text()) - known_settings() == set()


def test_every_command_in_a_file_exists() -> None:
    """
    Image, compose, unit, pods and the comments beside them give commands and options that there are.
    """
    found = list(commands())

    assert {one.split()[0] for one in found} == {"serve", "worker", "migrate", "token"}
    assert [word for one in found for word in unknown_words(one)] == []


def test_every_probe_asks_a_route_that_there_is() -> None:
    """
    Probes and the image's health check ask paths that need no token, at a port that the container opens.
    """
    routes = routes_of(create_app(settings_of()))
    probes = []
    for pod in pods():
        (container,) = pod["containers"]
        opened = {port["name"] for port in container["ports"]}
        probes += [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
        assert {probe["port"] for probe in probes[-3:]} <= opened
    asked = {probe["path"] for probe in probes} | set(re.findall(r"request\('GET', '(/\w+)'\)", IMAGE.read_text()))

    assert asked == {"/livez", "/readyz"}
    assert {f"GET {path}" for path in asked} <= set(routes)


def test_files_agree_on_version_ports_and_user() -> None:
    """
    Tags are this version, ports are the settings' own, and everywhere the same user runs the program.
    """
    told = {file: file.read_text() for file in FILES}
    config, service, *_ = documents()
    port = Settings.model_fields["port"].default
    metrics_port = int(config["data"]["PROTOKEEP_METRICS_PORT"])
    ports = [sorted(one["containerPort"] for one in pod["containers"][0]["ports"]) for pod in pods()]
    pages = "".join((ROOT / page).read_text() for page in ("README.md", "docs/deployment.md"))

    assert set(re.findall(r"protokeep[:-](\d[\w.]*)", pages + "".join(told.values()))) == {__version__}
    assert all(str(port) in told[file] for file in (IMAGE, COMPOSE, NGINX, CADDY))
    assert ports == [[port, metrics_port], [metrics_port]]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert re.findall(r"^USER (\d+):(\d+)$", told[IMAGE], re.M) == [(str(UID), str(UID))]
    assert {pod["securityContext"]["runAsUser"] for pod in pods()} == {UID}
    assert all(isinstance(value, str) for value in config["data"].values())


def test_a_container_may_do_no_more_than_it_needs() -> None:
    """
    Compose and pods run it with a root that cannot be written, without capabilities and rights to come by others.
    """
    containers = [one for pod in pods() for one in (*pod["initContainers"], *pod["containers"])]

    assert {json.dumps(one["securityContext"], sort_keys=True) for one in containers} == {
        '{"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true}'
    }
    for pod in pods():
        assert (pod["securityContext"]["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
        # Else the Service's name sets PROTOKEEP_PORT to "tcp://...", and nothing starts.
        assert pod["enableServiceLinks"] is False
    for one in services().values():
        assert (one["read_only"], one["init"], one["cap_drop"]) == (True, True, ["ALL"])
        assert one["security_opt"] == ["no-new-privileges:true"]


def test_secrets_come_in_files() -> None:
    """
    No file holds a secret or takes one from the environment: each is named by its setting + `_FILE`.
    """
    secrets = {name.removesuffix("_FILE") for name in known_settings() if name.endswith("_FILE")}

    for file in FILES:
        lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
        assert settings_in("\n".join(lines)) & secrets == set(), file.name
    defined = yaml.safe_load(COMPOSE.read_text())["secrets"]
    assert {secret for one in services().values() for secret in one["secrets"]} < set(defined)


def test_proxies_fit_the_limits_of_the_server() -> None:
    """
    A proxy gives an idle connection up before the server does, and takes bodies as large as the server takes.
    """
    keep_alive = Settings.model_fields["keep_alive_seconds"].default
    body = Settings.model_fields["max_body_bytes"].default
    nginx, caddy = NGINX.read_text(), CADDY.read_text()

    assert int(re.findall(r"keepalive_timeout (\d+)s;", nginx)[0]) < keep_alive
    assert int(re.findall(r"keepalive (\d+)s\n", caddy)[0]) < keep_alive
    assert int(re.findall(r"client_max_body_size (\d+)m;", nginx)[0]) * 2**20 == body
    assert int(re.findall(r"max_size (\d+)MiB", caddy)[0]) * 2**20 == body


def test_the_image_is_built_from_pins_and_nothing_else() -> None:
    """
    Each package is installed by its digest, the base has a version, and what is copied is let in by .dockerignore.
    """
    image = IMAGE.read_text().replace("\\\n", "")
    installs = re.findall(r"pip install (.*?)(?:&&|\n)", image)
    copied = [path for line in re.findall(r"^COPY (?!--from)(.*) \S+$", image, re.M) for path in line.split()]
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M)

    assert [one for one in installs if not ("--require-hashes" in one or "--no-index" in one)] == []
    assert re.findall(r"^ARG BASE=(\S+)$", image, re.M)[0].startswith("python:3.")
    assert set(re.findall(r"^FROM (\S+)", image, re.M)) == {"${BASE}"}
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert sorted(copied) == sorted(allowed)
    assert not any(fnmatch.fnmatch(".env", one) or one.startswith((".", "secrets")) for one in allowed)
