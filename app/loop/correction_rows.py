"""Reviewed corrections as questions and answers for `deskmate synth --include`: the help desk's own words, to tune on.

Only those count whose documents are as they were, and which everybody may see now. As labels for tuning on feedback
they are the matter of `app.loop.training_rows`.
"""

from collections.abc import Iterator
from typing import Any

from app.loop.correction_form import renumbered
from app.loop.corrections import Corrections


def included_rows(corrections: Corrections) -> Iterator[dict[str, Any]]:
    """Questions with their right answers, the oldest first, traceable by `id` and by the versions in `docs`.

    Citations are left out: what bears an answer out is found anew when the rows are read, and masked there too.
    """
    for one in reversed(corrections.all(("reviewed",))):
        if not one.suspended and corrections.may_see(one, frozenset()):
            exchange = f"-exchange-{one.draft.exchange}" if one.draft.exchange else ""
            yield {
                "id": f"correction-{one.id}{exchange}",
                "question": one.draft.question,
                "answer": renumbered(one.draft.answer, {}),
                "docs": {doc: version.sha256 for doc, version in one.draft.rests.docs.items()},
            }
