"""Whether the preview of a finished prototype opens: when it is taken down, when it comes back, when it is checked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from protokeep.core.generation import Links
from protokeep.core.prototype import TrackedPrototype
from protokeep.core.timing import Timing

#: Checks of a preview that was taken down are at most so far apart.
LONGEST_CHECK_PAUSE = timedelta(hours=1)


def links_checked(prototype: TrackedPrototype, opens: bool | None, now: datetime, timing: Timing) -> TrackedPrototype:
    """The prototype after a check of its preview. `opens` None: the check said nothing.

    Several 404s over minutes take the link down. When it opens again it comes back.
    """
    links = prototype.generation.links
    checked = links.demo_url or links.broken_url
    if opens is None or checked is None:
        return prototype
    after = _opened(links, checked) if opens else _not_opened(links, checked, now, timing)
    url = after.best
    if url == prototype.project_url and after == links:
        return prototype
    updated_at = now if url != prototype.project_url else prototype.updated_at
    return replace(prototype.with_generation(links=after), project_url=url, updated_at=updated_at)


def _opened(links: Links, checked: str) -> Links:
    return replace(links, demo_url=checked, broken_url=None, broken_since=None, broken_checks=0)


def _not_opened(links: Links, checked: str, now: datetime, timing: Timing) -> Links:
    if links.broken_since is None or links.broken_url != checked:
        return replace(links, broken_url=checked, broken_since=now, broken_checks=1)
    since, checks = min(links.broken_since, now), links.broken_checks + 1
    is_broken = checks >= timing.link_checks_needed and now - since >= timing.link_broken_after
    demo_url = None if is_broken else links.demo_url
    return replace(links, broken_since=since, broken_checks=checks, demo_url=demo_url)


def next_link_check(links: Links, now: datetime, timing: Timing) -> datetime | None:
    """When to check a preview that answered 404 again; None: never, because it opens or a day has passed.

    The checks that decide are a minute or two apart. After them, checks become ever rarer.
    """
    if links.broken_since is None:
        return None
    since = now - links.broken_since
    if links.demo_url is not None:
        return now + timing.link_broken_after / timing.link_checks_needed
    if since > timing.link_checks_end:
        return None
    return now + min(max(since / 4, timing.link_broken_after), LONGEST_CHECK_PAUSE)
