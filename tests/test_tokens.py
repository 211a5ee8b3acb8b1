"""Laws of plans, on drawn partitions."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmsparse.tokens import Plan, Tokens, merge, pour, reduce, restore, rows_of


@st.composite
def states(draw):
    """Fresh tokens and two successive plans: each keeps some rows, drops some, and fuses the rest or not."""
    prefix, grid, batch = (
        draw(st.integers(0, 3)),
        (draw(st.integers(2, 4)), draw(st.integers(1, 4))),
        draw(st.integers(1, 3)),
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    x_bnc = torch.randn(batch, prefix + grid[0] * grid[1], 5, generator=generator, dtype=torch.float64)
    t = Tokens.start(x_bnc, prefix, grid)
    history_bn2 = torch.randn(batch, x_bnc.shape[1], 2, generator=generator, dtype=torch.float64)
    history, plans = [replace(t, carry=dict(history=history_bn2))], []
    for _ in range(2):
        t = history[-1]
        keep = draw(st.integers(1, t.patches))
        keep_bk = torch.rand(batch, t.patches, generator=generator).topk(keep, dim=1).indices
        plan = Plan.keep(t, keep_bk)
        if keep < t.patches and draw(st.booleans()):
            plan = plan.fuse_rest(torch.rand(t.x_bnc.shape[:2], generator=generator, dtype=torch.float64))
        plans.append(plan)
        history.append(reduce(t, plan))
    return history, plans


def matrix(plan, b, dtype=torch.float64):
    """The plan as the linear map it stands for, length×N."""
    s = torch.zeros(plan.length, plan.index_bn.shape[1], dtype=dtype)
    for row, target in enumerate(plan.index_bn[b].tolist()):
        if target >= 0:
            s[target, row] = 1.0 if plan.weight_bn is None else plan.weight_bn[b, row]
    return s


@given(states())
@settings(deadline=None, max_examples=60)
def test_a_reduction_is_the_linear_map_of_its_plan_for_rows_and_carry(case):
    history, plans = case
    for before, plan, after in zip(history, plans, history[1:]):
        for b in range(before.x_bnc.shape[0]):
            torch.testing.assert_close(after.x_bnc[b], matrix(plan, b) @ before.x_bnc[b])
            torch.testing.assert_close(after.carry['history'][b], matrix(plan, b) @ before.carry['history'][b])


@given(states())
@settings(deadline=None, max_examples=60)
def test_every_row_is_hit_and_prefix_rows_stay(case):
    history, plans = case
    for t, plan in zip(history, plans):
        for index_n in plan.index_bn:
            assert set(index_n.tolist()) - {-1} == set(range(plan.length))
            assert index_n[: t.prefix].tolist() == list(range(t.prefix))


@given(states())
@settings(deadline=None, max_examples=60)
def test_sources_compose_and_sizes_count_the_patches_behind_a_row(case):
    history, plans = case
    first, last = history[0], history[-1]
    for b in range(first.x_bnc.shape[0]):
        for patch, source in enumerate(last.source_bm[b].tolist()):
            row = first.prefix + patch
            for plan in plans:
                row = plan.index_bn[b, row].item() if row >= 0 else -1
            assert source == row
        counts = torch.bincount(last.source_bm[b][last.source_bm[b] >= 0], minlength=last.x_bnc.shape[1])
        counts[: last.prefix] += 1
        assert last.size_bn[b].tolist() == counts.tolist()


@given(states())
@settings(deadline=None, max_examples=30)
def test_batch_items_never_mix(case):
    history, plans = case
    before, plan = history[0], plans[0]
    for b in range(before.x_bnc.shape[0]):
        alone = Plan(
            plan.index_bn[b : b + 1], plan.length, None if plan.weight_bn is None else plan.weight_bn[b : b + 1]
        )
        torch.testing.assert_close(
            merge(before.x_bnc[b : b + 1], alone)[0], merge(before.x_bnc, plan)[b], rtol=0, atol=0
        )


@given(states())
@settings(deadline=None, max_examples=30)
def test_restore_gives_each_patch_its_row_and_zeros_where_it_was_dropped(case):
    last = case[0][-1]
    grid_bchw = restore(last)
    height, width = last.grid
    for b in range(last.x_bnc.shape[0]):
        for patch, source in enumerate(last.source_bm[b].tolist()):
            expected = last.x_bnc[b, source] if source >= 0 else torch.zeros(5, dtype=torch.float64)
            assert grid_bchw[b, :, patch // width, patch % width].tolist() == expected.tolist()
    assert grid_bchw.shape[2:] == (height, width)


def test_restoring_fresh_tokens_is_the_image_grid():
    x_bnc = torch.randn(2, 1 + 6, 4)
    torch.testing.assert_close(
        restore(Tokens.start(x_bnc, 1, (2, 3))), x_bnc[:, 1:].transpose(1, 2).reshape(2, 4, 2, 3), rtol=0, atol=0
    )


def test_a_fused_row_keeps_its_precision_in_bfloat16():
    t = Tokens.start(torch.full((1, 1 + 200, 1), 1.0, dtype=torch.bfloat16), 1, (10, 20))
    plan = Plan.keep(t, torch.arange(2)).fuse_rest(torch.full((1, 201), 1 / 198))
    assert reduce(t, plan).x_bnc[0, -1].item() == 1.0  # a sum in bfloat16 would stop growing at .5


def test_a_plan_for_other_tokens_is_refused():
    t = Tokens.start(torch.randn(2, 7, 4), 1, (2, 3))
    plan = Plan.keep(t, torch.arange(3))
    with pytest.raises(ValueError, match='Make the plan from the tokens'):
        reduce(reduce(t, plan), plan)


def test_sizes_count_beyond_what_bfloat16_can():
    tokens = Tokens.start(torch.zeros(1, 404, 2, dtype=torch.bfloat16), 1, (13, 31))
    index_bn = torch.tensor([[0] + [1] * 403])
    after = reduce(tokens, Plan(index_bn, 2))
    assert after.size_bn.tolist() == [[1, 403]] and after.x_bnc.dtype == torch.bfloat16


@given(states(), st.integers(0, 2**16))
@settings(deadline=None, max_examples=40)
def test_of_every_image_other_numbers_of_tokens_stay(case, seed):
    """`Plan.keep` takes one number for all images; what a plug-in's images show may ask for more or fewer."""
    before = case[0][-1]
    generator = torch.Generator().manual_seed(seed)
    chosen_bm = torch.rand(len(before.x_bnc), before.patches, generator=generator) < 0.6
    after = reduce(before, Plan.where(before, chosen_bm))
    for b, chosen_m in enumerate(chosen_bm):
        places = [*range(before.prefix), *(before.prefix + chosen_m.nonzero().flatten()).tolist()]
        count = len(places)
        assert after.x_bnc[b, :count].equal(before.x_bnc[b, places]) and not after.x_bnc[b, count:].any()
        assert after.carry['history'][b, :count].equal(before.carry['history'][b, places])
        assert after.mask_bn[b].tolist() == [1.0] * count + [0.0] * (after.x_bnc.shape[1] - count)
        moved = [places.index(place) if place in places else -1 for place in before.source_bm[b].tolist()]
        assert after.source_bm[b].tolist() == moved
    assert after.x_bnc.shape[1] == before.prefix + chosen_bm.sum(1).max()


@given(states())
@settings(deadline=None, max_examples=40)
def test_a_token_gets_the_mean_of_what_lies_on_its_patches(case):
    """Merged alone it would get the sum; and values of patches that have left are nobody's."""
    tokens = case[0][-1]
    grid_bmc = torch.randn(*tokens.source_bm.shape, 3, dtype=torch.float64).requires_grad_()
    found = pour(tokens, grid_bmc)
    for b, sources in enumerate(tokens.source_bm.tolist()):
        for place, x_c in enumerate(found[b]):
            own = [patch for patch, source in enumerate(sources) if source == place]
            torch.testing.assert_close(x_c, grid_bmc[b, own].mean(0) if own else torch.zeros_like(x_c))
    assert found.shape == (*tokens.x_bnc.shape[:2], 3)
    (gradient_bmc,) = torch.autograd.grad(found.sum(), grid_bmc)
    assert ((gradient_bmc.abs().sum(-1) > 0) == (tokens.source_bm >= 0)).all()
    torch.testing.assert_close(pour(tokens, rows_of(tokens))[:, tokens.prefix :], tokens.x_bnc[:, tokens.prefix :])
