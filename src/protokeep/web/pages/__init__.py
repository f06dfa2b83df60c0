"""The page: server-rendered, whole without script, and live with one small module."""

from protokeep.web.pages.install import install, live_for

__all__ = ["install", "live_for"]
