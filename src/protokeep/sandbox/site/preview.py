"""The page of a made-up prototype: one of six layouts, filled from the chat's theme."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from .theme import Theme

_STYLE = """
*{box-sizing:border-box}body{margin:0;color:#1b2230;background:#f6f7f9;font:15px/1.5 system-ui,sans-serif}
header{display:flex;align-items:center;gap:1rem;padding:.8rem 1.5rem;background:#fff;
border-bottom:1px solid #e3e7ee}header b{font-size:1.05rem;overflow:hidden;text-overflow:ellipsis;
white-space:nowrap}.logo{width:28px;height:28px;border-radius:8px;background:var(--accent);flex:none}
nav{margin-left:auto;display:flex;gap:1.2rem;color:#566074}main{max-width:68rem;margin:0 auto;
padding:1.75rem 1.25rem}h1{font-size:1.9rem;line-height:1.2;margin:0 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1rem;margin:0 0 .6rem}.dim{color:#566074}.prompt{white-space:pre-wrap;overflow-wrap:anywhere;
max-height:9rem;overflow:auto}.grid{display:grid;gap:1rem;
grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));margin:1.25rem 0}.card{background:#fff;
border:1px solid #e3e7ee;border-radius:12px;padding:1rem}.big{font-size:1.7rem;font-weight:650}
.up{color:var(--accent);font-size:.9rem}.art{height:8rem;border-radius:9px;margin-bottom:.75rem;
background:linear-gradient(135deg,var(--pale),var(--accent))}.button{display:inline-block;
background:var(--accent);color:#fff;border-radius:9px;padding:.6rem 1.1rem;font-weight:600}
.pill{background:var(--soft);color:#1b2230;border:1px solid var(--pale);border-radius:99px;
padding:.1rem .6rem}.bars{display:flex;align-items:end;gap:.6rem;height:11rem}.bars i{flex:1;
border-radius:6px 6px 0 0;background:var(--accent)}.bars i:nth-child(odd){background:var(--pale)}
.track{height:.5rem;background:var(--soft);border-radius:9px}.track i{display:block;height:100%;
border-radius:9px;background:var(--accent)}.hero{background:var(--soft);border-radius:16px;
padding:2.5rem 2rem}table{width:100%;border-collapse:collapse}td,th{text-align:left;padding:.65rem .75rem;
border-bottom:1px solid #e9ecf1}.field{border:1px solid #cdd4df;border-radius:8px;height:2.5rem;
margin:.25rem 0 1rem;background:#fff}footer{max-width:68rem;margin:0 auto;padding:1rem 1.25rem 2rem;
color:#566074;font-size:.85rem}.chat{padding:.35rem 1.5rem;background:#1b2230;color:#e7ebf2;font-size:.85rem}
.chat summary{cursor:pointer}.chat a{color:#9fc0ff}.chat p{white-space:pre-wrap;overflow-wrap:anywhere;max-width:60rem}
"""


def preview_page(theme: Theme, chat: str = "") -> str:
    """The page as HTML without scripts, below `chat`, which is HTML. It shows the prompt, escaped."""
    title = escape(theme.title)
    colors = f":root{{--accent:{theme.accent};--pale:{theme.pale};--soft:{theme.soft}}}"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    menu = "".join(f"<span>{escape(theme.name('menu', index))}</span>" for index in range(3))
    prompt = f'<p class="dim prompt">{escape(theme.prompt[:2000])}</p>' if theme.prompt else ""
    return (
        f'<!doctype html><html lang="en"><head>{head}<title>{title}</title>'
        f"<style>{colors}{_STYLE}</style></head>"
        f'<body>{chat}<header><span class="logo"></span><b>{title}</b><nav>{menu}</nav></header>'
        f"<main>{_BODIES[theme.layout](theme, f'<h1>{title}</h1>{prompt}')}</main>"
        "<footer>A made-up prototype, drawn by the protokeep sandbox. It was not made by v0.</footer>"
        "</body></html>"
    )


def _dashboard(theme: Theme, head: str) -> str:
    cards = "".join(
        f'<div class="card"><span class="dim">{theme.name("card", index)}</span>'
        f'<div class="big">{theme.pick("value", index) % 9000 + 120:,}</div>'
        f'<span class="up">+{theme.share("up", index) / 10:.1f} %</span></div>'
        for index in range(4)
    )
    bars = "".join(f'<i style="height:{theme.share("bar", index)}%"></i>' for index in range(14))
    chart = f'<div class="card"><h2>Last 14 days</h2><div class="bars">{bars}</div></div>'
    return f'{head}<div class="grid">{cards}</div>{chart}'


def _landing(theme: Theme, head: str) -> str:
    cards = "".join(
        f'<div class="card"><div class="art"></div><h2>{theme.name("feature", index)}</h2>'
        '<span class="dim">Made simple, quick to start and easy to keep.</span></div>'
        for index in range(3)
    )
    hero = f'<div class="hero">{head}<p><span class="button">Get started</span></p></div>'
    return f'{hero}<div class="grid">{cards}</div>'


def _shop(theme: Theme, head: str) -> str:
    cards = "".join(
        f'<div class="card"><div class="art"></div><h2>{theme.name("item", index)} {index + 1}</h2>'
        f'<span class="dim">{theme.pick("price", index) % 90 + 9}.00</span> '
        '<span class="pill">New</span></div>'
        for index in range(8)
    )
    return f'{head}<div class="grid">{cards}</div>'


def _board(theme: Theme, head: str) -> str:
    columns = ""
    for index, column in enumerate(("To do", "Doing", "Done")):
        cards = "".join(
            f'<div class="card"><h2>{theme.name("task", index, row)}</h2><div class="track">'
            f'<i style="width:{theme.share("task", index, row)}%"></i></div></div><br>'
            for row in range(2 + theme.pick("rows", index) % 3)
        )
        columns += f"<div><h2>{column}</h2>{cards}</div>"
    return f'{head}<div class="grid">{columns}</div>'


def _table(theme: Theme, head: str) -> str:
    states = ("Open", "Paid", "Waiting", "Closed")
    rows = "".join(
        f"<tr><td>{theme.name('row', index)}</td><td>{theme.pick('amount', index) % 900 + 40}.00</td>"
        f'<td><span class="pill">{states[theme.pick("state", index) % 4]}</span></td></tr>'
        for index in range(9)
    )
    names = "<tr><th>Name</th><th>Amount</th><th>State</th></tr>"
    return f'{head}<div class="card"><table>{names}{rows}</table></div>'


def _form(theme: Theme, head: str) -> str:
    fields = "".join(f'<div>{label}</div><div class="field"></div>' for label in ("Name", "Email", "Team", "Message"))
    width = theme.share("step")
    progress = f'<div class="track"><i style="width:{width}%"></i></div><br>'
    button = '<span class="button">Continue</span>'
    return f'{head}<div class="card" style="max-width:34rem">{progress}{fields}{button}</div>'


_BODIES: dict[str, Callable[[Theme, str], str]] = {
    "dashboard": _dashboard,
    "landing": _landing,
    "shop": _shop,
    "board": _board,
    "table": _table,
    "form": _form,
}
