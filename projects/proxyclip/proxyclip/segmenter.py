"""Segment pictures with words of one's own: from a config to labels."""

from __future__ import annotations

from dataclasses import dataclass

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample

from mmsparse.registry import MODELS
from mmsparse.state.agreement import full_state_dict
from mmsparse.state.files import read_state

LONGEST = 1024  # pixels of an answer's longer side: every class has a map of this size while classes are compared


@dataclass(frozen=True)
class Answer:
    """What the model says of one picture.

    Args:
        picture_hw3: the picture in the size of the answer, RGB, uint8.
        label_hw: class of each pixel.
    """

    picture_hw3: np.ndarray
    label_hw: np.ndarray


class Segmenter:
    """A ProxyCLIP with the preprocessing of its config.

    Args:
        cfg: a config of this project, `model.classes` set.
        device: where it runs.
        adapter: folder of a trained state, or None.

    Raises:
        InputError: words, weights or an adapter that cannot be used.
    """

    def __init__(self, cfg: Config, device: str = 'cpu', adapter: str | None = None):
        with DefaultScope.overwrite_default_scope('mmseg'):
            self.model = MODELS.build(cfg.model)
        if adapter:
            state = read_state(adapter)
            state.verify()
            self.model.load_state_dict(full_state_dict(self.model, state))
        self.model.to(device).eval()
        self.scale = next(step.scale for step in cfg.test_pipeline if step.type == 'Resize')
        self.classes = self.model.vocabulary.classes

    @torch.no_grad()
    def __call__(self, picture_hw3: np.ndarray) -> Answer:
        """Segment one picture.

        Args:
            picture_hw3: BGR, uint8, any size.
        """
        shown = (
            mmcv.imrescale(picture_hw3, (LONGEST, LONGEST)) if max(picture_hw3.shape[:2]) > LONGEST else picture_hw3
        )
        resized = mmcv.imrescale(picture_hw3, tuple(self.scale))
        sample = SegDataSample(metainfo=dict(ori_shape=shown.shape[:2], img_shape=resized.shape[:2]))
        pixels = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))
        found = self.model.test_step(dict(inputs=[pixels], data_samples=[sample]))[0]
        return Answer(np.ascontiguousarray(shown[..., ::-1]), found.pred_sem_seg.data[0].numpy(force=True))
