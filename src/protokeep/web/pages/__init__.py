"""The page: server-rendered, whole without script, and live with one small module."""

from protokeep.web.pages.errors import as_page
from protokeep.web.pages.install import install, live_for

__all__ = ["as_page", "install", "live_for"]
