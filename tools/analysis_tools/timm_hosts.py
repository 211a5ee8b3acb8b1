"""Count timm's Vision Transformers that have a view here, and say why the others have none.

    python tools/analysis_tools/timm_hosts.py

Every name of timm's modules of plain and rotary Vision Transformers is built without memory. That what has a view also
equals its own forward pass is tested kind by kind (tests/test_views.py, tests/test_modern_hosts.py,
tests/test_timm_hosts.py).
"""

import argparse
from collections import defaultdict

from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError


def parse_args() -> argparse.Namespace:
    return argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import timm
import torch

from mmsparse.models.hosts.views.view import resolve
from mmsparse.registry import MODELS

MODULES = ('vision_transformer', 'vision_transformer_hybrid', 'eva', 'deit', 'naflexvit')
RELATIVE = ('beit', 'vision_transformer_relpos')  # these and the next are counted by themselves
TOWERS = ('qwen3_vit',)  # of language models


def refusal(name: str) -> str | None:
    """Return why a name has no view, or None."""
    with torch.device('meta'):
        try:
            host = timm.create_model(name, num_classes=0, depth=1)
        except AssertionError:  # it has a list with an entry for each block
            host = timm.create_model(name, num_classes=0)
    try:
        resolve(host)
    except InputError as error:
        return str(error).split('. ')[0]
    return None


def main() -> None:
    parse_args()
    with reporting(lambda: 'Nothing was written.'):
        MODELS.import_from_location()
        reasons = defaultdict(list)
        for modules in (MODULES, RELATIVE, TOWERS):
            places = [f'timm.models.{module}' for module in modules]
            names = [name for name in timm.list_models() if timm.model_entrypoint(name).__module__ in places]
            why = {name: reason for name in names if (reason := refusal(name))}
            for name, reason in why.items():
                reasons[reason].append(name)
            print(
                f'{len(names) - len(why)} of the {len(names)} names in timm {timm.__version__} ({", ".join(modules)}) '
                'have a view.'
            )
        for reason, refused in sorted(reasons.items()):
            print(f'{", ".join(refused)}:\n    {reason}.')


if __name__ == '__main__':
    main()
