"""The test pipeline on a card: which transforms it has, safe to build."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmsparse.errors import InputError
from mmsparse.state.card import Card
from mmsparse.state.trust import refuse_unsafe, registered, scope_of

LOADERS = ('LoadImageFromFile', 'LoadImage', 'OpenVideo')  # of mmcv and ours; backends are refused by their keys


def pipeline_config(card: Card, file: str) -> list[dict]:
    """Return the transforms that the card's test images go through, safe to build under the scope of `scope_of`.

    Steps that load annotations are left out. A data set of arrays has none of the `LOADERS` and gets
    `mmsparse.LoadImage`. Types get their package before their names, so that they are found under another default
    scope too. Transforms tell tuples from lists, and JSON made lists of both: lists of numbers become tuples again.

    Raises:
        InputError: there are none, or one may not be built.
    """
    try:
        loader = card.config.get('test_dataloader') or card.config['val_dataloader']
        pipeline = deepcopy(list(loader['dataset']['pipeline']))
    except (KeyError, TypeError):
        raise InputError(
            f'{file}: its card has no test_dataloader.dataset.pipeline, so it does not say how images are prepared.'
        ) from None
    steps = {index: step for index, step in enumerate(pipeline) if 'Annotation' not in _bare(step)}
    for index, step in steps.items():
        refuse_unsafe(step, f'test_dataloader.dataset.pipeline[{index}]', 'TRANSFORMS', card, file)
    load = [] if any(_bare(step) in LOADERS for step in steps.values()) else [dict(type='mmsparse.LoadImage')]
    # networks see RGB: a data set whose channels are not swapped gave RGB
    if load and not card.normalisation.get('to_rgb'):
        load[0]['to_rgb'] = True
    return _portable([*load, *steps.values()], scope_of(card, file))


def of_clips(pipeline: list[dict]) -> bool:
    """Tell whether a pipeline reads videos."""
    return any(_bare(step) == 'OpenVideo' for step in pipeline)


def _bare(step: Any) -> str:
    """Return the type of a transform without its package."""
    return str(step.get('type')).split('.')[-1] if isinstance(step, Mapping) else ''


def _portable(node: Any, scope: str) -> Any:
    """Return a pipeline with packages before its types and tuples for its lists of numbers."""
    if isinstance(node, Mapping):
        node = {key: _portable(value, scope) for key, value in node.items()}
        name = node.get('type', '.')  # peers look for a loader by its bare name, which every scope finds
        foreign = (
            '.' not in name and name not in LOADERS and scope != 'mmengine' and registered('TRANSFORMS', scope, name)
        )
        return dict(node, type=f'{scope}.{name}') if foreign else node
    if isinstance(node, list):
        return (
            tuple(node)
            if node and all(isinstance(item, int | float) for item in node)
            else [_portable(item, scope) for item in node]
        )
    return node
