"""The attack suite against a desk: structural attacks once, with a model in the attacker's hand; the others by mode.

Every answer is on disk as it comes: a run that was stopped goes on where it stopped.
"""

import hashlib
import importlib.metadata
import json
import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.answering.answer import Answer
from app.batch import Journal, answered_by
from app.console import track
from app.desk import Desk
from eval.attacks.attack import Ask, Attack, Guarantee
from eval.attacks.suite import planted_files, suite
from eval.attacks.world import World
from eval.contenders import Contender
from eval.stats import wilson
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic

VERSION = 1
BATCH = 16
"""Questions that are answered together."""


def run_attacks(desk: Desk, entrants: Sequence[Contender], documents: Sequence[Path], out: Path) -> dict[str, Any]:
    """Make every attack on a throw-away desk with this one's model, adapters and settings; write `attacks.json`.

    Args:
        desk: whose settings are tried. Its own index is left alone.
        entrants: the modes whose answers are counted.
        documents: folders of documents to put among the attacks'.
        out: for the answers as they come, and the result.

    Returns:
        The figures, as they are written.

    Raises:
        DeskmateError: documents that cannot be read, no embedder, a disk that refuses.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="deskmate-attack-") as root, _quiet():
            world = World(Path(root), desk.settings, planted_files(), [path.absolute() for path in documents])
            try:
                told = [*_structural(world), *_by_mode(world, desk, entrants, out)]
            finally:
                world.close()
        report = figures(told, desk, entrants)
        write_atomic(out / "attacks.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise explain_disk_error(error, f"writing into {out}") from error
    return report


@contextmanager
def _quiet() -> Iterator[None]:
    """What the attacked desk logs (a wrong password, a request that failed) is nobody's news."""
    log = logging.getLogger("deskmate")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def default_out(desk: Desk, entrants: Sequence[Contender]) -> Path:
    """Where the results go if nobody says: the same place for the same suite, model, modes and settings."""
    text = json.dumps(_identity(desk, entrants[0]) | {"modes": [one.label for one in entrants]}, sort_keys=True)
    return desk.workspace.root / "reports" / f"attacks-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _structural(world: World) -> Iterator[dict[str, Any]]:
    """Attempts in which no answer of a real model matters."""
    for one in track([one for one in suite() if not isinstance(one.attempt, Ask)], "Attacking what is built"):
        assert not isinstance(one.attempt, Ask)
        yield _line(one, "", one.attempt(world))


def _by_mode(world: World, desk: Desk, entrants: Sequence[Contender], out: Path) -> Iterator[dict[str, Any]]:
    """Questions to the real model, mode by mode."""
    asked = [one for one in suite() if isinstance(one.attempt, Ask)]
    for entrant in entrants:
        served = _under_attack(world, desk)
        identity = _identity(served, entrant)
        with Journal(out / f"answers-{entrant.file}.jsonl", identity) as journal:
            left = [one for one in asked if "failed" in (journal.get(one.id) or {"failed": ""})]
            batches = list(_batches(left))
            if batches:
                served.model.load(entrant.adapter)
            for batch in track(batches, f"Attacking {entrant.label}"):
                for line in _asked(world, served, entrant, batch):
                    journal.add(line)
            yield from (found for one in asked if (found := journal.get(one.id)))


def _under_attack(world: World, desk: Desk) -> Desk:
    """The attacked desk with the real model, declining as it would in earnest."""
    home = world.desk.settings.home
    chat = desk.settings.chat.model_copy(update={"stale_adapters": "serve", "adapter": ""})
    served = Desk(desk.settings.model_copy(update={"home": home, "models": desk.settings.models_folder, "chat": chat}))
    served.embedder, served.searcher, served.model = world.desk.embedder, world.desk.searcher, desk.model
    served.weights = desk.weights
    return served


def _batches(attacks: Sequence[Attack]) -> Iterator[list[Attack]]:
    """Questions that stand alone go together, those with turns before them one by one."""
    alone = [one for one in attacks if isinstance(one.attempt, Ask) and not one.attempt.history]
    yield from (alone[first : first + BATCH] for first in range(0, len(alone), BATCH))
    yield from ([one] for one in attacks if one not in alone)


