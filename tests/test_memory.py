"""SparseViT(memory=...): the gradients of today's operators, on fewer bytes, and nothing below what trains."""

from itertools import pairwise

import pytest
import torch
from mmpretrain.structures import DataSample
from torch import nn

import combinations
from hosts import draw, timm_host
from mmsparse.analysis.memory import saved_bytes
from mmsparse.errors import InputError
from mmsparse.models import BaseAdapter
from mmsparse.models.backbones import memory
from mmsparse.models.backbones.memory import Memory
from mmsparse.registry import MODELS
from small_classifier import registered

SETTINGS = ('fast', 'balanced', 'lean')
DENSE = dict(type='mmsparse.DenseAdapter', bottleneck=4)
EVERYWHERE = dict(type='mmsparse.LoRA', rank=2, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'), dropout=0.2)
FULL = dict(type='mmsparse.FullTuning')
SIZE = dict(width=combinations.WIDTH, depth=combinations.DEPTH, heads=2)
BEIT = timm_host(name='beit_base_patch16_224', global_pool='token', init_values=0.5, **SIZE)


def drawn(host, adapter, sparsifier):
    return draw(combinations.classifier(host, adapter, sparsifier))


def loss_of(model):
    """As `combinations.loss`, in the type of the model."""
    torch.manual_seed(0)
    pictures = combinations.images().to(model.head.fc.weight.dtype)
    labels = [DataSample().set_gt_label(index % combinations.CLASSES) for index in range(len(pictures))]
    return sum(value for name, value in model(pictures, labels, mode='loss').items() if 'loss' in name)


def gradients(model, setting, half=False):
    model.backbone.encoder.memory = Memory(setting)
    for parameter in model.parameters():
        parameter.grad = None
    with torch.autocast('cpu', torch.bfloat16, enabled=half):
        loss = loss_of(model)
    loss.backward()
    return loss, {name: own.grad for name, own in model.named_parameters() if own.requires_grad}


def assert_exact(model, bound, settings=SETTINGS, half=False):
    """Within `bound` of the largest entry of each gradient."""
    start = {name: own.clone() for name, own in model.named_buffers()}  # AdaptiveKeep learns from every step
    loss, expected = gradients(model, None, half)
    for setting in settings:
        for name, own in model.named_buffers():
            own.copy_(start[name])
        own, found = gradients(model, setting, half)
        assert abs(own - loss) <= bound * abs(loss), setting
        for name, gradient in expected.items():
            apart = (found[name] - gradient).abs().max()
            assert apart <= bound * gradient.abs().max(), f'{setting}: {name}: {apart}'
    assert sum(map(torch.any, expected.values())) > 0.6 * len(expected)  # a ReLU may be dead


@pytest.mark.parametrize('adapter', combinations.adapters())
def test_every_adapter_gets_the_same_gradients(adapter):
    assert_exact(drawn('timm', adapter, 'EViT').double(), 1e-8)


@pytest.mark.parametrize('sparsifier', registered())
@pytest.mark.parametrize('adapter', [DENSE, EVERYWHERE], ids=['beside the FFN', 'inside both branches'])
def test_under_every_sparsifier(sparsifier, adapter):
    assert_exact(drawn('timm', adapter, sparsifier).double(), 1e-8)


@pytest.mark.parametrize('host', combinations.HOSTS)
def test_on_every_host(host):
    assert_exact(drawn(host, DENSE, 'EViT').double(), 1e-8)
    assert_exact(drawn(host, FULL, 'ToMe').double(), 1e-8)


@pytest.mark.parametrize(
    'options',
    [
        dict(fusion='early', norm='in'),
        dict(fusion='late', scale=0.5),
        dict(up_bias=False, inputs=('x', 'skip'), skip=1),
    ],
    ids=str,
)
def test_every_form_of_the_history(options):
    assert_exact(drawn('timm', DENSE | options, 'EViT').double(), 1e-8)


def test_in_single_and_in_half_precision():
    assert_exact(drawn('timm', DENSE, 'EViT'), 1e-5)
    # the same products of the same rounded numbers
    assert_exact(drawn('timm_siglip', EVERYWHERE, 'EViT'), 1e-5, half=True)
    assert_exact(drawn('timm', DENSE | dict(dropout=0.2), 'EViT'), 1e-5, half=True)


def test_where_a_bias_of_attention_trains(monkeypatch):
    monkeypatch.setitem(combinations.HOSTS, 'beit', BEIT)
    assert_exact(drawn('beit', FULL, 'EViT').double(), 1e-8)
    assert_exact(drawn('beit', DENSE, 'EViT').double(), 1e-8)


@MODELS.register_module()
class Overwriter(BaseAdapter):
    """Keeps what the norm gave, and writes to it later."""

    sites = ('norm1',)

    def __init__(self, view):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(view.width))

    def site(self, name, layer, x, y, t):
        return y.mul_(0.5) * self.gain


