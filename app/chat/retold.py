"""A kept conversation as the page shows it again: its exchanges and what people said between them, in their order.

Pure functions. The source panel's contents are not among it: the page asks for them when somebody opens one.
"""

from collections.abc import Iterable, Sequence

from app.chat.archive import Kept
from app.chat.details import details_html
from app.chat.feedback import feedback_html
from app.chat.handing import said_parts
from app.chat.session import Patch
from app.chat.talk import Said
from app.people import Person
from app.web import pages

WITHHELD = (
    "This answer rests on a document that has gone, or that you may not read any more, so it is not shown. "
    "Ask again to be answered from what there is now."
)


def log(turns: Iterable[tuple[int, Kept]], said: Sequence[Said], person: Person) -> list[Patch]:
    """Everything of a conversation in the order of time.

    Args:
        turns: exchanges with the numbers of their turns.
        said: what was said in hand-overs.
        person: whose conversation it is.
    """
    parts = [(kept.asked, turn_parts(number, kept)) for number, kept in turns]
    parts += [(one.at, said_parts(one, person)) for one in said]
    return [part for _, part in sorted(parts, key=lambda pair: pair[0])]


def turn_parts(number: int, kept: Kept) -> Patch:
    """One exchange; where its asker may not read what it rests on, the question and a calm note."""
    question = pages.question_html(kept.question)
    if kept.answer is None:
        body = pages.note_html(WITHHELD)
        return {"turn": number, "question": question, "body": body, "after": pages.tools_html()}
    tools = pages.tools_html(pages.copy_text(kept.answer), judging=feedback_html(kept.id, kept.judgement))
    return {
        "turn": number,
        "exchange": kept.id,
        "question": question,
        "body": pages.answer_body_html(kept.answer, kept.stopped),
        "after": tools + details_html(kept.answer),
    }
