"""Old accounts made from a seed: thousands of chats that nobody looks after, and the truth about each of them."""

from .account import seed_account
from .labels import Label, Product, Score, SeededAccount

__all__ = ["Label", "Product", "Score", "SeededAccount", "seed_account"]
