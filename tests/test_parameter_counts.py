"""Trainable parameters as exact integers (12 layers of width 768 unless said otherwise).

With M matrices of width × d, n_down of them down-projections: second rule M·width·d + layers·width + n_down·d (a bias
everywhere); third rule M·width·d + 2·layers·width + n_down·d (one LayerNorm per adapter, no bias on the way up).
"""

from types import SimpleNamespace

import pytest

from mmsparse.registry import MODELS

VIT_B = SimpleNamespace(width=768, depth=12, heads=12, prefix=1, grid=(14, 14), patches=196)
VIT_L = SimpleNamespace(width=1024, depth=24, heads=16, prefix=1, grid=(14, 14), patches=196)
THIRD = dict(norm='in', up_bias=False)


def count(view, **options):
    return sum(parameter.numel() for parameter in MODELS.get('mmsparse.DenseAdapter')(view, **options).parameters())


@pytest.mark.parametrize(
    'bottleneck, expected', [(8, 279_808), (16, 550_400), (32, 1_091_584), (64, 2_173_952), (128, 4_338_688)]
)
def test_second_rule(bottleneck, expected):
    assert count(VIT_B, bottleneck=bottleneck) == expected


@pytest.mark.parametrize(
    'bottleneck, expected', [(8, 289_024), (16, 559_616), (32, 1_100_800), (64, 2_183_168), (128, 4_347_904)]
)
def test_third_rule(bottleneck, expected):
    assert count(VIT_B, bottleneck=bottleneck, **THIRD) == expected


@pytest.mark.parametrize('skip, expected', [(2, 1_125_408), (3, 1_100_800), (4, 1_076_192)])
def test_a_longer_skip_has_fewer_matrices(skip, expected):
    assert count(VIT_B, bottleneck=32, skip=skip, **THIRD) == expected


@pytest.mark.parametrize('fusion, expected', [('early', 599_424), ('inner', 1_091_584), ('late', 1_598_464)])
def test_fusion(fusion, expected):
    assert count(VIT_B, bottleneck=32, fusion=fusion) == expected


@pytest.mark.parametrize(
    'inputs, expected', [(('x',), 599_424), (('x', 'prev'), 870_112), (('x', 'skip'), 820_896)], ids=str
)
def test_inputs(inputs, expected):
    assert count(VIT_B, bottleneck=32, inputs=inputs) == expected


@pytest.mark.parametrize(
    'options, expected',
    [(dict(skip=6), 2_943_008), (dict(skip=7), 2_910_208), (dict(skip=7, **THIRD), 2_934_784)],
    ids=str,
)
def test_vit_l(options, expected):
    assert count(VIT_L, bottleneck=32, **options) == expected


@pytest.mark.parametrize(
    'options, expected', [(dict(), 1_091_584), (THIRD, 1_100_800)], ids=['second_rule', 'third_rule']
)
def test_a_complete_vit_b_trains_its_adapters_and_nothing_else(options, expected):
    host = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False, img_size=224)
    adapter = dict(type='mmsparse.DenseAdapter', bottleneck=32, **options)
    sparsifier = dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7)
    backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=host, adapter=adapter, sparsifier=sparsifier))
    trainable = {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert sum(parameter.numel() for parameter in trainable.values()) == expected
    assert all(name.startswith('adapters.') for name in trainable)
