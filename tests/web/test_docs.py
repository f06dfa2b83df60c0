"""`/docs`: the API for people who read."""

from __future__ import annotations

import re
from collections import Counter

import httpx2

from web_site import Site


async def test_the_reference_of_a_server_is_whole_and_asks_nobody_else(real_site: Site) -> None:
    """
    Each operation has a place of its own, with its role, types and answers; every link on the page leads somewhere, and
    nothing is fetched from elsewhere.
    """
    async with httpx2.AsyncClient(base_url=real_site.url, trust_env=False) as nobody:
        page = (await nobody.get("/docs")).text
        described = (await nobody.get("/openapi.json")).json()
    ids = Counter(re.findall(r'\bid="([^"]+)"', page))
    links = re.findall(r'\b(?:href|src)="([^"]+)"', page)
    create = page.partition('id="post-api-design-create-project"')[2].partition("</article>")[0]

    assert page.count("<article id=") >= sum(len(one) for one in described["paths"].values())
    assert [name for name, count in ids.items() if count > 1] == []
    assert [link for link in links if link.startswith("#") and link[1:] not in ids] == []
    assert [link for link in links if not link.startswith(("#", "/")) or link.startswith("//")] == []
    assert "For: maker" in create
    assert "at most 300 characters" in create
    assert '<a href="#EnsuredView">EnsuredView</a>' in create
    assert described["paths"]["/api/design/create-project"]["post"]["security"] == [{"token": ["maker"]}]
