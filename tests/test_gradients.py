"""Every adapter parameter learns from the second step on, no frozen one ever does, and the gradients are those of the
reference.
"""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from hosts import HOSTS, WIDTH, build, clear_case, draw, images_for
from mmsparse.registry import MODELS

FUSIONS = ['inner', 'early', 'late']
FUSES = [('merge', True), ('merge', False), ('argmax', True), ('drop', True)]
FUSE_NAMES = ['merge', 'raw', 'argmax', 'drop']


def evit(fuse='merge', normalize=True):
    return dict(type='mmsparse.EViT', layers=(2, 4, 5), keep_rate=0.7, fuse=fuse, normalize=normalize)


def dense_adapter(**options):
    return dict(type='mmsparse.DenseAdapter', bottleneck=16, **options)


def train(host, adapter, sparsifier, out_type='cls_token', optimiser=torch.optim.SGD, steps=3):
    """Train adapters as built on a drawn host at a constant rate; yields the backbone after each backward pass."""
    # the adapter draws from the run's generator; a narrow bottleneck can start with every unit dead
    torch.manual_seed(0)
    backbone = MODELS.build(
        dict(type='mmsparse.SparseViT', host=HOSTS[host], adapter=adapter, sparsifier=sparsifier, out_type=out_type)
    )
    draw(backbone.host)
    head = draw(nn.Linear(WIDTH, 5), seed=3)
    backbone.train()
    own = [parameter for parameter in [*backbone.parameters(), *head.parameters()] if parameter.requires_grad]
    optimiser = optimiser(own, lr=0.01)
    images, labels = images_for(host, batch=6), torch.arange(6) % 5
    for _ in range(steps):
        optimiser.zero_grad()
        features = backbone(images)[-1]
        cross_entropy(head(features if features.ndim == 2 else features.mean(1)), labels).backward()
        yield backbone
        optimiser.step()


def silent(backbone):
    """The adapter parameters that the last backward pass did not reach."""
    return [name for name, own in backbone.adapters.named_parameters() if own.grad is None or not own.grad.any()]


@pytest.mark.parametrize('fuse, normalize', FUSES, ids=FUSE_NAMES)
@pytest.mark.parametrize('fusion, first', [('inner', 2), ('early', 2), ('late', 3)])
def test_everything_learns_and_the_host_never(fusion, first, fuse, normalize):
    """From the second step on; late fusion needs one more, since its links to earlier outputs begin with a zero input
    and a zero up-projection.
    """
    for step, backbone in enumerate(
        train('timm', dense_adapter(fusion=fusion, norm='in'), evit(fuse, normalize)), start=1
    ):
        assert (step >= first) == (not silent(backbone)), f'step {step}: no gradient reaches {silent(backbone)}'
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in backbone.host.parameters())


@pytest.mark.parametrize('optimiser', [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize('out_type', ['cls_token', 'raw'])
@pytest.mark.parametrize('host', ['timm_layer_scale', 'timm_registers', 'mmpretrain'])
def test_everything_learns_on_every_host_and_output(host, out_type, optimiser):
    for step, backbone in enumerate(train(host, dense_adapter(), evit(), out_type, optimiser, steps=2), start=1):
        assert step == 1 or not silent(backbone), f'step {step}: no gradient reaches {silent(backbone)}'
        assert all(parameter.grad is None for parameter in backbone.host.parameters())


def test_the_host_does_not_move():
    before = None
    for backbone in train('timm', dense_adapter(), evit(), optimiser=torch.optim.AdamW, steps=3):
        state = {name: value.clone() for name, value in backbone.host.state_dict().items()}
        assert before is None or all(torch.equal(state[name], before[name]) for name in state)
        before = state


@pytest.mark.parametrize('fuse, normalize', FUSES, ids=FUSE_NAMES)
@pytest.mark.parametrize('fusion', FUSIONS)
def test_gradients_equal_those_of_the_reference(fusion, fuse, normalize):
    """Also through the weights of a fused row, as in EViT's own code."""
    adapter, sparsifier = dense_adapter(fusion=fusion), evit(fuse, normalize)
    backbone = build('timm', adapter, sparsifier).double()
    images, answer = clear_case(backbone, 'timm', sparsifier, adapter, batch=2)
    probe = torch.randn(WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    names, own = zip(*backbone.adapters[0].named_parameters())
    found = torch.autograd.grad((backbone(images.double())[-1] @ probe).square().mean(), own)
    expected = torch.autograd.grad((answer.features @ probe).square().mean(), own)
    for name, ours, theirs in zip(names, found, expected):
        assert theirs.abs().max() > 1e-6, name
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-7, msg=lambda text, name=name: f'{name}: {text}')
