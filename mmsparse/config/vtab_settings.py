"""What authors of methods set for each task of VTAB-1K, in the order of `TASKS`: the one table, with its sources.

A config names its column: ``per_task = 'FacT-TT'``. The first entry of each is what that config has written in it.
"""

from __future__ import annotations

from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.utils.value_checks import check_word

ADAPTER, OPTIMIZER = 'model.backbone.adapter', 'optim_wrapper.optimizer'
# fmt: off
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
}
# fmt: on


def settings(method: str, task: str) -> dict:
    """Return what a method sets for a task, by dotted path in a config.

    Raises:
        InputError: a method that is not in the table.
    """
    check_word('per_task: received', method, tuple(PER_TASK))
    return {path: dict(zip(TASKS, values, strict=True))[task] for path, values in PER_TASK[method].items()}
