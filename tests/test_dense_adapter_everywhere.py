"""Dense Adapter, every weight drawn, under each sparsifier: its history rides the same plans as the rows."""

import pytest
import torch

from hosts import assert_same, build, check, images_for, reference_of, watch
from small_classifier import classifier, step, untried

EVIT = dict(type='mmsparse.EViT', layers=(2, 4, 5), keep_rate=0.7, fuse='merge', normalize=False)
TOME = dict(type='mmsparse.ToMe', r=[1, 2, 0, 2, 2, 1])
DYT = dict(type='mmsparse.DyTDispatcher', rate=0.5)
DYNAMICVIT = dict(type='mmsparse.DynamicViT', layers=(2, 4, 5), keep_rates=(0.8, 0.6, 0.4))
SPARSIFIERS = {
    'tome': TOME,
    'pyra': TOME | dict(type='mmsparse.PYRA'),
    'dynamicvit': DYNAMICVIT,
    'dyt': DYT,
    'ats': dict(type='mmsparse.ATS', layers=(2, 4, 5), keep_rate=0.8),
    'adaptive': dict(type='mmsparse.AdaptiveKeep', layers=(2, 4, 5), keep_rate=0.8),
    'pitome': dict(type='mmsparse.PiToMe', keep_rate=0.85),
    'fpet': dict(type='mmsparse.FPET', layer=3),
    'evit_received': EVIT | dict(score='received'),
    'evit_key_norm': EVIT | dict(score='key_norm', normalize=True),
    'evit_shift': EVIT | dict(score='shift', normalize=True),
    'tome_then_dyt': [TOME, DYT],
    'tome_and_evit': [TOME | dict(r=[1, 0, 2, 0, 0, 2]), EVIT],
    'evit_then_ats': [EVIT | dict(layers=(2,)), dict(type='mmsparse.ATS', layers=(3, 5), keep_rate=0.8)],
    'evit_then_dynamicvit': [DYNAMICVIT | dict(layers=(2, 4, 5)), EVIT | dict(layers=(1,))],
    'tome_then_dynamicvit': [TOME | dict(r=[1, 2, 0, 0, 0, 0]), DYNAMICVIT | dict(layers=(3, 4, 6))],
    'dynamicvit_and_dyt': [DYNAMICVIT, DYT],
}
BLIND = [
    'tome',
    'pyra',
    'dynamicvit',
    'dyt',
    'evit_received',
    'evit_key_norm',
    'evit_shift',
    'tome_then_dyt',
    'tome_then_dynamicvit',
]


def dense_adapter(fusion='inner'):
    return dict(type='mmsparse.DenseAdapter', bottleneck=8, fusion=fusion)


def test_every_sparsifier_has_the_history_under_it():
    assert not untried(SPARSIFIERS.values())


@pytest.mark.parametrize('fusion', ['inner', 'early', 'late'])
@pytest.mark.parametrize('name', SPARSIFIERS)
def test_it_follows_every_sparsifier(name, fusion):
    check('timm', SPARSIFIERS[name], dense_adapter(fusion), batch=2)


@pytest.mark.parametrize('name', SPARSIFIERS)
def test_it_trains_under_every_sparsifier(name):
    model = classifier(SPARSIFIERS[name], dense_adapter())
    optimiser = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    for number in range(2):  # a parameter that the first step does not reach would stop distributed training
        losses = step(model, optimiser, seed=number)
        assert all(value.isfinite() for value in losses.values())
        assert not [
            key
            for key, parameter in model.named_parameters()
            if parameter.requires_grad != (parameter.grad is not None)
        ]


@pytest.mark.parametrize('name', BLIND)
def test_it_follows_every_sparsifier_without_a_class_token(name):
    check('timm_no_class_token', SPARSIFIERS[name], dense_adapter(), batch=2)


@pytest.mark.parametrize('name', SPARSIFIERS)
def test_it_follows_every_sparsifier_on_mmpretrain_and_with_registers(name):
    for host in ('mmpretrain', 'timm_registers'):
        check(host, SPARSIFIERS[name], dense_adapter(), batch=2)


@pytest.mark.parametrize('fusion', ['inner', 'early', 'late'])
@pytest.mark.parametrize('host', ['timm', 'mmpretrain_no_class_token'])
def test_it_follows_rows_drawn_at_random(host, fusion):
    """The choice is the sparsifier's; that all images share it, and everything after it, is the reference's."""
    drop, adapter = dict(type='mmsparse.RandomDrop', layers=(2, 4, 5), keep_rate=0.7), dense_adapter(fusion)
    backbone, images = build(host, adapter, drop), images_for(host)
    seen = watch(backbone)
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
    stage, rows = 'late_rows' if backbone.sparsifiers[0].stage == 'after' else 'rows', {}
    for _, layer, before, plan in seen:
        if plan is None:
            continue
        stays = [
            [row for row in range(before.patches) if index_n[before.prefix + row] >= 0] for index_n in plan.index_bn
        ]
        assert stays[0] == stays[1] == stays[2]
        assert len(stays[0]) == -(-7 * before.patches // 10)
        rows[layer] = stays
    assert sorted(rows) == [2, 4, 5]
    assert_same(tokens, reference_of(backbone, images, dict(type=stage, rows=rows), adapter))
