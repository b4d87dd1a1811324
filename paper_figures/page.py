"""The page that shows all figures: one HTML file without scripts, with relative links, to be opened from a folder."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paper_figures import output

__all__ = ["write"]

_LONG = 14
"""Tables with more rows are folded."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #666; --line: #ddd; --paper: #fff; --tint: #f6f6f4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e3; --soft: #a5a5a5; --line: #3a3a3a; --paper: #161616; --tint: #202020; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 2.5rem 1.25rem 5rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.55 Charter, "Bitstream Charter", "Iowan Old Style", Cambria, Georgia, serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .8rem; }
p { margin: .6rem 0; }
section { border-top: 1px solid var(--line); margin-top: 2.75rem; padding-top: 1.75rem; }
nav ol { margin: .8rem 0 0; padding-left: 1.3rem; }
a { color: inherit; text-underline-offset: .15em; text-decoration-color: var(--soft); }
figure { margin: 0; }
figure img { display: block; width: 100%; max-width: 34rem; height: auto; margin: 0 auto; background: #fff;
  border-radius: 3px; }
figcaption { margin-top: .8rem; }
.files, .note { color: var(--soft); font-size: .92rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 1.1rem 0; font-size: .92rem; }
dt { color: var(--soft); }
dd { margin: 0; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums lining-nums; width: 100%; }
th, td { padding: .22rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; }
th.text, td.text { text-align: left; }
.wide td, .wide th { white-space: normal; text-align: left; vertical-align: top; }
details { margin: 1rem 0; }
summary { cursor: pointer; font-size: .92rem; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
"""


def write(names: Iterable[str], folder: Path, notes: Sequence[str] = ()) -> Path:
    """Write ``index.html`` for those of the figures that the folder has, and return its path."""
    sections = {name: section for name in names if (section := output.load(name, folder)) is not None}
    links = "".join(f'<li><a href="#{name}">{_text(s["title"])}</a></li>' for name, s in sections.items())
    body = "\n".join(_section(name, section) for name, section in sections.items())
    remarks = "".join(f'<p class="note">{_text(note)}</p>' for note in notes)
    path = folder / "index.html"
    path.write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>matode: figures</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>matode: figures</h1>
<p>Matrix differential equations kept in low-rank form: integrators against their error bounds, and the training of
neural networks by the same methods. Every picture comes with its settings, its numbers, and the published numbers
where there are any.</p>
{remarks}
<nav><ol>{links}</ol></nav>
</header>
{body}
</body>
</html>
""",
        encoding="utf-8",
    )
    return path


def _section(name: str, section: Mapping[str, Any]) -> str:
    settings = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in section["settings"].items())
    return f"""<section id="{name}">
<h2>{_text(section["title"])}</h2>
<figure>
<a href="{name}.pdf"><img src="{name}.png" alt="{_text(section["title"])}"></a>
<figcaption>{_text(section["caption"])}</figcaption>
</figure>
<p class="files">Files: <a href="{name}.pdf">PDF</a>, <a href="{name}.png">PNG</a>,
<a href="{name}.csv">numbers as CSV</a></p>
{_comparisons(section["comparisons"])}
<dl>{settings}</dl>
{_numbers(section["rows"], section["columns"])}
</section>"""


def _comparisons(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{title}</th>" for title in ("", "published", "ours", "what differs"))
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(row[key])}</td>" for key in ("what", "published", "ours", "differs")) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table class="wide"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _numbers(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Sequence[str]]) -> str:
    """Return the table, folded where it is long."""
    kinds = {key: ' class="text"' if form == "" else "" for key, (_, form) in columns.items()}
    head = "".join(f"<th{kinds[key]}>{_text(title)}</th>" for key, (title, _) in columns.items())
    body = "".join(
        "<tr>"
        + "".join(f"<td{kinds[key]}>{_cell(row[key], form)}</td>" for key, (_, form) in columns.items())
        + "</tr>"
        for row in rows
    )
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    if len(rows) <= _LONG:
        return table
    return f"<details><summary>The numbers ({len(rows)} rows)</summary>{table}</details>"


def _cell(value: Any, form: str) -> str:
    if value is None:
        return ""
    return _text(format(value, form) if form else str(value))


def _text(value: str) -> str:
    return html.escape(value)
