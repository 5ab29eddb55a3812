"""What a reader's program makes of what comes back: the pages that show an answer, and what of a page acts.

Renders by the product's own code, and looks at the result as a browser or a viewer of Markdown does.
"""

import re
from collections.abc import Iterable

from bs4 import BeautifulSoup, Tag
from markdown_it import MarkdownIt

from app.answering.answer import Answer
from app.chat.details import details_html
from app.web import pages
from eval.reporting.blocks import Case, Page, Quote, Reply, Section
from eval.reporting.markdown import page_markdown
from eval.reporting.page import page_html

_RUN = ("script", "style", "iframe", "object", "embed", "link", "base", "form", "svg", "math", "meta")
"""Elements that load or run something, whatever they hold."""
_FOLLOWED: tuple[str, ...] = ("href", "src", "srcset", "action", "formaction", "data", "poster", "background", "cite")
_FOLLOWED += ("ping", "xlink:href", "srcdoc", "style", "content", "manifest")
"""Attributes whose value a browser fetches or follows; besides these every `on…`."""

_EVERYTHING = MarkdownIt("commonmark", {"html": True}).enable("table")


def rendered(markdown: str) -> str:
    """Markdown as a client of the API, or a viewer of files, may show it: with links, pictures and whatever HTML."""
    return str(_EVERYTHING.render(markdown))


def active(page: str, own: bool = False) -> str:
    """What a browser would fetch, follow or run in some HTML, by two parsers: browsers forgive like neither of them."""
    found: list[str] = []
    for parser in ("lxml", "html.parser"):
        for tag in BeautifulSoup(page, parser).find_all(True):
            if tag.name in _RUN and not (own and tag.name == "form"):
                found.append(str(tag))
            else:
                found += [value for value in _values(tag) if not (own and re.match(r"/(?!/)", value))]
    return "\n".join(found)


def _values(tag: Tag) -> Iterable[str]:
    return (str(value) for name, value in tag.attrs.items() if name.lower() in _FOLLOWED or name.lower()[:2] == "on")


def chat_page(answer: Answer, read: pages.Read) -> str:
    """Every piece of the chat's page for an answer, while it is written and when it is done."""
    return "".join(
        [
            pages.question_html(answer.question),
            pages.writing_html(answer.written, answer.hits),
            pages.stopped_html(answer.written, answer.hits),
            pages.passage_refs_html(answer.hits, read),
            pages.answer_body_html(answer),
            pages.citation_refs_html(answer, read),
            pages.tools_html(pages.copy_text(answer)),
            details_html(answer),
            pages.error_html(answer.question),
        ]
    )


def report_markdown(answer: Answer) -> str:
    """An answer in a report's Markdown."""
    return page_markdown(_page_of(answer))


def report_page(answer: Answer) -> str:
    """An answer in a report's page, without the page's own style and script."""
    page = BeautifulSoup(page_html(_page_of(answer)), "html.parser")
    return str(page.find("main"))


def _page_of(answer: Answer) -> Page:
    quotes = tuple(Quote(one.n, one.doc, one.heading, one.quote) for one in answer.citations)
    passages = tuple(Quote(hit.rank, hit.chunk.doc, hit.chunk.heading, hit.chunk.text) for hit in answer.hits[:3])
    reply = Reply(str(answer.mode), 0, answer.answer, answer.refused, None, None, quotes)
    case = Case("case", answer.question, "single", "", answer.answer, (answer.question,), (reply,), passages)
    section = Section(id="answers", title="Answers", lead="", blocks=(case,))
    return Page(
        title=answer.question,
        kicker=answer.question,
        verdict=answer.answer,
        about=((answer.question, answer.answer),),
        gate=None,
        sections=(section,),
        made="",
    )
