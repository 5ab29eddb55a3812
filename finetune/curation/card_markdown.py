"""The data card as a page that people read: samples first, then counts, then what was left out. Pure functions."""

from collections.abc import Iterable, Sequence

from finetune.curation.card import Card
from finetune.curation.include import REASONS

BAR = 24
"""Characters of the longest bar."""
DOCUMENTS = 20
"""Documents that are listed of each split; the JSON has all."""


def card_markdown(card: Card) -> str:
    """The card for people."""
    parts = (
        _opening(card),
        _samples(card),
        _contents(card),
        _left_out(card),
        _leakage(card),
        _own(card),
        _origin(card),
    )
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _opening(card: Card) -> Iterable[str]:
    rows = sum(split.rows for split in card.splits.values())
    documents = {doc for split in card.splits.values() for doc in split.documents}
    teachers = sorted({name for split in card.splits.values() for name in split.teachers})
    what = "question with its answer" if rows == 1 else "questions with their answers"
    yield "# Data card"
    yield ""
    yield (
        f"{rows:,} {what}, in the voice of the {_plain(card.voice)}, from {_count(len(documents), 'document')}. "
        f"Asked by {_listed(teachers)}. Of {_count(card.report.taken, 'pair')} offered, {card.report.kept:,} were kept."
        + (" Some are asked again where their passage is not, to be declined." if rows > card.report.kept else "")
    )
    for note in card.report.notes:
        yield f"\n> **Note:** {note[:1].upper()}{note[1:]}."
    yield ""


def _samples(card: Card) -> Iterable[str]:
    yield "## A few of them"
    yield ""
    for sample in card.samples:
        for turn in sample.history:
            yield f"> *{'Earlier' if turn['role'] == 'user' else 'The desk'}:* {_inline(turn['content'])}  "
        yield f"> **{_inline(sample.question)}**  "
        yield "> " + "<br>".join(_inline(line) for line in sample.answer.split("\n"))
        for n, (doc, text) in enumerate(sample.evidence, start=1):
            yield f">\n> <sub>{n}. {_inline(doc)}: “{_inline(text)}”</sub>"
        yield f">\n> <sub>{sample.kind}, {_inline(sample.style)}</sub>"
        yield ""


def _contents(card: Card) -> Iterable[str]:
    yield "## What is in it"
    yield ""
    names = list(card.splits)
    yield f"| | {' | '.join(names)} |"
    yield f"|---|{'---:|' * len(names)}"
    yield _line("rows", [f"{split.rows:,}" for split in card.splits.values()])
    yield _line("documents", [f"{len(split.documents):,}" for split in card.splits.values()])
    for group in ("kinds", "styles", "teachers"):
        counts = [getattr(split, group) for split in card.splits.values()]
        for name in dict.fromkeys(name for one in counts for name in one):
            shares = [f"{one.get(name, 0):,} ({one.get(name, 0) / max(sum(one.values()), 1):.0%})" for one in counts]
            yield _line(f"{group[:-1]}: {name}", shares)
    for what in ("prompt", "answer"):
        lengths = [getattr(split, f"{what}_words") for split in card.splits.values()]
        yield _line(
            f"words of {what}s", [f"{one.median:,} (95 %: {one.p95:,}; most: {one.longest:,})" for one in lengths]
        )
    yield ""
    for name, split in card.splits.items():
        shown = list(split.documents.items())[:DOCUMENTS]
        more = f", and {len(split.documents) - len(shown):,} more" if len(split.documents) > len(shown) else ""
        listed = ", ".join(f"{_inline(doc)} ({n:,})" for doc, n in shown) or "no document"
        yield f"**{name}** rests on {listed}{more}.\n"


def _left_out(card: Card) -> Iterable[str]:
    yield "## What was left out"
    yield ""
    yield "Filters in their order; each pair is counted by the first one that it does not pass."
    yield ""
    yield "| filter | asks that | left out | |"
    yield "|---|---|---:|---|"
    most = max([one.rejected for one in card.report.filters] or [0])
    for one in card.report.filters:
        bar = "█" * -(-BAR * one.rejected // most) if most else ""
        yield f"| {one.name} | {one.wants} | {one.rejected:,} | {bar} |"
    yield ""
    for one in card.report.filters:
        for example in one.examples:
            asked = f"“{_inline(example.question)}” → “{_inline(example.answer)}”: " if example.question else ""
            yield f"- **{one.name}: {example.rule}** ({one.rules[example.rule]:,}): {asked}{_inline(example.why)}"
    yield ""


def _leakage(card: Card) -> Iterable[str]:
    yield "## Evaluation questions"
    yield ""
    if not card.report.leakage:
        yield "No evaluation set was named, so nothing was compared. Name each that the adapter will be measured on."
    else:
        yield "Pairs that give an evaluation question away were taken out of both splits."
        yield ""
        yield "| set | questions | pairs taken out | same question | nearly the same | words in a row shared |"
        yield "|---|---:|---:|---:|---:|---:|"
    for one in card.report.leakage:
        yield f"| {one.name} | {one.questions:,} | {one.pairs:,} | {one.exact:,} | {one.near:,} | {one.shared:,} |"
    yield ""
    for one in card.report.leakage:
        for found in one.examples:
            asked, question, shared = map(_inline, (found.asked, found.question, found.shared))
            yield f"- {_inline(found.asked_id)}, “{asked}”, was given away by “{question}”; both have “{shared}”"
    yield ""


def _own(card: Card) -> Iterable[str]:
    if card.included is None:
        return
    one = card.included
    masked = _listed([f"{count:,} × {kind}" for kind, count in one.masked.items()]) if one.masked else "nothing"
    yield "## The company's own"
    yield ""
    made = one.taken - sum(one.rejected.values())
    yield f"{one.taken:,} questions were included, {made:,} became pairs. Masked: {masked}."
    yield ""
    for reason, count in sorted(one.rejected.items(), key=lambda item: -item[1]):
        yield f"- {count:,} left out: {REASONS[reason]}. {_inline(one.examples[reason])}"
    yield ""


def _origin(card: Card) -> Iterable[str]:
    yield "## For the record"
    yield ""
    readers = "; ".join(" or ".join(groups) for groups in card.access) or "everyone"
    yield f"- Readers of every document that is quoted: {_inline(readers)}. The adapter serves nobody else."
    for name, split in card.splits.items():
        yield f"- {name}: `{split.file}`, SHA-256 `{split.sha256}`"
    yield f"- Prompt: `{card.prompt_sha256}`. House style: `{card.voice_sha256}`"
    settings = ", ".join(f"{name} = {value!r}" for name, value in card.settings.model_dump(mode="json").items())
    yield f"- Settings: `{settings}`"


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {_inline(name)} | {' | '.join(cells)} |"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nobody"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _inline(text: str) -> str:
    """A text on one line that Markdown shows as it is, in a table too."""
    plain = _plain(text).replace("\\", "\\\\")
    for sign in "`*_|[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
