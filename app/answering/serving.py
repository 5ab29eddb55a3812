"""Which adapter answers for whom: the one that is promoted or named, for askers cleared for all it was tuned on.

Knows cards, access labels and the documents of the index; knows nothing of models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.answering.modes import ALL, UNTUNED, How, Mode
from finetune.adapters.card import CARD, Adapter, Staleness, open_adapter, staleness
from finetune.adapters.registry import Registry
from ingest.errors import DeskmateError
from ingest.scan import Known

StalePolicy = Literal["serve", "unless-deleted", "refuse"]


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one generation of the index."""

    generation: str | None
    known: Mapping[Path, Known]


@dataclass(frozen=True, slots=True)
class Offer:
    """The adapter for an asker, with its mark when it is stale; or none, and why not.

    `asked_for` says that one was named, so that none is an error.
    """

    adapter: Adapter | None
    reason: str = ""
    stale: str = ""
    asked_for: bool = False


NONE = Offer(None, "none is served; run deskmate tune, then deskmate adapters promote NAME")


@dataclass(frozen=True, slots=True)
class Standing:
    """How an adapter stands against the documents of today: is it stale, and who may read what it was tuned on."""

    stale: Staleness
    access: frozenset[frozenset[str]]


def untuned(mode: Mode | None, groups: frozenset[str], offer: Offer = NONE) -> How:
    """How anybody is answered where there is no adapter for them.

    Raises:
        DeskmateError: a tuned mode was asked for, or an adapter by its name.
    """
    if mode in UNTUNED or (mode is None and not offer.asked_for):
        return How(mode or Mode.RAG_ONLY)
    raise DeskmateError(f"the mode {mode or Mode.HYBRID} needs a tuned adapter: {offer.reason}; or use rag-only")


class Serving:
    """Decides on the adapter, anew for every question, so that a promotion counts from the next one on."""

    def __init__(
        self,
        registry: Registry,
        documents: Callable[[], Documents],
        fallback: str,
        policy: StalePolicy,
        named: str = "",
    ) -> None:
        """Remember where to look.

        Args:
            registry: whose promoted adapter serves.
            documents: gives those of the generation that serves.
            fallback: the adapter for when none is promoted: a folder, `name` or `name/vN`; empty for none.
            policy: what is done about stale adapters.
            named: an adapter asked for by a person: it goes before all others, and may be stale.
        """
        self._registry = registry
        self._documents = documents
        self._fallback = fallback
        self._policy = policy
        self._named = named
        self._opened: tuple[tuple[Path, int], Adapter] | None = None
        self._standing: tuple[tuple[str | None, str], Standing] | None = None

    def adapter(self) -> Adapter | None:
        """The adapter that is to serve, whoever asks.

        Raises:
            DeskmateError: it is damaged, or there is none of that name.
        """
        folder = self._folder()
        if folder is None:
            return None
        try:
            key = (folder, (folder / CARD).stat().st_mtime_ns)
        except OSError:
            return open_adapter(folder)  # which says what is wrong
        known = self._opened  # read once: another thread may put another adapter there
        if known is None or known[0] != key:
            self._opened = known = (key, open_adapter(folder))
        return known[1]

    def modes(self, groups: frozenset[str] = frozenset()) -> tuple[Mode, ...]:
        """The modes for an asker in these groups, the default first.

        Raises:
            DeskmateError: as `adapter`.
        """
        return ALL if self.offer(groups).adapter else UNTUNED

    def choices(self, groups: frozenset[str], every: bool) -> list[Adapter]:
        """The adapters that an asker in these groups may name: the one that serves, and with `every` all others.

        Raises:
            DeskmateError: as `adapter`.
        """
        served = self.adapter()
        others = [one for one in self._registry.all() if isinstance(one, Adapter)] if every else []
        candidates = [*([served] if served else []), *(one for one in others if not served or one.id != served.id)]
        return [one for one in candidates if self.offer(groups, one).adapter]

    def choose(self, reference: str, groups: frozenset[str], every: bool) -> Adapter | None:
        """The adapter of that `name` or `name/vN`, if an asker in these groups may name it; see `choices`.

        Raises:
            DeskmateError: as `adapter`.
        """
        served = self.adapter()
        try:
            found = served if served and reference == served.id else self._registry.find(reference)
        except DeskmateError:
            return None
        named = every or found == served
        return self.offer(groups, found).adapter if named else None

    def decide(self, mode: Mode | None, groups: frozenset[str], adapter: Adapter | None = None) -> How:
        """How an asker in these groups is answered, in a mode or by default, by the adapter that serves or another.

        Raises:
            DeskmateError: a tuned mode, or an adapter by its name, that they may not have; or as `adapter`.
        """
        if mode in UNTUNED:
            return How(mode)
        offer = self.offer(groups, adapter)
        return How(mode or Mode.HYBRID, offer.adapter, offer.stale) if offer.adapter else untuned(mode, groups, offer)

    def offer(self, groups: frozenset[str], adapter: Adapter | None = None) -> Offer:
        """The adapter for an asker in these groups: the one that serves, or another that the asker named.

        Raises:
            DeskmateError: as `adapter`.
        """
        adapter = adapter or self.adapter()
        if adapter is None:
            return NONE
        standing = self.standing(adapter)
        if not self._named and self._too_stale(standing.stale):
            return Offer(None, f"{adapter.id} is {standing.stale}; tune again, or set chat.stale_adapters to serve")
        if not adapter.cleared(groups, standing.access):
            reason = f"{adapter.id} was tuned on documents that this asker may not read"
            return Offer(None, reason, asked_for=bool(self._named))
        return Offer(adapter, stale=str(standing.stale))

    def _too_stale(self, stale: Staleness) -> bool:
        return bool(stale.gone if self._policy == "unless-deleted" else stale and self._policy == "refuse")

    def standing(self, adapter: Adapter) -> Standing:
        """How an adapter stands against the documents of the generation that serves."""
        documents = self._documents()
        key = (documents.generation, adapter.checksum)
        known = self._standing  # read once: another thread may put another adapter's there
        if known is None or known[0] != key:
            self._standing = known = (key, stand(adapter, documents))
        return known[1]

    def _folder(self) -> Path | None:
        if self._named:
            return self.find(self._named).folder
        if served := self._registry.served():
            return served.folder
        return self.find(self._fallback).folder if self._fallback else None

    def find(self, reference: str) -> Adapter:
        """An adapter by `name`, `name/vN` or its folder.

        Raises:
            DeskmateError: there is none.
        """
        folder = Path(reference).expanduser()
        if reference.partition("/")[0] not in self._registry.names() and (folder / CARD).is_file():
            return open_adapter(folder)
        return self._registry.find(reference)


def stand(adapter: Adapter, documents: Documents) -> Standing:
    """Compare an adapter's training documents with those of an index.

    A document that was closed to some since then counts as it is now: the adapter still knows what it says.
    """
    trained = adapter.card.documents
    hashes = set(trained.values())
    current: dict[str, list[str]] = {}
    access = set()
    for known in documents.known.values():
        current.setdefault(known.doc, []).append(known.sha256)
        if known.doc in trained or known.sha256 in hashes:
            access.add(known.access)
    return Standing(staleness(adapter.card, current), frozenset(access))
