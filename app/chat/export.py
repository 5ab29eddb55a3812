"""A kept conversation as a file to take away: Markdown for people, JSON for programs. Pure functions."""

import json
import re
import time
from collections.abc import Sequence
from typing import Any

from app.chat.archive import Kept
from app.chat.retold import WITHHELD
from app.chat.talk import Said
from app.people import Person
from app.web.markup import inert
from app.web.pages import copy_text


def as_markdown(title: str, kept: Sequence[Kept], said: Sequence[Said]) -> str:
    """A conversation to read: questions as headings, answers with their sources. No viewer loads anything for it."""
    parts: list[tuple[float, str]] = []
    for one in kept:
        answer = WITHHELD if one.answer is None else inert(copy_text(one.answer))
        parts.append((one.asked, f"## {_line(one.question)}\n\n{_when(one.asked)}\n\n{answer}"))
    parts += [(one.at, f"**{_line(one.name)}**, {_when(one.at)}:\n\n{inert(one.text)}") for one in said]
    body = "\n\n".join(text for _, text in sorted(parts, key=lambda part: part[0]))
    return f"# {_line(title)}\n\n{body}\n"


def as_json(title: str, kept: Sequence[Kept], said: Sequence[Said], person: Person) -> str:
    """A conversation for a program; a withheld answer is null."""
    data = {
        "title": title,
        "exchanges": [_exchange(one) for one in kept],
        "messages": [
            {"at": _when(one.at), "from": "asker" if one.author == person.id else one.name, "text": one.text}
            for one in said
        ],
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def file_name(title: str, ending: str) -> str:
    """A name for the file that every system takes."""
    plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50].strip("-")
    return f"{plain or 'conversation'}.{ending}"


def _exchange(kept: Kept) -> dict[str, Any]:
    answer, judgement = kept.answer, kept.judgement
    return {
        "asked": _when(kept.asked),
        "question": kept.question,
        "answer": answer and answer.answer,
        "mode": answer and str(answer.mode),
        "model": answer and answer.model,
        "adapter": answer and answer.adapter,
        "citations": [
            {"n": one.n, "doc": one.doc, "heading": one.heading, "page": one.page, "quote": one.quote}
            for one in (answer.citations if answer else ())
        ],
        "judgement": judgement and {"verdict": judgement.verdict, "reason": judgement.reason},
    }


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def _line(text: str) -> str:
    return inert(" ".join(text.split()))
