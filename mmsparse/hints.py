"""Look up types and arguments of configs; what is misspelt is answered with the nearest right spelling."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module

from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

from mmsparse.errors import InputError

# Builders take these keys out before they call the class; 'checkpoint' is taken by SparseViT from any host.
BUILDER_KEYS = {'type', '_scope_', 'priority', 'constructor', 'paramwise_cfg', 'checkpoint'}


def find_type(name, scope: str, where: str = 'type'):
    """The class or function that a config's ``type`` means.

    Args:
        name: 'Name' (looked up in ``scope`` and MMEngine), 'scope.Name', a dotted Python path, or the object itself.
        scope: default scope, e.g. 'mmpretrain'.
        where: place in the config, for the error.

    Raises:
        InputError: nothing of that name is registered.
    """
    if not isinstance(name, str):
        return name
    prefix, bare = Registry.split_scope_key(name)
    known = _registered(prefix) if prefix else {**_registered('mmengine'), **_registered(scope)}
    if bare in known:
        return known[bare]
    if prefix and callable(target := get_object_from_string(name)):
        return target
    from mmsparse.registry import register_segmentation  # that module imports this one

    if 'mmsparse' in (prefix, scope) and register_segmentation():
        return find_type(name, scope, where)
    spelled = {f'mmsparse.{key}': key for key in _registered('mmsparse')}
    if prefix != 'mmsparse':
        spelled |= {f'{prefix}.{key}' if prefix else key: key for key in known}
    raise InputError(f'{where}: received type {name!r}, {_expected(bare, spelled, most=6)}')


def check_arguments(target, given: Mapping, where: str, injected: frozenset = frozenset()) -> None:
    """Refuse arguments that a class or function does not take, and the lack of one that it needs.

    Args:
        target: class or function to be called.
        given: its config; keys that only builders read are passed over.
        where: place in the config, for the error.
        injected: arguments that a builder adds by itself; a config neither needs nor may have them.
    """
    known, needed, closed = _signature(target)
    title = given['type'] if isinstance(given.get('type'), str) else target.__name__
    names = {name: name for name in known if name not in injected}
    for key in given:
        if closed and key not in BUILDER_KEYS and key not in names:
            expected = _expected(key, names, most=20)
            inherited = '' if 'Did you mean' in expected else ' Where an inherited config brought it, put _delete_=True beside type.'
            raise InputError(f'{where}: {title} received argument {key!r}, {expected}{inherited}')
    if missing := [name for name in needed if name not in given and name not in injected]:
        got = ', '.join(str(key) for key in given if key != 'type') or 'no argument'
        raise InputError(f'{where}: {title} needs {", ".join(missing)}; received {got}.')


def _expected(received: str, spelled: Mapping[str, str], most: int) -> str:
    """'expected one of …, did you mean …?' over what may be written, each with the part of it that is compared; names the nearest few."""
    written = {part.lower(): text for text, part in spelled.items()}
    nearest = sorted(written[part] for part in get_close_matches(received.lower(), written, n=most, cutoff=0.0))
    close = [written[part] for part in get_close_matches(received.lower(), written, n=1, cutoff=0.6)]
    more = '' if len(nearest) == len(written) else f' (the nearest of {len(written)})'
    return f'expected one of{more}: {", ".join(nearest) or "none"}.' + (f' Did you mean {close[0]!r}?' if close else '')


def _registered(scope: str) -> dict:
    """Every name registered in a package, all kinds together; importing them is what a run does anyway."""
    try:
        module = import_module(f'{scope}.registry')
    except ModuleNotFoundError:
        return {}
    registries = [value for value in vars(module).values() if isinstance(value, Registry) and value.scope == scope]
    for registry in registries:
        registry.import_from_location()
    return {name: target for registry in registries for name, target in registry.module_dict.items()}


def _signature(target) -> tuple[dict, list, bool]:
    """Arguments, those without default, and whether the list is complete; ``**kwargs`` hands on to the next class in line."""
    inits = [vars(base)['__init__'] for base in target.__mro__ if '__init__' in vars(base)] if inspect.isclass(target) else [target]
    known, needed, closed = {}, [], False
    for init in inits:
        parameters = list(inspect.signature(init).parameters.values())[inspect.isclass(target) :]
        own = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if init is inits[0]:
            needed = [name for name, p in own.items() if p.default is p.empty]
        known = own | known
        if closed := not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return known, needed, closed
