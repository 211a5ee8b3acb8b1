"""Samplers and distributions of Optuna, built from what a sweep file names."""

from __future__ import annotations

from mmsparse.analysis.sweeps.sweep_file import Search
from mmsparse.errors import InputError, in_words
from mmsparse.utils.spelling import did_you_mean
from mmsparse.utils.value_checks import is_whole


def sampler(search: Search, taken: int = 0):
    """Build the sampler of a search.

    Args:
        taken: trials before; added to its seed, if it has one.

    Raises:
        InputError: Optuna has none of that name, or it refuses its arguments.
    """
    import optuna

    given = dict(search.sampler)
    if given['type'] == 'GridSampler':
        raise InputError(
            'search.sampler: received GridSampler, which lets several workers train one point. For a grid write lists '
            'of values under options, without a search.'
        )
    if is_whole(given.get('seed')):
        given['seed'] += taken
    return _built(optuna.samplers, given, 'search.sampler', 'Sampler')


def distributions(search: Search) -> dict:
    """Build the distribution of each searched value.

    Raises:
        InputError: Optuna has none of that name, or it refuses its arguments.
    """
    import optuna

    space = {
        path: given if isinstance(given, dict) else dict(type='CategoricalDistribution', choices=given)
        for path, given in search.space.items()
    }
    return {
        path: _built(optuna.distributions, given, f'search.space.{path}', 'Distribution')
        for path, given in space.items()
    }


def _built(module, given: dict, where: str, kind: str):
    known = [name for name in dir(module) if name.endswith(kind) and not name.startswith('Base')]
    arguments = dict(given)
    name = arguments.pop('type', None)
    if name not in known:
        hint = did_you_mean(str(name), known, most=1)
        raise InputError(f'{where}: received type {name!r}, expected one of {", ".join(known)}.{hint}')
    with in_words(f'{where}: Optuna refuses {given}', 'Correct its arguments.'):
        return getattr(module, name)(**arguments)
