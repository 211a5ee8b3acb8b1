"""What the losses of sparsifiers and adapters may use, and how they reach the loss dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.structures import Tokens


@dataclass(frozen=True)
class Run:
    """One pass through backbone and head.

    Args:
        tokens: the last tokens, after the final norm.
        logits: B×classes (B×classes×h×w in segmentation).
        task_losses: gives the head's own losses for this pass.
        each_class: whether those ask about each class by itself (`asks_each_class`).
    """

    tokens: Tokens
    logits: Tensor
    task_losses: Callable[[], dict[str, Tensor]]
    each_class: bool = False


class LossContext:
    """The pass that is being trained and, computed once when somebody asks, others without reduction on the same
    images.

    Only the pass that is being trained moves the running statistics of batch norms: prediction knows no other.

    Args:
        model: whose batch norms these are.
        encode: ``encode(sparsify, adapt)`` gives the tokens of all wanted layers.
        finish: makes a run of them.
        samples: the batch's data samples: labels or, after Mixup, scores; maps in segmentation.
        task_losses: gives the head's own losses of logits in the form of `Run.logits`.

    Attributes:
        samples: as above.
    """

    def __init__(
        self,
        model: nn.Module,
        encode: Callable[[bool, bool], Sequence[Tokens]],
        finish: Callable[[Sequence[Tokens]], Run],
        samples: Sequence,
        task_losses: Callable[[Tensor], dict[str, Tensor]],
    ):
        self._model, self._encode, self._finish = model, encode, finish
        self.samples, self._task_losses = samples, task_losses
        self.sparse = finish(encode(True, True))

    def task_loss(self, logits: Tensor) -> Tensor:
        """Return the sum of the head's losses, as if it had answered with these logits: for auxiliary heads and early
        exits."""
        return sum(value for name, value in self._task_losses(logits).items() if 'loss' in name)

    @cached_property
    def complete(self) -> Run:
        """The same weights without any reduction (DyT's complete model)."""
        return self._unreduced()

    @cached_property
    def teacher(self) -> Run:
        """The complete pass to compare with; without gradient, unless `complete` has been asked for (DynamicViT)."""
        if 'complete' in vars(self):
            return self.complete
        with torch.no_grad():
            return self._unreduced()

    @cached_property
    def host_tokens(self) -> Tokens:
        """The last tokens of the host alone, without adapters and without gradient (DynamicViT's targets).

        By its present weights: a host that trains (FullTuning, BitFit) gives other ones after each step.
        """
        with torch.no_grad():
            return self._encode(False, False)[-1]

    def _unreduced(self) -> Run:
        with still_statistics(self._model):
            run = self._finish(self._encode(False, True))
        return replace(run, task_losses=still_statistics(self._model)(run.task_losses))


@contextmanager
def still_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch norms normalise as in training and leave their running statistics where they are."""
    # torch's and mmcv's
    norms = [module for module in model.modules() if getattr(module, 'track_running_stats', False)]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def asks_each_class(head: nn.Module) -> bool:
    """Tell whether a head's losses ask about each class by itself (sigmoid), not about one of all (softmax)."""
    from mmpretrain.models.losses import FocalLoss

    asked = [
        getattr(loss, 'use_sigmoid', True)
        for loss in head.modules()
        if hasattr(loss, 'use_sigmoid') or isinstance(loss, FocalLoss)
    ]
    return bool(asked) and all(asked)


def divergence(run: Run, teacher: Run) -> Tensor:
    """Return KL(teacher‖run), mean over images and, in segmentation, pixels; the teacher gets no gradient.

    Over the classes; where the head asks about each by itself, or there is but one logit, the sum of the classes' own
    (Bernoulli).

    Raises:
        InputError: a head of several tasks.
    """
    logits, target = run.logits, teacher.logits
    if not isinstance(logits, Tensor):
        raise InputError(
            'received the logits of several tasks, and distillation compares those of one. Use a head of one task.'
        )
    target = target.detach()
    if run.each_class or logits.shape[1] == 1:
        cross, own = (
            F.binary_cross_entropy_with_logits(each, target.sigmoid(), reduction='none') for each in (logits, target)
        )
        return (cross - own).sum(1).mean()
    return F.kl_div(logits.log_softmax(1), target.log_softmax(1), log_target=True, reduction='none').sum(1).mean()


def collect(ctx: LossContext, parts: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return the losses of the task and of all parts; a name that is taken gets the part's number behind it."""
    collected = dict(ctx.sparse.task_losses())
    for number, part in enumerate(parts):
        for name, value in part.losses(ctx).items():
            collected[name if name not in collected else f'{name}_{number}'] = value
    return collected
