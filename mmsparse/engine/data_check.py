"""What data and model must agree on, found before the first batch: labels, class names, what the pipeline makes, and what a score is called."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import cv2
import numpy as np
import torch

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
            f'{error.filename or loader}: no such file or folder for the data ({error.strerror or error}). Set data_root, data_prefix and '
            'ann_file of the dataset to where the data is.'
        ) from error
    except (RuntimeError, AssertionError) as error:
        # mmpretrain's words for folders, see its CustomDataset
        dataset = loader.get('dataset', {}) if isinstance(loader, Mapping) else {}
        if 'Found 0 files' in str(error):
            place = '/'.join(str(part) for part in (dataset.get('data_root'), dataset.get('data_prefix')) if part)
            raise InputError(
                f'{place}: no pictures found. Expected one folder of pictures per class; set data_root to the folder that holds them.'
            ) from error
        if 'number of subfolders' in str(error):
            found, names = re.findall(r'\((\d+)\)', str(error))
            raise InputError(
                f'{dataset.get("data_root")}: received {found} folders, but metainfo.classes has {names} names. Give one name per folder in '
                'alphabetical order of the folders, or leave metainfo.classes out.'
            ) from error
        raise


def leaves(dataset) -> Iterator:
    """The data sets inside wrappers: repeated, concatenated, sliced."""
    inner = [dataset.dataset] if hasattr(dataset, 'dataset') else getattr(dataset, 'datasets', None)
    if not isinstance(inner, list | tuple):
        yield dataset
        return
    for each in inner:
        yield from leaves(each)


def check_labels(dataset, split: str, classes: int) -> None:
    """Refuse labels that the head has no class for, and folders whose order is not that of the names.

    Args:
        dataset: of mmpretrain; others are passed over.
        split: its name, for the error.
        classes: of the head.
    """
    for leaf in leaves(dataset):
        where, folders, names = f'{split}_dataloader.dataset', list(getattr(leaf, 'folder_to_idx', ())), getattr(leaf, 'CLASSES', None) or ()
        if folders and {name.lower() for name in folders} <= SPLITS:
            raise InputError(
                f'{where}: received {leaf.img_prefix}, whose folders {", ".join(folders)} are parts of the data, expected one folder per class. '
                f'Set data_root to one of them, such as {leaf.img_prefix.rstrip("/")}/{folders[0]}.'
            )
        for index, (folder, name) in enumerate(zip(folders, names, strict=False)):
            if folder != name and (folder in names or name in folders):
                raise InputError(
                    f'{where}: metainfo.classes names class {index} {name!r}, but its pictures are those of the folder {folder!r}: folders count '
                    f'in alphabetical order. Set metainfo.classes={tuple(folders)}, or leave it out.'
                )
        if not hasattr(leaf, 'get_gt_labels') or folders:  # numbered by mmpretrain, and counted by then
            continue
        try:
            labels = np.asarray(leaf.get_gt_labels())
        except Exception:  # several labels per image, none at all, or labels that are made on the way
            continue
        if labels.ndim == 1 and labels.dtype.kind in 'iu' and len(labels) and not (labels.min() >= 0 and labels.max() < classes):
            start = ' They seem to count from 1: subtract 1.' if labels.min() == 1 and labels.max() == classes else ''
            raise InputError(
                f'{where}: received labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1} for {classes} classes.{start} '
                'Correct the annotation file, or the num_classes of the head.'
            )


def check_label_maps(batch, classes: int) -> None:
    """Refuse a label map with a label that is no class; 255 is void. Batches of other tasks pass.

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
            wrong = labels[(labels < 0) | (labels >= classes)].unique().tolist()
            if wrong:
                raise InputError(
                    f'{sample.get("seg_map_path") or sample.get("img_path")}: received the label {wrong[0]}, expected 0 to {classes - 1} for '
                    f'{classes} classes, or {VOID} for none. Correct the label map, or set reduce_zero_label=True or a label map of the '
                    'dataset where its labels count from 1.'
                )


def check_names(known: dict[str, tuple]) -> None:
    """Refuse data sets of one run that count the classes differently: the best state would be chosen by wrong answers.

    Args:
        known: class names by split.
    """
    (first, ours), *others = known.items() or [(None, None)]
    for split, theirs in others:
        for index, (here, there) in enumerate(zip(ours, theirs, strict=False)):
            if here != there:
                raise InputError(
                    f'{split}_dataloader.dataset: its class {index} is {there!r}, but in the {first} data {here!r}, so its labels would mean other '
                    'classes. Give both the same folders, or the same metainfo.classes.'
                )


def check_first_item(dataset, split: str) -> None:
    """Let the pipeline make one item; generators stay as they were.

    Raises:
        InputError: a step misses the picture.
    """
    drawn = random_state()
    try:
        item = dataset[0]
        if isinstance(item, dict) and 'data_samples' in item and 'inputs' not in item:
            raise KeyError('img')
    except KeyError as error:
        if error.args and error.args[0] in ('img', 'img_shape'):
            raise InputError(
                f'{split}_dataloader.dataset.pipeline: a step finds no {error.args[0]!r}, expected a first step that loads the picture, such as '
                "dict(type='mmsparse.LoadImage')."
            ) from error
        raise
    except cv2.error as error:
        raise InputError(f'{split}_dataloader.dataset.pipeline: a step fails at the first picture: {" ".join(str(error).split())[:300]}.') from error
    finally:
        set_random_state(drawn)


def check_score_names(runner) -> None:
    """Refuse a `save_best` or `monitor` that no validation will return: one item is evaluated where they name a score.

    Raises:
        InputError: names the scores that there are.
    """
    named = {'save_best': [key for hook in runner.hooks for key in getattr(hook, 'key_indicators', ())]}
    named['monitor'] = [hook.monitor for hook in runner.hooks if isinstance(getattr(hook, 'monitor', None), str)]
    wanted = {key: option for option, keys in named.items() for key in keys if key != 'auto'}
    if not wanted or not (scores := _scores(runner)):
        return
    for key, option in wanted.items():
        if key not in scores:
            raise InputError(f'{option}: received {key!r}, expected a score of val_evaluator: {", ".join(scores)}.')


def _scores(runner) -> list[str]:
    """Names of the scores of one item; none where one item is not enough."""
    loop, model, drawn = runner.val_loop, runner.model, random_state()
    training = model.training
    logging.disable(logging.ERROR)  # some metrics print a table
    try:
        with torch.no_grad():
            batch = loop.dataloader.collate_fn([loop.dataloader.dataset[0]])
            samples = [sample.to_dict() for sample in model.eval().val_step(batch)]
        names = []
        for metric in map(deepcopy, loop.evaluator.metrics):
            metric.process(batch, samples)
            names += [f'{metric.prefix}/{name}' if metric.prefix else name for name in metric.compute_metrics(metric.results)]
        return names
    except Exception:
        return []
    finally:
        logging.disable(logging.NOTSET)
        model.train(training)
        set_random_state(drawn)
