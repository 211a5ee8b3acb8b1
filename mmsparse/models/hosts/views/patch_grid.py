"""How images divide into the patches of a host."""

from __future__ import annotations

import math

from torch import Tensor

from mmsparse.errors import InputError


class PatchGrid:
    """The geometry of a host's input.

    Attributes:
        name: of the host, for messages.
        patch: pixels (h, w) of a patch.
        grid: patches (h, w) of the configured input.
        any_size: whether images of another size than the configured one run.
    """

    name: str
    patch: tuple[int, int]
    grid: tuple[int, int]
    any_size: bool

    @property
    def patches(self) -> int:
        """Number of patches of the configured input."""
        return self.grid[0] * self.grid[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the configured input, pixels."""
        return self.grid[0] * self.patch[0], self.grid[1] * self.patch[1]

    def divide(self, height: int, width: int) -> tuple[int, int]:
        """Return the patch grid (h, w) of an image of this many pixels.

        Raises:
            InputError: the patch size does not divide it.
        """
        ph, pw = self.patch
        if height % ph or width % pw:
            raise InputError(
                f'{self.name}: received an image size of {height}×{width} pixels, which its patches of {ph}×{pw} do '
                f'not divide. Use a multiple, such as {max(1, height // ph) * ph}×{max(1, width // pw) * pw}; to have '
                'the pictures of a segmentation test padded, set '
                f'model.data_preprocessor.test_cfg=dict(size_divisor={math.lcm(ph, pw)}).'
            )
        return height // ph, width // pw

    def grid_of(self, images: Tensor) -> tuple[int, int]:
        """Return the patch grid (h, w) of a batch, B×3×H×W.

        Raises:
            InputError: the patch size does not divide it, or the host has a fixed input size and this is another.
        """
        height, width = images.shape[-2:]
        grid = self.divide(height, width)
        if not self.any_size and grid != self.grid:
            raise InputError(
                f'{self.name}: received images of {height}×{width} pixels, but the host is built for '
                f'{self.image_size[0]}×{self.image_size[1]}. Set host.img_size to what the pipeline delivers, or the '
                'pipeline to the size of the host.'
            )
        return grid
