"""What the losses of sparsifiers and adapters may use, and how they reach the loss dictionary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsparse.tokens import Tokens


@dataclass(frozen=True)
class Run:
    """One pass through backbone and head.

    Args:
        tokens: the last tokens, after the final norm.
        logits: B×classes (B×classes×h×w in segmentation).
        task_losses: gives the head's own losses for this pass.
    """

    tokens: Tokens
    logits: Tensor
    task_losses: Callable[[], dict[str, Tensor]]


class LossContext:
    """The pass that is being trained and, computed once when somebody asks, two passes without reduction.

    Args:
        sparse: the pass that is being trained.
        run: ``run(sparsify, adapt)`` makes another pass on the same images.
    """

    def __init__(self, sparse: Run, run: Callable[[bool, bool], Run]):
        self.sparse, self._run = sparse, run

    @cached_property
    def complete(self) -> Run:
        """The same weights without any reduction (DyT's complete model; detached, DynamicViT's teacher)."""
        return self._run(False, True)

    @cached_property
    def host(self) -> Run:
        """The frozen host alone, without adapters and without gradient (DynamicViT's token targets)."""
        with torch.no_grad():
            return self._run(False, False)


def divergence(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher‖logits) over the classes, mean over images and, in segmentation, pixels; the teacher gets no gradient.

    Args:
        logits, teacher: B×classes or B×classes×h×w.
    """
    return F.kl_div(logits.log_softmax(1), teacher.detach().log_softmax(1), log_target=True, reduction='none').sum(1).mean()


def collect(task: dict[str, Tensor], parts, ctx: LossContext) -> dict[str, Tensor]:
    """Return the losses of the task and of all parts; a name that is taken gets the number of the part behind it, so that none is lost."""
    collected = dict(task)
    for number, part in enumerate(parts):
        for name, value in part.losses(ctx).items():
            collected[name if name not in collected else f'{name}_{number}'] = value
    return collected


def has_losses(part) -> bool:
    """Tell whether a class of parts has losses of its own."""
    from .adapters.base import BaseAdapter
    from .necks.base import BaseSparsifier

    kind = part if isinstance(part, type) else type(part)
    return kind.losses not in (BaseAdapter.losses, BaseSparsifier.losses)
