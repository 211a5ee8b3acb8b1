"""Where each task of VTAB-1K is taken from: its reader, and the place of the files that are not fetched by torchvision
or `datasets`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mmsparse.datasets.vtab import labels, natural, specialized, structured
from mmsparse.datasets.vtab.pictures import Parts


class Source(NamedTuple):
    """One raw set.

    Attributes:
        read: takes the folder of raw sets, and whether what torchvision knows may be downloaded to it.
        by_hand: what has to be put into that folder, and where it is; empty: nothing.
    """

    read: Callable[[Path, bool], Parts]
    by_hand: str = ''


SUN = (
    'SUN397.tar.gz (https://vision.princeton.edu/projects/2010/SUN), unpacked to SUN397, and in there '
    'sun397_tfds_tr.txt, sun397_tfds_va.txt and sun397_tfds_te.txt from the folder image_classification of the '
    'package tensorflow_datasets'
)
EYES = (
    "pictures and trainLabels.csv of Kaggle's diabetic-retinopathy-detection, and retinopathy_solution.csv from its "
    'forum (columns image, level, Usage), as diabetic_retinopathy/{train,test}/NAME.jpeg and the two in '
    'diabetic_retinopathy'
)
MAZES = 'the package datasets reads it from clip-benchmark/wds_vtab-dmlab'
DRIVES = (
    'devkit_object.zip (https://www.cvlibs.net/datasets/kitti, Object), its folder mapping as Kitti/raw/mapping; '
    'pictures and labels come by --download'
)
SPRITES = f'{structured.DSPRITES} (https://github.com/google-deepmind/dsprites-dataset)'
TOYS = 'the six files smallnorb-*.mat.gz (https://cs.nyu.edu/~ylclab/data/norb-v1.0-small) in smallnorb'

SOURCES = {
    'cifar': Source(natural.cifar),
    'caltech101': Source(natural.caltech101),
    'dtd': Source(natural.dtd),
    'oxford_flowers102': Source(natural.flowers102),
    'oxford_iiit_pet': Source(natural.pets),
    'svhn': Source(natural.svhn),
    'sun397': Source(natural.sun397, SUN),
    'patch_camelyon': Source(specialized.patch_camelyon),
    'eurosat': Source(specialized.eurosat),
    'resisc45': Source(specialized.resisc45, 'the package datasets reads it from timm/resisc45'),
    'diabetic_retinopathy': Source(specialized.retinopathy, EYES),
    'clevr_count': Source(structured.clevr(labels.clevr_count)),
    'clevr_dist': Source(structured.clevr(labels.clevr_distance)),
    'dmlab': Source(structured.dmlab, MAZES),
    'kitti': Source(structured.kitti, DRIVES),
    'dsprites_loc': Source(structured.dsprites('x position'), SPRITES),
    'dsprites_ori': Source(structured.dsprites('orientation'), SPRITES),
    'smallnorb_azi': Source(structured.smallnorb('azimuth'), TOYS),
    'smallnorb_ele': Source(structured.smallnorb('elevation'), TOYS),
}
