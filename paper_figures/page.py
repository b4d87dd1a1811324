"""The page that shows all figures: one HTML file without scripts, with relative links, to be opened from a folder."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paper_figures import output, paper_rows
from paper_figures.paper_rows import Judged
from paper_figures.verdicts import Status

__all__ = ["write"]

_LONG = 14
"""Tables with more rows are folded."""

_MANY = 4
"""So many of our numbers stand in a row of the first table; its section has all."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #666; --line: #ddd; --paper: #fff; --tint: #f6f6f4;
  --good: #00614a; --best: #00518a; --bad: #a33f00; --none: #5c5c5c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e3; --soft: #a5a5a5; --line: #3a3a3a; --paper: #161616; --tint: #202020;
    --good: #4cc9a4; --best: #7cc0f5; --bad: #ff9a57; --none: #a5a5a5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2.5rem 1.25rem 5rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.55 Charter, "Bitstream Charter", "Iowan Old Style", Cambria, Georgia, serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .8rem; }
p { margin: .6rem 0; }
section { border-top: 1px solid var(--line); margin-top: 2.75rem; padding-top: 1.75rem; }
nav { margin-top: 2.75rem; }
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
header p, figcaption { max-width: 46rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums lining-nums; width: 100%; }
th, td { padding: .22rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; }
th.text, td.text { text-align: left; }
.wide td, .wide th { white-space: normal; text-align: left; vertical-align: top; }
.paper td:first-child { min-width: 13rem; }
.paper td:nth-child(3) { min-width: 13rem; }
.paper td:nth-child(4), .claims td:nth-child(4) { min-width: 9.5rem; }
.paper p { margin: 0 0 .3rem; }
.reproduced, .better, .differs, .not-run-here, .out-of-scope { font-weight: 600; }
.reproduced { color: var(--good); } .better { color: var(--best); } .differs { color: var(--bad); }
.not-run-here, .out-of-scope { color: var(--none); }
.why, .settings { color: var(--soft); font-size: .78rem; }
details { margin: 1rem 0; }
summary { cursor: pointer; font-size: .92rem; }
@media (max-width: 44rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; }
  .wide thead { display: none; }
  .wide tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .wide td { display: block; border: 0; padding: .1rem 0; }
  .wide td:empty { display: none; }
  .wide td[title]::before { content: attr(title) ": "; color: var(--soft); }
  .wide td:first-child { font-weight: 600; } .wide .settings { font-weight: 400; }
}
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
</header>
{_paper(paper_rows.judged(sections), sections)}
<nav><h2>Figures</h2><ol>{links}</ol></nav>
{body}
</body>
</html>
""",
        encoding="utf-8",
    )
    return path


def _paper(rows: Sequence[Judged], sections: Mapping[str, Any]) -> str:
    """Return the table of everything that the paper reports."""
    body = "".join(_paper_row(judged, sections) for judged in rows)
    return f"""<section id="paper">
<h2>What the DLRT paper reports, and what is found here</h2>
<p>Schotthoefer, Zangrando, Kusch, Ceruti and Tudisco, Low-rank lottery tickets, NeurIPS 2022 (arXiv:2205.13571), with
what its public repositories add. Each verdict follows from numbers and a threshold, which the sections state. A row
of the public codes' defects is reproduced where our numbers show the defect. Of {len(rows)} rows, {_counted(rows)}.</p>
{_table("wide paper", ("", "published", "ours", "verdict", "section"), body)}
</section>"""


def _counted(rows: Sequence[Judged]) -> str:
    """Say how many rows have which verdict."""
    counts = Counter(judged.verdict.status for judged in rows)
    return ", ".join(
        f'{counts[status]} <span class="{_kind(status)}">{status}</span>' for status in Status if counts[status]
    )


def _kind(status: str) -> str:
    return status.replace(" ", "-")


def _paper_row(judged: Judged, sections: Mapping[str, Any]) -> str:
    row = judged.row
    link = f'<a href="#{judged.section}">{_text(sections[judged.section]["short"])}</a>' if judged.section else ""
    ours = [f"<p>{_text(text)}</p>" for text in judged.ours[:_MANY]]
    if len(judged.ours) > _MANY:
        ours.append(f"<p>and {len(judged.ours) - _MANY} more</p>")
    return _row(
        f'{_text(row.label)}<br><span class="settings">{_text(row.settings)}</span>',
        published=_text(row.published),
        ours="".join(ours),
        verdict=_verdict(judged.verdict.status, judged.verdict.why, judged.quick),
        section=link,
    )


def _table(kind: str, titles: Sequence[str], body: str) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
    )


def _row(first: str, **cells: str) -> str:
    """Return a row of a table of text; narrow screens show the names of its cells."""
    named = "".join(f'<td title="{name.replace("_", " ")}">{cell}</td>' for name, cell in cells.items())
    return f"<tr><td>{first}</td>{named}</tr>\n"


def _verdict(status: str, why: str, quick: bool) -> str:
    """Return the word in its colour, and the reason below it."""
    small = " (quick settings)" if quick else ""
    return f'<span class="{_kind(status)}">{_text(status)}</span>{small}<br><span class="why">{_text(why)}</span>'


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


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    body = "".join(
        _row(
            _text(row["what"]),
            published=_text(row["published"]),
            ours=_text(row["ours"]),
            verdict=_verdict(row["verdict"]["status"], row["verdict"]["why"], row["quick"]),
            what_differs=_text(row["differs"]),
        )
        for row in rows
    )
    return _table("wide claims", ("", "published", "ours", "verdict", "what differs"), body)


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
    return html.escape(value).replace(" %", "\u00a0%")
