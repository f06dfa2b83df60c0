"""The browser of the machine: nothing is downloaded."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: As root there is no sandbox; and the browser asks nobody on the network for anything of its own.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """The path of the browser: TEST_CHROMIUM, else the first on the PATH; None: there is none."""
    return os.environ.get("TEST_CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)
