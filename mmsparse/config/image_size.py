"""The size of the images, which stands in a config's host and in several steps of its pipelines, set everywhere at
once.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.config import Config

from mmsparse.errors import InputError

KEY = 'img_size'
STEPS = ('scale', 'crop_size', 'size', 'padding')  # arguments in pixels, of steps of a pipeline
WINDOWS = ('window', 'stride', 'crop_size', 'size')  # of a segmentor, its data preprocessor and test_cfg


def set_image_size(cfg: Config, size: int) -> None:
    """Let images of another size reach the network: all that is resized, cropped and padded keeps its proportion to
    it.

    Args:
        cfg: changed in place. What reaches its network now is `model.window`, else `model.data_preprocessor.size`
            (segmentors, whose hosts take images of any size), else the host's `img_size`.
        size: edge of the square image in pixels. Whether patches divide it is the host's to say.

    Raises:
        InputError: no edge in pixels, or the config names no size that could be changed.
    """
    if type(size) is not int or size < 1:
        raise InputError(f'{KEY}: received {size!r}, expected the edge of the image in pixels, such as {KEY}=384.')
    model = cfg.get('model') or {}
    host, preprocessor = (model.get('backbone') or {}).get('host') or {}, model.get('data_preprocessor') or {}
    windows = model.get('window') or (preprocessor.get('size') or [None])[0]
    now = windows or host.get('img_size')
    if type(now) is not int:
        raise InputError(
            f'{KEY}: received {size}, but this config names no size to be changed. Write '
            f'model.backbone.host.img_size={size} into it.'
        )
    for name in (
        'train_dataloader',
        'val_dataloader',
        'test_dataloader',
        'train_pipeline',
        'test_pipeline',
        'tta_pipeline',
    ):
        _scale(cfg.get(name), STEPS, size / now)
    if windows:
        for part in (model, preprocessor, model.get('test_cfg') or {}):
            _scale(part, WINDOWS, size / now, deep=False)
    else:
        host[KEY] = size


def _scale(node, keys: tuple[str, ...], factor: float, deep: bool = True) -> None:
    """Multiply lengths in a nest of configs."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in keys and isinstance(value, int | tuple | list) and not isinstance(value, bool):
                lengths = [round(each * factor) for each in ([value] if isinstance(value, int) else value)]
                node[key] = lengths[0] if isinstance(value, int) else tuple(lengths)
            elif deep:
                _scale(value, keys, factor)
    elif isinstance(node, list | tuple):
        for part in node:
            _scale(part, keys, factor)
