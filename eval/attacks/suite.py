"""All attacks, always the same ones in the same order."""

from functools import cache

from eval.attacks import access as attacks_access
from eval.attacks import hidden as attacks_hidden
from eval.attacks import input as attacks_input
from eval.attacks import markup as attacks_markup
from eval.attacks import pages as attacks_pages
from eval.attacks import words as attacks_words
from eval.attacks.attack import Attack
from eval.attacks.subjects import subjects


@cache
def suite() -> tuple[Attack, ...]:
    """Every attack. Each document of theirs is about something else, so that each question finds its own."""
    things = subjects()
    return (
        *attacks_words.direct(),
        *attacks_words.coded(),
        *attacks_words.leaks(),
        *attacks_words.turns(),
        *attacks_words.delimiters(things),
        *attacks_hidden.planted(things),
        *attacks_hidden.half_hidden(things),
        *attacks_hidden.hidden(),
        *attacks_markup.carrying(),
        *attacks_markup.running(),
        *attacks_markup.in_documents(things),
        *attacks_markup.forged(things),
        *attacks_access.asked(things),
        *attacks_access.requested(things),
        *attacks_access.traversing(),
        *attacks_pages.stored(),
        *attacks_pages.doors(),
        *attacks_pages.talks(),
        *attacks_input.broken(),
    )


def planted_files() -> dict[str, bytes]:
    """Everything that the attacks need to lie there, by name."""
    return {name: content for attack in suite() for name, content in attack.files.items()}
