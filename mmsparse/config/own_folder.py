"""One's own pictures: what a config leaves open is filled in from a folder (--data) and a host (--host).

The recipe, by the number of training pictures n (the only place for it):

- batch: n / 8, from 8 to 50, so that small sets have several steps to an epoch too.
- length: the config's ten epochs, or as many as make 160 steps.
- learning rate: 3e-3 for a host of width 128 and batches of 50, in proportion to the roots of batch and of 1 / width:
  1.2e-3 for a ViT-B.
- five validations, the last at the end.
"""

from __future__ import annotations

import json
import math
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from mmsparse.config.image_size import KEY as IMAGE_SIZE
from mmsparse.datasets.class_folders import Labelled, read_folder
from mmsparse.errors import InputError
from mmsparse.models.backbones import SparseViT
from mmsparse.models.hosts.build import sketch
from mmsparse.models.hosts.named_hosts import Input, input_of, named_host
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.utils.hints import check_arguments, takes

KEY = 'own_folder'
SIZES = {'RandomResizedCrop': 'scale', 'RandomCrop': 'crop_size', 'CenterCrop': 'crop_size', 'Resize': 'scale'}


def fill_in(cfg: Config, args: Namespace) -> None:
    """Fill in a config that has ``own_folder``; that entry goes, so that a config like any other is written.

    Args:
        cfg: with `work_dir`. What it sets stays: batch size, epochs, learning rate, schedule, mean and std.
        args: the command line. Of it `data` and `host` (see `mmsparse.models.hosts.named_hosts.named_host`) stand for
            those of the config; `cfg_options` win over all that is derived; with `resume` the pictures must be those
            that the run began with.

    Raises:
        InputError: no folder, one that cannot be used, or other pictures than those that the run began with.
    """
    data, host, options, resume = (getattr(args, name, None) for name in ('data', 'host', 'cfg_options', 'resume'))
    options = dict(options or {})
    if IMAGE_SIZE in options:  # of whatever host --host names
        options['model.backbone.host.img_size'] = options.pop(IMAGE_SIZE)
    given = cfg.pop(KEY, None)
    if given is None:
        if data or host:
            raise InputError(
                f'{"--data" if data else "--host"}: {cfg.filename} names data and host itself. Use a config with '
                f'{KEY}, such as configs/sparse_tuning/tiny_custom.py, or change it with --cfg-options; another '
                'image set by --cfg-options data=svhn.'
            )
        return
    named = given.pop('data', None)
    data = data or named
    check_arguments(read_folder, given, KEY, added=('root',))
    if not data:
        raise InputError(
            f'{cfg.filename} takes its pictures from a folder: python tools/train.py {cfg.filename} --data FOLDER. '
            'To test or go on use the config that the run has written beside its states.'
        )
    if host:
        cfg.model.backbone.host = ConfigDict(named_host(host))
        cfg.merge_from_dict({key: value for key, value in options.items() if key.startswith('model.backbone.host.')})
    about, view = _fit_host(cfg)
    begun = resume and (Path(cfg.work_dir) if resume == 'auto' else Path(resume).parent)
    found = read_folder(data, **given)
    cfg.model.head.num_classes = cfg.data_preprocessor.num_classes = len(found.classes)
    lists = {
        part: _write_list(Path(cfg.work_dir), part, found.classes, rows, begun) for part, rows in found.parts.items()
    }
    for loader, part in (('train', 'train'), ('val', 'val'), ('test', 'test' if 'test' in lists else 'val')):
        dataset = cfg[f'{loader}_dataloader'].dataset
        dataset.data_root, dataset.ann_file = str(Path(data).resolve()), str(lists[part].resolve())
        _fit_pipeline(dataset.pipeline, view.image_size, about)
    _fit_schedule(cfg, options, len(found.parts['train']), view.width)
    if not about.sure:
        found.notes['pixels'] = (
            f'mean and std as timm has them for {cfg.model.backbone.host.name}; the file of weights does not say '
            'which it was trained with. Others: --cfg-options data_preprocessor.mean="[…]" '
            'data_preprocessor.std="[…]"'
        )
    if cfg.default_hooks.get('card'):
        cfg.default_hooks.card.notes = found.notes
    cfg.merge_from_dict({key: value for key, value in options.items() if key.split('.')[0] != KEY})


