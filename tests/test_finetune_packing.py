"""Packs are trees that cost less and compute the same: same loss, same gradients, nothing of the neighbours."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_model

from finetune.training.packing import Batching, Group, Sample, common_prefix, group_samples, pack_groups, plan_steps
from finetune.training.tree_attention import NAME, tensors, tree_attention

SAMPLES = st.lists(
    st.builds(
        lambda head, tail, completion: Sample((1,) * head + tuple(tail), tuple(completion)),
        st.integers(1, 9),
        st.lists(st.integers(2, 4), min_size=1, max_size=6),
        st.lists(st.integers(2, 4), min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=14,
)


@given(SAMPLES)
def test_groups_hold_every_sample_in_order_and_only_what_is_alike_is_shared(samples) -> None:
    groups = group_samples(samples, pack_tokens=30, rows=4)
    assert [sample for group in groups for sample in group.samples] == samples
    for group in groups:
        assert group.tokens <= 30
        assert len(group.samples) <= 4
        assert len({sample.prompt[: group.prefix] for sample in group.samples}) == 1
        assert all(group.prefix < len(sample.prompt) for sample in group.samples) or group.prefix == 0


@given(SAMPLES, st.integers(1, 3), st.integers(1, 6))
def test_a_plan_shows_every_row_once_an_epoch_whatever_the_number_of_processes(samples, processes, rows) -> None:
    groups = group_samples(samples, pack_tokens=30, rows=4)
    steps = plan_steps(groups, Batching(rows, 30, epochs=2, seed=1, processes=processes))
    seen = [sample for step in steps for pack in step.packs for group in pack.groups for sample in group.samples]
    assert sorted(map(repr, seen)) == sorted(map(repr, samples * 2))
    assert all(pack.tokens <= 30 for step in steps for pack in step.packs)
    if len(groups) >= processes:
        assert all(share for step in steps for share in step.shares)


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    groups = [Group(0, (Sample((n,), (n,)),)) for n in range(20)]
    plans = [plan_steps(groups, Batching(4, 8, 2, seed)) for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]


def test_a_part_of_an_epoch_is_a_part_of_its_steps() -> None:
    groups = [Group(0, (Sample((n,), (n,)),)) for n in range(20)]
    assert len(plan_steps(groups, Batching(4, 8, 1.6, 0))) == 5 + 3


def test_rows_that_only_begin_alike_are_not_one_group() -> None:
    first = Sample((1, 2, 3, 4, 5, 6, 7, 8), (9,))
    same, other = Sample((1, 2, 3, 4, 5, 6, 9), (9,)), Sample((1, 2, 7, 7, 7, 7, 7), (9,))
    assert [len(group.samples) for group in group_samples([first, same, other], 99, 9)] == [2, 1]
    assert common_prefix((1, 2), (1, 2, 3)) == 2


def test_packs_are_filled_before_new_ones_are_begun() -> None:
    groups = [Group(0, (Sample((1,) * n, (2,)),)) for n in (5, 3, 9, 2)]
    assert [pack.tokens for pack in pack_groups(groups, 10)] == [10, 10, 3]


def trees():
    """Three rows on one prefix, one long row alone, and two on another prefix, in one pack."""
    generator = torch.Generator().manual_seed(0)

    def ids(n: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 90, (n,), generator=generator).tolist())

    one, two = ids(40), ids(25)
    first = [Sample(one + ids(n), ids(n + 2)) for n in (3, 1, 6)]
    second = [Sample(two + ids(n), ids(4)) for n in (2, 5)]
    alone = [Sample(ids(300), ids(9))]
    return group_samples([*first, *alone, *second], 512, 8)


def one_by_one(model, groups) -> torch.Tensor:
    """The loss of the rows as any trainer would compute it."""
    loss = torch.zeros(())
    for sample in (sample for group in groups for sample in group.samples):
        ids = torch.tensor([sample.prompt + sample.completion])
        logits = model(input_ids=ids).logits[0, len(sample.prompt) - 1 : -1]
        loss += torch.nn.functional.cross_entropy(logits, torch.tensor(sample.completion), reduction="sum")
    return loss


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_pack_has_the_loss_and_the_gradients_of_its_rows_one_by_one(family) -> None:
    import finetune.training.trainer  # noqa: F401  makes the attention known

    model = tiny_model(100, family=family)
    groups = trees()
    assert [len(group.samples) for group in groups] == [3, 1, 2]
    one_by_one(model, groups).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    loss = float(one_by_one(model, groups))

    model.zero_grad()
    model.set_attn_implementation(NAME)
    (pack,) = pack_groups(groups, 512)
    inputs = tensors(pack)
    targets = inputs.pop("targets")
    packed = torch.nn.functional.cross_entropy(model(**inputs).logits[0], targets, reduction="sum")
    packed.backward()

    assert pack.tokens < pack.unshared
    assert float(packed) == pytest.approx(loss, rel=1e-5)
    for name, p in model.named_parameters():
        assert torch.allclose(p.grad, expected[name], rtol=1e-4, atol=1e-4), name


def test_both_ways_of_attending_agree_also_with_a_softcap() -> None:
    from finetune.training.tree_attention import _fused, _sees, _written_out

    torch.manual_seed(0)
    q, k, v = torch.randn(1, 4, 9, 8), torch.randn(1, 2, 29, 8), torch.randn(1, 2, 29, 8)
    sees = _sees(20, [4, 5])
    assert torch.allclose(_fused(q, k, v, sees, 0.3), _written_out(q, k, v, sees, 0.3, None), atol=1e-6)
    q = torch.randn(1, 4, 29, 8)
    assert torch.allclose(_fused(q, k, v, None, 0.3), _written_out(q, k, v, None, 0.3, None), atol=1e-6)
    scores = torch.tanh(q @ k.repeat_interleave(2, 1).transpose(2, 3) * 0.3 / 5) * 5
    scores = scores.masked_fill(torch.ones(29, 29).triu(1).bool(), float("-inf"))
    expected = torch.softmax(scores, -1) @ v.repeat_interleave(2, 1)
    spans = [(29, 0, torch.empty(0, 0, dtype=torch.bool))]
    out, _ = tree_attention(torch.nn.Identity(), q, k, v, None, tree=spans, scaling=0.3, softcap=5.0)
    assert torch.allclose(out, expected.transpose(1, 2), atol=1e-6)
