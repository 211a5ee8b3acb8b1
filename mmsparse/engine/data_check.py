"""What data and model must agree on before the first batch: labels, class names, pipelines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import cv2
import numpy as np

from mmsparse.engine.random_state import random_state, set_random_state
from mmsparse.errors import InputError

SPLITS = {'train', 'training', 'val', 'valid', 'validation', 'test', 'testing'}

VOID = 255  # of label maps, in mmseg and here


@contextmanager
def readable(loader) -> Iterator[None]:
    """Say in one sentence that the files of a data set are not where its config says.

    Args:
        loader: config of the loader.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f'{error.filename or loader}: no such file or folder for the data ({error.strerror or error}). Set '
            'data_root, data_prefix and ann_file of the dataset to where the data is.'
        ) from error
    except (RuntimeError, AssertionError) as error:  # mmpretrain's words for folders, see its CustomDataset
        dataset = loader.get('dataset', {}) if isinstance(loader, Mapping) else {}
        place = '/'.join(str(part) for part in (dataset.get('data_root'), dataset.get('data_prefix')) if part)
        if 'Found 0 files' in str(error):
            text = (
                f'{place}: no pictures found. Expected one folder of pictures per class; set data_root to the folder '
                'that holds them.'
            )
        elif 'number of subfolders' in str(error):
            found, names = re.findall(r'\((\d+)\)', str(error))
            text = (
                f'{place}: received {found} folders, but metainfo.classes has {names} names. Give one name per folder '
                'in alphabetical order of the folders, or leave metainfo.classes out.'
            )
        else:
            raise
        raise InputError(text) from error


def leaves(dataset) -> Iterator:
    """The data sets inside wrappers: repeated, concatenated, sliced."""
    if '_dataset' in getattr(dataset, '__dict__', ()):  # a part of it, of MMEngine's runner
        dataset = dataset._dataset
    inner = [dataset.dataset] if hasattr(dataset, 'dataset') else getattr(dataset, 'datasets', None)
    if not isinstance(inner, list | tuple):
        yield dataset
        return
    for each in inner:
        yield from leaves(each)


def label_faults(dataset, split: str, where: str, classes: int) -> Iterator[str]:
    """Say where classes or labels of a data set are not a head's, and its folders not in the order of its names.

    Args:
        dataset: labels are read from mmpretrain's; others say their classes only.
        split: its name.
        where: place of the head in the model.
        classes: of the head.
    """
    names = getattr(dataset, 'metainfo', {}).get('classes')
    if names is not None and len(names) != classes:
        some = ', '.join(map(str, names[:4])) + (' ...' if len(names) > 4 else '')  # enough to recognise a data set
        yield (
            f'model.{where}.num_classes is {classes}, but the {split} data ({dataset.__class__.__name__}) has '
            f'{len(names)} classes: {some}. Set model.{where}.num_classes={len(names)}, or use data with {classes} '
            'classes.'
        )
    place = f'{split}_dataloader.dataset'
    for leaf in leaves(dataset):
        folders, names = list(getattr(leaf, 'folder_to_idx', ())), getattr(leaf, 'CLASSES', None) or ()
        if folders and {name.lower() for name in folders} <= SPLITS:
            yield (
                f'{place}: received {leaf.img_prefix}, whose folders {", ".join(folders)} are parts of the data, '
                'expected one folder per class. Set data_root to one of them, such as '
                f'{leaf.img_prefix.rstrip("/")}/{folders[0]}.'
            )
        for index, (folder, name) in enumerate(zip(folders, names, strict=False)):
            if folder != name and (folder in names or name in folders):
                yield (
                    f'{place}: metainfo.classes names class {index} {name!r}, but its pictures are those of the '
                    f'folder {folder!r}: folders count in alphabetical order. Set metainfo.classes={tuple(folders)}, '
                    'or leave it out.'
                )
        if not hasattr(leaf, 'get_gt_labels') or folders:  # numbered by mmpretrain, and counted by then
            continue
        try:
            labels = np.asarray(leaf.get_gt_labels())
        except Exception:  # several labels per image, none at all, or labels that are made on the way
            continue
        if (
            labels.ndim == 1
            and labels.dtype.kind in 'iu'
            and len(labels)
            and not (labels.min() >= 0 and labels.max() < classes)
        ):
            start = ' They seem to count from 1: subtract 1.' if labels.min() == 1 and labels.max() == classes else ''
            yield (
                f'{place}: received labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1} for '
                f'{classes} classes.{start} Correct the annotation file, or the num_classes of the head.'
            )


def label_map_faults(batch, classes: int) -> Iterator[str]:
    """Say which label maps have a label that is no class; 255 is void. Batches of other tasks pass.

    Args:
        batch: of a loader of mmseg; with test-time augmentation, lists of views.
        classes: how many there are.
    """
    samples = list(batch.get('data_samples', ())) if isinstance(batch, Mapping) else []
    while samples:
        sample = samples.pop()
        if isinstance(sample, list | tuple):
            samples.extend(sample)
        elif (truth := getattr(sample, 'gt_sem_seg', None)) is not None:
            labels = truth.data[truth.data != VOID]
            for wrong in labels[(labels < 0) | (labels >= classes)].unique().tolist():
                yield (
                    f'{sample.get("seg_map_path") or sample.get("img_path")}: received the label {wrong}, expected 0 '
                    f'to {classes - 1} for {classes} classes, or {VOID} for none. Correct the label map, or set '
                    'reduce_zero_label=True or a label map of the dataset where its labels count from 1.'
                )


def name_faults(known: dict[str, tuple]) -> Iterator[str]:
    """Say which data sets of one run count the classes differently: the best state would be chosen by wrong answers.

    Args:
        known: class names by split.
    """
    (first, ours), *others = known.items() or [(None, None)]
    for split, theirs in others:
        for index, (here, there) in enumerate(zip(ours, theirs, strict=False)):
            if here != there:
                yield (
                    f'{split}_dataloader.dataset: its class {index} is {there!r}, but in the {first} data {here!r}, '
                    'so its labels would mean other classes. Give both the same folders, or the same '
                    'metainfo.classes.'
                )


def item_faults(dataset, split: str) -> Iterator[str]:
    """Let the pipeline make one item; say which step misses or refuses the picture. Random states are kept."""
    drawn, fault, missing = random_state(), '', None
    try:
        item = dataset[0]
        if isinstance(item, dict) and 'data_samples' in item and 'inputs' not in item:
            missing = 'img'
    except KeyError as error:
        if not error.args or (missing := error.args[0]) not in ('img', 'img_shape'):
            raise
    except cv2.error as error:
        fault = f'a step fails at the first picture: {" ".join(str(error).split())[:300]}.'
    finally:
        set_random_state(drawn)
    if missing:
        fault = (
            f'a step finds no {missing!r}, expected a first step that loads the picture, such as '
            "dict(type='mmsparse.LoadImage')."
        )
    if fault:
        yield f'{split}_dataloader.dataset.pipeline: {fault}'
