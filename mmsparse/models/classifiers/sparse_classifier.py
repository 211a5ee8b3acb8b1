"""mmpretrain's ImageClassifier, plus the losses of sparsifiers and adapters."""

from __future__ import annotations

from functools import partial

from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from mmsparse.models.necks.reports import reported, write_reports
from mmsparse.models.ops.losses import LossContext, Run, asks_each_class, collect, still_statistics
from mmsparse.models.part import check_auxiliary
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens


@MODELS.register_module()
class SparseClassifier(ImageClassifier):
    """An ImageClassifier on a SparseViT whose parts have losses (DynamicViT, DyT). Arguments are ImageClassifier's.

    Attributes:
        collects_losses: a model without it is refused where a part has losses.

    Raises:
        InputError: a part whose auxiliary heads tell other classes apart than the head.
    """

    collects_losses = True

    def __init__(self, backbone: dict, **kwargs):
        super().__init__(backbone, **kwargs)
        parts = (*getattr(self.backbone, 'adapters', ()), *getattr(self.backbone, 'sparsifiers', ()))
        check_auxiliary(parts, self.head if self.with_head else None)

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Return the head's losses and those of all parts.

        Args:
            inputs: B×3×H×W, normalised.
            data_samples: labels or, after Mixup, scores.
        """
        encode, finish = partial(self.backbone.encode, inputs), partial(self._finish, data_samples)
        # mmpretrain's heads make their losses of labels and scores alike in `_get_loss`
        ctx = LossContext(
            self,
            encode,
            finish,
            data_samples,
            lambda logits: self.head._get_loss(logits, told_each(data_samples, len(logits))),
        )
        return collect(ctx, [*self.backbone.adapters, *self.backbone.sparsifiers])

    def predict(self, inputs: Tensor, data_samples: list[DataSample] | None = None, **kwargs) -> list[DataSample]:
        """Return mmpretrain's predictions; what sparsifiers report of each image (DyT's rate) is added to its
        sample."""
        layers = self.backbone.encode(inputs)
        samples = self.head.predict(self._features(layers), data_samples, **kwargs)
        write_reports(samples, [reported(self.backbone.sparsifiers, layers[-1])])
        return samples

    def _finish(self, data_samples: list[DataSample], layers: list[Tokens]) -> Run:
        feats = self._features(layers)
        with still_statistics(self.head):  # its loss runs the head once more
            logits = self.head(feats)
        samples = told_each(data_samples, len(feats[-1]))
        return Run(layers[-1], logits, partial(self.head.loss, feats, samples), asks_each_class(self.head))

    def _features(self, layers: list[Tokens]) -> tuple:
        feats = self.backbone.outputs(layers)
        return self.neck(feats) if self.with_neck else feats


def told_each(samples: list[DataSample], rows: int) -> list[DataSample]:
    """Return one sample per row of a batch: where an image (a clip) has several rows, each is told its labels."""
    return [sample for sample in samples for _ in range(rows // len(samples))]
