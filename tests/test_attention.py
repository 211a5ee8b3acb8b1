"""What parts and views add to attention: keys that are no tokens, a bias of places, what acts before the projection."""

from dataclasses import replace

import pytest
import torch
from timm.layers import apply_rot_embed_cat
from torch import nn

from hosts import DEPTH, HEADS, WIDTH, assert_near, build, images_for, timm_host
from mmsparse.errors import InputError
from mmsparse.models import BaseAdapter
from mmsparse.models.backbones.acting_parts import ActingParts
from mmsparse.models.backbones.encoder import Encoder
from mmsparse.models.hosts.views.relative import bias_of_tokens
from mmsparse.models.hosts.views.timm import TimmView
from mmsparse.models.ops.attention import attend
from mmsparse.registry import MODELS
from mmsparse.tokens import Tokens
from references.adapted import adapted

REDUCTIONS = {
    'alone': None,
    'EViT': dict(layers=(2, 4), keep_rate=0.6),
    'ToMe': dict(r=2),
    'ATS': dict(layers=(2, 4), keep_rate=0.7),
}
PROMPTS = dict(type='mmsparse.VPT', num_prompts=2)


@MODELS.register_module(force=True)
class KeysAndValues(BaseAdapter):
    """Prefix tuning, as published: keys and values that are no tokens."""

    identity_at_start = False

    def __init__(self, view):
        super().__init__()
        self.keys_of, self.values_of = (nn.Parameter(torch.zeros(view.depth, 3, view.width)) for _ in range(2))

    def keys(self, layer, t):
        return self.keys_of[layer - 1], self.values_of[layer - 1]


@MODELS.register_module(force=True)
class BeforeProjection(KeysAndValues):
    """The same, and a matrix that reads the queries and adds to what attention gives."""

    sites = ('attended',)

    def __init__(self, view):
        super().__init__(view)
        self.square = nn.Linear(view.width, view.width)

    def site(self, name, layer, x, y, t):
        assert x.shape == y.shape and len(t.x_bnc[0]) == len(y[0]), (layer, x.shape, y.shape)
        return y + self.square(x)


PREFIX = dict(type='mmsparse.KeysAndValues')


def compared(backbone, methods, sparsifier, host='timm_wide_image', **state):
    """With the plain loop on images in which no decision is close."""
    sparsifiers = [dict(type=sparsifier, options=REDUCTIONS[sparsifier])] if REDUCTIONS[sparsifier] else []
    state = backbone.host.state_dict() | state
    for seed in range(20):
        images = images_for(host, batch=2, seed=seed)
        expected, margin = adapted(state, images, HEADS, methods, sparsifiers)
        if margin > 1e-5:
            break
    with torch.no_grad():
        found, wide = backbone(images)[-1], backbone.double()(images.double())[-1]
    for own, exact, rows in zip(found, wide, expected):
        rows, place = rows[: len(own)], len(rows)
        assert_near(own[:place].double(), rows, 2e-5)
        torch.testing.assert_close(exact[:place], rows, rtol=0, atol=1e-9)


@pytest.mark.parametrize('sparsifier', REDUCTIONS)
def test_keys_that_are_no_tokens_are_attended_to_and_not_ranked(sparsifier):
    reduction = REDUCTIONS[sparsifier] and dict(type=f'mmsparse.{sparsifier}', **REDUCTIONS[sparsifier])
    backbone = build('timm_wide_image', PREFIX, reduction)
    part = backbone.adapters[0]
    methods = [('KeysAndValues', {}, dict(keys=part.keys_of, values=part.values_of))]
    compared(backbone, methods, sparsifier)


