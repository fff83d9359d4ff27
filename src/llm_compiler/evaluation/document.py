"""What reports are made of, and how it becomes Markdown or one HTML file that refers to nothing outside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.evaluation.metrics import Interval


@dataclass
class Table:
    """head: names of the columns, of which the first `left` are text."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    left: int = 1
    title: str = ""

    def add(self, *cells: str) -> None:
        if len(cells) != len(self.head):
            raise ValueError(f"{len(cells)} cells for {len(self.head)} columns")
        self.rows.append(cells)


@dataclass
class Curve:
    """Points of one line, or of one cloud."""

    label: str
    x: list[float]
    y: list[float]


@dataclass
class Plot:
    """flat: a curve of one point is drawn as a line across. points: a cloud, with the diagonal."""

    title: str
    x: str
    y: str
    curves: list[Curve]
    log_x: bool = False
    log_y: bool = False
    flat: bool = False
    points: bool = False


@dataclass
class Section:
    """A title and what stands under it, in order: paragraphs, tables, plots. numbers: the same for programs."""

    title: str
    parts: list[str | Table | Plot] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def add(self, part: str | Table | Plot) -> None:
        self.parts.append(part)


# --- cells -------------------------------------------------------------------------------------------------------


def number(value: int) -> str:
    return f"{value:,}"


def percent(value: Interval | None, digits: int = 2) -> str:
    """A percentage and its interval."""
    if value is None:
        return "-"
    return f"{value.value:.{digits}f} % ({value.low:.{digits}f} to {value.high:.{digits}f})"


def decimal(value: Interval | None, digits: int = 3) -> str:
    """A number and its interval."""
    if value is None:
        return "-"
    return f"{value.value:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def share(count: int, of: int) -> str:
    """A count and what share it is."""
    return f"{count:,} ({100 * count / of:.1f} %)" if of else "0"


# --- Markdown ----------------------------------------------------------------------------------------------------


def markdown(title: str, sections: Iterable[Section]) -> str:
    """Plots are left out: they are in the HTML."""
    out = [f"# {title}"]
    for section in sections:
        out.append(f"## {section.title}")
        for part in section.parts:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, Table):
                out.append(_markdown_table(part))
    return "\n\n".join(out) + "\n"


def _markdown_table(table: Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"

    rule = ["---" if column < table.left else "---:" for column in range(len(table.head))]
    lines = [line(table.head), line(rule), *(line(row) for row in table.rows)]
    return "\n".join([*([f"{table.title}:", ""] if table.title else []), *lines])


# --- HTML --------------------------------------------------------------------------------------------------------

_MARKED = 20  # points of a line at most whose points are marked
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b;
  background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; margin: 0.5rem 0 1.2rem; }
caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #e3e3e3; text-align: right; font-weight: normal;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th { border-bottom: 2px solid #999; white-space: normal; vertical-align: bottom; } .text { text-align: left; }
tbody tr:nth-child(even) { background: #f6f6f6; } img { max-width: 100%; height: auto; }
"""


def page(title: str, sections: Iterable[Section]) -> str:
    """One HTML file with its plots in it. Raises InputError without matplotlib."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        body.append(f"<section><h2>{html.escape(section.title)}</h2>")
        for part in section.parts:
            if isinstance(part, str):
                body.append(f"<p>{html.escape(part)}</p>")
            elif isinstance(part, Table):
                body.append(_html_table(part))
            elif part.curves:
                image = base64.b64encode(_draw(part)).decode()
                body.append(f'<img alt="{html.escape(part.title)}" src="data:image/png;base64,{image}">')
        body.append("</section>")
    return ('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" '
            f'content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
            f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n")


def _html_table(table: Table) -> str:
    def row(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(
            f"<{tag}{' class=text' if column < table.left else ''}>{html.escape(cell)}</{tag}>"
            for column, cell in enumerate(cells)) + "</tr>"

    caption = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
    body = "\n".join(row("td", cells) for cells in table.rows)
    return (f'<div class="table"><table>{caption}<thead>{row("th", table.head)}</thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>")


def _draw(plot: Plot) -> bytes:
    """A PNG; the same for the same numbers."""
    try:
        import matplotlib
    except ImportError as error:
        raise InputError("plots need matplotlib; pip install 'llm-compiler[eval]'") from error
    matplotlib.use("agg")
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for curve in plot.curves:
        if plot.points:
            axes.scatter(curve.x, curve.y, s=6, alpha=0.5, label=curve.label)
        elif plot.flat and len(curve.x) == 1:
            line = axes.axhline(curve.y[0], linestyle="--", label=curve.label)
            line.set_color(f"C{plot.curves.index(curve) % 10}")
        else:
            axes.plot(curve.x, curve.y, marker="o" if len(curve.x) <= _MARKED else "", markersize=4,
                      label=curve.label, color=f"C{plot.curves.index(curve) % 10}")
    if plot.log_x and plot.flat:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ScalarFormatter())
    elif plot.log_x:
        axes.set_xscale("log")
    if plot.log_y:
        axes.set_yscale("log")
    if plot.points:
        low, high = (pick(value for curve in plot.curves for value in (*curve.x, *curve.y)) for pick in (min, max))
        axes.plot([low, high], [low, high], color="grey", linewidth=0.8)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    axes.set_title(plot.title)
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()
