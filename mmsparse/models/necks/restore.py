"""The neck that gives dense heads their grid back."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from mmsparse.structures import RESTORE, Tokens, restore
from mmsparse.utils.value_checks import check_word


@MODELS.register_module()
class Restore(BaseModule):
    """Turn the Tokens of a SparseViT with ``out_type='tokens'`` into feature maps.

    Args:
        mode: 'gather', 'stale' or 'delta'; see `mmsparse.structures.restore`. The last two need
            ``SparseViT(stash=True)``.
        then: config of a neck that goes on with the maps, such as mmseg's MultiLevelNeck.
    """

    def __init__(self, mode: str = 'gather', then: dict | None = None):
        super().__init__()
        check_word('Restore: received mode', mode, RESTORE)
        self.mode = mode
        self.then = None if then is None else MODELS.build(then)

    def forward(self, layers: tuple[Tokens, ...]) -> tuple[Tensor, ...]:
        """Return B×C×h×w for each of the backbone's outputs."""
        if not all(isinstance(t, Tokens) for t in layers):
            raise InputError(
                "Restore: received feature tensors, expected Tokens. Set the backbone's out_type='tokens'."
            )
        maps = tuple(restore(t, self.mode) for t in layers)
        return maps if self.then is None else self.then(maps)
