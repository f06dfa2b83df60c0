"""v2 of the emulated API: its operations, request bodies and views."""

from .account import add_to
from .routes import operations

add_to(operations)

__all__ = ["operations"]
