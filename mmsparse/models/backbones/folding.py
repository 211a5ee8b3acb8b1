"""The form of a backbone for testing: same answers by fewer operators."""

from __future__ import annotations

import torch
from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.folding import fold_leading, unmerged
from mmsparse.models.hosts.frozen_model import FrozenModel
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import without_autocast


class Folding:
    """What `SparseViT` does when nothing is to be trained any more.

    Attributes:
        merged: the names of the adapters that have merged into the host.
        folded: whether adapters have merged or run in their form for testing.
    """

    merged: tuple[str, ...] = ()
    folded = False

    host: nn.Module
    view: View
    adapters: nn.ModuleList
    host_trains: frozenset[str]

    def fold(self) -> None:
        """Bring the network into its form for testing: same answers by fewer operators, nothing trains any more.

        What folds merges into the host (`merge`); adapters that do not run in a form with their affine maps folded
        into each other, where they have one (`BaseAdapter.for_testing`). Nothing can be saved or loaded afterwards,
        and a training step is refused.

        Raises:
            InputError: as `merge`.
        """
        self.merge()
        with torch.no_grad(), without_autocast(next(self.host.parameters()).device):
            self.adapters = nn.ModuleList(adapter.for_testing() for adapter in self.adapters)
        self._settle()

    def merge(self) -> None:
        """Merge into the host what folds (LoRA, SSF): same answers, fewer operators.

        The first that cannot fold stays, as is said, and all behind it: merged, they would act before it. List first
        what folds, and last what writes to other operators than those at its own sites. Where something has been
        merged, the host is no longer the one that a state names by its fingerprint: nothing can be saved or loaded
        afterwards, and nothing trains.

        Raises:
            InputError: something of the user's around an operator (a hook, another library's adapter); the host is as
                it was.
        """
        leading = fold_leading(self.adapters, self.view)
        self.merged += tuple(type(adapter).__name__ for adapter in leading)
        if leading:
            self.adapters = nn.ModuleList(unmerged(self.adapters, leading))
            self._settle()

    def _settle(self) -> None:
        self.requires_grad_(False)
        self.host_trains, self.folded = frozenset(), True
        self.train(self.training)

    @property
    def frozen_models(self) -> dict[str, FrozenModel]:
        """The networks whose weights a state names by fingerprint instead of keeping them.

        Raises:
            InputError: the adapters have been folded into the host.
        """
        if self.merged:
            raise InputError(
                f'SparseViT: fold() has merged {", ".join(self.merged)} into the host, whose weights no state keeps. '
                'Save before fold(), or write a checkpoint for the host library with '
                'tools/model_converters/merge_adapter.py.'
            )
        if self.folded:
            raise InputError(
                'SparseViT: fold() has brought the adapters into their form for testing, which no state keeps. Save '
                'before fold(), or build the model again.'
            )
        return {'host': FrozenModel(self.host, self.view.name, self.view.source, self.view.filed)}

    def refuse_training_if_folded(self) -> None:
        """Refuse a pass that somebody wants a gradient of.

        Raises:
            InputError: the backbone is folded and in training mode, and gradients are on.
        """
        if self.folded and self.training and torch.is_grad_enabled():
            raise InputError(
                'SparseViT: received a training step after fold(), which leaves nothing to train. Build the model '
                'again, load its state and train that; for answers call eval(), or use torch.no_grad().'
            )
