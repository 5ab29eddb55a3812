"""The thumbs under an answer and what is asked with a thumb down, as HTML. Pure functions; everything is escaped."""

from app.chat.archive import Judgement, Reason
from app.web.pages import escape

REASONS: dict[Reason, str] = {
    "wrong": "It is wrong",
    "outdated": "It is outdated",
    "not-found": "It did not find what is there",
    "tone": "The tone is wrong",
}
"""Why an answer is judged bad, as the page asks."""

LONGEST_CORRECTION = 4_000
"""Characters of what an asker says an answer should have been."""

_HAND = (
    "M7 10v10H3.5V10zM7 11l4-7.5c1.6 0 2.6 1.2 2.3 2.8"
    "L12.7 9.5h6.1c1.5 0 2.5 1.3 2.1 2.8l-1.6 6c-.3 1-1.2 1.7-2.2 1.7H7"
)


def feedback_html(exchange: int, judgement: Judgement | None = None, asking: bool = False) -> str:
    """The thumbs of one answer.

    Args:
        exchange: its id in the archive.
        judgement: what was said of it.
        asking: whether the form with the reasons is open.
    """
    verdict = judgement.verdict if judgement else ""
    thumbs = _thumb("up", "Good answer", verdict) + _thumb("down", "Bad answer", verdict)
    more = ""
    if judgement and verdict == "down":
        more = _form(exchange, judgement) if asking else _said(judgement)
    elif verdict == "up":
        more = '<p class="dm-thanks">Thank you.</p>'
    return (
        f'<div class="dm-judge" data-exchange="{exchange}"><div class="dm-thumbs" role="group" '
        f'aria-label="Was this answer good?">{thumbs}</div>{more}</div>'
    )


def _thumb(verdict: str, label: str, said: str) -> str:
    pressed = "true" if verdict == said else "false"
    return (
        f'<button type="button" class="dm-tool dm-thumb" data-verdict="{verdict}" aria-pressed="{pressed}" '
        f'aria-label="{label}" title="{label}"><svg class="dm-{verdict}" viewBox="0 0 24 24" aria-hidden="true" '
        f'focusable="false"><path d="{_HAND}"/></svg></button>'
    )


def _said(judgement: Judgement) -> str:
    told = REASONS.get(judgement.reason, "")
    text = f"Thank you. You said: {told[:1].lower()}{told[1:]}." if told else "Thank you."
    label = "Change" if told else "Tell us what was wrong"
    button = f'<button type="button" class="dm-link" data-judge="ask">{label}</button>'
    return f'<p class="dm-thanks">{escape(text)} {button}</p>'


def _form(exchange: int, judgement: Judgement) -> str:
    options = "".join(
        f'<label><input type="radio" name="dm-reason-{exchange}" value="{reason}"'
        f"{' checked' if reason == judgement.reason else ''}><span>{text}</span></label>"
        for reason, text in REASONS.items()
    )
    text = escape(judgement.correction)
    return (
        '<form class="dm-why"><fieldset><legend>What was wrong with it?</legend>'
        f'<div class="dm-reasons">{options}</div></fieldset>'
        '<label class="dm-field"><span>What would have been right? <small>(optional; the help desk reads it)</small>'
        f'</span><textarea rows="3" maxlength="{LONGEST_CORRECTION}">{text}</textarea></label>'
        '<div class="dm-actions"><button type="submit" class="dm-primary">Send</button>'
        '<button type="button" class="dm-ghost" data-judge="later">Not now</button></div></form>'
    )
