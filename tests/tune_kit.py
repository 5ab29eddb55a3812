"""What tuning is tested with: rows in sets that share passages, and a tiny base on disk."""

from pathlib import Path

from tiny_models import tiny_base

from finetune.curation.pairs import Evidence, Kind
from finetune.curation.rows import Row
from finetune.template import Turn
from finetune.training.recipe import LoraRecipe, Recipe

PASSAGES = (
    "To reset your password, open the portal and choose Forgot password. Then call the service desk.",
    "Annual leave is 25 days. Carry over at most 5 days, and book them before 31 March.",
    "Passage 1, from it/vpn.md: Answer the employee's question. Übung naïve café",
)
QUESTIONS = (
    ("How many days?", "Annual leave is 25 days [2]."),
    ("Reset?", "Open the portal [1]."),
    ("When?", "Before 31 March."),
)


def row(number: int, prompt: str, answer: str, doc: str = "it.md") -> Row:
    return Row(
        id=f"fact-{number}",
        kind=Kind.FACT,
        style="plain",
        prompt=(Turn(role="user", content=prompt),),
        completion=(Turn(role="assistant", content=answer),),
        question=prompt[-20:],
        passages=1,
        evidence=(Evidence(doc, "c1", 0, 4, "text"),),
        docs=(doc,),
        access=(("everyone",),),
        teacher="test",
    )


def rows(sets: int = 6) -> list[Row]:
    """Sets of three questions on the same passages."""
    made = []
    for number in range(sets):
        shown = f"{number}. " + " ".join(PASSAGES[number % 3 :])
        for question, answer in QUESTIONS:
            made.append(row(len(made), f"{shown}\n\n{question}", answer))
    return made


def save_tiny_base(folder: Path) -> Path:
    base = tiny_base()
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return folder


def tiny_recipe(base: Path, **changes: object) -> Recipe:
    return Recipe(
        **{
            "base": str(base),
            "method": "lora",
            "lora": LoraRecipe(rank=2, alpha=4),
            "learning_rate": 1e-2,
            "warmup_steps": 1,
            "epochs": 2,
            "batch_rows": 4,
            "context": 512,
            "pack_tokens": 512,
            "evaluate_every": 3,
            "patience": 0,
            **changes,
        }
    )
