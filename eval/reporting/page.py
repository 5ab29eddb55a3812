"""A report as one HTML file that needs nothing but itself: no script to read it, no font, no address outside the file.

Knows how blocks look and nothing of what they mean. Everything that comes from answers or documents is escaped, and the
file's own policy lets a browser run the one script that is in it and load nothing.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from app.web.frame import LOGO
from app.web.markup import answer_html
from eval.reporting.blocks import (
    Block,
    Case,
    Cell,
    Chart,
    Code,
    Column,
    Facts,
    Gate,
    Group,
    Heading,
    Page,
    Quote,
    Reply,
    Row,
    Section,
    Table,
    Text,
)
from eval.reporting.charts import swatch
from eval.reporting.figures import percent, words
from eval.reporting.markdown import page_markdown
from ingest.workspace import write_atomic

STATIC = Path(__file__).parent.parent / "static"
CHAT_CSS = Path(__file__).parent.parent.parent / "app" / "static" / "chat.css"


def write_page(content: Page, folder: Path) -> None:
    """Write `report.html` and `report.md`.

    Raises:
        OSError: the disk refuses; a file that was there is as it was.
    """
    write_atomic(folder / "report.html", page_html(content).encode())
    write_atomic(folder / "report.md", page_markdown(content).encode())


def page_html(content: Page) -> str:
    """The whole file."""
    style = _colours() + (STATIC / "report.css").read_text(encoding="utf-8")
    script = (STATIC / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    about = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in content.about)
    links = "".join(f'<li><a href="#{one.id}">{escape(one.title)}</a></li>' for one in content.sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(content.title)}</title><style>{style}</style>'
        '</head><body><a class="skip" href="#report">Skip to the report</a><div class="frame">'
        '<nav aria-label="Contents">'
        f'<p class="brand">{LOGO}<span>deskmate</span></p><ol>{links}</ol></nav><main id="report"><header>'
        f'<p class="kicker">{escape(content.kicker)}</p><h1>{_bound(content.verdict)}</h1>{_gate(content.gate)}'
        f'<dl class="about">{about}</dl></header>{"".join(map(_section, content.sections))}'
        f"<footer><p>{escape(content.made)} This file is complete: it loads nothing from anywhere.</p></footer></main>"
        f"</div><script>{script}</script></body></html>\n"
    )


def _colours() -> str:
    """The chat's colours and fonts by their names: the first rule of its style."""
    css = CHAT_CSS.read_text(encoding="utf-8")
    return css[css.index(":root") : css.index("}") + 1]


def _bound(text: str) -> str:
    """Escape a sentence; a number stays on the line of its percent sign, and a mode's name on one line."""
    kept = re.sub(r"(?<=\d) (?=%)", "\u00a0", escape(text))
    return re.sub(r"\b\w+-only\b", r'<span class="whole">\g<0></span>', kept)


def _gate(gate: Gate | None) -> str:
    if gate is None:
        return ""
    word, tone, sign = ("may serve", "good", "✓") if gate.allowed else ("may not serve", "bad", "✕")
    where = f"<p><small>{_bound(gate.where)}</small></p>" if gate.where else ""
    reasons = "".join(f"<li>{_bound(reason)}</li>" for reason in gate.reasons)
    return (
        f'<section class="gate {tone}" aria-label="The gate’s decision"><p>'
        f'<span class="sign" aria-hidden="true">{sign}</span> <strong>{escape(gate.who)} {word}.</strong></p>'
        f"<ul>{reasons}</ul>{where}</section>"
    )


def _section(section: Section) -> str:
    lead = f'<p class="lead">{escape(section.lead)}</p>' if section.lead else ""
    blocks, run = [], list[Chart]()
    for block in (*section.blocks, None):
        if isinstance(block, Chart):
            run.append(block)
            continue
        if run:
            blocks.append(f'<div class="charts">{"".join(map(_chart, run))}</div>')
            run = []
        if block is not None:
            blocks.append(_block(block))
    tools = _filter(section) if any(isinstance(block, Case) for block in section.blocks) else ""
    return (
        f'<section id="{section.id}" aria-labelledby="{section.id}-title"><h2 id="{section.id}-title">'
        f"{escape(section.title)}</h2>{lead}{tools}{''.join(blocks)}</section>"
    )


