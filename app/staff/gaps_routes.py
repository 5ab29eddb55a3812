"""The address `/staff/gaps`: what could not be answered, with the documents that come nearest for whoever looks."""

import time
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.people import Person
from app.staff.gaps import Gap
from app.staff.gaps_page import ALL, Shown, gaps_html, waiting_html
from app.staff.request import Colleague, Workplace, show
from app.staff.workplace import Staff
from ingest.errors import DeskmateError

router = APIRouter(prefix="/gaps")

NEAREST = 3
"""Documents named for a gap."""


@router.get("")
def gaps(request: Request, person: Colleague, staff: Workplace) -> HTMLResponse:
    """The page."""
    found = staff.gaps.find()
    if found is None:
        return show(request, "Gaps", "gaps", waiting_html())
    shown = _shown(staff, person, found[:ALL])
    body = gaps_html(shown, len(found), sum(len(gap.questions) for gap in found), time.time())
    return show(request, "Gaps", "gaps", body)


def _shown(staff: Staff, person: Person, found: Sequence[Gap]) -> list[Shown]:
    labels = [gap.questions[0].question for gap in found]
    try:
        results = staff.desk.searcher.search_batch(labels, groups=person.groups) if labels else []
    except DeskmateError:  # there is no index: the gaps are there all the same
        results = []
    nearest = [list({hit.chunk.doc: hit.chunk.title for hit in one.hits}.items())[:NEAREST] for one in results]
    return [
        Shown(
            gap,
            staff.gaps.examples(gap),
            nearest[place] if nearest else (),
            staff.corrections.of(label, person.groups) is not None,
        )
        for place, (gap, label) in enumerate(zip(found, labels, strict=True))
    ]
