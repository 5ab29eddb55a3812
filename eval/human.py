"""People's blinded ratings of an evaluation, as figures: win rates with intervals, and how far the raters agree.

Reads what `app.ratings.store` keeps; knows nothing of how it was asked for.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from app.ratings.plan import Asked, Key, questions_of
from app.ratings.store import Rating, Ratings
from eval.agreement import agreement
from eval.stats import cluster_bootstrap, holm, sign_flip_p, tally

Aspect = Literal["tone", "correctness"]
ASPECTS: tuple[Aspect, ...] = ("tone", "correctness")


def human(folder: Path) -> dict[str, Any] | None:
    """The ratings of an evaluation's folder as the `human` of its report.

    A win rate counts a tie as half a win, so that .5 means no difference. Its interval is that of a bootstrap over
    questions, as several people judge the same one; not over documents as elsewhere, since the answers do not say which
    one they are about. `pairs` gives the rate of the first of its two modes, the p of no
    difference and the same after Holm's correction; only answers that differ are rated, and `same` says how many did
    not. `left` is how often the answer on the left won: far from .5, raters favoured a side, which the drawn order
    spreads over all modes. Ratings of words that the folder no longer holds are left out and counted as `stale`.

    Returns:
        None where nobody has rated.

    Raises:
        DeskmateError: a line of the folder's files that is none of theirs.
    """
    questions = questions_of(folder)
    ratings, stale = counted(folder)
    if not ratings:
        return None
    return {
        "ratings": len(ratings),
        "raters": len({rating.rater for rating in ratings}),
        "stale": stale,
        "modes": _modes(ratings),
        "pairs": _pairs(ratings, questions),
        "agreement": _agreement(ratings),
        "left": {aspect: _rate([(one.question, _score(one, aspect, True)) for one in ratings]) for aspect in ASPECTS},
    }


def counted(folder: Path) -> tuple[list[Rating], int]:
    """The ratings of words that the folder still holds, and how many there are of others."""
    offered = {asked.key(modes) for asked in questions_of(folder) for modes in asked.comparable()}
    standing = Ratings(folder).standing()
    ratings = [rating for rating in standing if rating.key in offered]
    return ratings, len(standing) - len(ratings)


def _score(rating: Rating, aspect: Aspect, left: bool) -> float:
    """1 for a win of that side, 0.5 for a tie, 0 for a loss."""
    verdict = getattr(rating, aspect)
    return 0.5 if verdict == "tie" else float((verdict == "left") == left)


def _of_mode(rating: Rating, aspect: Aspect, mode: str) -> tuple[str, float]:
    return rating.question, _score(rating, aspect, rating.left == mode)


def _modes(ratings: Sequence[Rating]) -> dict[str, Any]:
    """Each mode against all others that it was shown with."""
    found: dict[str, Any] = {}
    for mode in sorted({mode for rating in ratings for mode in (rating.left, rating.right)}):
        judged = [rating for rating in ratings if mode in (rating.left, rating.right)]
        found[mode] = {aspect: _rate([_of_mode(one, aspect, mode) for one in judged]) for aspect in ASPECTS}
    return found


def _pairs(ratings: Sequence[Rating], questions: Sequence[Asked]) -> list[dict[str, Any]]:
    """Each two modes, rated or not."""
    rows: list[dict[str, Any]] = []
    for one, other in combinations(sorted({mode for asked in questions for mode in asked.answers}), 2):
        both = [asked for asked in questions if one in asked.answers and other in asked.answers]
        judged = [rating for rating in ratings if (rating.key.one, rating.key.other) == (one, other)]
        figures: dict[str, Any] = {}
        for aspect in ASPECTS:
            scores = [_of_mode(rating, aspect, one) for rating in judged]
            p = sign_flip_p([score - 0.5 for _, score in scores], [question for question, _ in scores])
            figures[aspect] = None if p is None else {**(_rate(scores) or {}), "p": round(p, 4)}
        figures["same"] = sum((one, other) not in asked.comparable() for asked in both)
        rows.append({"modes": [one, other], "questions": len(both), **figures})
    rates = [row[aspect] for row in rows for aspect in ASPECTS if row[aspect]]
    for rate, p in zip(rates, holm([rate["p"] for rate in rates]), strict=True):
        rate["p_holm"] = round(p, 4)
    return rows


def _rate(scores: Sequence[tuple[str, float]]) -> dict[str, Any] | None:
    """A win rate of scores by question; None without scores."""
    clusters, values = [question for question, _ in scores], [score for _, score in scores]
    estimate = cluster_bootstrap(values, clusters)
    if estimate is None:
        return None
    counts = tally([value - 0.5 for value in values])
    return {**estimate.as_json(), "wins": counts.wins, "ties": counts.ties, "losses": counts.losses}


def _agreement(ratings: Sequence[Rating]) -> dict[str, Any]:
    """How far those who judged the same two answers agree, by which mode they found better."""
    units: defaultdict[Key, list[Rating]] = defaultdict(list)
    for rating in ratings:
        units[rating.key].append(rating)
    found: dict[str, Any] = {"shared": sum(len(unit) > 1 for unit in units.values())}
    for aspect in ASPECTS:
        labels = [{one.rater: _better(one, aspect) for one in unit} for unit in units.values()]
        agreed = agreement(labels)
        found[aspect] = agreed.as_json() if agreed else None
    return found


def _better(rating: Rating, aspect: Aspect) -> str:
    """The better one by its place in the alphabet, whichever stood left; `tie` for neither."""
    score = _score(rating, aspect, rating.left == rating.key.one)
    return {1.0: "one", 0.5: "tie", 0.0: "other"}[score]