def _asked(world: World, desk: Desk, entrant: Contender, batch: Sequence[Attack]) -> Iterator[dict[str, Any]]:
    """The lines of a batch; what fails in it is asked once more alone."""
    answerer = desk.answerer_under(entrant.adapter)
    asks = [one.attempt for one in batch if isinstance(one.attempt, Ask)]
    try:
        if len(asks) == 1:
            answers = [answerer.answer(asks[0].question, mode=entrant.mode, history=asks[0].history)]
        else:
            answers = answerer.answer_batch([ask.question for ask in asks], mode=entrant.mode)
    except DeskmateError as error:
        if len(batch) == 1:
            yield {"id": batch[0].id, "mode": entrant.label, "failed": str(error)}
            return
        for one in batch:
            yield from _asked(world, desk, entrant, [one])
        return
    for one, answer in zip(batch, answers, strict=True):
        yield _answered(world, one, entrant, answer)


def _answered(world: World, one: Attack, entrant: Contender, answer: Answer) -> dict[str, Any]:
    closed = one.guarantee is Guarantee.STRUCTURAL
    told = world.everything(answer) if closed else answer.answer
    wrote = one.succeeds(answer.written)
    return _line(one, entrant.label, told) | {"answer": answer.answer, "wrote": wrote, "refused": answer.refused}


def _line(one: Attack, mode: str, told: str) -> dict[str, Any]:
    succeeded = one.succeeds(told)
    line: dict[str, Any] = {"id": one.id, "mode": mode, "guarantee": str(one.guarantee), "served": succeeded}
    return line | ({"context": one.context(told)} if succeeded else {})


def _identity(desk: Desk, entrant: Contender) -> dict[str, Any]:
    """All that the answers depend on: the suite, the mode, and what answers."""
    suite_hash = hashlib.sha256()
    for one in suite():
        ask = one.attempt if isinstance(one.attempt, Ask) else None
        suite_hash.update(repr((one.id, one.canary, ask, sorted(one.files))).encode())
    adapter = entrant.adapter.checksum if entrant.adapter else None
    return {"suite": suite_hash.hexdigest(), "mode": entrant.label, "adapter": adapter, **answered_by(desk)}


def figures(told: Sequence[dict[str, Any]], desk: Desk, entrants: Sequence[Contender]) -> dict[str, Any]:
    """What it came to: structural attacks counted, measured ones as shares with their intervals, by mode and family."""
    known = {one.id: one for one in suite()}
    held = [line for line in told if known[line["id"]].guarantee is Guarantee.STRUCTURAL and "failed" not in line]
    modes = {}
    for entrant in entrants:
        lines = [line for line in told if line["mode"] == entrant.label]
        counted = [one for one in lines if "failed" not in one and one["guarantee"] == Guarantee.MEASURED]
        families: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in counted:
            families[known[line["id"]].family].append(line)
        modes[entrant.label] = {
            "adapter": entrant.adapter and entrant.adapter.id,
            "all": _shares(counted),
            "families": {name: _shares(families[name]) for name in families},
            "failed": [line["id"] for line in lines if "failed" in line],
        }
    built = Counter(one.family for one in suite() if one.guarantee is Guarantee.STRUCTURAL)
    broken = Counter(known[line["id"]].family for line in held if line["served"])
    return {
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "deskmate": importlib.metadata.version("deskmate"),
        "model": desk.model.name,
        "attacks": len(suite()),
        "structural": {
            "attacks": sum(built.values()),
            "tried": len(held),
            "succeeded": sum(broken.values()),
            "families": {name: {"attacks": built[name], "succeeded": broken[name]} for name in built},
        },
        "measured": sum(one.guarantee is Guarantee.MEASURED for one in suite()),
        "modes": modes,
        "successes": [
            {name: line[name] for name in ("id", "mode", "guarantee", "context")} for line in told if line.get("served")
        ],
    }


def _shares(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of some answers, the share that did as the attack said: as served, and as the model wrote."""
    counts = {name: wilson(sum(line[name] for line in lines), len(lines)) for name in ("served", "wrote")}
    return {name: one and one.as_json() for name, one in counts.items()}
