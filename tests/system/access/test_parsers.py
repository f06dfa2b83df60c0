"""Every parser that takes somebody else's text: no server error and no exception of its own, whatever the text is.

`make parsers` sends many more: PROTOKEEP_PARSER_INPUTS is how many in all. It prints how many there were, how many
faults, and the slowest, which is looked at by people: how long an input takes says as much of the machine.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import traceback
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from protokeep.core.principals import Role
from protokeep.service.context import NoQueue
from system.access import parsers, parsers_of_answers
from system.access.parsers import Parser, Stage
from world import World, on_sqlite

PARSERS = (*parsers.PARSERS, *parsers_of_answers.PARSERS)
INPUTS = int(os.environ.get("PROTOKEEP_PARSER_INPUTS", "150"))
#: With `make parsers` each fault is counted; otherwise the first one is made small and shown.
COUNTS = "PROTOKEEP_PARSER_INPUTS" in os.environ


@dataclass
class Tally:
    """What was tried, and what came of it."""

    tried: int = 0
    slowest: float = 0.0
    slowest_input: str = ""
    faults: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def took(self, seconds: float, given_: Any) -> None:
        """Note how long an input took."""
        if seconds > self.slowest:
            self.slowest, self.slowest_input = seconds, f"{given_!r:.150}"


async def _stage(world: World, site: Any) -> Stage:
    """The application with somebody signed in, who may do everything, and nothing that runs behind it."""
    site.node.keeper.context.queue = NoQueue()
    await site.create("p-1")
    token = await site.token(Role.ADMIN)
    sessions = site.http._transport.app.state.application.sessions
    session_secret = await sessions.sign_in(token)
    stage = Stage(world, site, token, session_secret, sessions.form_token(session_secret))
    await stage.ask("POST", b"/mcp", b"{}", {"host": b"localhost"})  # The first call imports the library.
    return stage


def _try(parser: Parser, inputs: int, run: Any, stage: Stage) -> Tally:
    tally = Tally()
    phases = [Phase.explicit, Phase.generate] + ([] if COUNTS else [Phase.shrink])

    @settings(max_examples=inputs, deadline=None, database=None, phases=phases, suppress_health_check=list(HealthCheck))
    @given(given_=parser.inputs)
    def attempt(given_: Any) -> None:
        tally.tried += 1
        if tally.tried % 200 == 0:
            gc.collect()  # Between inputs, so that none seems to take as long as the rubbish of all before.
        try:
            tally.took(run(parser.take(stage, given_)), given_)
        except Exception:
            if not COUNTS:
                raise
            tally.faults.append(traceback.format_exc(limit=-4))

    stage.answers.clear()
    gc.disable()
    try:
        attempt()
    finally:
        gc.enable()
    tally.answers.update(stage.answers)
    return tally


@on_sqlite
@pytest.mark.timeout(7200 if COUNTS else 120)
def test_no_text_of_somebody_else_breaks_a_parser(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Whatever is sent is taken or refused in words: forms in every codec, headers, ids, bodies, answers of builders.
    """
    tallies: dict[str, Tally] = {}
    with asyncio.Runner() as runner:

        def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
            return runner.run(coroutine)

        world_context = World.open(database_url, 2)
        world = run(world_context.__aenter__())
        site_context = world.serving(real=False, requests_per_minute=0, sign_ins_per_minute=0)
        stage = run(_stage(world, run(site_context.__aenter__())))
        try:
            for parser in PARSERS:
                tallies[parser.name] = _try(parser, math.ceil(INPUTS / len(PARSERS)), run, stage)
        finally:
            run(site_context.__aexit__(None, None, None))
            run(world_context.__aexit__(None, None, None))

    faults = [fault for tally in tallies.values() for fault in tally.faults]
    with capsys.disabled():
        _print(tallies, len(faults))
    kinds = {fault.strip().rpartition("\n")[2][:60]: fault for fault in faults}
    assert not faults, "\n".join(list(kinds.values())[:10])


def _print(tallies: dict[str, Tally], faults: int) -> None:
    lines = [
        f"  {name}: {tally.tried} inputs, {len(tally.faults)} faults, slowest {tally.slowest * 1000:.0f} ms "
        f"({', '.join(f'{answer}: {count}' for answer, count in sorted(tally.answers.items()))}) {tally.slowest_input}"
        for name, tally in tallies.items()
    ]
    tried = sum(tally.tried for tally in tallies.values())
    slowest = max(tally.slowest for tally in tallies.values())
    total = f"parsers: {tried} inputs, {faults} faults, slowest {slowest * 1000:.0f} ms of the event loop"
    print("\n".join(["", *(lines if COUNTS else []), total]))  # noqa: T201 - docs/security.md has this figure