def _block(block: Block) -> str:
    match block:
        case Table():
            return _folded(block.fold, _table(block))
        case Text():
            return f'<p class="{block.tone}">{escape(block.text)}</p>'
        case Heading():
            return f"<h3>{escape(block.text)}</h3>"
        case Facts():
            rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in block.rows)
            return _folded(block.fold, f'<dl class="facts">{rows}</dl>')
        case Code():
            return f'<pre tabindex="0"><code>{escape(block.text)}</code></pre>'
        case Chart():
            return _chart(block)
        case Case():
            return _case(block)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{body}</details>" if title else body


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col" role="columnheader">{_column(column)}</th>' for column in table.columns)
    groups = "".join(_group(group, table.columns) for group in table.groups)
    kind = "modes" if any(column.series is not None for column in table.columns) else "plain"
    # Phones show a line as a block; a browser forgets then that it is a table, so the roles say it.
    return (
        f'<div class="scroll"><table role="table" class="{kind} n{len(table.columns)}"><caption class="hidden">'
        f'{escape(table.caption)}</caption><thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">'
        f"{escape(table.first)}</th>{head}</tr></thead>{groups}</table></div>"
    )


def _column(column: Column) -> str:
    """A column's name; that of a mode has its mark, and breaks at spaces only."""
    if column.series is None:
        return escape(column.name)
    name = " ".join(f'<span class="whole">{escape(word)}</span>' for word in column.name.split())
    return f'<span class="mode">{swatch(column.series)}<span>{name}</span></span>'


def _group(group: Group, columns: tuple[Column, ...]) -> str:
    title = ""
    if group.title:
        title = (
            f'<tr role="row" class="group"><th role="rowheader" scope="rowgroup" colspan="{len(columns) + 1}">'
            f"{escape(group.title)}</th></tr>"
        )
    return f'<tbody role="rowgroup">{title}{"".join(_row(row, columns) for row in group.rows)}</tbody>'


def _row(row: Row, columns: tuple[Column, ...]) -> str:
    note = f"<small>{escape(row.note)}</small>" if row.note else ""
    cells = "".join(_cell(cell, column) for cell, column in zip(row.cells, columns, strict=True))
    return f'<tr role="row"><th role="rowheader" scope="row">{escape(row.name)}{note}</th>{cells}</tr>'


def _cell(cell: Cell, column: Column) -> str:
    star = '<span class="star" title="surely the best">★<span class="hidden"> surely the best</span></span>'
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    value = f"<b>{escape(cell.text)}</b>" if cell.mark else escape(cell.text)
    return (
        f'<td role="cell"><span class="label" aria-hidden="true">{_column(column)}</span>'
        f'<span class="value">{value}{star if cell.best else ""}{note}</span>{cell.mark}</td>'
    )


def _chart(chart: Chart) -> str:
    legend = "".join(f"<li>{_column(column)}</li>" for column in chart.legend)
    shown = f'<ul class="legend" aria-hidden="true">{legend}</ul>' if len(chart.legend) > 1 else ""
    return (
        f"<figure><figcaption><h3>{escape(chart.title)}</h3><p>{escape(chart.says)}</p></figcaption>{shown}"
        f"{chart.svg}{_folded('The figures', _table(chart.table))}</figure>"
    )


def _filter(section: Section) -> str:
    """Choosers that the script shows: without it every case is there to read."""
    kinds = dict.fromkeys(block.kind for block in section.blocks if isinstance(block, Case))
    options = "".join(f'<option value="{escape(kind)}">{escape(words(kind))}</option>' for kind in kinds)
    return (
        '<form class="filter" hidden><label>Kind <select><option value="">all</option>'
        f'{options}</select></label><label>Containing <input type="search"></label>'
        '<output aria-live="polite"></output></form>'
    )


