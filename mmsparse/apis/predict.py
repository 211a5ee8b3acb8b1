"""`model.predict` of a loaded model: names and confidence, or maps of classes, for files, PIL images and arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mmsparse.apis.clip_reader import ClipReader, Span
from mmsparse.apis.picture_reader import Reader
from mmsparse.datasets.image_files import images_at
from mmsparse.datasets.video.video_files import videos_at
from mmsparse.errors import InputError
from mmsparse.state.pipeline import of_clips, pipeline_config
from mmsparse.state.trust import scope_of
from mmsparse.utils.value_checks import check_count

BATCH, MAPS = 32, 1  # a segmentor holds the logits of every pixel of a batch


class Choice(NamedTuple):
    """One class: its number, its name, and its probability."""

    label: int
    name: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image.

    Attributes:
        path: the file, or None where the image came as an array or a PIL image.
        top: the most probable classes, highest first; empty where there is an error.
        error: why there is no answer, or None.
        label, name, score: of the most probable class, or None.
    """

    path: Path | None
    top: tuple[Choice, ...] = ()
    error: str | None = None

    label = property(lambda self: self.top[0].label if self.top else None)
    name = property(lambda self: self.top[0].name if self.top else None)
    score = property(lambda self: self.top[0].score if self.top else None)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a segmentor says of one image.

    Attributes:
        path: the file, or None where the image came as an array or a PIL image.
        names: of all classes.
        label_hw: class of each pixel of the image in its own size, H×W, uint8 (int64 above 256 classes); None where
            there is an error.
        error: why there is no answer, or None.
        areas: pixels of each class by its name.
    """

    path: Path | None
    names: tuple[str, ...]
    label_hw: np.ndarray | None = None
    error: str | None = None

    @property
    def areas(self) -> dict[str, int]:
        counts = (
            [] if self.label_hw is None else np.bincount(self.label_hw.ravel(), minlength=len(self.names)).tolist()
        )
        return dict(zip(self.names, counts))


class Predictor:
    """The method `predict` of a model that `mmsparse.load` returns; given a tensor it is the model's own.

    Args:
        model: with a `card`; it is run in evaluation mode, on the device where it is.
        file: the card's file, named in errors.
    """

    def __init__(self, model: nn.Module, file: str):
        self.model, self.file, self.classifies = model, file, hasattr(model, 'head')
        classes = getattr(getattr(model, 'head' if self.classifies else 'decode_head', None), 'num_classes', 0)
        self.names = tuple(model.card.classes or map(str, range(classes or 0)))

    def __call__(
        self, inputs: Any, data_samples: list | None = None, *, batch_size: int | None = None, topk: int = 5, **kwargs
    ) -> Any:
        """Classify or segment images, or classify videos, prepared as the state's test data are by tools/test.py.

        Args:
            inputs: a path; a PIL image; an array H×W×3, RGB, uint8, as PIL gives it; a folder; or a list of these.
                Of a model of clips: a video, a `Span` of one, an array T×H×W×3, a folder, or a list. A
                tensor, normalised, goes to mmpretrain's or mmseg's own `predict(inputs, data_samples, **kwargs)`.
            batch_size: images that run at once; default 32 for a classifier, 1 for a segmentor or of videos.
            topk: at most so many classes in a `Prediction.top`.

        Returns:
            A `Prediction` or `Segmentation`; for a folder or a list a list of them, in order. For an image that cannot
            be read it has an `error` and no answer.

        Raises:
            InputError: a single image that cannot be read, a folder without images, wrong options.
        """
        if isinstance(inputs, Tensor) or data_samples is not None:
            return type(self.model).predict(self.model, inputs, data_samples, **kwargs)
        if kwargs:
            raise InputError(f'predict: received {", ".join(kwargs)}, expected batch_size and topk.')
        answers = list(self.stream(inputs, batch_size, topk))
        if not _is_one(inputs):
            return answers
        if answers[0].error:
            raise InputError(answers[0].error)
        return answers[0]

    def stream(self, inputs: Any, batch_size: int | None = None, topk: int = 5) -> Iterator[Prediction | Segmentation]:
        """Give the answers one by one, in order, for more images than memory holds; arguments as in `predict`."""
        batch_size = batch_size if batch_size is not None else BATCH if self.classifies and not self.clips else MAPS
        check_count('predict: received batch_size', batch_size, BATCH)
        check_count('predict: received topk', topk, 5)
        sources = self._sources(inputs)
        while batch := list(islice(sources, batch_size)):
            yield from self._answers(batch, topk)

    def picture(self, source: Any) -> Image.Image:
        """Return an image as it is loaded, in its own size.

        Raises:
            InputError: it cannot be read.
        """
        return Image.fromarray(self.reader.picture(source))

    def tokens(self, source: Any) -> Image.Image:
        """Draw which patch tokens a classifier keeps, fuses and drops, layer by layer, over what it sees of an image.

        Raises:
            InputError: it cannot be read, or the model is a segmentor.
        """
        from mmsparse.visualization import draw_stages, token_stages
        from mmsparse.visualization.clip_strip import clip_stages, draw_strip

        if not self.classifies:
            raise InputError(
                f'{self.file}: tokens are drawn for classifiers only, this is a {type(self.model).__name__}. Leave it '
                'out.'
            )
        inputs = self.reader(source)['inputs']
        if self.clips:
            clip_tchw = self.model.data_preprocessor(dict(inputs=[inputs]))['inputs'][0, 0]
            frames = [Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy()) for frame in inputs[0]]
            return draw_strip(frames, clip_stages(self.model.backbone, clip_tchw))
        bgr = self.model.card.normalisation.get('to_rgb') or not getattr(self.reader.load, 'to_rgb', False)
        seen_chw = (inputs.flip(0) if bgr else inputs).clamp(0, 255).byte()
        image = self.model.data_preprocessor(dict(inputs=[inputs]))['inputs'][0]
        return draw_stages(
            Image.fromarray(seen_chw.permute(1, 2, 0).numpy(force=True)), token_stages(self.model.backbone, image)
        )

    @cached_property
    def reader(self) -> Reader | ClipReader:
        """The card's test pipeline, built when it is first needed."""
        kind, card = ClipReader if self.clips else Reader, self.model.card
        return kind(self.pipeline, scope_of(card, self.file), self.file)

    @cached_property
    def pipeline(self) -> list[dict]:
        """Configs of the card's test pipeline."""
        return pipeline_config(self.model.card, self.file)

    @property
    def clips(self) -> bool:
        """Whether the model takes videos."""
        return of_clips(self.pipeline)

    def files(self, path: str | Path) -> list[Path]:
        """Return the file itself, or the images or videos below a folder.

        Raises:
            InputError: there are none.
        """
        return (videos_at if self.clips else images_at)(path)

    def _answers(self, sources: list, topk: int) -> list[Prediction | Segmentation]:
        """Answer for a batch; images of one size run together."""
        answers, groups = {}, defaultdict(dict)
        for index, source in enumerate(sources):
            try:
                packed = self.reader(source)
                groups[packed['inputs'].shape][index] = packed
            except InputError as error:
                answers[index] = self._answer(source, error=str(error))
        for group in groups.values():
            try:
                samples = self._run(list(group.values()))
                answers |= {
                    index: self._answer(sources[index], **self._said(sample, topk))
                    for index, sample in zip(group, samples, strict=True)
                }
            except InputError as error:  # a size that the host cannot take
                answers |= {index: self._answer(sources[index], error=str(error)) for index in group}
        return [answers[index] for index in range(len(sources))]

    @torch.no_grad()
    def _run(self, group: list[dict]) -> list:
        training = self.model.training
        self.model.eval()
        try:
            return self.model.test_step({key: [packed[key] for packed in group] for key in ('inputs', 'data_samples')})
        except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
            if isinstance(error, InputError | torch.OutOfMemoryError | NotImplementedError):
                raise
            # a card may hold what only shows when the model runs, such as a number of heads below zero
            raise InputError(
                f'{self.file}: the model on this card does not run ({type(error).__name__}: '
                f'{str(error).splitlines()[0] if str(error) else ""}). Use tools/test.py with a config of your own.'
            ) from error
        finally:
            self.model.train(training)

    def _said(self, sample: Any, topk: int) -> dict:
        if self.classifies:
            top = sample.pred_score.topk(min(topk, len(sample.pred_score)))
            labels = zip(top.indices.tolist(), top.values.tolist())
            return dict(
                top=tuple(
                    Choice(label, self.names[label] if self.names else str(label), score) for label, score in labels
                )
            )
        label_hw = sample.pred_sem_seg.data[0].numpy(force=True)
        return dict(label_hw=label_hw.astype(np.uint8) if len(self.names) <= 256 else label_hw)

    def _sources(self, inputs: Any) -> Iterator:
        """Give single images, those in folders and lists too."""
        if _is_one(inputs):
            yield Path(inputs) if isinstance(inputs, str) else inputs
        else:
            for one in self.files(inputs) if isinstance(inputs, str | Path) else inputs:
                yield from self._sources(one)

    def _answer(self, source: Any, **values) -> Prediction | Segmentation:
        path = Path(source) if isinstance(source, str | Path) else source.path if isinstance(source, Span) else None
        return Prediction(path, **values) if self.classifies else Segmentation(path, self.names, **values)


def _is_one(inputs: Any) -> bool:
    if isinstance(inputs, str | Path):
        return not Path(inputs).is_dir()
    return isinstance(inputs, Image.Image | np.ndarray | Span) or not isinstance(inputs, Iterable)