def test_where_a_part_writes_to_what_a_norm_gave():
    assert_exact(drawn('timm', dict(type='mmsparse.Overwriter'), 'EViT').double(), 1e-8)


def test_a_host_that_drops_at_random(monkeypatch):
    monkeypatch.setitem(combinations.HOSTS, 'drops', timm_host(**SIZE, proj_drop_rate=0.2, drop_path_rate=0.3))
    assert_exact(drawn('drops', FULL, 'EViT').double(), 1e-8)


def test_beside_blocks_that_run_again():
    model = drawn('timm', [DENSE, EVERYWHERE], 'EViT').double()
    model.backbone.encoder.with_cp = True
    assert_exact(model, 1e-8)


def test_a_frozen_ffn_runs_on_some_tokens_at_a_time(monkeypatch):
    model = drawn('timm', DENSE, 'EViT').double()
    rows = []
    model.backbone.view.blocks[0].mlp.fc1.register_forward_pre_hook(lambda module, args: rows.append(args[0].shape[1]))
    monkeypatch.setattr(memory, 'PIECE', 4 * combinations.WIDTH * 8 * 30)  # 30 tokens; 4 images have 68
    assert_exact(model, 1e-8)
    assert rows == [17] + 3 * [30, 30, 8]


def kept(model, setting):
    model.backbone.encoder.memory = Memory(setting)
    return saved_bytes(model, lambda: loss_of(model))


@pytest.mark.parametrize('adapter', ['DenseAdapter', 'LoRA', 'SSF', 'FullTuning'])
def test_each_setting_keeps_less(adapter):
    model = drawn('timm', adapter, 'EViT')
    needed = [kept(model, setting) for setting in (None, *SETTINGS)]
    assert all(after < 0.95 * before for before, after in pairwise(needed)), needed


@MODELS.register_module()
class LastBlockGain(BaseAdapter):
    """Trains in the last block alone, and what it does before that has no gradient."""

    sites = ('mlp',)

    def __init__(self, view):
        super().__init__()
        self.gain, self.last = nn.Parameter(torch.ones(view.width)), view.depth

    def site(self, name, layer, x, y, t):
        return y * self.gain if layer == self.last else y * 0.5


@pytest.mark.parametrize('setting', (None, *SETTINGS))
def test_nothing_is_kept_and_no_backward_runs_below_what_trains_first(setting):
    model = drawn('timm', dict(type='mmsparse.LastBlockGain'), 'EViT')
    model.backbone.encoder.memory = Memory(setting)
    blocks, tensors, inputs = model.backbone.view.blocks, [], []
    blocks[-1].norm2.register_forward_pre_hook(
        lambda module, args: inputs.append((args[0].requires_grad, len(tensors)))
    )

    def note(tensor):
        tensors.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss_of(model).backward()
    assert inputs == [(False, 0)] and tensors


def test_a_misspelt_setting_is_refused():
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), memory='leen')
    with pytest.raises(InputError, match="SparseViT: received memory='leen', expected one of"):
        MODELS.build(backbone)
