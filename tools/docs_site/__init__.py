"""Builds the documentation as a site: `make docs`. Decision 0049 says why it is built this way."""
