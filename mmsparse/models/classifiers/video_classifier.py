"""A classifier of clips: frames run as images through one SparseViT."""

from __future__ import annotations

from mmpretrain.structures import DataSample
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.models.classifiers.sparse_classifier import SparseClassifier
from mmsparse.models.necks.reports import reported, write_reports
from mmsparse.registry import MODELS
from mmsparse.utils.value_checks import check_count


@MODELS.register_module()
class VideoClassifier(SparseClassifier):
    """A SparseClassifier of clips, B×V×T×3×H×W: V views (other moments or crops) of T frames.

    Frames are folded into the batch, so that each is reduced and adapted as an image is; `mmsparse.AttentivePooling`
    as the neck, behind ``out_type='tokens'``, brings those of a clip together. With another neck and output, such as
    ``out_type='cls_token'``, every frame is classified. The answer is the mean over the logits of all views (frames).
    In training each view (frame) is told the clip's label, and so are auxiliary heads (Cropr), which look at a frame.

    Args:
        backbone: config of a SparseViT.
        frames: T; clips of another length are refused, and costs are counted with it.
        kwargs: ImageClassifier's.

    Raises:
        InputError: a number of frames below 1, or inputs of another shape.
    """

    def __init__(self, backbone: dict, frames: int = 8, **kwargs):
        super().__init__(backbone, **kwargs)
        check_count('VideoClassifier: received frames', frames, 8)
        self.frames = frames

    def forward(self, inputs: Tensor, data_samples: list[DataSample] | None = None, mode: str = 'tensor'):
        """Return logits B×classes ('tensor'), losses ('loss') or samples with predictions ('predict').

        Args:
            inputs: B×V×T×3×H×W, normalised; or B×T×3×H×W, clips of one view.
            data_samples: one per clip.
            mode: as mmpretrain has it.
        """
        out = super().forward(inputs, data_samples, mode)
        return self._mean(out, len(inputs)) if mode == 'tensor' and self.with_head else out

    def extract_feat(self, inputs: Tensor, stage: str = 'neck') -> tuple:
        """Return the features of B·V clips; arguments as in `forward` and mmpretrain's."""
        return super().extract_feat(self._clips(inputs), stage)

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """Return the head's losses and those of all parts; arguments as in `forward`."""
        return super().loss(self._clips(inputs), data_samples)

    def predict(self, inputs: Tensor, data_samples: list[DataSample] | None = None) -> list[DataSample]:
        """Return mmpretrain's predictions from the mean of the logits; figures of sparsifiers (DyT's rate) are means
        over the frames of a clip."""
        layers = self.backbone.encode(self._clips(inputs))
        logits = self._mean(self.head(self._features(layers)), len(inputs))
        samples = self.head._get_predictions(logits, data_samples)
        figures = reported(self.backbone.sparsifiers, layers[-1])
        write_reports(samples, [{name: self._mean(value, len(inputs)) for name, value in figures.items()}])
        return samples

    def _clips(self, inputs: Tensor) -> Tensor:
        """Return B·V×T×3×H×W."""
        clips = inputs.flatten(0, 1) if inputs.dim() == 6 else inputs
        if clips.dim() != 5 or clips.shape[1] != self.frames:
            raise InputError(
                f'VideoClassifier: received inputs of {tuple(inputs.shape)}, expected clips of frames={self.frames}, '
                'B×views×frames×3×H×W or B×frames×3×H×W. Set frames of model and pipeline to one number.'
            )
        return clips

    @staticmethod
    def _mean(rows: Tensor, clips: int) -> Tensor:
        return rows.unflatten(0, (clips, -1)).mean(1)
