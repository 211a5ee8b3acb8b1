"""What a part makes of the tokens after the final norm reaches everything that is read there."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from hosts import WIDTH, assert_near, build, images_for
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from mmsparse.models import BaseAdapter, BaseSparsifier, SiteOutput
from mmsparse.models.backbones.acting_parts import ActingParts
from mmsparse.registry import MODELS
from mmsparse.tokens import present, restore, rows_of

DROP = dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.6, fuse='drop')


def plug_in(kind):
    MODELS.register_module(module=kind, force=True)
    return dict(type=f'mmsparse.{kind.__name__}')


class Late(BaseAdapter):
    """Adds to every token what it has summed up on the way, one vector for an image."""

    sites = ('block',)

    def __init__(self, view):
        super().__init__()
        self.square = nn.Linear(view.width, view.width)

    def site(self, name, layer, x, y, t):
        return SiteOutput(y, notes={'late': t.notes.get('late', 0) + y[:, :1].tanh()})

    def finish(self, t):
        return replace(t, x_bnc=t.x_bnc + self.square(t.notes['late']))


class Counting(Late):
    """Notes how many tokens the last block has been computed for."""

    rows = []

    def finish(self, t):
        self.rows.append(t.x_bnc.shape[1])
        return super().finish(t)


def with_and_without(out_type, sparsifier=DROP, **options):
    """The outputs of a network with `Late` and of its host, and the vectors that were added, B×1×C."""
    backbone = build(adapter=plug_in(Late), sparsifier=sparsifier, out_type=out_type, **options)
    images = images_for()
    with torch.no_grad():
        plain = backbone.outputs(backbone.encode(images, adapt=False))[-1]
        last = backbone.forward_tokens(images)
        return backbone(images)[-1], plain, backbone.adapters[0].square(last.notes['late']), last


@pytest.mark.parametrize('out_type', ['raw', 'cls_token', 'pooled', 'avg_featmap'])
def test_what_is_added_to_all_tokens_is_in_every_output(out_type):
    found, plain, late_b1c, _ = with_and_without(out_type)
    assert late_b1c.abs().mean() > 0.1
    assert_near(found, plain + (late_b1c if out_type == 'raw' else late_b1c[:, 0]))


def test_a_feature_map_has_it_where_a_token_is_left():
    found, plain, late_b1c, last = with_and_without('featmap')
    there_b1hw = present(last).unflatten(1, last.grid).unsqueeze(1)
    assert 0 < there_b1hw.float().mean() < 1
    assert_near(found, torch.where(there_b1hw, plain + late_b1c[..., None].transpose(1, 2), plain))


@pytest.mark.parametrize('fuse', ['drop', 'merge'])
@pytest.mark.parametrize('mode', ['stale', 'delta'])
def test_a_stash_has_it_where_the_token_that_gained_it_is_meant(mode, fuse):
    """As it was before, a map in mode stale would have missed it, patches that never left included."""
    sparsifier = dict(DROP, fuse=fuse)
    found, plain, late_b1c, last = with_and_without('tokens', sparsifier, stash=True)
    gains_bm = present(last) & ~last.stash.touched_bm if mode == 'stale' else present(last)
    assert gains_bm.any()
    expected_bmc = restore(plain, mode).flatten(2).transpose(1, 2) + gains_bm.unsqueeze(-1) * late_b1c
    assert_near(restore(found, mode).flatten(2).transpose(1, 2), expected_bmc)
    assert_near(restore(found), restore(replace(last, x_bnc=found.x_bnc)))
    alone_bm = ~last.stash.touched_bm  # there all modes are one
    assert_near(restore(found, mode).flatten(2).transpose(1, 2)[alone_bm], rows_of(found)[alone_bm])


@pytest.mark.parametrize(('reads_rows', 'rows'), [(None, 17), (True, 17), (False, 1)])
def test_the_last_block_is_cut_to_the_class_token_only_where_the_part_needs_no_more(reads_rows, rows):
    Counting.rows, Counting.reads_rows = [], reads_rows
    backbone = build(adapter=plug_in(Counting), out_type='cls_token')
    with torch.no_grad():
        found, full = backbone(images_for())[-1], backbone.forward_tokens(images_for()).x_bnc[:, 0]
    assert Counting.rows == [rows, 17]
    assert_near(found, full)


def test_a_sparsifier_may_finish_too_and_does_so_first():
    class Halves(BaseSparsifier):
        def plan(self, layer, tokens, probe):
            return None

        def finish(self, t):
            return replace(t, x_bnc=t.x_bnc / 2)

    found, plain, late_b1c, _ = with_and_without('raw', plug_in(Halves))
    assert_near(found, plain + late_b1c)


def test_nobody_is_asked_who_leaves_it_out():
    backbone = build(adapter=[dict(type='mmsparse.LoRA', rank=2), plug_in(Late)], sparsifier=DROP)
    parts = ActingParts(backbone.adapters, backbone.sparsifiers)
    assert parts.finishing == [backbone.adapters[1]]


def test_another_shape_is_refused():
    class Pools(Late):
        def finish(self, t):
            return replace(t, x_bnc=t.x_bnc.mean(1))

    with pytest.raises(InputError, match=r'^Pools: received a tensor of \(3, 17, 48\) in finish and returned .*3, 48'):
        build(adapter=plug_in(Pools))(images_for())


def test_its_products_are_counted_as_the_adapters():
    backbone = build(adapter=plug_in(Late), out_type='cls_token')
    assert account(backbone, [images_for(batch=1)]).part('adapter').executed == WIDTH**2
