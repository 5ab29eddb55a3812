"""What is compared: a mode under an adapter, with the desk that answers so and the label that reports call it by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.answering.modes import UNTUNED, Mode
from app.desk import Desk
from finetune.adapters.card import Adapter
from ingest.errors import DeskmateError


@dataclass(frozen=True, slots=True)
class Contender:
    """A mode as it is measured. `adapter` is None in the modes without one."""

    label: str
    mode: Mode
    desk: Desk
    adapter: Adapter | None

    @property
    def file(self) -> str:
        """The label as a file may be called: no two contenders of an evaluation have the same."""
        return re.sub(r"[^a-z0-9_-]+", "-", self.label.lower()).strip("-")


def contenders(desk: Desk, modes: Sequence[Mode], adapters: Sequence[str]) -> list[Contender]:
    """Every mode that is to be measured, the tuned ones once for each adapter.

    Args:
        desk: answers in the modes without an adapter, and by what serves where none is named.
        modes: in the order of the report; all that can be served by default.
        adapters: by `name`, `name/vN` or folder, promoted or not.

    Raises:
        DeskmateError: a mode that cannot be served, an unknown adapter, two with the same name.
    """
    desks = [_under(desk, name) for name in adapters] or [desk]
    wanted = list(dict.fromkeys(modes)) or list(desks[0].modes())
    found = []
    for mode in wanted:
        for one in desks[:1] if mode in UNTUNED else desks:
            adapter = one.serving.decide(mode, frozenset()).adapter
            label = f"{mode} ({adapter.id})" if adapter and len(desks) > 1 else str(mode)
            found.append(Contender(label, mode, one, adapter))
    if len({one.file for one in found}) < len(found):
        raise DeskmateError("two of the adapters have the same name; name each --adapter once")
    return found


def adapters_of(entrants: Sequence[Contender]) -> list[Adapter]:
    """The adapters that take part, each once."""
    return list({one.adapter.checksum: one.adapter for one in entrants if one.adapter}.values())


def _under(desk: Desk, adapter: str) -> Desk:
    """The same desk under another adapter: index, embedder and model are in memory once."""
    other = Desk(desk.settings, adapter)
    other.embedder, other.searcher, other.model = desk.embedder, desk.searcher, desk.model
    return other
