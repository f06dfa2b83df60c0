"""The server that `benchmarks.page` measures viewers against, in a process of its own."""

from __future__ import annotations

import asyncio
import sys

import structlog

from benchmarks.page import serve_and_obey

if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    try:
        import uvloop

        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(serve_and_obey(sys.argv[1], sys.argv[2]))
    except ImportError:
        asyncio.run(serve_and_obey(sys.argv[1], sys.argv[2]))
