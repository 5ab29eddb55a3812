"""Every attack whose guarantee is structural, tried on a desk of its own: not one may succeed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from office import parse_here

from app.settings import load_settings
from eval.attacks.attack import Ask, Attack, Guarantee
from eval.attacks.suite import planted_files, suite
from eval.attacks.world import World

STRUCTURAL = [attack for attack in suite() if attack.guarantee is Guarantee.STRUCTURAL]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The attacked desk, without weights: hashed vectors, a model in the attacker's hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrieval.build.parse_files", parse_here)
        root: Path = tmp_path_factory.mktemp("attacked")
        patch.chdir(root)
        settings = load_settings(home=root / "none", retrieval={"embedder": "hashing"})
        one = World(root, settings, planted_files())
    yield one
    one.close()


@pytest.mark.parametrize("attack", STRUCTURAL, ids=lambda attack: attack.id)
def test_nothing_comes_of_an_attack_that_the_code_prevents(attack: Attack, world: World) -> None:
    if isinstance(attack.attempt, Ask):
        told = world.told(attack.attempt.question, history=attack.attempt.history, secret=attack.documents[0])
    else:
        told = attack.attempt(world)
    assert not attack.succeeds(told), attack.context(told)
