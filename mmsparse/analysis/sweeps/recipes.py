"""The configs of a sweep, read and checked before any run begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from mmsparse.analysis.sweeps.recipe_file import Recipe
from mmsparse.analysis.sweeps.search import distributions, sampler
from mmsparse.analysis.sweeps.sweep_file import Sweep
from mmsparse.config.check import check_config
from mmsparse.config.own_folder import KEY as OWN_FOLDER
from mmsparse.config.read import read_config
from mmsparse.engine.precision import choose
from mmsparse.errors import InputError
from mmsparse.state.card import plain

# What does not change an outcome, or is the run's own.
LOCAL = ('work_dir', 'filename', 'log_level', 'randomness', 'visualizer', 'vis_backends', 'experiment_name')


def recipes(sweep: Sweep, changes_of: Callable[[list[str]], dict], settle: bool = True) -> dict[str, Recipe]:
    """Return of each cell a digest of its config, without its seed and the values that are searched for.

    Args:
        sweep: what is to be trained.
        changes_of: reads KEY=VALUE texts as ``--cfg-options`` does.
        settle: measure once which number format is faster here, for all runs that would do so by themselves: on a
            busy machine some would take another, and a row would mix both.

    Raises:
        InputError: a config that cannot be built, or an option that it does not have; names the cell.
    """
    searched = {}
    if sweep.search:
        sampler(sweep.search)
        searched = {path: _some_value(given) for path, given in distributions(sweep.search).items()}
    found = {}
    for cell, (config, options) in sweep.cells().items():
        try:
            _check(config, changes_of([f'{path}={text}' for path, text in {**options, **searched}.items()]))
            cfg = read_config(config, changes_of([f'{path}={text}' for path, text in options.items()]))
        except InputError as error:
            raise InputError(f'{cell}: {error} Nothing was begun; finished runs stay.') from error
        settings = {key: value for key, value in plain(cfg.to_dict()).items() if key not in LOCAL}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]
        wrapper = cfg.get('optim_wrapper') or {}
        auto = str(wrapper.get('type')).endswith('AutocastOptimWrapper') and wrapper.get('dtype', 'auto') == 'auto'
        found[cell] = Recipe(digest, {'optim_wrapper.dtype': choose().name} if auto and settle else {})
    return found


def _check(config: str, changes: dict) -> None:
    cfg = read_config(config, changes)
    if OWN_FOLDER not in cfg:  # which is filled in from its pictures
        check_config(cfg)


def _some_value(distribution) -> object:
    return distribution.choices[0] if hasattr(distribution, 'choices') else distribution.low
