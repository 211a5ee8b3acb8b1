"""The test pipeline on a card: which transforms it has, safe to build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from mmsparse.errors import InputError, refuse
from mmsparse.state.card import Card
from mmsparse.state.trust import REMEDY, refuse_unsafe, registered, scope_of

LOADERS = ('LoadImageFromFile', 'LoadImage', 'OpenVideo')  # of mmcv and ours; backends are refused by their keys

PLACE = 'test_dataloader.dataset.pipeline'
STEPS = 100
LARGEST = 16_384  # pixels of an edge, and any other number of a transform
TIMES = 16  # by which a transform may enlarge an image


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
        pipeline = deepcopy(loader['dataset']['pipeline'])
    except (KeyError, TypeError):
        raise InputError(
            f'{file}: its card has no test_dataloader.dataset.pipeline, so it does not say how images are prepared.'
        ) from None
    refuse(f'{file}: {fault} {REMEDY}' for fault in _pipeline_faults(pipeline))
    steps = {index: step for index, step in enumerate(pipeline) if 'Annotation' not in _bare(step)}
    for index, step in steps.items():
        refuse_unsafe(step, f'{PLACE}[{index}]', 'TRANSFORMS', card, file)
    load = [] if any(_bare(step) in LOADERS for step in steps.values()) else [dict(type='mmsparse.LoadImage')]
    # networks see RGB: a data set whose channels are not swapped gave RGB
    if load and not card.normalisation.get('to_rgb'):
        load[0]['to_rgb'] = True
    return _portable([*load, *steps.values()], scope_of(card, file))


def _pipeline_faults(pipeline: Any) -> Iterator[str]:
    """Say what is no list of transforms, or asks for more than any machine should give to a stranger's card."""
    if not (isinstance(pipeline, list) and 0 < len(pipeline) <= STEPS):
        yield f'{PLACE}: received {str(pipeline)[:80]!r} on the card, expected a list of 1 to {STEPS} transforms.'
        return
    if odd := [step for step in pipeline if not (isinstance(step, dict) and isinstance(step.get('type'), str))]:
        yield f'{PLACE}: received {str(odd[0])[:80]!r} on the card, expected transforms, each with its type.'
    yield from _large_numbers(pipeline, PLACE)


def _large_numbers(node: Any, place: str, key: str = '') -> Iterator[str]:
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            inside = f'{place}.{name}' if isinstance(node, dict) else f'{place}[{name}]'
            yield from _large_numbers(value, inside, name if isinstance(node, dict) else key)
    elif isinstance(node, int | float) and not abs(node) <= (most := TIMES if 'factor' in key else LARGEST):
        yield f'{place}: received {node!r:.40} on the card, expected at most {most:,}.'


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
