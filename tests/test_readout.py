"""A readout stands for the last block: it gets the stream that enters it and the caller's context, and no part expects
the block.
"""

import pytest
import torch

from hosts import DEPTH, HOSTS, assert_near, build, images_for, native, timm_host
from mmsparse.errors import InputError
from mmsparse.models import BaseReadout, KeepRateSparsifier
from mmsparse.models.ops.attention import attend_affinity
from mmsparse.registry import MODELS
from mmsparse.tokens import Tokens, restore

DENSE_ADAPTER = dict(type='mmsparse.DenseAdapter', bottleneck=4)


@MODELS.register_module()
class LastBlock(BaseReadout):
    """The block itself, in the host's own words."""

    def forward(self, tokens, context):
        assert context is None
        found = self.block(tokens.x_bnc)
        return Tokens(found, tokens.prefix, tokens.grid, tokens.source_bm)


@MODELS.register_module()
class ByContext(BaseReadout):
    """Values of the last block, mixed by an affinity from outside, on the grid of the affinity."""

    operators = ('norm1', 'v', 'proj')

    def forward(self, tokens, context):
        affinity_bqn, grid = context
        v_bnc = self.view.values(self.block, self.view.norm1(self.block, tokens.x_bnc))[:, tokens.prefix :]
        return Tokens.start(self.view.proj(self.block, attend_affinity(affinity_bqn, v_bnc)), 0, grid)


@MODELS.register_module()
class ReadsContext(KeepRateSparsifier):
    """Notes what the probe hands on."""

    def __init__(self, view):
        super().__init__(view, (2,), 1.0)

    def plan(self, layer, tokens, probe):
        self.seen = probe.context


@pytest.mark.parametrize('host', ['timm', 'open_clip', 'timm_registers'])
def test_the_last_block_as_a_readout_changes_nothing(host):
    backbone, images = build(host, readout=dict(type='mmsparse.LastBlock')), images_for(host)
    assert_near(backbone(images)[-1], native(backbone.host, images))


def test_a_readout_leaves_aside_what_it_does_not_name_also_of_separate_q_k_v():
    host = timm_host(name='eva02_base_patch14_224')
    backbone = build(host, adapter=dict(type='mmsparse.FullTuning'), readout=dict(type='mmsparse.ByContext'))
    trains = {key.removeprefix('blocks.5.') for key in backbone.host_trains if key.startswith('blocks.5.')}
    assert trains == {
        f'{part}.{name}' for part in ('norm1', 'attn.v_proj', 'attn.proj') for name in ('weight', 'bias')
    }


@pytest.mark.parametrize('host', [name for name in HOSTS if 'qk_norm' not in name])
def test_values_alone_are_those_of_the_block(host):
    backbone = build(host)
    block, h_bnc = backbone.view.blocks[2], torch.randn(2, 5, backbone.view.width)
    torch.testing.assert_close(
        backbone.view.values(block, h_bnc), backbone.view.qkv(block, h_bnc, h_bnc)[2], atol=1e-6, rtol=0
    )


def test_a_readout_may_answer_on_a_grid_of_its_own():
    backbone, images = build('open_clip', readout=dict(type='mmsparse.ByContext')), images_for('open_clip')
    closed = torch.full((3, 6, 16), float('-inf'))
    closed[:, torch.arange(6), torch.arange(6)] = 0.0  # query i sees patch i alone
    tokens = backbone.forward_tokens(images, context=(closed, (2, 3)))
    host, block = backbone.host, backbone.host.transformer.resblocks[-1]
    entering = host.forward_intermediates(images, [DEPTH - 2], output_fmt='NLC')['image_intermediates'][0]
    own_v = torch.nn.functional.linear(block.ln_1(entering), block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(
        3, -1
    )[2]
    expected = host.ln_post(block.attn.out_proj(own_v[:, :6]))
    assert_near(tokens.x_bnc, expected)
    assert restore(tokens).shape == (3, 48, 2, 3)


def test_parts_see_the_blocks_before_the_readout():
    backbone = build('open_clip', DENSE_ADAPTER, readout=dict(type='mmsparse.LastBlock'))
    assert list(backbone.adapters[0].layers) == [str(layer) for layer in range(1, DEPTH)]
    backbone(images_for('open_clip'))[-1].sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.adapters.parameters())
    with pytest.raises(InputError, match=rf'Layers count from 1 to {DEPTH - 1}'):
        build(
            'open_clip',
            sparsifier=dict(type='mmsparse.EViT', layers=(DEPTH,)),
            readout=dict(type='mmsparse.LastBlock'),
        )


@pytest.mark.parametrize('adapter', ['FullTuning', 'BitFit'])
@pytest.mark.parametrize('host', ['timm', 'mmpretrain', 'open_clip'])
def test_what_the_readout_leaves_aside_does_not_train(host, adapter):
    """Each parameter that trains gets a gradient: DDP would wait for the others."""
    backbone = build(host, dict(type=f'mmsparse.{adapter}'), readout=dict(type='mmsparse.ByContext'))
    affinity = torch.zeros(3, 16, 16).log_softmax(-1)
    backbone.forward_tokens(images_for(host), context=(affinity, (4, 4))).x_bnc.square().sum().backward()
    trains = [name for name, parameter in backbone.host.named_parameters() if parameter.requires_grad]
    assert trains == [name for name, parameter in backbone.host.named_parameters() if parameter.grad is not None]
    last = [name for name in trains if f'.{DEPTH - 1}.' in name]
    assert last and not any('fc' in name or 'mlp' in name or 'ffn' in name for name in last)


def test_the_hosts_parameters_are_not_counted_twice():
    plain, read = build('open_clip'), build('open_clip', readout=dict(type='mmsparse.LastBlock'))
    assert read.state_dict().keys() == plain.state_dict().keys()


def test_the_class_token_alone_is_not_enough_for_a_readout():
    full = build('open_clip', readout=dict(type='mmsparse.LastBlock'))
    short = build('open_clip', readout=dict(type='mmsparse.LastBlock'), out_type='cls_token')
    images = images_for('open_clip')
    torch.testing.assert_close(short(images)[-1], full(images)[-1][:, 0], atol=1e-6, rtol=0)


def test_context_reaches_the_probe():
    backbone = build('open_clip', sparsifier=dict(type='mmsparse.ReadsContext'))
    features = torch.randn(3, 7, 4, 4)
    backbone.forward_tokens(images_for('open_clip'), context=features)
    assert backbone.sparsifiers[0].seen is features


def test_attention_by_affinity_equals_plain_loops():
    generator = torch.Generator().manual_seed(0)
    logits, v = 3 * torch.randn(2, 4, 5, generator=generator), torch.randn(2, 5, 6, generator=generator)
    logits[:, 1, 2:] = float('-inf')
    found = attend_affinity(logits, v)
    for item in range(2):
        for query in range(4):
            weights = logits[item, query].double().exp()
            expected = sum(w * row for w, row in zip(weights, v[item].double())) / weights.sum()
            torch.testing.assert_close(found[item, query].double(), expected, atol=1e-6, rtol=0)
