"""A report as Markdown (CommonMark with GitHub's tables): the same sections as the page, drawings as tables.

Every character that Markdown or HTML could take for markup is escaped.
"""

import re
from collections.abc import Iterable, Iterator

from eval.reporting.blocks import Block, Case, Cell, Chart, Code, Facts, Heading, Page, Quote, Section, Table, Text
from eval.reporting.figures import percent

_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_LINE_START = re.compile(r"^(\s*)(?:([-+=])|(\d+)([.)])(?=\s))")


def page_markdown(content: Page) -> str:
    """The whole file."""
    return "\n".join(_lines(content)).rstrip() + "\n"


def _lines(content: Page) -> Iterator[str]:
    yield f"# {plain(content.verdict)}"
    yield f"\n{plain(content.kicker)}\n"
    if content.gate:
        yield f"**{plain(content.gate.who)} {'may serve' if content.gate.allowed else 'may not serve'}.**\n"
        yield from (f"- {plain(reason)}" for reason in content.gate.reasons)
        yield f"\n{plain(content.gate.where)}\n"
    yield from (f"- {plain(name)}: {plain(value)}" for name, value in content.about)
    for section in content.sections:
        yield from _section(section)
    yield f"\n---\n\n{plain(content.made)}"


def _section(section: Section) -> Iterator[str]:
    yield f"\n## {plain(section.title)}\n"
    if section.lead:
        yield f"{plain(section.lead)}\n"
    for block in section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Table():
            yield from _table(block)
        case Text():
            yield f"{plain(block.text)}\n"
        case Heading():
            yield f"### {plain(block.text)}\n"
        case Facts():
            if block.fold:
                yield f"### {plain(block.fold)}\n"
            yield from (f"- {plain(name)}: {plain(value)}" for name, value in block.rows)
            yield ""
        case Code():
            yield f"    {block.text.replace(chr(10), chr(10) + '    ')}\n"
        case Chart():
            yield f"### {plain(block.title)}\n\n{plain(block.says)}\n"
            yield from _table(block.table)
        case Case():
            yield from _case(block)


def _table(table: Table) -> Iterator[str]:
    yield _line([table.first, *(column.name for column in table.columns)])
    yield f"|---|{'---:|' * len(table.columns)}"
    for group in table.groups:
        if group.title:
            yield f"| **{plain(group.title)}** |{' |' * len(table.columns)}"
        for row in group.rows:
            lower = " (lower is better)" if row.note.endswith("lower is better") else ""
            yield f"| {plain(row.name)}{lower} | {' | '.join(map(_cell, row.cells))} |"
    yield ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(plain, cells))} |"


def _cell(cell: Cell) -> str:
    value = f"**{_inline(cell.text)}** ★" if cell.best else _inline(cell.text)
    return f"{value} ({_inline(cell.note)})" if cell.note else value


def _case(case: Case) -> Iterator[str]:
    yield f"### {plain(case.question)}\n"
    yield f"*{plain(', '.join(part for part in (case.name, case.kind, case.why) if part))}*\n"
    yield f"The right answer: {plain(case.gold) or 'none is in the documents'} {plain(', '.join(case.gold_docs))}\n"
    for reply in case.replies:
        known = ["declined"] if reply.refused else []
        known += [f"{percent(reply.facts)} of the facts"] if reply.facts is not None and not reply.refused else []
        known += [f"confidence {percent(reply.confidence)}"] if reply.confidence else []
        yield f"**{plain(reply.mode)}**{': ' if known else ''}{plain(', '.join(known))}\n"
        yield _quoted(reply.answer or "No answer.")
        yield from (f"- {_source(quote)}: “{plain(quote.text)}”" for quote in reply.citations)
        yield ""
    for passage in case.passages:
        yield f"{_source(passage)}\n"
        yield _quoted(passage.text)
        yield ""


def _source(quote: Quote) -> str:
    return f"\\[{quote.n}\\] {plain(quote.heading or quote.doc)} ({plain(quote.doc)})"


def _quoted(text: str) -> str:
    return "\n".join(f"> {plain(line)}  " if line.strip() else ">" for line in text.splitlines())


def plain(text: str) -> str:
    """Text on one line that Markdown shows as it is, wherever it stands."""
    return _LINE_START.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[1]}{m[3]}\\{m[4]}", _inline(text))


def _inline(text: str) -> str:
    """The same for text that does not begin a line."""
    return _SIGNS.sub(r"\\\1", " ".join(text.split()))
