"""A metric for what sparsifiers report of each image."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmsparse.registry import METRICS


@METRICS.register_module()
class ReportMean(BaseMetric):
    """The mean over images of a figure in their predictions, such as DyT's ``ffn_rate``; logged as ``mean/<name>``.

    Predictions without it (merged ones of test-time augmentation) are left out; where none has it MMEngine warns, and
    nothing is logged.

    Args:
        name: field of the predictions, a number for each image.
    """

    default_prefix = 'mean'

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Note the figures of one batch."""
        self.results += [sample[self.name] for sample in data_samples if self.name in sample]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Return the mean."""
        return {self.name: sum(results) / len(results)} if results else {}
