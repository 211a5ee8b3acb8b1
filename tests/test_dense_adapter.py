"""Dense Adapter with every matrix and bias drawn, against a float64 loop that carries earlier outputs by explicit
matrices.
"""

import pytest
import torch

from hosts import HOSTS, assert_near, build, clear_case, images_for, native
from mmsparse.registry import MODELS

FUSIONS = ['inner', 'early', 'late']
FUSES = [('merge', True), ('merge', False), ('argmax', True), ('drop', True)]
FUSE_NAMES = ['merge', 'raw', 'argmax', 'drop']


def evit(fuse='merge', normalize=True, layers=(2, 4, 5)):
    """Three reductions, two of them in neighbouring layers: the skip input crosses one, two and three."""
    return dict(type='mmsparse.EViT', layers=layers, keep_rate=0.7, fuse=fuse, normalize=normalize)


def dense_adapter(**options):
    return dict(type='mmsparse.DenseAdapter', bottleneck=8, **options)


def as_built(host, adapter, sparsifier, drawn_host):
    """A SparseViT whose adapter is as its constructor left it, on drawn host weights."""
    torch.manual_seed(0)
    backbone = MODELS.build(
        dict(type='mmsparse.SparseViT', host=HOSTS[host], adapter=adapter, sparsifier=sparsifier, out_type='raw')
    )
    backbone.host.load_state_dict(drawn_host.state_dict())
    backbone.eval()
    return backbone


def compare(adapter, sparsifier=None, host='timm'):
    backbone = build(host, adapter, sparsifier)
    images, expected = clear_case(backbone, host, sparsifier, adapter, batch=2)
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
        exact = backbone.double()(images.double())[-1]
    assert tokens.source_bm.tolist() == expected.sources
    assert_near(tokens.x_bnc.double(), expected.features)
    torch.testing.assert_close(exact, expected.features, atol=1e-10, rtol=0)


@pytest.mark.parametrize('fuse, normalize', FUSES, ids=FUSE_NAMES)
@pytest.mark.parametrize('fusion', FUSIONS)
def test_earlier_outputs_follow_every_reduction(fusion, fuse, normalize):
    compare(dense_adapter(fusion=fusion), evit(fuse, normalize))


@pytest.mark.parametrize('fuse, normalize', FUSES, ids=FUSE_NAMES)
@pytest.mark.parametrize('fusion', FUSIONS)
def test_norm_without_up_bias_follows_every_reduction(fusion, fuse, normalize):
    compare(dense_adapter(fusion=fusion, norm='in', up_bias=False), evit(fuse, normalize))


@pytest.mark.parametrize('fusion', FUSIONS)
def test_without_reduction_the_adapter_equals_the_reference(fusion):
    compare(dense_adapter(fusion=fusion))


@pytest.mark.parametrize('fusion', FUSIONS)
@pytest.mark.parametrize('inputs', [('x',), ('x', 'prev'), ('x', 'skip'), ('prev', 'skip', 'x')], ids='+'.join)
def test_every_choice_of_inputs_equals_the_reference(inputs, fusion):
    compare(dense_adapter(fusion=fusion, inputs=inputs), evit(normalize=False))


@pytest.mark.parametrize('skip', [1, 2, 4, 5])
def test_every_skip_distance_equals_the_reference(skip):
    compare(dense_adapter(skip=skip), evit(normalize=False))


@pytest.mark.parametrize('norm, up_bias', [(None, False), ('in', True)])
def test_norm_and_up_bias_are_independent(norm, up_bias):
    compare(dense_adapter(norm=norm, up_bias=up_bias), evit(normalize=False))


def test_scale_multiplies_what_is_added_and_what_is_carried():
    compare(dense_adapter(scale=0.4), evit(normalize=False))


@pytest.mark.parametrize(
    'host',
    ['timm_layer_scale', 'timm_registers', 'timm_qk_norm', 'timm_wide_image', 'mmpretrain', 'mmpretrain_layer_scale'],
)
def test_every_host_equals_the_reference(host):
    compare(dense_adapter(), evit(normalize=False, layers=(2, 4, 6)), host)


@pytest.mark.parametrize('fuse, normalize', FUSES, ids=FUSE_NAMES)
@pytest.mark.parametrize('fusion', FUSIONS)
def test_at_initialisation_it_is_the_sparsified_frozen_host(fusion, fuse, normalize):
    sparse = build('timm', None, evit(fuse, normalize))
    adapted = as_built('timm', dense_adapter(fusion=fusion), evit(fuse, normalize), sparse.host)
    images = images_for()
    with torch.no_grad():
        assert_near(adapted(images)[-1], sparse(images)[-1])


@pytest.mark.parametrize('host', ['timm', 'mmpretrain'])
def test_mmengine_initialisation_leaves_host_and_start_alone(host):
    adapted = as_built(host, dense_adapter(norm='in'), None, build(host).host)
    images, drawn = images_for(host), {name: value.clone() for name, value in adapted.host.state_dict().items()}
    with torch.no_grad():
        expected = native(adapted.host, images)
        adapted.init_weights()
        assert_near(adapted(images)[-1], expected)
    assert all(torch.equal(value, drawn[name]) for name, value in adapted.host.state_dict().items())


def test_down_projections_start_kaiming_uniform_and_everything_else_at_zero():
    """Kaiming-uniform with a = √5 is uniform within ±1/√fan_in; a normalisation starts neutral."""
    adapter = as_built('timm', dense_adapter(norm='in'), None, build().host).adapters[0]
    for name, value in adapter.state_dict().items():
        if '.down.' in name and name.endswith('weight'):
            bound = value.shape[1] ** -0.5
            assert 0.9 * bound < value.abs().max() <= bound and abs(value.std() / bound - 3**-0.5) < 0.06
        else:
            assert torch.equal(value, torch.full_like(value, name.endswith('norm.weight')))


def test_two_in_a_list_keep_their_histories_apart():
    """A second one whose up-projections are zero must change nothing."""
    first, second, sparsifier = dense_adapter(), dense_adapter(skip=2), evit(normalize=False)
    pair, alone = build('timm', [first, second], sparsifier), build('timm', first, sparsifier)
    alone.host.load_state_dict(pair.host.state_dict())
    alone.adapters[0].load_state_dict(pair.adapters[0].state_dict())
    with torch.no_grad():
        for name, parameter in pair.adapters[1].named_parameters():
            parameter.mul_('.up.' not in name)
        assert_near(pair(images_for())[-1], alone(images_for())[-1])
