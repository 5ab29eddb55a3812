"""Recipes: complete files, and everything that is wrong with one said at once."""

import tomllib

import pytest
from tune_kit import tiny_recipe

from finetune.training.recipe import FOLDER, Recipe, load_recipe, shipped
from ingest.errors import DeskmateError


def test_the_recipes_of_the_issue_are_shipped() -> None:
    assert shipped() == [
        "gemma-2-9b-qlora",
        "llama-3.1-8b-qlora",
        "mistral-7b-qlora",
        "phi-4-mini-qlora",
        "smollm2-135m-cpu",
        "tiny",
    ]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_is_complete_and_headed_by_its_command(name) -> None:
    text = (FOLDER / f"{name}.toml").read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert any(f"deskmate tune --recipe {name}" in line for line in head)
    recipe = load_recipe(name)
    data = tomllib.loads(text)
    assert set(data) == set(Recipe.model_fields)
    assert set(data["lora"]) == set(type(recipe.lora).model_fields)


def test_a_recipe_comes_from_a_file_too(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "SmolLM2-135M-Instruct"\nmethod = "full"\nlearning_rate = 2e-4\n')
    recipe = load_recipe(str(path))
    assert recipe.learning_rate == 2e-4
    assert recipe.model.quantization == "none"


def test_everything_that_is_wrong_is_said_at_once(tmp_path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        'base = "x"\nmethod = "dora"\nlearning_rate = "2e-4x"\nwarmup_ratio = 0.1\n[lora]\nrank = 0\nr = 3\n'
    )
    with pytest.raises(DeskmateError) as caught:
        load_recipe(str(path))
    message = str(caught.value)
    for part in (
        str(path),
        "method: ",
        "learning_rate: ",
        "warmup_ratio: no such setting",
        "lora.rank: ",
        "lora.r: no",
    ):
        assert part in message
    assert "\n" not in message


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path) -> None:
    with pytest.raises(DeskmateError, match="there is no recipe 'nope'; name a TOML file or one of gemma-2-9b-qlora"):
        load_recipe("nope")
    (tmp_path / "broken.toml").write_text("rank = = 3")
    with pytest.raises(DeskmateError, match=r"broken\.toml cannot be read: .*line 1"):
        load_recipe(str(tmp_path / "broken.toml"))


def test_a_pack_must_hold_the_longest_row(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"pack_tokens \(64\) must hold a row of context \(128\)"):
        tiny_recipe(tmp_path, context=128, pack_tokens=64)
