"""What authors of methods set for each task of VTAB-1K, in the order of `TASKS`: the one table, with its sources.

A config names its column: ``per_task = 'FacT-TT'``. The first entry of each is what that config has written in it.
"""

from __future__ import annotations

from copy import deepcopy

from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.utils.value_checks import check_word

MODULES = ('prompts', 'lora', 'adapter')
ADAPTER, OPTIMIZER = 'model.backbone.adapter', 'optim_wrapper.optimizer'


def _subnet(text: str) -> dict[str, list[int]]:
    return {module: [int(size) for size in sizes.split()] for module, sizes in zip(MODULES, text.split('/'))}


# fmt: off
SUBNETS = {  # NOAH: prompts, ranks of LoRA and widths of adapters in the twelve layers of a ViT-B
    'cifar': '10 5 10 1 5 1 10 1 10 5 1 10/10 1 5 5 1 10 1 1 1 10 1 1/5 10 10 10 5 1 1 1 10 10 10 1',
    'caltech101': '5 10 1 5 10 1 10 1 10 1 10 1/1 10 10 10 5 10 10 10 5 1 10 1/10 1 5 10 10 1 5 5 10 1 5 10',
    'dtd': '10 5 1 1 5 10 5 1 1 5 1 1/10 5 1 1 5 10 5 1 1 5 1 1/1 1 1 10 1 1 10 10 10 10 10 1',
    'oxford_flowers102': '10 10 5 5 1 10 1 5 10 1 5 10/10 10 5 5 1 10 1 5 10 1 5 10/5 1 5 5 1 1 10 5 5 10 5 10',
    'oxford_iiit_pet': '10 5 5 10 1 10 10 10 10 5 10 10/10 1 1 10 5 1 1 5 10 10 1 10/1 5 5 5 5 10 1 5 10 1 1 5',
    'svhn': '10 5 5 10 5 5 5 5 5 5 5 5/5 5 5 10 5 5 5 10 10 10 10 5/5 5 5 5 5 10 5 10 5 5 5 5',
    'sun397': '5 1 10 5 5 10 1 5 1 1 1 1/10 10 5 5 1 1 10 1 1 1 1 10/10 5 1 1 1 10 5 5 1 1 5 1',
    'patch_camelyon': '10 10 5 10 1 10 10 10 5 1 5 5/10 10 1 10 1 1 5 5 5 1 5 5/5 1 10 5 5 1 1 10 1 5 1 5',
    'eurosat': '10 10 10 10 10 1 5 5 10 10 5 10/10 1 10 10 1 5 10 1 1 1 10 1/10 10 5 1 10 1 10 5 10 1 10 10',
    'resisc45': '5 5 10 1 5 1 5 10 1 1 5 1/10 10 5 5 5 10 10 10 1 5 1 5/5 5 5 1 5 1 10 5 5 1 5 5',
    'diabetic_retinopathy': '10 1 5 10 1 5 5 10 5 10 5 5/1 1 10 5 5 10 1 10 10 5 10 1/1 1 5 5 10 10 10 5 1 10 10 1',
    'clevr_count': '10 1 5 10 5 1 10 5 5 5 10 1/1 1 10 5 10 10 10 1 5 1 10 1/1 10 10 10 10 1 5 10 10 10 1 1',
    'clevr_dist': '10 1 1 10 5 10 5 1 5 10 5 5/5 1 10 5 10 10 1 1 5 10 1 10/1 1 1 10 1 1 1 10 5 1 10 10',
    'dmlab': '1 10 5 1 10 10 5 10 10 1 1 1/10 5 1 5 10 10 5 5 5 10 10 1/5 1 5 1 5 1 5 5 5 10 10 10',
    'kitti': '1 5 10 1 10 5 1 1 1 5 5 5/5 10 10 10 1 10 5 5 10 5 10 1/5 1 10 10 1 10 1 1 5 10 5 5',
    'dsprites_loc': '5 10 1 10 10 5 5 1 5 5 10 1/1 1 1 1 10 10 1 10 5 1 5 10/1 1 1 10 1 1 10 10 10 10 10 1',
    'dsprites_ori': '5 5 1 1 10 5 1 10 10 10 10 10/1 10 1 10 1 5 10 10 5 5 1 5/1 10 10 10 10 1 5 10 10 10 1 1',
    'smallnorb_azi': '1 10 1 10 1 5 10 10 1 10 10 5/10 5 1 5 1 1 5 5 10 1 1 10/5 1 1 1 5 5 1 10 1 1 5 1',
    'smallnorb_ele': '10 1 1 1 1 5 10 10 10 10 1 10/10 1 1 1 5 5 10 5 1 10 1 1/1 1 1 10 1 1 10 10 10 10 10 1',
}
PER_TASK = {  # method: path in the config: natural, specialized, structured tasks
    # Jie & Deng, 2022, arXiv 2207.07039; code of its authors (PETL-ViT, convpass/vtab)
    'ConvPass': {
        f'{ADAPTER}.scale': (0.1, 1.0, 0.01, 0.1, 1.0, 100.0, 0.1,
                             10.0, 10.0, 10.0, 1.0,
                             1.0, 0.1, 10.0, 10.0, 100.0, 0.1, 100.0, 1.0),
        f'{ADAPTER}.conv_init': ('identity', 'identity', 'xavier', 'xavier', 'xavier', 'xavier', 'identity',
                                 'identity', 'identity', 'identity', 'identity',
                                 'identity', 'xavier', 'identity', 'xavier', 'xavier', 'xavier', 'xavier', 'xavier'),
    },
    # Jie & Deng, AAAI 2023, arXiv 2212.03145; code of its authors (PETL-ViT, FacT)
    'FacT-TT': {
        f'{ADAPTER}.rank': (8, 16, 8, 16, 8, 16, 8,
                            8, 8, 8, 8,
                            16, 4, 16, 16, 16, 16, 16, 8),
        f'{ADAPTER}.scale': (1.0, 10.0, 0.01, 1.0, 1.0, 100.0, 1.0,
                             10.0, 100.0, 0.1, 1.0,
                             1.0, 10.0, 10.0, 10.0, 100.0, 1.0, 100.0, 10.0),
    },
    'FacT-TK': {
        f'{ADAPTER}.rank': (32, 32, 16, 32, 16, 32, 16,
                            32, 32, 32, 16,
                            32, 16, 32, 32, 32, 32, 32, 16),
        f'{ADAPTER}.scale': (0.1, 10.0, 0.01, 1.0, 10.0, 100.0, 1.0,
                             10.0, 100.0, 10.0, 1.0,
                             10.0, 10.0, 10.0, 10.0, 100.0, 1.0, 100.0, 10.0),
    },
    # Lian et al., NeurIPS 2022, arXiv 2210.08823; code of its authors (train_scripts/vit/vtab). For augreg weights
    # and with a drop-path by task, which a frozen host does not have here
    'SSF': {
        f'{OPTIMIZER}.lr': (5e-3, 1e-3, 5e-3, 5e-3, 5e-3, 1e-2, 5e-3,
                            5e-3, 3e-3, 2e-3, 5e-3,
                            2e-3, 5e-2, 5e-3, 1e-2, 1e-2, 5e-3, 2e-2, 5e-3),
        f'{OPTIMIZER}.weight_decay': (5e-5, 5e-2, 5e-5, 5e-5, 5e-5, 5e-5, 5e-5,
                                      5e-5, 5e-2, 5e-5, 5e-5,
                                      5e-2, 5e-2, 5e-5, 5e-5, 5e-5, 5e-5, 5e-5, 5e-2),
    },
    # Zhang et al., 2024, arXiv 2407.06964; code of its authors (SynQT, configs/vit_21k)
    'SynQT': {
        f'{ADAPTER}.queries': (4, 4, 1, 4, 1, 4, 1,
                               16, 16, 4, 16,
                               16, 16, 1, 16, 16, 4, 16, 16),
        f'{ADAPTER}.feature_scale': (0.1, 1.0, 0.1, 0.1, 1.0, 1.0, 0.1,
                                     0.1, 0.1, 0.1, 0.1,
                                     0.1, 0.1, 1.0, 0.1, 0.1, 1.0, 1.0, 0.1),
        f'{ADAPTER}.attention_scale': (1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 1.0,
                                       0.1, 1.0, 0.1, 1.0,
                                       0.1, 0.1, 0.1, 1.0, 0.1, 0.1, 0.1, 1.0),
        f'{ADAPTER}.ffn_scale': (0.1, 0.1, 0.1, 0.1, 1.0, 1.0, 0.1,
                                 1.0, 0.1, 0.1, 0.1,
                                 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 1.0, 0.1),
    },
    # Zhang et al., 2022, arXiv 2206.04673; what their search found (NOAH, experiments/NOAH/subnet/VTAB)
    'NOAH': {
        f'{ADAPTER}.subnet': tuple(_subnet(SUBNETS[task]) for task in TASKS),
    },
}
# fmt: on


def settings(method: str, task: str) -> dict:
    """Return what a method sets for a task, by dotted path in a config.

    Raises:
        InputError: a method that is not in the table.
    """
    check_word('per_task: received', method, tuple(PER_TASK))
    values = {path: dict(zip(TASKS, row, strict=True))[task] for path, row in PER_TASK[method].items()}
    return deepcopy(values)  # a config may be changed, the table may not
