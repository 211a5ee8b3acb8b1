"""What a sweep consists of: one YAML file, read without importing torch, as every worker does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from mmsparse.errors import InputError
from mmsparse.utils.packaged import config_file
from mmsparse.utils.spelling import did_you_mean
from mmsparse.utils.value_checks import is_list, is_whole

EXAMPLE = 'configs/sweeps/tiny_digits.yml'
PER_RUN = ('work_dir', 'randomness.seed', 'seed', 'resume', 'experiment_name')  # the sweep sets them itself
TASK = 'task'  # of VTAB-1K: another data set, not another method


@dataclass(frozen=True)
class Point:
    """What one trial of the queue trains.

    Attributes:
        name: its folder below the sweep's.
        cell: that of the config with these options, whatever seed or searched values.
        config: path.
        options: the text of ``--cfg-options`` by dotted path.
        seeds: a run for each.
        label: the config and the options that tell its cell from others with the same data; '' where the config does.
    """

    name: str
    cell: str
    config: str
    options: Mapping[str, str]
    seeds: tuple[int, ...]
    label: str = ''

    def folders(self) -> dict[int, str]:
        """Return the folder of each run below the sweep's, by seed."""
        alone = len(self.seeds) == 1 and self.name.endswith(f'/seed_{self.seeds[0]}')
        return {seed: self.name if alone else f'{self.name}/seed_{seed}' for seed in self.seeds}


