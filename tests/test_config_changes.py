"""On every shipped config the command line exchanges adapter, sparsifier and image size, and nothing of the old ones
stays.
"""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings
from mmpretrain.registry import MODELS

from mmsparse.config.check import check_config
from mmsparse.config.read import read_config
from mmsparse.errors import InputError

ROOT = Path(__file__).parents[1]
LEAVES = sorted(
    path
    for path in [*ROOT.glob('configs/**/*.py'), *ROOT.glob('projects/*/configs/**/*.py')]
    if '_base_' not in path.parts and path.parent.name != 'pretraining'
)
DIGITS = ROOT / 'configs/sparse_tuning/tiny_digits.py'
CHANGES = {
    'model.backbone.sparsifier.type': 'mmsparse.ToMe',
    'model.backbone.sparsifier.r': 8,
    'model.backbone.adapter.type': 'mmsparse.LoRA',
}
SPARSIFIER, ADAPTER = dict(type='mmsparse.ToMe', r=8), dict(type='mmsparse.LoRA')


def size(path):
    """Half as large again as the config's images."""
    now = read_config(path).model
    return (
        3
        * (now.get('window') or now.get('data_preprocessor', {}).get('size', [now.backbone.host.get('img_size')])[0])
        // 2
    )


def of_the_same_type(path, place, part):
    """What the config has there, where the change keeps it."""
    before = read_config(path).model.backbone.get(place)
    return before if isinstance(before, dict) and before['type'] == part['type'] else {}


@pytest.mark.filterwarnings('ignore:custom_hooks')
@pytest.mark.parametrize(
    'folder', sorted({path.parent for path in LEAVES}), ids=lambda folder: str(folder.relative_to(ROOT))
)
def test_every_config_takes_another_adapter_another_sparsifier_and_another_size(folder):
    for path in (path for path in LEAVES if path.parent == folder):
        cfg = read_config(path, CHANGES | dict(img_size=size(path)))
        import_modules_from_strings(**cfg.get('custom_imports', dict(imports=[])))
        assert cfg.model.backbone.sparsifier == of_the_same_type(path, 'sparsifier', SPARSIFIER) | SPARSIFIER, path
        assert cfg.model.backbone.adapter == of_the_same_type(path, 'adapter', ADAPTER) | ADAPTER, path
        check_config(cfg)
        if 'projects' not in folder.parts:  # both parts of a ProxyCLIP take seconds
            cfg.model.backbone.host.checkpoint = False
            with torch.device('meta'), DefaultScope.overwrite_default_scope(cfg.default_scope):
                backbone = MODELS.build(cfg.model).backbone
            assert backbone.view.image_size[0] in (size(path), cfg.model.backbone.host.img_size), path


def test_no_leaf_takes_back_what_it_inherits():
    assert not [path for path in LEAVES if re.search('_delete_|sparsifier=None', path.read_text())]


@pytest.mark.parametrize(
    'before', [None, [], [dict(type='mmsparse.DenseAdapter', bottleneck=8), dict(type='mmsparse.BitFit')]]
)
def test_none_and_lists_give_way_to_one_part(tmp_path, before):
    cfg = Config.fromfile(DIGITS)
    cfg.model.backbone.update(
        adapter=before, sparsifier=before and [dict(type='mmsparse.EViT', layers=(4,), keep_rate=0.5)]
    )
    cfg.dump(tmp_path / 'own.py')
    backbone = read_config(tmp_path / 'own.py', CHANGES).model.backbone
    assert (backbone.sparsifier, backbone.adapter) == (SPARSIFIER, ADAPTER)


def test_the_same_type_keeps_its_arguments_and_a_whole_part_replaces_another():
    half = {'model.backbone.sparsifier.type': 'mmsparse.EViT', 'model.backbone.sparsifier.keep_rate': 0.5}
    kept = read_config(DIGITS, half).model.backbone.sparsifier
    assert kept == dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.5, fuse='merge', normalize=True)
    assert read_config(DIGITS, {'model.backbone.sparsifier': SPARSIFIER}).model.backbone.sparsifier == SPARSIFIER


def test_one_of_a_list_is_exchanged_alone(tmp_path):
    cfg = Config.fromfile(DIGITS)
    cfg.model.backbone.adapter = [dict(type='mmsparse.DenseAdapter', bottleneck=8), dict(type='mmsparse.BitFit')]
    cfg.dump(tmp_path / 'own.py')
    adapter = read_config(
        tmp_path / 'own.py', {'model.backbone.adapter.0.type': 'mmsparse.LoRA'}
    ).model.backbone.adapter
    assert adapter == [dict(type='mmsparse.LoRA'), dict(type='mmsparse.BitFit')]


def test_what_drove_the_keep_rate_goes_with_it_and_says_so():
    warmup = ROOT / 'configs/sparsify/tiny_evit_warmup_dense_adapter_digits.py'
    with pytest.warns(UserWarning, match='KeepRateWarmupHook goes with the sparsifier that mmsparse.ToMe replaces'):
        assert not read_config(warmup, CHANGES).custom_hooks
    drop = {'model.backbone.sparsifier.type': 'mmsparse.RandomDrop', 'model.backbone.sparsifier.keep_rate': 0.7}
    assert len(read_config(warmup, drop).custom_hooks) == 1


@pytest.mark.parametrize('value', ['large', 0, -32, 2.5, True, (32, 32)])
def test_a_size_that_is_none_is_refused(value):
    with pytest.raises(
        InputError, match='img_size: received .*, expected the edge of the image in pixels, such as img_size=384'
    ):
        read_config(DIGITS, dict(img_size=value))


def test_a_size_that_patches_do_not_divide_is_refused_by_the_host():
    cfg = read_config(DIGITS, dict(img_size=33))
    with pytest.raises(InputError, match='33'), torch.device('meta'):
        MODELS.build(cfg.model.backbone)


def test_all_lengths_of_a_config_follow_its_size():
    cfg = read_config(ROOT / 'configs/sparse_tuning/vitb_food101.py', dict(img_size=448))
    crop, edge, centre = cfg.train_dataloader.dataset.pipeline[1], *cfg.test_dataloader.dataset.pipeline[1:3]
    assert (crop.scale, edge.scale, centre.crop_size, cfg.model.backbone.host.img_size) == (448, 512, 448, 448)
    assert crop.crop_ratio_range == (0.08, 1.0)
    camvid = read_config(ROOT / 'configs/segmentation/tiny_dense_fcn_camvid.py', dict(img_size=128))
    assert camvid.model.data_preprocessor.size == camvid.model.test_cfg.crop_size == (
        128,
        128,
    ) and camvid.model.test_cfg.stride == (96, 96)
    assert camvid.val_dataloader.dataset.pipeline[1].scale == (320, 240) and camvid.model.backbone.host.img_size == 32