def _fit_host(cfg: Config) -> tuple[Input, View]:
    """Set the head's width, and mean and std where left open; return how images reach the host, and its view."""
    backbone, preprocessor = cfg.model.backbone, cfg.data_preprocessor
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        view = sketch(backbone.host)
        if backbone.out_type == 'cls_token' and not view.class_token:
            backbone.out_type = 'pooled'
            for part in sparsifier if isinstance(sparsifier := backbone.get('sparsifier'), list) else [sparsifier]:
                # its default reads the class token's attention
                if part and takes(MODELS.get(part.type), 'score'):
                    part.setdefault('score', 'received')
        with torch.device('meta'):
            output = SparseViT(host=backbone.host, out_type=backbone.out_type)(torch.zeros(1, 3, *view.image_size))[-1]
    cfg.model.head.in_channels = output.shape[-1]
    about = input_of(backbone.host, view)
    if about.pixels is None and not {'mean', 'std'} <= preprocessor.keys():
        raise InputError(
            f'{view.name}: nothing says by which mean and std its images are normalised. Add data_preprocessor.mean '
            'and .std, in values of 0 to 255, for instance with --cfg-options data_preprocessor.mean="[…]" '
            'data_preprocessor.std="[…]".'
        )
    for key, value in about.pixels._asdict().items() if about.pixels else ():
        preprocessor.setdefault(key, list(value))
    return about, view


def _fit_pipeline(pipeline: list, size: tuple[int, int], about: Input) -> None:
    """Let resizing and cropping end in the host's size, with its interpolation."""
    for step in pipeline:
        kind = step.type.split('.')[-1]
        if kind in SIZES:
            step[SIZES[kind]] = size if size[0] != size[1] else size[0]
        elif kind == 'ResizeEdge':
            step.scale = math.floor(max(size) / about.crop)
        if 'interpolation' in step:
            step.interpolation = about.interpolation


def _fit_schedule(cfg: Config, options: Mapping, pictures: int, width: int) -> None:
    """Fill in the recipe above where the config leaves it open."""
    loader, optimizer = cfg.train_dataloader, cfg.optim_wrapper.optimizer
    batch = loader.setdefault('batch_size', min(max(8, pictures // 8), 50, pictures))
    steps = math.ceil(pictures / batch)
    if 'train_cfg.max_epochs' not in options:
        cfg.train_cfg.max_epochs = max(cfg.train_cfg.max_epochs, math.ceil(160 / steps))
    epochs = cfg.train_cfg.max_epochs
    interval = cfg.train_cfg.setdefault('val_interval', math.ceil(epochs / 5))
    optimizer.setdefault('lr', float(f'{3e-3 * math.sqrt(batch / 50 * 128 / width):.2g}'))
    cfg.setdefault('auto_scale_lr', ConfigDict(enable=False, base_batch_size=batch))
    for name, every in (('checkpoint', interval), ('logger', min(steps, 50))):
        if cfg.default_hooks.get(name):
            cfg.default_hooks[name].interval = every


def _write_list(folder: Path, part: str, classes: list[str], rows: Labelled, begun: Path | None) -> Path:
    """Write an annotation file in OpenMMLab's format; a run that goes on must have it, with the same pictures."""
    file = folder / f'{part}.json'
    data = [dict(img_path=path, gt_label=label) for path, label in rows]
    text = json.dumps(dict(metainfo=dict(classes=classes), data_list=data), indent=0)
    before = begun / file.name if begun else None
    if before and before.is_file() and before.read_text() != text:
        old = {(row['img_path'], row['gt_label']) for row in json.loads(before.read_text())['data_list']}
        now = set(rows)
        raise InputError(
            f'{before}: a run goes on with the pictures that it began with; in this list {len(now - old)} are new and '
            f'{len(old - now)} are gone. Put the folder back as it was, or start a new run without --resume.'
        )
    folder.mkdir(parents=True, exist_ok=True)
    writing = file.with_suffix(f'.{os.getpid()}')  # every process of a distributed run writes the same
    writing.write_text(text)
    writing.replace(file)
    return file
