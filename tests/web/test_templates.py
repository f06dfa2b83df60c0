"""Every template can be read: a page that is seldom opened fails here, and not before a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from protokeep.web.pages import render

FOLDER = Path(render.__file__).parent.parent / "templates"


@pytest.mark.parametrize("name", sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html")))
def test_every_template_can_be_read(name: str) -> None:
    """
    Its syntax is right.
    """
    assert render._environment().get_template(name).name == name
