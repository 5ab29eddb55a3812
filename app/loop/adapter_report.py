"""What `adapters list`, `adapters show`, `status` and `doctor` say of adapters."""

from dataclasses import asdict
from typing import Any

from app.console import console, print_json
from app.desk import Desk
from finetune.adapters.card import Adapter
from ingest.errors import DeskmateError


def print_adapters(desk: Desk, as_json: bool) -> None:
    """Every version, and what serves."""
    serving, rows, damaged = desk.serving.adapter(), [], []
    found = desk.registry.all()
    if serving and serving.checksum not in [one.checksum for one in found if isinstance(one, Adapter)]:
        found.append(serving)  # a folder of the settings
    for one in found:
        if isinstance(one, Adapter):
            rows.append(_row(desk, one, serving))
        else:
            damaged.append(str(one))
    if as_json:
        print_json({"serving": serving.id if serving else None, "adapters": rows, "damaged": damaged})
        return
    from rich.markup import escape
    from rich.table import Table

    out = console()
    if not rows and not damaged:
        out.print("no adapter yet; next: deskmate synth, deskmate tune")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("adapter", "", "tuned", "base", "documents", "for", "state"):
        table.add_column(name)
    for row in rows:
        mark = "[green]serves[/]" if row["serves"] else ""
        state = f"[yellow]{escape(row['stale'])}[/]" if row["stale"] else "fresh"
        documents = str(row["documents"])
        table.add_row(
            row["adapter"], mark, row["created"][:10], escape(row["base"]), documents, escape(row["for"]), state
        )
    out.print(table)
    for line in damaged:
        out.print(line, style="red", markup=False, soft_wrap=True)


def _row(desk: Desk, adapter: Adapter, serving: Adapter | None) -> dict[str, Any]:
    card = adapter.card
    return {
        "adapter": adapter.id,
        "serves": serving is not None and serving.checksum == adapter.checksum,
        "created": card.created,
        "base": card.base,
        "documents": len(card.documents),
        "for": readers(adapter),
        "stale": str(desk.serving.standing(adapter).stale),
        "folder": str(adapter.folder),
    }


def readers(adapter: Adapter) -> str:
    """Whom an adapter may serve, in words."""
    needed = [" or ".join(label) or "nobody" for label in adapter.card.access if "everyone" not in label]
    return ", and ".join(needed) or "everyone"


def print_adapter(desk: Desk, adapter: Adapter, as_json: bool) -> None:
    """An adapter's card, how it stands against the index, and whether its files are what they were.

    Raises:
        DeskmateError: a file was changed.
    """
    for name in adapter.card.files:
        adapter.read(name)
    row = _row(desk, adapter, desk.serving.adapter())
    stale = desk.serving.standing(adapter).stale
    if as_json:
        print_json({**row, "changed": stale.changed, "gone": stale.gone, "card": asdict(adapter.card)})
        return
    out = console()
    out.print(f"[bold]{adapter.id}[/] in {adapter.folder}; its files are as they were published")
    for name in ("created", "base", "documents", "for"):
        out.print(f"[bold]{name:<10}[/] ", end="")
        out.print(str(row[name]), markup=False, soft_wrap=True)
    for title, values in (("scores", adapter.card.scores), ("settings", adapter.card.settings)):
        for name, value in values.items():
            out.print(f"[bold]{title:<10}[/] ", end="")
            out.print(f"{name} = {value}", markup=False, soft_wrap=True)
    for what, docs in (("changed", stale.changed), ("gone", stale.gone)):
        for doc in docs:
            out.print(f"[yellow]{what:<10}[/] ", end="")
            out.print(doc, markup=False, soft_wrap=True)


def adapter_line(desk: Desk) -> str:
    """What serves and how it stands, or why none does, for `status` and `doctor`.

    Raises:
        DeskmateError: the one that is to serve is damaged.
    """
    adapter = desk.serving.adapter()
    if adapter is None:
        return "none: the base answers"
    for name in adapter.card.files:
        adapter.read(name)
    offer = desk.serving.offer(frozenset().union(*adapter.card.access))
    if offer.adapter is None:
        return f"none: {offer.reason}"
    mark = f"; {offer.stale}" if offer.stale else ""
    return f"{adapter.id} on {adapter.card.base}, for {readers(adapter)}{mark}"


def adapter_json(desk: Desk) -> dict[str, Any] | None:
    """The same as an object."""
    try:
        adapter = desk.serving.adapter()
        return _row(desk, adapter, adapter) if adapter else None
    except DeskmateError as error:
        return {"problem": str(error)}
