"""Whether the help desk drifts: what people ask, what is declined and disliked, documents and adapters that grow old.

Says in sentences when to ingest and when to tune again, and why; and that it cannot tell, where too little was asked.
Whether questions have moved is tested on their embeddings, in a run of its own (`deskmate drift`): that computes.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from app.database import Database, exchanges, handovers, judgements
from app.desk import Desk
from app.loop.sources import Pending, pending
from app.loop.training_rows import Readiness
from finetune.adapters.tuned_on import read_tuned_on
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic
from retrieval.embed import Vectors

DAY = 86_400.0
WEEK = 7 * DAY
MONDAY = 4 * DAY
"""Seconds from 1970's first moment, a Thursday, to its first Monday."""

WEEKS = 12
RECENT = 2
"""Weeks that are held against those before them."""

LEAST = 30
"""Fewest recent questions, and LEAST_BEFORE fewest before them, of which anything is said."""
LEAST_BEFORE = 60

MOST = 300
"""Questions of a side that are compared, the newest."""

PERMUTATIONS = 999
ALPHA = 0.01
LEAST_RISE = 0.05
"""A share that rose by less is no news, however sure it is."""

FILE = "drift.json"


@dataclass(frozen=True, slots=True)
class Week:
    """A week's figures; `start` is Monday, 0:00 UTC, in seconds since 1970. `confidence` is a mean, or None."""

    start: float
    questions: int = 0
    declined: int = 0
    up: int = 0
    down: int = 0
    handovers: int = 0
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Rise:
    """A share in the recent weeks and before; `p`: how likely such a rise is by chance (Fisher's exact test)."""

    recent: float
    before: float
    p: float

    @property
    def shown(self) -> bool:
        """Whether it rose, by more than chance and by enough to matter."""
        return self.p < ALPHA and self.recent - self.before >= LEAST_RISE


@dataclass(frozen=True, slots=True)
class Moved:
    """Whether recent questions are others than those before.

    `energy` is the distance of the two samples of embeddings and `p` how likely it is by chance; None where there are
    too few. `nearest` and `nearest_before` are the middle distances (1 - cosine) to the nearest question that `adapter`
    was tuned on, None where it carries none. `at` is when that was computed.
    """

    at: float
    recent: int
    before: int
    energy: float | None = None
    p: float | None = None
    adapter: str | None = None
    nearest: float | None = None
    nearest_before: float | None = None

    @property
    def shown(self) -> bool:
        """Whether they moved by more than chance."""
        return self.p is not None and self.p < ALPHA


