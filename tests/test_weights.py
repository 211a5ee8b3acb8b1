"""Weights that adapters give the operators of a block: run on every host, merged, and never written to the host."""

import itertools

import pytest
import torch
from torch import nn

import combinations
from hosts import assert_all_fold_and_the_answer_stays, build, draw, timm_host
from mmsparse.errors import InputError
from mmsparse.models import BaseAdapter
from mmsparse.models.adapters.base import LINEARS
from mmsparse.registry import MODELS

GATED = {
    'eva02': timm_host(name='eva02_base_patch14_224'),
    'dinov3, two linears': timm_host(name='vit_small_plus_patch16_dinov3', init_values=0.5),
    'dinov2, packed': timm_host(name='vit_giant_patch14_dinov2'),
}
HOSTS = combinations.HOSTS | GATED
ADAPTER = dict(type='mmsparse.Scaled')
LORA = dict(type='mmsparse.LoRA', rank=2, alpha=3, targets=LINEARS)


class Scaled(BaseAdapter):
    """A factor for every row of every matrix, but not for its bias: nothing that a site could do."""

    weights, folds = LINEARS, True

    def __init__(self, view):
        super().__init__()
        self.gain = nn.ParameterDict()
        for layer, name in itertools.product(range(1, view.depth + 1), LINEARS):
            self.gain[f'{layer}{name}'] = nn.Parameter(torch.ones(view.operator(layer, name).shape[0], 1))

    def weight(self, layer, name, weight_oi):
        return self.gain[f'{layer}{name}'] * weight_oi


@pytest.fixture(autouse=True)
def plug_in():
    MODELS.register_module(module=Scaled, force=True)
    yield
    MODELS.module_dict.pop('Scaled')


def images(host):
    side = HOSTS[host].get('img_size', combinations.SIDE)
    return torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_runs_with_the_weights_given_and_keeps_its_own(host):
    backbone, bare = (build(HOSTS[host], adapter).double() for adapter in (ADAPTER, None))
    own = {key: value.clone() for key, value in backbone.host.state_dict().items()}
    for layer, name in itertools.product(range(1, bare.view.depth + 1), LINEARS):
        operator, gain_o1 = bare.view.operator(layer, name), backbone.adapters[0].gain[f'{layer}{name}'].data
        for part, rows in zip(operator.parts, operator.divided(gain_o1)):
            part.weight.mul_(rows)
    with torch.no_grad():
        found, expected = backbone(images(host))[-1], bare(images(host))[-1]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert all(torch.equal(own[key], value) for key, value in backbone.host.state_dict().items())
    assert_all_fold_and_the_answer_stays(backbone, images(host))


@pytest.mark.parametrize('with_cp', [False, True])
def test_the_weights_given_have_a_gradient_and_hooks_of_the_host_are_called(with_cp):
    model = draw(combinations.classifier('timm', ADAPTER, 'EViT'))
    model.backbone.encoder.with_cp, called = with_cp, []
    model.backbone.host.blocks[0].mlp.fc1.register_forward_hook(lambda module, *_: called.append(module))
    combinations.loss(model).backward()
    assert all(gain.grad.any() for gain in model.backbone.adapters[0].gain.values())
    assert len(called) == 1 + with_cp


@pytest.mark.parametrize('order', [1, -1])
@pytest.mark.parametrize('other', ['LoRA', 'DoRA', 'SSF', 'RepAdapter', 'AdaptFormer', 'BitFit'])
def test_weights_merge_before_what_acts_at_sites_wherever_they_are_listed(other, order):
    pair = [ADAPTER, LORA if other == 'LoRA' else dict(type=f'mmsparse.{other}', **combinations.ADAPTERS[other])]
    backbone, x_bchw = build('timm', pair[::order]).double(), images('timm')
    with torch.no_grad():
        before = backbone(x_bchw)[-1]
        backbone.fold()
        torch.testing.assert_close(backbone(x_bchw)[-1], before, rtol=0, atol=1e-9)
    left = {'DoRA': 2, 'AdaptFormer': 1}  # DoRA measures the host's weights
    assert len(backbone.adapters) == left.get(other, 0)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(weights=('q', 'fc3')), "Scaled: received the weight 'fc3'. Did you mean 'fc"),
        (dict(weights=()), r'Scaled: received weights=\(\) and a method weight, so it would never act'),
        (dict(weight=BaseAdapter.weight), 'and no method weight, so it would never act'),
    ],
)
def test_an_adapter_that_would_never_be_asked_is_refused_when_built(changes, message):
    MODELS.register_module(module=type('Scaled', (Scaled,), changes), force=True)
    with pytest.raises(InputError, match=message):
        build('timm', ADAPTER)


@pytest.mark.parametrize(
    ('other', 'message'),
    [
        (ADAPTER, 'Scaled and Scaled both change the weight of q. Leave one of them out'),
        (dict(type='mmsparse.FullTuning'), 'FullTuning and Scaled both train the host parameter .*weight'),
    ],
)
def test_two_that_claim_a_weight_are_refused_when_built(other, message):
    with pytest.raises(InputError, match=message):
        build('timm', [other, ADAPTER])


def test_branches_side_by_side_take_no_other_weight():
    with pytest.raises(InputError, match='q of layer 1 is made of the matrices of several branches'):
        build(timm_host(name='vit_small_patch16_18x2_224'), ADAPTER)


@pytest.mark.parametrize('adapter', ['RepAdapter', 'DoRA'])
def test_branches_side_by_side_take_what_merges_in_front_of_them(adapter):
    backbone = build(timm_host(name='vit_small_patch16_18x2_224'), dict(type=f'mmsparse.{adapter}'))
    assert_all_fold_and_the_answer_stays(backbone, images('timm'))
