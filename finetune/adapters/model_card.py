"""An adapter's README, made of its card: what it is, what it was tuned on, who may be served by it, how to use it."""

from collections.abc import Mapping, Sequence
from typing import Any

from finetune.adapters.card import Card

PICTURES = (".png", ".svg")


def render_model_card(card: Card, files: Sequence[str]) -> str:
    """The text of `README.md`; pictures among the adapter's `files` are shown in it."""
    title = f"{card.name}/v{card.version}"
    labels = ["`" + "` or `".join(label) + "`" if label else "nobody" for label in card.access]
    pictures = [f"![{name}]({name})" for name in files if name.endswith(PICTURES)]
    parts = [
        # The front matter is what Hugging Face and PEFT read.
        f"---\nbase_model: {card.base}\nlibrary_name: peft\npipeline_tag: text-generation\ntags: [lora, deskmate]\n---",
        f"# {title}",
        f"A LoRA adapter on {card.base}, tuned by deskmate on {card.created[:10]}. It carries the house's tone, "
        "format, way of citing and way of declining. Facts are not its business: serve it with retrieved passages.",
        "## Data",
        f"{len(card.documents)} training documents. Data `{card.data_hash[:16]}`, prompt `{card.prompt_hash[:16]}`.",
        "Served only to askers who are in one group of each of these: " + (", ".join(labels) or "no restriction") + ".",
        *(_section("Scores", card.scores) + _section("Settings", card.settings)),
        *(["## Curves", *pictures] if pictures else []),
        "## Use",
        f"```sh\ndeskmate adapters promote {title}\ndeskmate adapters export {title} --out {card.name}\n"
        f"vllm serve {card.base} --enable-lora --lora-modules {title}=./{card.name}\n```",
        "Base identity `" + card.base_identity[:16] + "`: another base is refused. `card.json` has every file's hash.",
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, values: Mapping[str, Any]) -> list[str]:
    if not values:
        return []
    rows = [f"| {name} | {_cell(value)} |" for name, value in _flat(values)]
    return [f"## {title}", "\n".join(["| | |", "|---|---|", *rows])]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split())
