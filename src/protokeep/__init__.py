"""protokeep: one prototype per product, reused by everyone, tracked to its end."""

__version__ = "0.1.0"
