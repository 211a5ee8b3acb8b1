"""The configs of docs/your_own.md, as they stand there: read, checked and built, on folders of images that the test
writes.
"""

import itertools
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from mmsparse.config.check import check_config
from mmsparse.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/your_own.md').read_text(), re.DOTALL)


def config(block, folder):
    """The leaf, with random weights: the files that it names are not here."""
    file = folder / 'leaf.py'
    file.write_text(block.replace("'../", f"'{ROOT}/configs/"))
    cfg = Config.fromfile(file)
    cfg.model.backbone.host.checkpoint = False
    return cfg


@pytest.mark.parametrize('block', BLOCKS, ids=['method', 'images', 'mmpretrain', 'open_clip'])
def test_it_passes_the_check_and_builds_with_a_head_that_fits(block, tmp_path):
    cfg = config(block, tmp_path)
    if 'own_folder' in cfg:  # --data fills in the lists of pictures
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.ann_file = 'pictures.json'
    check_config(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    view, head = model.backbone.view, model.head.fc
    width = view.host.proj.shape[1] if model.backbone.out_type == 'pooled' else view.width
    assert (head.in_features, head.out_features) == (width, cfg.data_preprocessor.num_classes)


def test_folders_of_images_are_read_with_the_pipelines_of_the_base(tmp_path, monkeypatch):
    for split, name in itertools.product(('train', 'val'), ('aster', 'rose')):
        folder = tmp_path / 'data/flowers' / split / name
        folder.mkdir(parents=True)
        Image.new('RGB', (300, 260), 'red').save(folder / 'one.jpg')
    monkeypatch.chdir(tmp_path)
    cfg = config(BLOCKS[1], tmp_path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            dataset = DATASETS.build(loader.dataset)
            assert list(dataset.metainfo['classes']) == ['aster', 'rose']
            assert dataset[1]['inputs'].shape == (3, 224, 224) and dataset[1]['data_samples'].gt_label.item() == 1
