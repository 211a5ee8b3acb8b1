"""Networks beside the frozen one: what flows back into its blocks, and what training keeps of them."""

import pytest
import torch

import combinations
from hosts import DEPTH, WIDTH, assert_near, build, draw, images_for
from mmsparse.analysis.memory import saved_bytes
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from mmsparse.models.adapters.synthesis import Combination
from mmsparse.models.ops.attention import attend, attend_beside
from mmsparse.tokens import Tokens

LORA = dict(type='mmsparse.LoRA', rank=4)
SYNQT = dict(type='mmsparse.SynQT', queries=3)
SIDE = {'ResTuningBypass': dict(type='mmsparse.ResTuningBypass', bottleneck=4), 'SynQT': SYNQT}


def entering(backbone):
    """Run a batch in training mode; return whether the stream of each block, but the first, has a gradient."""
    found, (*_, part) = [], backbone.adapters
    site = part.site

    def watched(name, layer, x, y, t):
        if name == part.sites[-1] and layer > 1:
            found.append(t.x_bnc.requires_grad)
        return site(name, layer, x, y, t)

    part.site = watched
    backbone.train().encode(images_for())
    return found


@pytest.mark.parametrize('name', SIDE)
def test_nothing_flows_back_into_the_blocks_unless_something_trains_there(name):
    assert not any(entering(build(adapter=SIDE[name])))
    assert all(entering(build(adapter=[LORA, SIDE[name]])))


@pytest.mark.parametrize('name', SIDE)
@pytest.mark.parametrize('sparsifier', [None, 'PYRA', 'DynamicViT', 'DyTDispatcher'])
def test_what_trains_before_it_learns(name, sparsifier):
    """Cut off from the blocks for good, it would leave them without a gradient and without a word."""
    model = draw(combinations.classifier('timm', [LORA, SIDE[name]], sparsifier))
    combinations.loss(model).backward()
    trains = {key: own.grad for key, own in model.named_parameters() if own.requires_grad}
    assert all(gradient is not None for gradient in trains.values())
    silent = [key for key, gradient in trains.items() if not gradient.any()]
    # PYRA's last re-activation has no influence on a class token, and the last block's own tokens none on SynQT
    assert all('.0.layers.3.' in key for key in silent)


def test_training_keeps_a_part_of_what_an_adapter_inside_keeps():
    """On ViT-B/16 13.6 MiB per image, LoRA 85.1."""
    models = [combinations.classifier('timm', adapter) for adapter in (SIDE['ResTuningBypass'], LORA)]
    beside, inside = (saved_bytes(model, lambda model=model: combinations.loss(model)) for model in models)
    assert beside < 0.4 * inside


def test_the_images_vector_is_in_every_token_and_no_map_is_made_of_it():
    rows_bnc = build(adapter=SYNQT, sparsifier=dict(type='mmsparse.ToMe', r=2))(images_for())[-1]
    assert rows_bnc.equal(rows_bnc[:, :1].expand_as(rows_bnc)) and not torch.equal(rows_bnc[0], rows_bnc[1])
    with pytest.raises(
        InputError, match="^SparseViT: received out_type='featmap', but SynQT describes an image by one"
    ):
        build(adapter=SYNQT, out_type='featmap')


def heads(*sizes, seed=0):
    return torch.randn(2, 3, *sizes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_query_that_is_no_token_sees_the_tokens_that_are_seen_and_none_of_the_others():
    """The first queries among them: as tokens they would see themselves."""
    q_bhtd, k_bhnd, v_bhnd = heads(4, 5), heads(9, 5, seed=1), heads(9, 5, seed=2)
    tokens = Tokens.start(torch.zeros(2, 9, 15, dtype=torch.float64), 1, (2, 4))
    seen_n = torch.tensor([1.0, 0, 1, 0, 1, 1, 0, 1, 1], dtype=torch.float64)
    expected = attend(q_bhtd, k_bhnd[:, :, seen_n > 0], v_bhnd[:, :, seen_n > 0], 0.5, 0.0)
    for mask_n in (seen_n, seen_n.clone().requires_grad_()):
        masked = Tokens(tokens.x_bnc, 1, (2, 4), tokens.source_bm, mask_bn=mask_n.expand(2, -1))
        found = attend_beside(q_bhtd, k_bhnd, v_bhnd, 0.5, 0.0, masked)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    times_n = torch.tensor([1, 3, 1, 2, 1, 1, 4, 1, 1])
    size_bn = times_n.double().expand(2, -1)
    merged = Tokens(tokens.x_bnc, 1, (2, 4), tokens.source_bm, size_bn=size_bn, proportional=True)
    many = attend(q_bhtd, *(x.repeat_interleave(times_n, 2) for x in (k_bhnd, v_bhnd)), 0.5, 0.0)
    torch.testing.assert_close(attend_beside(q_bhtd, k_bhnd, v_bhnd, 0.5, 0.0, merged), many)


def test_queries_have_no_place_in_the_image():
    """On a rotary host keys are turned, for the image's queries and for these; these themselves never."""
    model = combinations.classifier('timm_dinov3', SYNQT).eval()
    view, turned = model.backbone.view, []
    turn = view.turn
    view.turn = lambda block, x_bhnd, t: turned.append(x_bhnd.shape[2]) or turn(block, x_bhnd, t)
    with torch.no_grad():
        model.backbone(combinations.images())
    rows = view.prefix + view.patches
    # SynQT's keys come first; the last block runs for the class token alone
    assert turned == [rows] * 3 * (view.depth - 1) + [rows, 1, rows]


def test_at_the_start_what_no_equation_has_changes_nothing():
    """The norm before the norm, and the weights of features."""
    backbone = build(adapter=SYNQT, out_type='cls_token').double()
    part, images = backbone.adapters[0], images_for().double()
    for synthesis in part.layers.values():
        synthesis.pre_norm.reset_parameters()
    torch.nn.init.ones_(part.combination.weights)
    with torch.no_grad():
        found = backbone(images)[-1]
        for synthesis in part.layers.values():
            synthesis.pre_norm = torch.nn.Identity()
        assert_near(backbone(images)[-1], found, 1e-4)  # the inner norm's ε


def test_the_vector_is_normed_at_the_start_as_the_host_norms():
    backbone = build()
    head_norm = Combination(backbone.view, 0.0, 0.0).head_norm
    assert head_norm.weight.equal(backbone.host.norm.weight) and head_norm.bias.equal(backbone.host.norm.bias)


def test_both_runs_of_a_block_are_counted():
    t, d, rows = 3, WIDTH, 1 + 16
    found = account(build(adapter=SYNQT), [images_for(batch=1)])
    plain = account(build(), [images_for(batch=1)])
    assert plain.total.published == sum(found.part(name).published for name in ('embed', 'attention', 'ffn', 'head'))
    residuals = 2 * d * (2 * 48 + 4 * 8)
    block = 10 * d**2 + 2 * rows * d
    layer = t * (residuals + 2 * t * d + block) + 5 * t * d * 7
    features = 1 + 3 * DEPTH
    combination = features * (2 * d * 48 + 5 * d) + d * (features - 1) + 5 * d
    assert found.part('adapter').published == DEPTH * layer + combination
    assert found.layer(2).published - plain.layer(2).published == layer
