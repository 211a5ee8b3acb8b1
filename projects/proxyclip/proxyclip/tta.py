"""Test-time augmentation of a ProxyCLIP."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel
from mmseg.structures import SegDataSample

from mmsparse.registry import MODELS


@MODELS.register_module()
class ProxyCLIPTTA(BaseTTAModel):
    """Mean of the probabilities that several views of a picture give each class; then the best class and the
    threshold, as for one view.
    """

    def merge_preds(self, data_samples_list: Sequence[Sequence[SegDataSample]]) -> list[SegDataSample]:
        """Return one sample per picture, from those of its views."""
        for first, *others in data_samples_list:
            views = [sample.seg_logits.data for sample in (first, *others)]
            self.module.decide(first, torch.stack(views).mean(0))
        return [views[0] for views in data_samples_list]
