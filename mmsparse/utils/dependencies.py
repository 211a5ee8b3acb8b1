"""What must be installed beside mmsparse; OpenMMLab's packages and their forks import under the same names."""

from importlib.util import find_spec

from mmsparse.errors import InputError

ALWAYS = (
    'torch',
    'torchvision',
    'numpy',
    'cv2',
    'PIL',
    'rich',
    'safetensors',
    'timm',
    'mmengine',
    'mmcv',
    'mmpretrain',
)
SOMETIMES = ('mmseg', 'open_clip', 'transformers', 'sklearn', 'scipy', 'matplotlib', 'tensorboard')
SOMETIMES += ('optuna', 'submitit', 'av')
EXTRAS = {'transformers': 'transformers', 'optuna': 'sweep', 'submitit': 'sweep', 'av': 'video'}  # others: 'all'


def check_installed() -> None:
    """Look for what every run needs, without importing it.

    Raises:
        InputError: something is missing; the text has the command that installs it.
    """
    if missing := [name for name in ALWAYS if find_spec(name) is None]:
        raise InputError(not_installed(*missing))


def not_installed(*missing: str) -> str:
    """Return the sentence that names missing modules and the command that installs them."""
    extra = next((EXTRAS[name] for name in missing if name in EXTRAS), 'all')
    return (
        f'{", ".join(missing)}: not installed in this environment, and mmsparse needs it here. '
        f"Install it with: pip install 'mmsparse[{extra}]' (in a checkout: pip install -r requirements/dev.txt -e .)."
    )