@dataclass(frozen=True)
class Search:
    """Values that an Optuna sampler chooses.

    Args:
        space: by dotted path a list of choices, or a distribution of Optuna, ``{type: FloatDistribution, low: …}``.
        trials: how many points for each config and each combination of options.
        sampler: one of Optuna, ``{type: TPESampler, …}``.
    """

    space: Mapping[str, Any]
    trials: int
    sampler: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """Configs × options × seeds.

    Args:
        name: of the file, without suffix.
        configs: paths as for tools/train.py, relative to where it is called, or ``mmsparse::…``.
        seeds: a run each.
        options: for ``--cfg-options`` by dotted path: a value for all runs, or a list of values, of which each is
            combined with all others.
        metric: the score of validation, the higher the better, that is searched for and printed.
        search: values that are searched for instead; every point is then judged by its mean over the seeds.
    """

    name: str
    configs: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    options: Mapping[str, Any] = None
    metric: str = 'accuracy/top1'
    search: Search | None = None

    def cells(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Return config and options by name: that of the config, and the options that have several values.

        Raises:
            InputError: two of them have one name.
        """
        several = {path: value if is_list(value) else [value] for path, value in (self.options or {}).items()}
        short = _short([path for path, values in several.items() if len(values) > 1])
        cells = {}
        for config, *values in product(self.configs, *several.values()):
            options = dict(zip(several, map(_text, values)))
            label = ','.join(f'{short[path]}={text}' for path, text in options.items() if path in short)
            name = '/'.join(re.sub(r'[^\w.,=+-]+', '_', part)[:120] for part in (Path(config).stem, label) if part)
            if name in cells:
                raise InputError(
                    f'{self.name}: two of its runs would be called {name}. Give configs other file names, or write '
                    'each value once.'
                )
            cells[name] = (config, options)
        return cells

    def points(self) -> Iterator[Point]:
        """Yield what is to be trained: of a grid all runs, of a search every place of the queue without its values."""
        short = _short([path for path, value in (self.options or {}).items() if is_list(value) and len(value) > 1])
        for cell, (config, options) in self.cells().items():
            told = [f'{name}={options[path]}' for path, name in short.items() if path != TASK]
            point = partial(Point, cell=cell, config=config, options=options)
            label = ' '.join([Path(config).stem, *told]) if told else ''
            if self.search:
                for number in range(self.search.trials):
                    yield point(f'{cell}/trial_{number:03}', seeds=self.seeds, label=label)
            else:
                for seed in self.seeds:
                    yield point(f'{cell}/seed_{seed}', seeds=(seed,), label=label)


def read_sweep(path: str | Path) -> Sweep:
    """Read a sweep file.

    Raises:
        InputError: no such file, no YAML, unknown or missing entries, or a config that is not there.
    """
    path = Path(path)
    if not path.is_file() or path.suffix not in ('.yml', '.yaml'):
        beside = [other.name for other in path.parent.glob('*.yml')]
        hint = did_you_mean(path.name, beside, most=1, write=path.with_name)
        raise InputError(f'{path}: no such sweep file, expected YAML such as {EXAMPLE}.{hint}')
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f'{path}: no YAML ({" ".join(str(error).split())}). Correct the file.') from error
    known = [field.name for field in fields(Sweep) if field.name != 'name']
    _known(content, known, path, 'configs: [configs/peft/tiny_lora_digits.py]')
    for key, fits, expected in (
        ('configs', _texts, 'a list of configs, such as [configs/peft/tiny_lora_digits.py]'),
        ('seeds', _counts, 'a list of integers of at least 0, such as [0, 1, 2]'),
        ('options', lambda value: isinstance(value, dict), 'values by dotted path, such as train_cfg.max_epochs: 5'),
        ('metric', lambda value: isinstance(value, str), 'the name of a score, such as accuracy/top1'),
    ):
        if (key in content or key == 'configs') and not fits(content.get(key)):
            raise InputError(f'{path}: {key}: received {content.get(key)!r}, expected {expected}.')
    for option, value in content.get('options', {}).items():
        if option in PER_RUN or value == []:
            raise InputError(
                f'{path}: options: received {option}: {value}, expected entries of a config with a value or some; '
                'seeds and folders are set by the sweep.'
            )
    for config in content['configs']:
        config_file(config)
    for key in ('configs', 'seeds'):
        if len(set(content.get(key, []))) < len(content.get(key, [])):
            raise InputError(f'{path}: {key}: received {content[key]}, expected each once.')
    search = _search(content['search'], path) if 'search' in content else None
    lists = {key: tuple(content[key]) for key in ('configs', 'seeds') if key in content}
    return Sweep(path.stem, **{**content, **lists, 'search': search})


def _search(content: Any, path: Path) -> Search:
    where = f'{path}: search'
    _known(content, [field.name for field in fields(Search)], where, 'space: {…}, trials: 20, sampler: {…}')
    content = dict(dict(sampler=dict(type='TPESampler')), **content)
    if not (isinstance(content.get('space'), dict) and content['space']):
        raise InputError(f'{where}: received space {content.get("space")!r}, expected values by dotted path.')
    if not (is_whole(content.get('trials')) and content['trials'] > 0):
        raise InputError(f'{where}: received trials {content.get("trials")!r}, expected a number such as 20.')
    if not (isinstance(content['sampler'], dict) and isinstance(content['sampler'].get('type'), str)):
        raise InputError(f'{where}: received sampler {content["sampler"]!r}, expected {{type: TPESampler}}.')
    return Search(**content)


def _known(content: Any, known: list[str], where: str | Path, example: str) -> None:
    if not isinstance(content, dict):
        raise InputError(f'{where}: received {content!r}, expected some of {", ".join(known)}, such as {example}.')
    if unknown := [str(key) for key in content if key not in known]:
        hint = did_you_mean(unknown[0], known, most=1)
        raise InputError(f'{where}: nothing reads {unknown[0]!r}, expected some of: {", ".join(known)}.{hint}')


def _texts(value: Any) -> bool:
    return is_list(value) and all(isinstance(item, str) for item in value)


def _counts(value: Any) -> bool:
    return is_list(value) and all(is_whole(item) and item >= 0 for item in value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _short(paths: list[str]) -> dict[str, str]:
    """Return the shortest ends of dotted paths that tell them apart."""
    ends = {}
    for path in paths:
        parts = path.split('.')
        tails = ['.'.join(parts[-count:]) for count in range(1, len(parts) + 1)]
        ends[path] = next(
            (tail for tail in tails if sum(f'.{other}'.endswith(f'.{tail}') for other in paths) == 1), path
        )
    return ends
