"""Stand-ins for the eight benchmarks: one image each, in the files and folders of the real data, under the shipped
configs with small towers.
"""

from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmsparse.cli.launch import build_runner
from projects.proxyclip import convert_coco_object
from small_proxyclip import config as small_config

CONFIGS = Path(__file__).parents[1] / 'configs'
# Benchmark: image, label map, list (or None), and by hand: what a number in the file means to the metric.
LAYOUTS = {
    'voc20': ('JPEGImages/2007_000033.jpg', 'SegmentationClass/2007_000033.png', 'ImageSets/Segmentation/val.txt', {0: 255, 1: 0, 20: 19, 255: 255}),
    'voc21': ('JPEGImages/2007_000033.jpg', 'SegmentationClass/2007_000033.png', 'ImageSets/Segmentation/val.txt', {0: 0, 1: 1, 20: 20, 255: 255}),
    'context59': (
        'JPEGImages/2008_000002.jpg', 'SegmentationClassContext/2008_000002.png', 'ImageSets/SegmentationContext/val.txt', {0: 255, 1: 0, 59: 58}
    ),
    'context60': (
        'JPEGImages/2008_000002.jpg', 'SegmentationClassContext/2008_000002.png', 'ImageSets/SegmentationContext/val.txt', {0: 0, 1: 1, 59: 59}
    ),
    'coco_object': (
        'images/val2017/000000000139.jpg', 'annotations/val2017/000000000139.png', None, {0: 1, 12: 12, 89: 80, 91: 0, 181: 0, 255: 0}
    ),
    'coco_stuff': (
        'images/val2017/000000000139.jpg', 'annotations/val2017/000000000139_labelTrainIds.png', None, {0: 0, 80: 80, 170: 170, 255: 255}
    ),
    'ade20k': ('images/validation/ADE_val_00000001.jpg', 'annotations/validation/ADE_val_00000001.png', None, {0: 255, 1: 0, 150: 149}),
    'cityscapes': (
        'leftImg8bit/val/ulm/ulm_0_0_leftImg8bit.png', 'gtFine/val/ulm/ulm_0_0_gtFine_labelTrainIds.png', None, {0: 0, 10: 10, 18: 18, 255: 255}
    ),
}  # fmt: skip


def stand_in(root, name, size=(60, 90)):
    """Write one image and its map, stripes of every number; return what the metric should see."""
    image, labels, listed, meaning = LAYOUTS[name]
    for path in (image, labels, listed or image):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size[::-1], 80).convert('RGB').save(root / image)
    stripes = np.repeat(np.array(list(meaning), np.uint8), size[1] // len(meaning) + 1)[: size[1]]
    on_disk = Image.fromarray(np.tile(stripes, (size[0], 1)))
    if name.startswith('voc'):  # indexed colours, as VOC has them
        on_disk.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
    on_disk.save(root / labels)
    if listed:
        (root / listed).write_text(f'{Path(image).stem}\n')
    return np.tile(np.array([meaning[number] for number in stripes.tolist()]), (size[0], 1))


def read(name, kind='dense'):
    cfg = Config.fromfile(CONFIGS / f'{name}_{kind}.py')
    cfg.launcher = 'none'
    small = small_config()
    for part in ('backbone', 'vfm'):
        cfg.model[part].host = small[part]['host']
    return cfg


def build(name, folder, change=lambda cfg: None):
    """The runner of a config on a stand-in, small towers in it, and what its metric should see."""
    expected = stand_in(folder / name, name)
    if name == 'coco_object':
        convert_coco_object.convert_file(folder / name / LAYOUTS[name][1], force=False)
    cfg = read(name)
    cfg.test_dataloader.update(num_workers=0)
    cfg.test_dataloader.dataset.data_root = str(folder / name)
    cfg.work_dir = str(folder / 'work')
    change(cfg)
    return build_runner(cfg), expected