@dataclass(frozen=True, slots=True)
class Signs:
    """Everything that advice rests on. `stale` has a line for each adapter that serves and is stale."""

    weeks: Sequence[Week]
    declines: Rise | None
    thumbs: Rise | None
    moved: Moved | None
    pending: Pending
    stale: Sequence[str]
    ready: Readiness


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and why: `write` documents, tune on `feedback`, `wait` until it can be told; or all is `fine`."""

    what: Literal["ingest", "tune", "write", "feedback", "wait", "fine"]
    why: str


def weeks_of(database: Database, now: float, count: int = WEEKS) -> list[Week]:
    """The figures of the last weeks, the running one last."""
    first = _monday(now) - (count - 1) * WEEK
    kept = (exchanges.c.asked >= first, exchanges.c.replaced.is_(False))
    with database.reading() as connection:
        columns = (exchanges.c.asked, exchanges.c.refused, exchanges.c.confidence)
        asked = connection.execute(sa.select(*columns).where(*kept)).all()
        said = connection.execute(
            sa.select(judgements.c.at, judgements.c.verdict).where(judgements.c.at >= first)
        ).all()
        handed = connection.scalars(sa.select(handovers.c.at).where(handovers.c.at >= first)).all()
    weeks = []
    for number in range(count):
        start = first + number * WEEK
        mine = [row for row in asked if start <= row.asked < start + WEEK]
        verdicts = [row.verdict for row in said if start <= row.at < start + WEEK]
        weeks.append(
            Week(
                start=start,
                questions=len(mine),
                declined=sum(row.refused for row in mine),
                up=verdicts.count("up"),
                down=verdicts.count("down"),
                handovers=sum(start <= at < start + WEEK for at in handed),
                confidence=sum(row.confidence for row in mine) / len(mine) if mine else None,
            )
        )
    return weeks


def rise(recent: tuple[int, int], before: tuple[int, int]) -> Rise | None:
    """Whether a share rose: (cases, all) in the recent weeks and before. None where there is too little to tell."""
    if recent[1] < LEAST or before[1] < LEAST_BEFORE:
        return None
    from scipy.stats import fisher_exact

    table = [[cases, total - cases] for cases, total in (recent, before)]
    found = fisher_exact(table, alternative="greater")
    return Rise(recent[0] / recent[1], before[0] / before[1], float(found.pvalue))


def energy_test(recent: Vectors, before: Vectors, permutations: int = PERMUTATIONS) -> tuple[float, float]:
    """The energy distance of two samples, and how likely it is where both come from one (Székely and Rizzo, 2013).

    Tells any change of distribution, where a comparison of distances to the nearest known question hardly tells one:
    docs/loop.md has the figures.

    Args:
        recent: one unit vector a row.
        before: the same.
        permutations: how often the rows are dealt anew; p is at least 1 / (permutations + 1).
    """
    both = np.concatenate([recent, before]).astype(np.float64)
    apart = np.sqrt(np.maximum(0.0, 2 - 2 * both @ both.T))
    one = np.concatenate([np.full(len(recent), 1 / len(recent)), np.full(len(before), -1 / len(before))])
    rng = np.random.default_rng(0)
    deals = np.stack([one, *(rng.permutation(one) for _ in range(permutations))])
    distances = -np.einsum("ij,ij->i", deals @ apart, deals)  # 2 E|X-Y| - E|X-X'| - E|Y-Y'|
    return float(distances[0]), float((distances >= distances[0] - 1e-12).mean())


def moved(desk: Desk, now: float) -> Moved:
    """Embed the questions of the last weeks and compare them with those before; each wording counts once."""
    edge = now - RECENT * WEEK
    first = now - WEEKS * WEEK
    kept = (exchanges.c.asked >= first, exchanges.c.replaced.is_(False))
    with desk.database.reading() as connection:
        query = sa.select(exchanges.c.asked, exchanges.c.question).where(*kept).order_by(exchanges.c.asked.desc())
        rows = connection.execute(query).all()
    sides = [[row.question for row in rows if (row.asked >= edge) is recent] for recent in (True, False)]
    recent, before = (
        list({" ".join(text.casefold().split()): text for text in side}.values())[:MOST] for side in sides
    )
    found = Moved(now, len(recent), len(before))
    if len(recent) < LEAST or len(before) < LEAST_BEFORE:
        return found
    new, old = desk.embedder.embed(recent), desk.embedder.embed(before)
    energy, p = energy_test(new, old)
    adapter = desk.serving.adapter()
    known = read_tuned_on(adapter) if adapter else None
    if adapter is None or not known:
        return Moved(now, len(recent), len(before), energy, p)
    tuned_on = desk.embedder.embed(known)
    nearest, nearest_before = (float(np.median(1 - (side @ tuned_on.T).max(axis=1))) for side in (new, old))
    return Moved(now, len(recent), len(before), energy, p, adapter.id, nearest, nearest_before)


def keep_moved(found: Moved, workspace: Path) -> None:
    """Write down what a look at the questions found, for the page."""
    try:
        write_atomic(workspace / FILE, (json.dumps(asdict(found)) + "\n").encode())
    except OSError as error:
        raise explain_disk_error(error, "writing what drift was found") from error


def read_moved(workspace: Path) -> Moved | None:
    """What the last look found; None before the first."""
    try:
        return Moved(**json.loads((workspace / FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def signs(desk: Desk, now: float, found: Moved | None, ready: Readiness) -> Signs:
    """Look at everything that is quickly looked at.

    Args:
        desk: whose database, index and adapters.
        now: seconds since 1970.
        found: what the last look at the questions found.
        ready: how many training rows there are.
    """
    weeks = weeks_of(desk.database, now)
    recent, before = weeks[-RECENT:], weeks[:-RECENT]
    waits, stale = Pending(), []
    if desk.store.current_name() is not None:
        generation = desk.searcher.open()
        waits = pending(desk.sources.all(), generation.table.known(), generation.manifest.created)
    try:
        adapter = desk.serving.adapter()
        if adapter and (mark := desk.serving.standing(adapter).stale):
            stale.append(f"{adapter.id} is {mark}")
    except DeskmateError as error:
        stale.append(str(error))
    return Signs(
        weeks=weeks,
        declines=rise(*(_share(some, "declined", "questions") for some in (recent, before))),
        thumbs=rise(*(_thumbs(some) for some in (recent, before))),
        moved=found,
        pending=waits,
        stale=stale,
        ready=ready,
    )


def advise(found: Signs) -> list[Advice]:
    """What to do, the most urgent first, each with its reason."""
    out = []
    if found.pending:
        out.append(Advice("ingest", f"documents on disk are not in the index: {found.pending}"))
    out += [Advice("tune", line) for line in found.stale]
    if (looked := found.moved) and looked.shown:
        out.append(_asked_other_things(looked))
    if found.declines and found.declines.shown:
        out.append(
            Advice("write", f"more is declined than before, {_rose(found.declines)}; the gaps say what is missing")
        )
    if found.thumbs and found.thumbs.shown:
        out.append(Advice("tune", f"more answers are disliked than before, {_rose(found.thumbs)}"))
    if found.ready.method:
        out.append(
            Advice(
                "feedback",
                f"{found.ready.rows} rows of what people said are enough to tune on, by {found.ready.method}",
            )
        )
    if stale := found.ready.left_out.get("stale"):
        out.append(
            Advice("wait", f"{stale} of the judgements are of documents that have changed since: they are left out")
        )
    recent = sum(week.questions for week in found.weeks[-RECENT:])
    if recent < LEAST or (looked and looked.p is None):
        out.append(
            Advice(
                "wait",
                f"too few questions to tell whether they have moved: {recent} in two weeks, {LEAST} different ones "
                f"are needed, and {LEAST_BEFORE} before",
            )
        )
    return out or [Advice("fine", "documents, adapter and questions are as they were: there is nothing to do")]


def _asked_other_things(looked: Moved) -> Advice:
    """Other questions, and whether they lead away from what the adapter was tuned on."""
    why = f"people ask other things than before ({_by_chance(looked.p)})"
    if looked.nearest is None or looked.nearest_before is None:
        return Advice("write", f"{why}; see the gaps for documents that are missing")
    far = (
        f"the middle one is {looked.nearest:.2f} from the nearest question that {looked.adapter} was tuned on, before "
        f"it was {looked.nearest_before:.2f}"
    )
    return Advice("tune" if looked.nearest > looked.nearest_before else "write", f"{why}; {far}")


def as_json(found: Signs) -> dict[str, Any]:
    """The whole as one object."""
    data = asdict(found)
    data["advice"] = [asdict(one) for one in advise(found)]
    return data


def _rose(found: Rise) -> str:
    return f"{100 * found.recent:.0f} % in two weeks against {100 * found.before:.0f} % ({_by_chance(found.p)})"


def _by_chance(p: float | None) -> str:
    return f"p = {p:.3f}" if p is not None and p > 1 / (PERMUTATIONS + 1) else "p at most 0.001"


def _share(weeks: Sequence[Week], cases: str, total: str) -> tuple[int, int]:
    return sum(getattr(week, cases) for week in weeks), sum(getattr(week, total) for week in weeks)


def _thumbs(weeks: Sequence[Week]) -> tuple[int, int]:
    down = sum(week.down for week in weeks)
    return down, down + sum(week.up for week in weeks)


def _monday(now: float) -> float:
    return now - (now - MONDAY) % WEEK


def look(desk: Desk) -> Moved:
    """Look at the questions now, and keep what is found."""
    found = moved(desk, time.time())
    keep_moved(found, desk.workspace.root)
    return found
