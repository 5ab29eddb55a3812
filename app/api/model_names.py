"""Model names of the API: `deskmate`, `deskmate/MODE`, `deskmate/MODE:ADAPTER`. Each says how to answer."""

import re
from dataclasses import dataclass

from app.answering.modes import UNTUNED, Mode
from app.answering.serving import Serving
from finetune.adapters.card import Adapter

ROOT = "deskmate"
_TUNED = tuple(mode for mode in Mode if mode not in UNTUNED)
_NAME = re.compile(rf"{ROOT}(?:/({'|'.join(Mode)})(?::([a-z0-9][\w/-]*))?)?")


@dataclass(frozen=True, slots=True)
class Named:
    """What a name stands for: a mode, or the default; an adapter, or the one that serves."""

    mode: Mode | None = None
    adapter: Adapter | None = None


def model_names(serving: Serving, groups: frozenset[str], any_adapter: bool) -> list[str]:
    """Every name that an asker may use, the default first.

    Args:
        serving: knows modes and adapters.
        groups: what the asker may read. An adapter tuned on more has no name for them.
        any_adapter: whether they may name one that does not serve.

    Raises:
        DeskmateError: the adapter that serves is damaged.
    """
    adapters = serving.choices(groups, any_adapter)
    modes = [f"{ROOT}/{mode}" for mode in serving.modes(groups)]
    return [ROOT, *modes, *(f"{ROOT}/{mode}:{adapter.id}" for adapter in adapters for mode in _TUNED)]


def find_model(name: str, serving: Serving, groups: frozenset[str], any_adapter: bool) -> Named | None:
    """What a name stands for; None where it stands for nothing, or for nothing that this asker may have.

    Args:
        name: as it was sent. `house` is the newest version of an adapter, `house/v2` one of them.
        serving: as in `model_names`.
        groups: as in `model_names`.
        any_adapter: as in `model_names`.

    Raises:
        DeskmateError: the adapter that serves is damaged.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    mode = Mode(match[1]) if match[1] else None
    if match[2]:
        adapter = serving.choose(match[2], groups, any_adapter)
        return Named(mode, adapter) if adapter and mode in _TUNED else None
    known = mode is None or mode in UNTUNED or mode in serving.modes(groups)
    return Named(mode) if known else None
