"""ProxyCLIP for mmseg's runner: open-vocabulary segmentation without training (Lan et al., ECCV 2024, arXiv
2408.04883).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import partial

import torch
from mmengine.logging import print_log
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models.hosts.pixels import Pixels, applied, warning
from mmsparse.models.ops.losses import LossContext, Run, collect
from mmsparse.registry import MODELS

from .text_bank import text_bank
from .text_head import TextHead
from .vfm import features, patch_of
from .vocabulary import vocabulary
from .windows import boxes, cut, join, pad_to

# Where weights do not say it, and nothing else normalises: OpenAI's CLIP, and most proxies.
CLIP_PIXELS = Pixels((122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305))
VFM_PIXELS = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
IGNORED = 255  # label of pixels without a class


@MODELS.register_module()
class ProxyCLIP(BaseSegmentor):
    """Segment images by words: CLIP's values, mixed by the affinities of a vision foundation model (VFM), compared
    with texts.

    Args:
        backbone: a ``mmsparse.SparseViT`` on an open_clip host with ``mmsparse.ProxyReadout``.
        vfm: the proxy: a ``mmsparse.SparseViT`` with ``out_type='featmap'``, or ``mmsparse.TimmFeatures``. It is
            frozen.
        classes: a benchmark's name, a class file or a list; see `vocabulary`.
        window, stride: pixels of the sliding window; an image is first brought to size by the pipeline.
        prob_thd: pixels whose best probability is lower become class 0 (sets with a background class).
        logit_scale: factor of the cosines before the softmax.
        vfm_size: pixels (h, w) that windows are resized to for the VFM (SAM: 1024); None: as they are.
        window_batch: windows that run at once, of all images of a batch.
        data_preprocessor: mmseg's ``SegDataPreProcessor`` with CLIP's mean and std; the proxy's own are taken from
            what is known of its weights.

    Attributes:
        open_vocabulary: an adapter may be tested on other classes than it was trained with.
        vocabulary: classes and queries.
        texts: their vectors, made from the words at construction.

    Raises:
        InputError: a host without a space of texts, wrong window or stride, words or weights that cannot be used.
    """

    collects_losses = open_vocabulary = True
    align_corners = False

    def __init__(
        self,
        backbone: dict,
        vfm: dict,
        classes: str | Sequence[str],
        window: int = 336,
        stride: int = 112,
        prob_thd: float = 0.0,
        logit_scale: float = 40.0,
        vfm_size: tuple[int, int] | None = None,
        window_batch: int = 8,
        data_preprocessor: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor)
        if not 0 < stride <= window:
            raise InputError(
                f'ProxyCLIP: received window={window}, stride={stride}; expected 0 < stride ≤ window, such as 336 and '
                '112.'
            )
        if not 0 <= prob_thd < 1:
            raise InputError(f'ProxyCLIP: received prob_thd={prob_thd}, expected a probability in [0, 1).')
        self.vocabulary = vocabulary(classes)
        if len(self.vocabulary.classes) < 2:
            raise InputError(
                f'ProxyCLIP: received the single class {self.vocabulary.classes[0]!r}, which every pixel would belong '
                'to. Name what else may be seen.'
            )
        self.backbone = MODELS.build(dict(backbone, out_type='featmap'))
        if not hasattr(self.backbone.view, 'project'):
            raise InputError(
                f'ProxyCLIP: {self.backbone.view.name} has no space of texts. Use an open_clip host '
                '(mmsparse.ProxyClipViT).'
            )
        try:
            self.vfm = MODELS.build(vfm)
        except InputError as error:  # the way to provide weights, told for this place in the config
            raise InputError(str(error).replace('model.backbone.host', 'model.vfm.host')) from error
        self.vfm.requires_grad_(False)
        if getattr(self.vfm, 'out_type', 'featmap') != 'featmap':
            raise InputError(f"ProxyCLIP: received vfm.out_type={self.vfm.out_type!r}, expected 'featmap'.")
        self.window, self.stride, self.window_batch = window, stride, window_batch
        self.prob_thd, self.vfm_size = prob_thd, vfm_size
        patches = [self.backbone.view.patch] + ([] if vfm_size else [patch_of(self.vfm)])
        self.multiple = tuple(math.lcm(*sides) for sides in zip(*patches))
        clip = {key: backbone['host'][key] for key in ('name', 'checkpoint', 'pretrained') if key in backbone['host']}
        self.texts = TextHead(
            self.backbone.view.project,
            text_bank(self.vocabulary.queries, **clip),
            self.vocabulary.query_class,
            logit_scale,
        )
        if said := warning(self):
            print_log(f'ProxyCLIP: {said}.', 'current', logging.WARNING)
        arriving = applied(self) or self.backbone.view.pixels or CLIP_PIXELS
        wanted = getattr(self.vfm, 'view', self.vfm).pixels or VFM_PIXELS
        clip_mean, clip_std, vfm_mean, vfm_std = (
            torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (*arriving, *wanted)
        )
        self.register_buffer('vfm_factor', (clip_std / vfm_std).float(), persistent=False)
        self.register_buffer('vfm_shift', ((clip_mean - vfm_mean) / vfm_std).float(), persistent=False)

    def init_weights(self) -> None:
        """Leave every weight as loaded."""
        self._is_init = True

    def train(self, mode: bool = True) -> ProxyCLIP:
        """Set the mode; the proxy stays in evaluation mode."""
        super().train(mode)
        self.vfm.train(False)
        return self

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Return CLIP's features on the VFM's grid, after the final norm, B×C×h×w; `texts.unit` brings them into the
        space of the texts.

        Args:
            inputs: windows, B×3×H×W, normalised for CLIP; both patch sizes divide them.
        """
        return self.backbone.outputs(self._encode(inputs))[-1]

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict] | None = None) -> Tensor:
        """Return the cosine of every query at every pixel of whole images, B×Q×H×W."""
        cuts = boxes(*inputs.shape[-2:], self.window, self.stride)
        windows = cut(inputs, cuts)
        said = [self._pixels(part) for part in windows.split(self.window_batch)]
        return join(torch.cat(said), cuts, inputs.shape[-2:])

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Return for every image the class of each pixel and, as seg_logits, the probability of every class."""
        # mmseg takes padding and flips back and resizes to the picture's own size; classes are decided only then.
        samples = self.postprocess_result(self.encode_decode(inputs), data_samples)
        for sample in samples:
            self.decide(sample, self.texts.probabilities(sample.seg_logits.data))
        return samples

    def decide(self, sample: SegDataSample, score_khw: Tensor) -> None:
        """Write the probabilities of the classes, and the class of each pixel, into a sample."""
        best_hw, class_hw = score_khw.max(0)
        sample.seg_logits.data = score_khw
        sample.pred_sem_seg.data = class_hw.masked_fill(best_hw < self.prob_thd, 0).unsqueeze(0)

    @property
    def out_channels(self) -> int:
        """What mmseg's SegTTAModel asks for first: it would take the softmax of probabilities, and no notice of the
        threshold.
        """
        raise InputError(
            "ProxyCLIP: its answers are probabilities already. Set tta_model=dict(type='mmsparse.ProxyCLIPTTA')."
        )

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Return the cross-entropy of the classes (each stands with its best word) and the losses of sparsifiers and
        adapters.

        Args:
            inputs: crops, B×3×H×W.
            data_samples: labels; 255 is ignored, and a batch without any other has loss 0.
        """
        truth_bhw = torch.cat([sample.gt_sem_seg.data for sample in data_samples]).long()
        ctx = LossContext(
            self,
            partial(self._encode, inputs),
            partial(self._finish, inputs.shape[-2:], truth_bhw),
            data_samples,
            lambda logits: dict(loss_ce=_cross_entropy(logits, truth_bhw)),
        )
        return collect(ctx, [*self.backbone.adapters, *self.backbone.sparsifiers])

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        """Return the cosines of windows on the VFM's grid, B×Q×h×w: what a window costs."""
        return self.texts(self.extract_feat(inputs))

    def _pixels(self, windows: Tensor) -> Tensor:
        """Cosines at every pixel of windows; what the patches do not divide is padded with zeros, as published, and
        cropped.
        """
        padded, (top, bottom, left, right) = pad_to(windows, self.multiple)
        cosine = F.interpolate(self._forward(padded), size=padded.shape[-2:], mode='bilinear', align_corners=False)
        return cosine[..., top:bottom, left:right]

    def _encode(self, inputs: Tensor, sparsify: bool = True, adapt: bool = True) -> list:
        inputs = inputs.to(self.vfm_factor.dtype)  # a model in bfloat16 gets its pixels in float32
        context = features(self.vfm, inputs * self.vfm_factor + self.vfm_shift, self.vfm_size)
        return self.backbone.encode(inputs, sparsify, adapt, context)

    def _finish(self, size: tuple[int, int], truth_bhw: Tensor, layers: list) -> Run:
        cosine = F.interpolate(
            self.texts(self.backbone.outputs(layers)[-1]), size=size, mode='bilinear', align_corners=False
        )
        logits = self.texts.logits(cosine)
        return Run(layers[-1], logits, lambda: dict(loss_ce=_cross_entropy(logits, truth_bhw)))


def _cross_entropy(logits: Tensor, truth_bhw: Tensor) -> Tensor:
    """Mean over the labelled pixels; 0 where there are none, of which PyTorch's mean is NaN."""
    labelled = (truth_bhw != IGNORED).sum().clamp(min=1)
    return F.cross_entropy(logits, truth_bhw, ignore_index=IGNORED, reduction='sum') / labelled
