"""Which tensors of a checkpoint are the network: files keep it in nested dicts, under prefixes, beside other
things.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile, is_zipfile

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmsparse.errors import InputError

# How weights are called that were averaged over training, and those that were not.
AVERAGED = re.compile(r'(^|[._])(ema|teacher|target_(encoder|network|net|model)|averaged?|swa|momentum)([._]|$)')
PLAIN = ('state_dict', 'model', 'model_state_dict', 'module', 'network', 'net', 'encoder', 'backbone', 'student')


class Beside:
    """Stands for every object in a pickle that is no tensor: neither imported nor called."""

    def __init__(self, *args: object, **kwargs: object):
        pass

    def __setstate__(self, state: object) -> None:
        vars(self).update(state if isinstance(state, dict) else {})


def unpickled(file: Path) -> Any:
    """Read what `torch.save` or `torch.jit.save` wrote with ``weights_only=True``; of other objects (options, NumPy's
    scalars) a `Beside` is left.

    Raises:
        InputError: an object that torch does not let stand aside, such as a function of the operating system.
    """
    source = _without_program(file)
    try:
        beside = torch.serialization.get_unsafe_globals_in_checkpoint(source)
    except ValueError:  # the format before torch 1.6
        beside = []
    if source is not file:
        source.seek(0)
    try:
        with torch.serialization.safe_globals([(Beside, name) for name in beside]):
            return torch.load(source, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f'{file}: not a plain file of tensors, or damaged; other objects are never unpickled here. '
            f'Received: {_reason(error)}. Download it again, or where you trust it save the tensors alone: '
            'torch.save(torch.load(FILE, weights_only=False)[KEY], OUT) with the KEY they have.'
        ) from error


def _reason(error: Exception) -> str:
    """What torch's reader stopped at, without its advice to unpickle all the same."""
    told = re.search(r'WeightsUnpickler error:\s*(.*)', str(error))
    reason = told[1] if told else str(error).splitlines()[0]
    return re.sub(r"<class '.*Beside'>", 'one of another class', reason.split('. Please')[0]).rstrip('. ')


def network(content: Any, path: str) -> dict[str, Tensor]:
    """Return the named tensors of the network in a checkpoint; of several the averaged one, which is said.

    Raises:
        InputError: no tensors, or several networks of which none is known to be meant.
    """
    while networks := _networks(content):
        averaged = [name for name in networks if AVERAGED.search(name)]
        if 'state_dict' in networks:  # MMEngine exchanges the two on saving: its ema_state_dict is not averaged
            averaged = [name for name in averaged if name != 'ema_state_dict']
        choice = [*averaged, *(name for name in PLAIN if name in networks), *(networks if len(networks) == 1 else ())]
        if not choice:
            raise InputError(
                f'{path}: several networks are in it ({", ".join(networks)}), and none says that it is the one. Save '
                f'the one you mean alone: torch.save(torch.load(FILE, weights_only=True)[{next(iter(networks))!r}], '
                'OUT).'
            )
        if len(networks) > 1:
            print_log(f'{path}: of {", ".join(networks)} in it, {choice[0]} was taken.', 'current')
        content = networks[choice[0]]
    found = dict(_named(_items(content)))
    if not found:
        entries = f' of {", ".join(map(str, list(content)[:4])) or "nothing"}' if isinstance(content, dict) else ''
        raise InputError(
            f'{path}: no named tensors are in it, but a {type(content).__name__}{entries}. '
            'Expected the state_dict of a network, or a dict that holds one.'
        )
    return found


class Rooted(NamedTuple):
    """A network without the prefix under which it stands in a file.

    Args:
        state: its tensors.
        prefix: what was stripped.
        left: keys of the file that are not under it.
    """

    state: dict[str, Tensor]
    prefix: str
    left: list[str]


def rooted(state: Mapping[str, Tensor], marks: Sequence[str], path: str) -> Rooted:
    """Find a network by a key that it must have, whatever stands before it (`module.`, `backbone.`, `model.`...).

    Args:
        state: tensors of the file.
        marks: keys, the first that is found decides; where none is, the file is left as it is.
        path: for messages.

    Raises:
        InputError: several networks, of which not exactly one is averaged.
    """
    found = ({key.removesuffix(mark) for key in state if key == mark or key.endswith(f'.{mark}')} for mark in marks)
    prefixes = sorted(next(filter(None, found), {''}))
    named = ', '.join(map(repr, prefixes))
    chosen = prefixes if len(prefixes) == 1 else [prefix for prefix in prefixes if AVERAGED.search(prefix)]
    if len(chosen) != 1:
        raise InputError(
            f'{path}: several networks are in it, under {named}. Save the one you mean alone, without its prefix.'
        )
    (prefix,) = chosen
    if len(prefixes) > 1:
        print_log(f'{path}: of the networks under {named}, {prefix!r} was taken.', 'current')
    inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return Rooted(inside, prefix, [key for key in state if not key.startswith(prefix)])


def tell(path: str, prefix: str, left: Collection[str]) -> None:
    """Tell the user which prefix was stripped from the keys of a file, and which keys were left out."""
    parts = sorted({re.match(r'[^.\d]*', key)[0].rstrip('.') or key for key in left})
    said = [f'the prefix {prefix!r} was stripped'] if prefix else []
    if left:
        said += [f'{len(left)} tensors were left out ({", ".join(parts[:6])}{" and more" if len(parts) > 6 else ""})']
    if said:
        print_log(f'{path}: {", ".join(said)}.', 'current')


def _without_program(file: Path) -> Path | BytesIO:
    """The file; of a TorchScript archive a copy without its program: its tensors are stored as by `torch.save`, and
    nothing of it can run."""
    if not is_zipfile(file):
        return file
    with ZipFile(file) as archive:
        if not any(name.endswith('/constants.pkl') for name in archive.namelist()):
            return file
        copy = BytesIO()
        with ZipFile(copy, 'w') as kept:
            for name in archive.namelist():
                if '/code/' not in name and not name.endswith('/constants.pkl'):
                    kept.writestr(name, archive.read(name))
    copy.seek(0)
    return copy


def _items(content: Any) -> Mapping:
    return vars(content) if isinstance(content, Beside) else content if isinstance(content, Mapping) else {}


def _networks(content: Any) -> dict[str, Any]:
    """Entries of a dict that hold named tensors, other than the parts of one module and the memory of an optimiser."""
    if not isinstance(content, Mapping):
        return {}
    return {str(key): value for key, value in content.items() if 'param_groups' not in _items(value) and _holds(value)}


def _holds(value: Any) -> bool:
    return any(_networks(value)) or any(True for _ in _named(_items(value)))


def _named(items: Mapping, stem: str = '') -> Iterator[tuple[str, Tensor]]:
    """Tensors of a state dict, of a pickled module or of an archive, by the keys that its state dict has."""
    for name, value in items.items():
        if isinstance(value, Tensor):
            yield f'{stem}{name}', value
        elif isinstance(value, Beside):
            yield from _named(vars(value), f'{stem}{name}.')
        elif name in ('_parameters', '_buffers', '_modules'):
            yield from _named(value, stem)
