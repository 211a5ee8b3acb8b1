"""Patches that have left come back as they were, with what they carried."""

from dataclasses import replace

import pytest
import torch

from hosts import DEPTH, HOSTS, assert_near, build, images_for, tiny_hosts
from mmsparse.errors import InputError
from mmsparse.models import BaseAdapter, BaseSparsifier, SiteOutput
from mmsparse.registry import MODELS
from mmsparse.tokens import Plan, Tokens, bring_back, reduce, restore, rows_of

ROTARY = tiny_hosts()['timm_dinov3']


def plug_in(kind):
    MODELS.register_module(module=kind, force=True)
    return dict(type=f'mmsparse.{kind.__name__}')


class Parking(BaseSparsifier):
    """Sends every other patch away before a layer, and has all back before the last."""

    stage, brings_back = 'before', True

    def __init__(self, view, layers=(2,)):
        super().__init__()
        self.layers, self.last = (*layers, view.depth), view.depth

    def plan(self, layer, tokens, probe):
        if layer == self.last:
            return Plan.stay(tokens, brings_back=True)
        return Plan.keep(tokens, torch.arange(0, tokens.patches, 2)) if layer in self.layers else None


class Remembered(BaseAdapter):
    """Lets every token carry its number and, from layer 4 on, a second thing."""

    sites = ('block',)

    def site(self, name, layer, x, y, t):
        ones = torch.ones_like(y[..., :1])
        place = torch.arange(y.shape[1]).to(y)[None, :, None] * ones
        return SiteOutput(y, {1: dict(place=place), 4: dict(late=ones)}.get(layer, {}))


def by_hand(backbone, images, layers):
    """The rows of the network that runs its blocks on every other patch from some layers on, and the last on all."""
    view = backbone.view
    t = view.embed(images, lambda patches: patches)
    rows = {place: t.x_bnc[:, place] for place in range(t.x_bnc.shape[1])}
    there = list(rows)
    for layer, block in enumerate(view.blocks, start=1):
        patches = [place for place in there if place >= view.prefix]
        if layer in layers:
            there = [*range(view.prefix), *patches[::2]]
        there = list(rows) if layer == DEPTH else there
        carry = {key: value[:, there] for key, value in t.carry.items()}
        now = replace(t, x_bnc=torch.stack([rows[place] for place in there], dim=1), carry=carry)
        h_bnc = view.norm1(block, now.x_bnc)
        q, k, v = view.heads_of(block, *view.qkv(block, h_bnc, h_bnc))
        q, k = view.turn(block, q, now), view.turn(block, k, now)
        o_bnc = (q @ k.transpose(-2, -1) * view.scale(block)).softmax(-1) @ v
        y_bnc = view.proj(block, view.attended(block, o_bnc.transpose(1, 2).flatten(2)))
        x_bnc = now.x_bnc + view.attention_branch(block, y_bnc)
        z_bnc = view.activation(block, view.fc1(block, view.norm2(block, x_bnc)))
        x_bnc = x_bnc + view.mlp_branch(block, view.fc2(block, z_bnc))
        rows |= {place: x_bnc[:, index] for index, place in enumerate(there)}
    return view.norm(torch.stack(list(rows.values()), dim=1))


@pytest.mark.parametrize('layers', [(2,), (2, 4)])
@pytest.mark.parametrize('host', [HOSTS['timm_registers'], ROTARY], ids=['learned positions', 'rotary'])
def test_the_last_layer_sees_all_patches_each_at_its_place(host, layers):
    """A rotary phase that did not come back would turn every query and key of the patch to place 0."""
    backbone, images = build(host, sparsifier=plug_in(Parking) | dict(layers=layers)), images_for('timm')
    with torch.no_grad():
        tokens, expected = backbone.forward_tokens(images), by_hand(backbone, images, layers)
    prefix = tokens.prefix
    assert tokens.stash is None and tokens.mask_bn is None and tokens.sizes_bn.unique().tolist() == [1]
    assert tokens.source_bm.sort(1).values.tolist() == [list(range(prefix, prefix + 16))] * 3
    assert_near(torch.cat([tokens.x_bnc[:, :prefix], rows_of(tokens)], dim=1), expected)
    if 'phase' in tokens.carry:
        first = backbone.view.embed(images, lambda patches: patches).carry['phase'][:, prefix:]
        assert torch.equal(rows_of(replace(tokens, x_bnc=tokens.carry['phase'])), first) and first.any()


