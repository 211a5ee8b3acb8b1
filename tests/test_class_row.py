"""The last block computes the class row alone where nothing else reads the rows: exact, and off by itself where
something does.
"""

import pytest
import torch

from hosts import assert_near, build, images_for
from mmsparse.models import BaseAdapter, KeepRateSparsifier
from mmsparse.registry import MODELS

LAST = 6
DENSE_ADAPTER = dict(type='mmsparse.DenseAdapter', bottleneck=8)


@MODELS.register_module()
class RowCounter(BaseAdapter):
    """Notes how many rows the branch outputs of each layer have."""

    sites = ('attn', 'mlp')

    def __init__(self, view, reads_rows=False):
        super().__init__()
        self.reads_rows, self.rows = reads_rows, {}

    def site(self, name, layer, x, y, t):
        self.rows[name, layer] = y.shape[1]
        return y


@MODELS.register_module()
class IdleReader(KeepRateSparsifier):
    """Reduces nothing and claims to read every row."""

    reads_rows = True

    def plan(self, layer, tokens, probe):
        return None


def evit(layers, fuse='merge'):
    return dict(type='mmsparse.EViT', layers=layers, keep_rate=0.6, fuse=fuse)


def rows_of_last_block(reads_rows=False, sparsifier=None, out_type='cls_token', all_rows=False):
    backbone = build(
        'timm', [dict(type='mmsparse.RowCounter', reads_rows=reads_rows), DENSE_ADAPTER], sparsifier, out_type
    )
    with torch.no_grad():
        backbone.forward_tokens(images_for()) if all_rows else backbone(images_for())
    rows = backbone.adapters[0].rows
    assert rows['mlp', LAST - 1] > 1
    return rows['attn', LAST], rows['mlp', LAST]


@pytest.mark.parametrize('fuse', ['merge', 'argmax', 'drop'])
@pytest.mark.parametrize('layers', [(2, 4), (2, LAST)], ids=['last_block_dense', 'last_block_reduces'])
@pytest.mark.parametrize('fusion', [None, 'inner', 'early', 'late'])
def test_the_class_row_is_that_of_the_full_block(fusion, layers, fuse):
    adapter = DENSE_ADAPTER | dict(fusion=fusion, norm='in') if fusion else None
    images = images_for()
    with torch.no_grad():
        short = build('timm', adapter, evit(layers, fuse), 'cls_token')(images)[-1]
        full = build('timm', adapter, evit(layers, fuse), 'raw')(images)[-1][:, 0]
    assert full.std() > 0.1
    assert_near(short, full)


@pytest.mark.parametrize(
    'host',
    ['timm_layer_scale', 'timm_registers', 'timm_qk_norm', 'timm_pre_norm', 'mmpretrain', 'mmpretrain_layer_scale'],
)
def test_the_class_row_is_that_of_the_full_block_on_every_host(host):
    images = images_for(host)
    with torch.no_grad():
        short = build(host, DENSE_ADAPTER, evit((2, LAST)), 'cls_token')(images)[-1]
        full = build(host, DENSE_ADAPTER, evit((2, LAST)), 'raw')(images)[-1][:, 0]
    assert_near(short, full)


@pytest.mark.parametrize('sparsifier', [None, evit((2, 4))], ids=['dense', 'sparse'])
def test_nobody_reads_the_rows_so_one_row_is_computed(sparsifier):
    assert rows_of_last_block(sparsifier=sparsifier) == (1, 1)


def test_a_reduction_in_the_last_layer_does_not_lengthen_its_ffn():
    """The reduced rows of the last layer are read by nobody, whatever the sparsifier does there."""
    assert rows_of_last_block(sparsifier=evit((2, LAST)))[1] == 1


@pytest.mark.parametrize(
    'case',
    [
        dict(reads_rows=True),
        dict(sparsifier=dict(type='mmsparse.IdleReader', layers=(LAST,), keep_rate=1.0)),
        dict(out_type='raw'),
        dict(out_type='featmap'),
        dict(out_type='avg_featmap'),
        dict(all_rows=True),
    ],
    ids=['adapter_reads', 'sparsifier_reads', 'raw', 'featmap', 'avg_featmap', 'forward_tokens'],
)
def test_somebody_reads_the_rows_so_all_are_computed(case):
    assert rows_of_last_block(**case) == (17, 17)
