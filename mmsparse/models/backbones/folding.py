"""The form of a backbone for testing: same answers by fewer operators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from mmengine.logging import print_log
from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.folding import fold_leading, hindrance, unmerged
from mmsparse.models.hosts.frozen_model import FrozenModel
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import without_autocast


@dataclass(frozen=True)
class Folded:
    """What `fold` made of each adapter, by name; its text is for people.

    Args:
        merged: into the host.
        narrow: run in their form for testing.
        as_before: neither.
        why: the reason for those that did not merge.
    """

    merged: tuple[str, ...]
    narrow: tuple[str, ...]
    as_before: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        told = (
            (self.merged, 'merged into the host'),
            (self.narrow, 'in the form for testing'),
            (self.as_before, f'unfolded ({self.why.rstrip(".")})'),
        )
        return '; '.join(f'{", ".join(names)} {what}' for names, what in told if names) or 'no adapter to fold'


class Folding:
    """What `SparseViT` does when nothing is to be trained any more.

    Attributes:
        merged: the names of the adapters that have merged into the host.
        folded: whether adapters have merged or run in their form for testing.
        form: what `fold` has made of the adapters; None before.
    """

    merged: tuple[str, ...] = ()
    folded = False
    form: Folded | None = None

    host: nn.Module
    view: View
    adapters: nn.ModuleList
    host_trains: frozenset[str]

    def fold(self) -> Folded:
        """Bring the network into its form for testing: same answers by fewer operators, nothing trains any more.

        What folds merges into the host (`merge`); adapters that do not run in a form with their affine maps folded
        into each other, where they have one (`BaseAdapter.for_testing`). Nothing can be saved or loaded afterwards,
        and a training step is refused.

        Returns:
            What became of each adapter; a second call changes nothing and returns the same.

        Raises:
            InputError: as `merge`.
        """
        if self.form is None:
            why = ' '.join(self._merge())
            with torch.no_grad(), without_autocast(next(self.host.parameters()).device):
                forms = [adapter.for_testing() for adapter in self.adapters]
            names = [(type(old).__name__, new is old) for old, new in zip(self.adapters, forms, strict=True)]
            narrow, as_before = (tuple(name for name, same in names if same == wanted) for wanted in (False, True))
            self.form = Folded(self.merged, narrow, as_before, why)
            self.adapters = nn.ModuleList(forms)
            self._settle()
        return self.form

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
        for reason in self._merge():
            print_log(f'{", ".join(type(each).__name__ for each in self.adapters)} not merged. {reason}', 'current')

    def _merge(self) -> list[str]:
        """Merge, and return why what is left did not."""
        leading = fold_leading(self.adapters, self.view)
        left = unmerged(self.adapters, leading)
        self.merged += tuple(type(adapter).__name__ for adapter in leading)
        if leading:
            self.adapters = nn.ModuleList(left)
            self._settle()
        return list(hindrance(left))

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


def fold_all(model: nn.Module) -> str:
    """Fold every SparseViT of a model that is trained and loaded; return what became of the adapters, for people.

    Raises:
        InputError: there is none in it; or as `Folding.merge`.
    """
    found = [module for module in model.modules() if isinstance(module, Folding)]
    if not found:
        raise InputError(
            f'fold: received a {type(model).__name__} without a SparseViT in it, so there is nothing to fold. Leave '
            'it out.'
        )
    return f'Folded for testing: {". ".join(str(backbone.fold()) for backbone in found)}.'
