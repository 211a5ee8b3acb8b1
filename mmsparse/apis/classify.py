"""Classify image files with a loaded adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from PIL import Image

from mmsparse.datasets.load_image import LoadImage
from mmsparse.errors import InputError
from mmsparse.state.folder import CARD
from mmsparse.state.trust import pipeline_config, scope_of
from mmsparse.visualization import draw_stages, token_stages

from .load import load

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif')


@dataclass(frozen=True)
class Answer:
    """What the model says of one image.

    Args:
        path: the file.
        scores: (class name, probability) pairs, highest first.
        picture: what the network saw, before normalisation.
    """

    path: Path
    scores: list[tuple[str, float]]
    picture: Image.Image


class Classifier:
    """An adapter with the preprocessing of its card.

    Args:
        adapter: folder of a state, or the adapter.safetensors in it.
        device: where it runs.
        host_checkpoint: see `mmsparse.load`.
    """

    def __init__(self, adapter: str | Path, device: str = 'cpu', host_checkpoint: str | None = None):
        self.model = load(adapter, device, host_checkpoint)
        if not hasattr(self.model, 'head'):
            raise InputError(
                f'{adapter}: this adapter belongs to a {type(self.model).__name__}, which does not classify images. '
                'To draw the predictions of a segmentor use tools/test.py CONFIG ADAPTER --show-dir FOLDER.'
            )
        card, file = self.model.card, str(Path(adapter) / CARD)
        steps = [step for step in pipeline_config(card, file) if not step['type'].split('.')[-1].startswith('LoadImage')]
        with DefaultScope.overwrite_default_scope(scope_of(card, file)):
            self.pipeline = Compose([LoadImage(), *steps])
        self.to_rgb = card.normalisation.get('to_rgb', False)

    def __call__(self, path: str | Path, topk: int = 5) -> Answer:
        """Classify a file.

        Raises:
            InputError: it is no image.
        """
        inputs_chw = self._read(path)
        with torch.no_grad():
            sample = self.model.predict(self._normalised(inputs_chw), None)[0]
        names = self.model.card.classes or [str(i) for i in range(len(sample.pred_score))]
        top = sample.pred_score.topk(min(topk, len(names)))
        scores = [(names[i], p) for i, p in zip(top.indices.tolist(), top.values.tolist())]
        return Answer(Path(path), scores, self._picture(inputs_chw))

    def tokens(self, path: str | Path) -> Image.Image:
        """Draw kept, fused and dropped patches, stage by stage, over what the network saw."""
        inputs_chw = self._read(path)
        return draw_stages(self._picture(inputs_chw), token_stages(self.model.backbone, self._normalised(inputs_chw)[0]))

    def _read(self, path: str | Path) -> torch.Tensor:
        inputs_chw = self.pipeline(dict(img_path=str(path)))['inputs']
        # Networks here see RGB. Where the card does not swap channels, its data set handed out RGB, and files are read as BGR.
        return inputs_chw if self.to_rgb else inputs_chw.flip(0)

    def _normalised(self, inputs_chw: torch.Tensor) -> torch.Tensor:
        return self.model.data_preprocessor(dict(inputs=inputs_chw[None].to(next(self.model.parameters()).device)))['inputs']

    def _picture(self, inputs_chw: torch.Tensor) -> Image.Image:
        rgb_chw = inputs_chw.flip(0) if self.to_rgb else inputs_chw
        return Image.fromarray(np.ascontiguousarray(rgb_chw.permute(1, 2, 0).numpy(force=True)))


def image_files(path: str | Path) -> list[Path]:
    """Return the image itself, or the images below a folder in the order of their names.

    Raises:
        InputError: nothing is there, or the folder holds no image.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(file for file in path.rglob('*') if file.suffix.lower() in IMAGES)
        if not found:
            raise InputError(f'{path}: no image in this folder. Expected files ending in {", ".join(IMAGES)}.')
        return found
    if not path.exists():
        raise InputError(f'{path}: no such image or folder.')
    return [path]
