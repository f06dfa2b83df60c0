"""The bill of materials of an installation: what requirements/runtime.txt pins, as CycloneDX 1.6 JSON.

It names versions, digests and, as far as the packages are installed here, licences. It holds no time and no address, so
that the same pins give the same bytes. The format: the CycloneDX specification, version 1.6.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[1] / "requirements" / "runtime.txt"
PIN = re.compile(r"^(?P<name>[\w.-]+)(?:\[[\w,-]+\])?==(?P<version>[\w.]+)(?: ; (?P<marker>[^\\]+?))?(?: \\)?$")
#: A licence longer than this is the whole text, which some packages write into the field for its name.
NAME_LENGTH = 80


def bill_of(version: str, requirements: str) -> Mapping[str, object]:
    """The document for a version of protokeep and the text of its pinned requirements."""
    parts = list(_components(requirements))
    ours = f"pkg:pypi/protokeep@{version}"
    refs = [str(part["bom-ref"]) for part in parts]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([ours, parts])).urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "protokeep",
                "version": version,
                "purl": ours,
                "licenses": [{"expression": "Apache-2.0"}],
            }
        },
        "components": parts,
        "dependencies": [{"ref": ours, "dependsOn": refs}],
    }


def _components(requirements: str) -> Iterator[dict[str, object]]:
    for block in re.split(r"\n(?=\S)", requirements.strip()):
        found = PIN.match(block.splitlines()[0])
        if found is None:
            raise ValueError(f"not a pinned requirement: {block.splitlines()[0]}")
        address = f"pkg:pypi/{found['name']}@{found['version']}"
        digests = [{"alg": "SHA-256", "content": one} for one in re.findall(r"--hash=sha256:([0-9a-f]{64})", block)]
        part: dict[str, object] = {
            "type": "library",
            "bom-ref": address,
            "name": found["name"],
            "version": found["version"],
            "purl": address,
            # The digests belong to the files that are distributed, one for each system.
            "externalReferences": [{"type": "distribution", "url": address, "hashes": digests}],
        }
        if licence := _licence_of(found["name"]):
            part["licenses"] = [licence]
        if found["marker"]:
            part["properties"] = [{"name": "protokeep:only-where", "value": found["marker"]}]
        yield part


def _licence_of(name: str) -> dict[str, object] | None:
    """The licence that an installed package names in its metadata."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if "License-Expression" in told:
        return {"expression": told["License-Expression"]}
    known = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License :: ")]
    text = ", ".join(known or told.get_all("License") or ())
    return {"license": {"name": text}} if text and len(text) <= NAME_LENGTH else None


if __name__ == "__main__":
    print(json.dumps(bill_of(sys.argv[1], RUNTIME.read_text(encoding="utf-8")), indent=2))
