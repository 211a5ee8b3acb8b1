"""DynamicViT: evaluation against a float64 loop, training by masks against the same choices gathered."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from hosts import DEPTH, HOSTS, WIDTH, assert_near, build, check, draw, images_for, native, reference_of, watch
from mmsparse.errors import InputError
from mmsparse.tokens import restore

RATES = (0.7, 0.5, 0.3)


def dynamicvit(layers=(2, 4, 6), keep_rates=RATES):
    return dict(type='mmsparse.DynamicViT', layers=layers, keep_rates=keep_rates)


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_equals_the_reference(host):
    _, tokens, _ = check(host, dynamicvit())
    assert tokens.patches == int(0.3 * tokens.source_bm.shape[1])


@pytest.mark.parametrize(
    'layers, keep_rates',
    [((1,), (0.29,)), ((1, 2), (0.9, 0.1)), (tuple(range(1, DEPTH + 1)), (0.9, 0.8, 0.7, 0.6, 0.5, 0.4))],
)
def test_every_schedule_equals_the_reference(layers, keep_rates):
    check('timm_wide_image', dynamicvit(layers, keep_rates))


def test_counts_are_taken_in_python_floats():
    """.29 · 100 is a little less than 29 in Python and rounds to 29 in float32."""
    backbone = build(dict(HOSTS['timm'], img_size=80), sparsifier=dynamicvit((3,), (0.29,)))
    with torch.no_grad():
        assert backbone.forward_tokens(torch.randn(1, 3, 80, 80)).patches == 28


@pytest.mark.parametrize('host', HOSTS)
def test_rates_of_one_equal_the_dense_host(host):
    backbone, images = build(host, sparsifier=dynamicvit(keep_rates=(1.0, 1.0, 1.0))), images_for(host)
    with torch.no_grad():
        assert_near(backbone(images)[-1], native(backbone.host, images))


def train_once(host, sparsifier, batch=4, adapter=None, **options):
    """A training pass; returns backbone, images, Tokens, the masks of the patches by layer, and the same as rows to
    gather.
    """
    torch.manual_seed(0)  # the Gumbel noise
    backbone = build(host, adapter, sparsifier, **options)
    backbone.train()
    images, seen = images_for(host, batch), watch(backbone)
    tokens = backbone.forward_tokens(images)
    masks, rows, present = {}, {}, [list(range(tokens.patches))] * batch
    for _, layer, before, plan in seen:
        if plan is None:
            continue
        assert plan.index_bn is None and plan.length == before.x_bnc.shape[1], 'nothing leaves in training'
        masks[layer] = plan.mask_bn[:, tokens.prefix :].detach()
        assert torch.isclose(masks[layer], masks[layer].round(), atol=1e-6).all()
        masks[layer] = masks[layer].round()
        alive = [[patch for patch in range(tokens.patches) if mask[patch]] for mask in masks[layer]]
        # fails where a dead patch returns
        rows[layer] = [[before_b.index(patch) for patch in alive_b] for before_b, alive_b in zip(present, alive)]
        present = alive
    assert any(0 < len(after) < tokens.patches for after in present)
    return backbone, images, tokens, masks, rows


@pytest.mark.parametrize(
    'adapter', [None, dict(type='mmsparse.DenseAdapter', bottleneck=8)], ids=['host', 'dense_adapter']
)
@pytest.mark.parametrize('host', ['timm', 'timm_layer_scale', 'timm_registers', 'timm_qk_norm', 'mmpretrain'])
def test_masking_equals_gathering_the_same_choices_at_the_class_token(host, adapter):
    backbone, images, tokens, _, rows = train_once(host, dynamicvit(), adapter=adapter)
    expected = reference_of(backbone, images, dict(type='rows', rows=rows), adapter)
    class_rows = torch.stack([own[0] for own in expected.rows])
    assert_near(tokens.x_bnc[:, 0].double(), class_rows)


@pytest.mark.parametrize('host', ['timm', 'timm_no_class_token', 'mmpretrain'])
def test_every_row_of_the_masked_pass_equals_the_reference(host):
    """Dead rows go on, seen by themselves alone."""
    backbone, images, tokens, masks, _ = train_once(host, dynamicvit())
    expected = reference_of(backbone, images, dict(type='masks', masks=masks))
    assert_near(tokens.x_bnc.double(), expected.features)
    alive_bn = tokens.mask_bn.detach().round()
    assert alive_bn[:, : tokens.prefix].all()
    assert torch.equal(alive_bn[:, tokens.prefix :], masks[6])


@pytest.mark.parametrize('mode', ['gather', 'stale', 'delta'])
def test_a_dead_patch_is_restored_as_one_that_left(mode):
    backbone, images, tokens, masks, _ = train_once('timm_wide_image', dynamicvit(), stash=True)
    wanted = reference_of(backbone, images, dict(type='masks', masks=masks)).restored(mode, (4, 6))
    assert_near(restore(tokens, mode).double(), wanted)


def test_cross_entropy_alone_teaches_every_predictor_weight():
    backbone, _, tokens, *_ = train_once('timm', dynamicvit(), batch=8)
    head = draw(torch.nn.Linear(WIDTH, 5), seed=3)
    cross_entropy(head(tokens.x_bnc[:, 0]), torch.arange(8) % 5).backward()
    for name, parameter in backbone.sparsifiers.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).all(), name


def test_choices_are_drawn_anew_in_each_training_pass_and_fixed_in_evaluation():
    backbone, images = build('timm', sparsifier=dynamicvit()), images_for()
    with torch.no_grad():
        assert torch.equal(backbone(images)[-1], backbone(images)[-1])
        backbone.train()
        assert not torch.equal(backbone(images)[-1], backbone(images)[-1])


@pytest.mark.parametrize(
    'wrong',
    [
        dict(keep_rates=(0.5, 0.7, 0.3)),
        dict(keep_rates=(0.5, 0.3)),
        dict(layers=(2, 2, 4)),
        dict(keep_rates=(0.7, 0.5, 0.0)),
    ],
)
def test_schedules_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match='DynamicViT'):
        build('timm', sparsifier=dynamicvit() | wrong)
