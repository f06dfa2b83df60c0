"""One revision per change, forward only. Alembic loads the files beside this one by path."""
