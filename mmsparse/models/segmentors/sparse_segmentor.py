"""mmseg's segmentor with the losses of a SparseViT's parts."""

from __future__ import annotations

import math
from functools import partial

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.models.necks.reports import reported, write_reports
from mmsparse.models.ops.losses import LossContext, Run, asks_each_class, collect
from mmsparse.models.part import check_auxiliary
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens


@MODELS.register_module()
class SparseSegmentor(EncoderDecoder):
    """An EncoderDecoder on a SparseViT whose parts have losses (DynamicViT, DyT). Arguments are EncoderDecoder's.

    Attributes:
        collects_losses: a model without it is refused where a part has losses.

    Raises:
        InputError: a decode head with a loss of its own (Mask2Former, EncHead), or a part whose auxiliary heads
            classify images.
    """

    collects_losses = True

    def __init__(self, backbone: dict, decode_head: dict, **kwargs):
        super().__init__(backbone, decode_head, **kwargs)
        check_auxiliary((*self.backbone.adapters, *self.backbone.sparsifiers), None)
        self._passes: list[dict[str, Tensor]] | None = None  # while it predicts, what was reported of each window
        kind = type(self.decode_head)
        if (kind.loss, kind.loss_by_feat) != (BaseDecodeHead.loss, BaseDecodeHead.loss_by_feat):
            raise InputError(
                f'SparseSegmentor: {kind.__name__} has a loss of its own, and distillation needs one logit per class '
                'and pixel. '
                "Use another decode_head, or a sparsifier without losses under type='mmseg.EncoderDecoder'."
            )

        # sides that patches do not divide; mmseg cuts predictions back
        if getattr(self.data_preprocessor, 'test_cfg', 0) is None:
            self.data_preprocessor.test_cfg = dict(size_divisor=math.lcm(*self.backbone.view.patch))

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Return the heads' losses and those of all parts.

        Args:
            inputs: B×3×H×W, normalised.
            data_samples: with `gt_sem_seg`.
        """
        encode, finish = partial(self.backbone.encode, inputs), partial(self._finish, data_samples)
        task_losses = partial(self.decode_head.loss_by_feat, batch_data_samples=data_samples)
        ctx = LossContext(self, encode, finish, data_samples, task_losses)
        return collect(ctx, [*self.backbone.adapters, *self.backbone.sparsifiers])

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Return mmseg's predictions; what sparsifiers report of each image (DyT's rate) is added to its sample, mean
        over its windows."""
        self._passes = []
        try:
            samples = super().predict(inputs, data_samples)
            write_reports(samples, self._passes)
        finally:
            self._passes = None
        return samples

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the maps for the head, and note what sparsifiers report of this window."""
        layers = self.backbone.encode(inputs)
        if self._passes is not None:
            self._passes.append(reported(self.backbone.sparsifiers, layers[-1]))
        return self._maps(layers)

    def _maps(self, layers: list[Tokens]) -> tuple[Tensor, ...]:
        feats = self.backbone.outputs(layers)
        return self.neck(feats) if self.with_neck else feats

    def _finish(self, data_samples: list[SegDataSample], layers: list[Tokens]) -> Run:
        feats = self._maps(layers)
        logits = self.decode_head(feats)
        return Run(
            layers[-1],
            logits,
            partial(self._task_losses, logits, feats, data_samples),
            asks_each_class(self.decode_head),
        )

    def _task_losses(
        self, logits: Tensor, feats: tuple[Tensor, ...], data_samples: list[SegDataSample]
    ) -> dict[str, Tensor]:
        losses = add_prefix(self.decode_head.loss_by_feat(logits, data_samples), 'decode')
        return losses | (self._auxiliary_head_forward_train(feats, data_samples) if self.with_auxiliary_head else {})