@pytest.mark.parametrize(
    'options', [{}, dict(name='vit_small_patch16_dinov3', init_values=0.5)], ids=['plain', 'rotary']
)
def test_a_plain_loop_over_the_hosts_modules_says_the_same(options):
    """Keys that are no tokens are not rotated; what acts behind attention reads the rotated queries."""
    backbone, images = (
        build(timm_host(**options), dict(type='mmsparse.BeforeProjection')).double(),
        images_for().double(),
    )
    host, part, view = backbone.host, backbone.adapters[0], backbone.view
    with torch.no_grad():
        x_bnc = host._pos_embed(host.patch_embed(images))
        x_bnc, phase_md = x_bnc if isinstance(x_bnc, tuple) else (x_bnc, None)
        for block, keys, values in zip(host.blocks, part.keys_of, part.values_of):
            qkv = block.attn.qkv(block.norm1(x_bnc)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
            q, k, v = qkv
            if phase_md is not None:
                q, k = (
                    torch.cat(
                        [
                            x[:, :, : view.prefix],
                            apply_rot_embed_cat(x[:, :, view.prefix :], phase_md, half=block.attn.rotate_half),
                        ],
                        2,
                    )
                    for x in (q, k)
                )
            keys, values = (
                x.unflatten(-1, (HEADS, -1)).transpose(0, 1).expand(len(q), -1, -1, -1) for x in (keys, values)
            )
            weights = (q @ torch.cat([k, keys], 2).mT * block.attn.scale).softmax(-1)
            o = (weights @ torch.cat([v, values], 2)).transpose(1, 2).flatten(2)
            y = block.attn.proj(o + part.square(q.transpose(1, 2).flatten(2)))
            gain = getattr(block, 'gamma_1', None)
            x_bnc = x_bnc + (y if gain is None else gain * y)
            y, gain = block.mlp(block.norm2(x_bnc)), getattr(block, 'gamma_2', None)
            x_bnc = x_bnc + (y if gain is None else gain * y)
        torch.testing.assert_close(backbone(images)[-1], host.norm(x_bnc), rtol=0, atol=1e-9)


@pytest.mark.parametrize('adapter', ['KeysAndValues', 'BeforeProjection'])
def test_the_class_token_alone_says_the_same_as_all_tokens(adapter):
    backbone, images = build(adapter=dict(type=f'mmsparse.{adapter}'), out_type='cls_token'), images_for()
    assert backbone.class_row_only
    with torch.no_grad():
        assert_near(backbone(images)[-1], backbone.forward_tokens(images).x_bnc[:, 0])


def test_under_a_mask_that_learns_they_are_seen_as_if_the_masked_tokens_had_left():
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, HEADS, 9, WIDTH // HEADS, generator=generator).double()
    x_bnc, stay = torch.randn(2, 9, WIDTH, generator=generator).double(), [0, 1, 4, 6, 7]
    part = build(adapter=PREFIX).adapters[0].double()
    parts = ActingParts([part], [])
    mask_bn = torch.zeros(2, 9, dtype=torch.float64).index_fill(1, torch.tensor(stay), 1).requires_grad_()
    t, left = (Tokens.start(own, 1, (2, 4)) for own in (x_bnc, x_bnc[:, stay]))
    masked, _ = parts.attend(attend, 1, q, k, v, 0.25, 0.0, None, replace(t, mask_bn=mask_bn))
    gone, _ = parts.attend(attend, 1, q[:, :, stay], k[:, :, stay], v[:, :, stay], 0.25, 0.0, None, left)
    assert_near(masked[:, stay], gone, 1e-5)
    closed, _ = parts.attend(attend, 1, q, k, v, 0.25, 0.0, None, replace(t, mask_bn=mask_bn.detach()))
    torch.testing.assert_close(closed[:, stay], gone, rtol=0, atol=1e-12)


def test_keys_of_no_tokens_are_no_place_to_put_at_a_site():
    class AtTheSite(KeysAndValues):
        sites = ('k',)

        def site(self, name, layer, x, y, t):
            return torch.cat([y, y[:, :1]], dim=1)

    MODELS.register_module(module=AtTheSite, force=True)
    with pytest.raises(InputError, match='returned one of .* keys and values that are no tokens by `keys`'):
        build(adapter=dict(type='mmsparse.AtTheSite'))(images_for())


class PlacesView(TimmView):
    """A plain host with a bias for every pair of places."""

    model_types = ()

    def bias(self, block, t, queries):
        return bias_of_tokens(block.places, self.prefix, t, queries)


def with_places(adapter=None, sparsifier=None, **options):
    backbone = build('timm_wide_image', adapter, sparsifier, **options)
    tables = 1.5 * torch.randn(DEPTH, HEADS, 25, 25, generator=torch.Generator().manual_seed(3))
    backbone.view.__class__ = PlacesView
    backbone.encoder = Encoder(backbone.view)
    for block, table in zip(backbone.host.blocks, tables):
        block.register_buffer('places', table, persistent=False)
    return backbone, {f'blocks.{index}.attn.places': table for index, table in enumerate(tables)}


@pytest.mark.parametrize('adapters', [None, PROMPTS, [PREFIX, PROMPTS]], ids=['bare', 'prompts', 'prompts and keys'])
@pytest.mark.parametrize('sparsifier', REDUCTIONS)
def test_a_bias_of_places_follows_the_tokens_and_is_ranked(sparsifier, adapters):
    reduction = REDUCTIONS[sparsifier] and dict(type=f'mmsparse.{sparsifier}', **REDUCTIONS[sparsifier])
    backbone, tables = with_places(adapters, reduction)
    methods = []
    for part in backbone.adapters:
        prefix = isinstance(part, KeysAndValues)
        state = dict(keys=part.keys_of, values=part.values_of) if prefix else part.state_dict()
        methods.append((type(part).__name__, PROMPTS, state))
    compared(backbone, methods, sparsifier, **tables)


def test_the_class_token_alone_has_its_bias():
    backbone, _ = with_places(PROMPTS, dict(type='mmsparse.ToMe', r=2), out_type='cls_token')
    with torch.no_grad():
        images = images_for('timm_wide_image')
        assert_near(backbone(images)[-1], backbone.forward_tokens(images).x_bnc[:, 0])


def test_a_bias_that_trains_has_a_gradient_through_merged_tokens():
    backbone, _ = with_places(sparsifier=dict(type='mmsparse.ToMe', r=2))
    places = backbone.host.blocks[3].places.requires_grad_()
    backbone(images_for('timm_wide_image'))[-1].square().sum().backward()
    assert (places.grad != 0).any(0).all()
