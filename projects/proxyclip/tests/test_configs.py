"""Every config of the project is a paragraph, and costs what its README says; tools/check_configs.py builds them all."""

import ast
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from each import check_each
from mmsparse.registry import MODELS
from mmsparse.state.saved_tensors import frozen_models
from projects.proxyclip.proxyclip.cost import traced, window_cost

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / 'projects' / 'proxyclip' / 'configs'
LEAVES = sorted(CONFIGS.glob('*.py'))
README = (CONFIGS / 'README.md').read_text()
BENCHMARKS = ('voc20', 'voc21', 'context59', 'context60', 'coco_object', 'coco_stuff', 'ade20k', 'cityscapes')


def test_a_config_is_a_paragraph_and_in_the_readme():
    def check(path):
        text = path.read_text()
        head = ast.get_docstring(ast.parse(text))
        assert len(text.splitlines()) <= 25
        assert 'Expected: ' in head and re.search(
            rf'Run: PYTHONPATH=. python tools/(test|train).py {path.relative_to(ROOT)}', head
        )
        assert f'({path.name})' in README

    check_each(LEAVES, check)


def test_every_benchmark_has_the_four_forms():
    assert {f'{name}_{form}' for name in BENCHMARKS for form in ('dense', 'evit', 'tome', 'sparse_tuning')} <= {
        path.stem for path in LEAVES
    }


def evit(rate):
    """Changes to a config: fewer patches, and what left comes back in the product."""
    sparsifier = dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=rate)
    return {'model.backbone.sparsifier': sparsifier, 'model.backbone.readout.fold': True}


KNOWN = {}
DINO_B8 = {'model.vfm.host.name': 'vit_base_patch8_224.dino'}


def cost(name='voc20_dense', **changes):
    """Every case is traced once."""
    key = name + repr(changes)
    if key not in KNOWN:
        cfg = Config.fromfile(CONFIGS / f'{name}.py')
        cfg.merge_from_dict(changes)
        KNOWN[key] = window_cost(cfg.model)
    return KNOWN[key]


@pytest.mark.parametrize(
    ('changes', 'clip', 'vfm', 'total'),
    [
        ({}, 38.5, 41.4, 80.2),
        (evit(0.7), 25.9, 41.4, 67.5),
        (evit(0.5), 20.1, 41.4, 61.6),
        (DINO_B8, 38.5, 207.6, 250.9),
        (DINO_B8 | evit(0.7), 25.9, 207.6, 236.0),
    ],
    ids=['dense', 'keep .7', 'keep .5', 'DINO-B/8', 'DINO-B/8, keep .7'],
)
def test_a_window_costs_what_was_foretold(changes, clip, vfm, total):
    found = cost(**changes)
    for part, figure in (('clip', clip), ('vfm', vfm), ('total', total)):
        assert getattr(found, part) / 1e9 == pytest.approx(figure, rel=0.01), part


def test_the_tower_with_its_last_block_costs_41_4():
    whole = dict(
        type='mmsparse.SparseViT',
        host=dict(type='mmsparse.ProxyClipViT', name='ViT-B-16-quickgelu', checkpoint=False),
        out_type='pooled',
    )
    with torch.device('meta'):
        net = MODELS.build(whole).eval()
    assert traced(net, (336, 336))['Global'] / 1e9 == pytest.approx(41.4, rel=0.01)


def test_the_readme_and_the_configs_say_what_is_counted():
    for name, found in (
        ('voc20_dense', cost()),
        ('voc20_evit', cost('voc20_evit')),
        ('voc20_dino_b8', cost(**DINO_B8)),
    ):
        row = next(line for line in README.splitlines() if f'({name}.py)' in line)
        assert f'| {found.clip / 1e9:.1f} | {found.total / 1e9:.1f} |' in row
        assert (
            f'{found.clip / 1e9:.1f} GFLOPs per window in CLIP, {found.total / 1e9:.1f} in all'
            in (CONFIGS / f'{name}.py').read_text()
        )


def test_folding_makes_the_product_smaller_and_a_smaller_window_is_cheaper():
    gathered, folded = cost(**DINO_B8), cost(**DINO_B8, **evit(0.7))
    assert folded.attention < 0.7 * gathered.attention
    assert folded.vfm == gathered.vfm
    assert cost('cityscapes_dense').total < 0.5 * cost().total


@pytest.mark.parametrize(
    'name',
    ['voc20_dinov2', 'voc20_mae', 'voc20_dinov3', 'voc20_sam', 'voc20_clip_l14', 'voc20_clip_h14', 'voc20_dino_s16'],
)
def test_other_networks_speak_on_their_own_grid(name):
    """Built as configured but for depth and width; a window goes through."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.model.backbone.host.update(checkpoint=False, width=48, layers=3, head_width=16)
    cfg.model.backbone.host.pop('pretrained', None)
    cfg.model.vfm.host.checkpoint = False
    if 'sam' in name:
        cfg.model.vfm.host.update(embed_dim=48, depth=2, num_heads=3, global_attn_indexes=(1,), img_size=256)
        cfg.model.vfm_size = (256, 256)
    else:
        cfg.model.vfm.host.update(embed_dim=48, depth=2, num_heads=3)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model).eval()
    grid = {'voc20_dinov2': 24, 'voc20_sam': 16}.get(name, 21)
    with torch.no_grad():
        found = model(torch.randn(1, 3, 336, 336, generator=torch.Generator().manual_seed(0)))
    assert found.shape == (1, 20, grid, grid) and found.isfinite().all()
    assert frozen_models(model).keys() == {'backbone.host', 'vfm.host'}