def test_what_was_carried_comes_back_and_what_came_up_since_is_zero():
    backbone = build('timm', [plug_in(Remembered)], plug_in(Parking))
    with torch.no_grad():
        tokens = backbone.forward_tokens(images_for())
    place, late = (rows_of(replace(tokens, x_bnc=tokens.carry[key]))[0, :, 0].tolist() for key in ('place', 'late'))
    assert place == [float(1 + patch) for patch in range(16)]
    assert late == [float(patch % 2 == 0) for patch in range(16)]


def fresh(rows=6, prefix=1):
    """Two images of 1×(rows − 1) patches that carry their own rows."""
    x_bnc = torch.randn(2, rows, 3, generator=torch.Generator().manual_seed(0))
    return replace(Tokens.start(x_bnc, prefix, (1, rows - prefix)).with_stash(), carry=dict(own=x_bnc))


def test_merged_tokens_that_left_come_back_as_their_patches_and_shorter_images_are_padded():
    """Patches 0 and 1 merge; then the first image loses that token, the second a single patch."""
    t = fresh()
    t = reduce(t, Plan(torch.tensor([[0, 1, 1, 2, 3, 4]] * 2), 5, torch.tensor([[1, 0.5, 0.5, 1, 1, 1]] * 2)))
    t = reduce(t, Plan.keep(t, torch.tensor([[1, 2, 3], [0, 2, 3]])))
    back = bring_back(t)
    assert back.source_bm.tolist() == [[4, 5, 1, 2, 3], [1, 1, 4, 2, 3]]
    assert back.size_bn.tolist() == [[1, 1, 1, 1, 1, 1], [1, 2, 1, 1, 1, 0]]
    assert back.mask_bn.tolist() == [[1] * 6, [1] * 5 + [0]]
    for found in (back, replace(back, x_bnc=back.carry['own'])):
        rows_bmc, own = rows_of(found), fresh().x_bnc[:, 1:]
        assert torch.equal(rows_bmc[0], own[0]) and torch.equal(rows_bmc[1, 2:], own[1, 2:])
        assert_near(rows_bmc[1, :2], own[1, :2].mean(0).expand(2, -1))


def test_a_patch_may_leave_again_and_the_grid_is_that_of_the_second_time():
    t = reduce(fresh(), Plan.keep(fresh(), torch.tensor([0, 2, 3, 4])))
    t = bring_back(replace(t, x_bnc=t.x_bnc + 1))
    assert torch.equal(restore(t, 'stale'), restore(t, 'gather'))
    t = replace(t, x_bnc=t.x_bnc + 1)
    again = reduce(t, Plan.keep(t, torch.tensor([0, 1, 2, 3])))  # the patch that came back, at the end, leaves
    assert torch.equal(restore(again, 'stale')[:, :, 0, 1], fresh().x_bnc[:, 2] + 1)
    assert torch.equal(again.x_bnc[:, 1], fresh().x_bnc[:, 1] + 1 + 1)


def test_gradients_flow_through_what_was_away():
    t = fresh()
    x_bnc = t.x_bnc.clone().requires_grad_()
    t = replace(Tokens.start(x_bnc, 1, (1, 5)).with_stash())
    bring_back(reduce(t, Plan.keep(t, torch.tensor([0, 2, 3, 4])))).x_bnc[:, -1].sum().backward()
    assert x_bnc.grad.sum((0, 2)).tolist() == [0, 0, 6, 0, 0, 0]


def test_without_a_stash_nothing_can_come_back():
    t = replace(fresh(), stash=None)
    with pytest.raises(InputError, match='without a stash.*stash=True.*brings_back = True'):
        bring_back(reduce(t, Plan.keep(t, torch.tensor([0]))))


def test_where_nothing_left_nothing_changes():
    t = fresh()
    assert bring_back(t) is t