def _case(case: Case) -> str:
    key = hashlib.sha256(case.name.encode()).hexdigest()[:10]
    read = {passage.n: f"p-{key}-{passage.n}" for passage in case.passages}
    docs = "".join(f'<span class="doc">{escape(doc)}</span>' for doc in case.gold_docs)
    quotes = [quote.text for reply in case.replies for quote in reply.citations]
    passages = "".join(_passage(passage, read[passage.n], quotes) for passage in case.passages)
    count = f"{len(case.passages)} passage{'' if len(case.passages) == 1 else 's'} that search found"
    shown = f'<div class="passages">{passages}</div>'
    return (
        f'<article class="case" data-kind="{escape(case.kind)}" aria-labelledby="c-{key}"><header><p class="kicker">'
        f'<span class="tag">{escape(words(case.kind) or "Question")}</span> {escape(case.name)}</p><h3 id="c-{key}">'
        f'{escape(case.question)}</h3><p class="why">{escape(case.why)}</p></header>'
        '<div class="gold"><h4>The right answer</h4>'
        f"<p>{escape(case.gold) or 'None is in the documents: the right thing to do is to decline.'}</p>{docs}</div>"
        f'<div class="replies">{"".join(_reply(reply, read) for reply in case.replies)}</div>'
        f"{_folded(count, shown) if case.passages else ''}</article>"
    )


def _reply(reply: Reply, read: Mapping[int, str]) -> str:
    facts = "" if reply.facts is None else _met(reply.facts)
    marks = ['<span class="pill even">declined</span>' if reply.refused else facts]
    if reply.confidence:  # without passages there is none
        marks.append(f'<span class="sure">confidence {percent(reply.confidence)}</span>')
    quotes = "".join(_quote(quote, read) for quote in reply.citations)
    cited = f'<ul class="quotes">{quotes}</ul>' if quotes else ""
    return (
        f'<section class="reply"><h4>{swatch(reply.series)}{escape(reply.mode)} {"".join(marks)}</h4>'
        f'<div class="said">{answer_html(reply.answer, _chip(read)) or "<p>No answer.</p>"}</div>{cited}</section>'
    )


def _quote(quote: Quote, read: Mapping[int, str]) -> str:
    mark = _chip(read)(quote.n) or f"[{quote.n}] "
    return f"<li>{mark}<q>{escape(quote.text)}</q><small>{escape(quote.doc)}</small></li>"


def _met(facts: float) -> str:
    if facts in (0, 1):
        return f'<span class="pill {"good" if facts else "bad"}">{"right" if facts else "not right"}</span>'
    return f'<span class="pill open">{percent(facts)} of the facts</span>'


def _chip(read: Mapping[int, str]) -> Callable[[int], str | None]:
    """A citation as a link to its passage."""

    def chip(n: int) -> str | None:
        return f'<a class="chip" href="#{read[n]}" aria-label="passage {n}">{n}</a>' if n in read else None

    return chip


def _passage(passage: Quote, key: str, quotes: list[str]) -> str:
    """A passage; of the quotes that citations rest on those that stand in it are marked."""
    found = sorted({(at, at + len(quote)) for quote in quotes if quote and (at := passage.text.find(quote)) >= 0})
    parts, position = [], 0
    for start, end in found:
        if start >= position:
            parts += [escape(passage.text[position:start]), f"<mark>{escape(passage.text[start:end])}</mark>"]
            position = end
    parts.append(escape(passage.text[position:]))
    return (
        f'<section id="{key}" class="passage" tabindex="-1"><h4><span class="chip">{passage.n}</span>'
        f"{escape(passage.heading)}<small>{escape(passage.doc)}</small></h4><p>{''.join(parts)}</p></section>"
    )
