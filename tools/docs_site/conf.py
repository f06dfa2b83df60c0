"""How Sphinx builds the site. Nothing here names an address: theme, fonts, scripts and search come with the site."""

from __future__ import annotations

from pathlib import Path

import protokeep

HERE = Path(__file__).parent
MARK = HERE.parents[1] / "src" / "protokeep" / "web" / "static" / "mark.svg"

project = "protokeep"
release = version = protokeep.__version__
author = "protokeep"
extensions = ["myst_parser"]
root_doc = "index"

# Anchors of headings are those that code hosts make, so that a link works in both.
myst_heading_anchors = 4
# `--json` stays two hyphens, and quotes stay as they are typed.
smartquotes = False
# Examples of JSON leave things out (`..`), which no highlighter of JSON takes.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"protokeep {version}"
html_logo = html_favicon = str(MARK)
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_show_sphinx = html_show_copyright = False
html_use_index = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#3d4fc4", "color-brand-content": "#3d4fc4"},
    "dark_css_variables": {"color-brand-primary": "#a3aefb", "color-brand-content": "#a3aefb"},
}
