"""Drawn predictions of a test: one file for each picture, large enough to read what is written on it."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.structures import PixelData

from mmsparse.errors import InputError
from mmsparse.registry import HOOKS
from mmsparse.state.saved_tensors import unwrapped

SHORT_SIDE = 256  # pixels; smaller pictures are drawn larger by a whole factor


@HOOKS.register_module()
class DrawingHook(Hook):
    """Draw labels or label maps beside what was predicted, with mmpretrain's or mmseg's visualizer.

    Their own hooks write pictures of equal names in different folders into one file, and words of three pixels onto
    one of 32. Of several processes the first draws, as with theirs: the pictures that it tests.

    Args:
        out_dir: folder of the files, called after the picture and its number in the data.
        interval: every n-th picture is drawn.
    """

    def __init__(self, out_dir: str, interval: int = 1):
        if interval < 1:
            raise InputError(f'DrawingHook: received interval={interval}, expected 1 (every picture) or more.')
        self.out_dir, self.interval, self.seen = Path(out_dir), interval, 0

    def after_test_iter(self, runner, batch_idx: int, data_batch: dict, outputs: Sequence) -> None:
        """Draw the pictures of a batch."""
        bgr = getattr(unwrapped(runner.model).data_preprocessor, 'to_rgb', False)  # what the pipeline hands over
        for image, sample in zip(data_batch['inputs'], outputs):
            number = self.seen * get_world_size() + get_rank()  # as MMEngine deals the data out to processes
            if number % self.interval == 0:
                name = Path(sample.get('img_path') or 'picture').name
                self._draw(
                    runner.visualizer,
                    image.flip(0) if bgr else image,
                    sample,
                    str(self.out_dir / f'{name}_{number}.png'),
                )
            self.seen += 1

    def _draw(self, visualizer, image: torch.Tensor, sample, file: str) -> None:
        if 'pred_sem_seg' not in sample:
            picture = image.permute(1, 2, 0).cpu().numpy().astype('uint8')
            visualizer.visualize_cls(picture, sample, rescale_factor=_times(picture), out_file=file)
            return
        picture = mmcv.imread(sample.img_path, channel_order='rgb')
        times, larger = _times(picture), type(sample)()
        for name in ('pred_sem_seg', 'gt_sem_seg'):
            if name in sample:
                label_map = sample.get(name).data.repeat_interleave(times, -2).repeat_interleave(times, -1)
                setattr(larger, name, PixelData(data=label_map))
        visualizer.add_datasample(file, picture.repeat(times, 0).repeat(times, 1), larger, out_file=file)


def _times(picture) -> int:
    return max(1, -(-SHORT_SIDE // min(picture.shape[:2])))
