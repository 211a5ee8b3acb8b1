"""What sparsifiers tell of each image, in its prediction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.structures import Tokens


def reported(sparsifiers: Iterable[BaseSparsifier], tokens: Tokens) -> dict[str, Tensor]:
    """Return the figures of all sparsifiers after one pass, each B."""
    return {name: value_b for part in sparsifiers for name, value_b in part.report(tokens).items()}


def write_reports(samples: Sequence[BaseDataElement], passes: Sequence[dict[str, Tensor]]) -> None:
    """Add each image's figures to its sample, as fields; of several passes (a segmentor's windows) their mean.

    Args:
        samples: one per image.
        passes: what `reported` gave after each pass, at least one.
    """
    for name in passes[0]:
        mean_b = torch.stack([figures[name] for figures in passes]).mean(0)
        for sample, value in zip(samples, mean_b.tolist(), strict=True):
            sample.set_field(value, name)
