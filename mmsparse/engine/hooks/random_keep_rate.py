"""Every step at another keep rate and input size (Lin et al., SuperViT, arXiv 2205.11397)."""

from collections.abc import Iterator, Sequence

import numpy as np
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import resize

from mmsparse.engine.hooks.keep_rate import KeepRateHook
from mmsparse.engine.random_state import shared_seed
from mmsparse.errors import refuse
from mmsparse.models.backbones import SparseViT
from mmsparse.registry import HOOKS
from mmsparse.utils.value_checks import check_rate, is_list, is_whole


@HOOKS.register_module()
class RandomKeepRateHook(KeepRateHook):
    """Draw a keep rate, and on request an input size, for every training step; otherwise the configured rate holds.

    Acts on every sparsifier that has one ``keep_rate``. What is drawn follows from the run's seed and the position:
    all processes agree and a resumed run draws the same. The idea of SuperViT as a schedule, without its distillation
    from the largest network.

    Args:
        keep_rates: to draw from, each in (0, 1].
        sizes: to draw from, pixels of a square side; None: images stay as the pipeline gives them.

    Raises:
        InputError: a rate outside (0, 1], a side of no pixels, no sparsifier with a keep rate, another schedule, or a
            size that the host or the task cannot take.
    """

    def __init__(self, keep_rates: Sequence[float], sizes: Sequence[int] | None = None):
        refuse(f'RandomKeepRateHook: received {fault}' for fault in _argument_faults(keep_rates, sizes))
        for rate in keep_rates:
            check_rate('RandomKeepRateHook: keep_rates', rate)
        self.keep_rates, self.sizes = tuple(keep_rates), sizes

    def faults(self, runner) -> Iterator[str]:
        """Ask task and host about the sizes too."""
        yield from super().faults(runner)
        for module in runner.model.modules() if self.sizes else ():
            if hasattr(module, 'decode_head'):
                yield (
                    f'received sizes={self.sizes} for {type(module).__name__}, but only the images would be resized, '
                    'and not '
                    "the maps of labels. Leave sizes out, and let the pipeline's RandomResize draw them."
                )
            if isinstance(module, SparseViT):
                if not module.view.any_size:
                    yield (
                        f'received sizes={self.sizes}, but the host {module.view.name} takes one size only. '
                        'Set host.dynamic_img_size=True (timm), or leave sizes out.'
                    )
                for size in self.sizes:
                    module.view.divide(size, size)

    def before_train(self, runner) -> None:
        """Note the configured rates, and the seed."""
        self.configured = {part: part.keep_rate for part in self.check(runner)}
        self.seed = shared_seed(runner)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Set this step's rate, and resize its batch."""
        random = np.random.default_rng([self.seed, runner.iter])
        rate = float(random.choice(self.keep_rates))
        for part in self.configured:
            part.keep_rate = rate
        if self.sizes is not None:
            side = [int(random.choice(self.sizes))] * 2
            images = data_batch['inputs']  # B×3×H×W, or a list where the loader does not stack
            one_by_one = isinstance(images, list | tuple)
            resized = [
                resize(image, side, InterpolationMode.BICUBIC, antialias=True)
                for image in (images if one_by_one else [images])
            ]
            data_batch['inputs'] = resized if one_by_one else resized[0]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Validation and whatever else comes between steps finds the configured rate."""
        for part, rate in self.configured.items():
            part.keep_rate = rate


def _argument_faults(keep_rates, sizes) -> Iterator[str]:
    if not is_list(keep_rates) or not (sizes is None or is_list(sizes)):
        yield f'keep_rates={keep_rates!r}, sizes={sizes!r}; expected lists of at least one value.'
    if not all(is_whole(size) and size > 0 for size in sizes or ()):
        yield f'sizes={sizes}, expected pixels of a square side, integers above 0 such as (24, 28, 32).'
