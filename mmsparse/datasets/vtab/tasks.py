"""The nineteen tasks of VTAB-1K (Zhai et al., 2019, arXiv 1910.04867, Table 1), the one table of them."""

from typing import NamedTuple

GROUPS = ('Natural', 'Specialized', 'Structured')
SPLITS = ('train800val200', 'train800', 'val200', 'test')


class Task(NamedTuple):
    """One task.

    Attributes:
        column: how papers head it.
        group: one of GROUPS.
        classes: how many there are; labels count from 0.
        test: pictures of its test split.
    """

    column: str
    group: str
    classes: int
    test: int


TASKS = {  # by folder, in the order of the papers' tables
    'cifar': Task('CIFAR-100', 'Natural', 100, 10_000),
    'caltech101': Task('Caltech101', 'Natural', 102, 6_084),
    'dtd': Task('DTD', 'Natural', 47, 1_880),
    'oxford_flowers102': Task('Flowers102', 'Natural', 102, 6_149),
    'oxford_iiit_pet': Task('Pets', 'Natural', 37, 3_669),
    'svhn': Task('SVHN', 'Natural', 10, 26_032),
    'sun397': Task('Sun397', 'Natural', 397, 21_750),
    'patch_camelyon': Task('Camelyon', 'Specialized', 2, 32_768),
    'eurosat': Task('EuroSAT', 'Specialized', 10, 5_400),
    'resisc45': Task('Resisc45', 'Specialized', 45, 6_300),
    'diabetic_retinopathy': Task('Retinopathy', 'Specialized', 5, 42_670),
    'clevr_count': Task('Clevr-Count', 'Structured', 8, 15_000),
    'clevr_dist': Task('Clevr-Dist', 'Structured', 6, 15_000),
    'dmlab': Task('DMLab', 'Structured', 6, 22_735),
    'kitti': Task('KITTI-Dist', 'Structured', 4, 711),
    'dsprites_loc': Task('dSpr-Loc', 'Structured', 16, 73_728),
    'dsprites_ori': Task('dSpr-Ori', 'Structured', 16, 73_728),
    'smallnorb_azi': Task('sNORB-Azim', 'Structured', 18, 12_150),
    'smallnorb_ele': Task('sNORB-Elev', 'Structured', 9, 12_150),
}
