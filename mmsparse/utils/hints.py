"""Look up types and arguments of configs; what is misspelt is answered with the nearest right spelling."""

import ast
import inspect
import textwrap
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

from mmsparse.errors import InputError
from mmsparse.utils.dependencies import SOMETIMES, not_installed
from mmsparse.utils.imports import register_segmentation
from mmsparse.utils.spelling import did_you_mean

# What any builder takes out of a config.
BUILDER_KEYS = {'type', '_scope_'}
FOREIGN = {'ImageFolder': 'CustomDataset'}  # names of other libraries that are not spelt like ours


def find_type(name, scope: str, where: str = 'type', registries: tuple[str, ...] = (), only: bool = False):
    """The class or function that a config's ``type`` means.

    Args:
        name: 'Name' (looked up in ``scope`` and MMEngine), 'scope.Name', a dotted Python path, or the object itself.
        scope: default scope, e.g. 'mmpretrain'.
        where: place in the config, for the error.
        registries: names of the registries that the place asks, e.g. 'DATASETS'; empty: all.
        only: whether what other registries hold is refused there.

    Raises:
        InputError: nothing of that name is registered.
    """
    if not isinstance(name, str):
        return name
    prefix, bare = Registry.split_scope_key(name)
    known = (
        _registered(prefix, registries)
        if prefix
        else {**_registered('mmengine', registries), **_registered(scope, registries)}
    )
    if bare in known:
        return known[bare]
    if prefix and callable(target := get_object_from_string(name)):
        return target
    if 'mmsparse' in (prefix, scope) and register_segmentation():
        return find_type(name, scope, where, registries, only)
    if prefix and find_spec(prefix) is None:
        packages = ('mmsparse', 'mmengine', 'mmpretrain', 'mmseg')
        hint = did_you_mean(prefix, packages, most=1, cutoff=0.8, write=lambda package: f'{package}.{bare}')
        hint = hint or ' Install it, or take a part of another package.'
        raise InputError(f'{where}: received type {name!r}, but no package {prefix} is installed.{hint}')
    elsewhere = {**_registered('mmengine'), **_registered(scope), **_registered(prefix or scope)} if registries else {}
    if bare in elsewhere and not only:
        return elsewhere[bare]
    spelled = {f'mmsparse.{key}': key for key in _registered('mmsparse', registries)}
    if prefix != 'mmsparse':
        spelled |= {f'{prefix}.{key}' if prefix else key: key for key in known}
    other = ', which is of another kind' if bare in elsewhere else ''
    raise InputError(f'{where}: received type {name!r}{other}, {_expected(FOREIGN.get(bare, bare), spelled, most=6)}')


def check_arguments(
    target, given: Mapping, where: str, read: Collection[str] = (), added: Collection[str] = (), complete: bool = True
) -> None:
    """Refuse arguments that a class or function does not take, and the lack of one that it needs.

    Args:
        target: class or function to be called.
        given: its config.
        where: place in the config, for the error.
        read: keys of the config that only the builder reads.
        added: arguments that a builder adds by itself; a config neither needs nor may have them.
        complete: whether nothing else is added, so that the lack of an argument is a mistake.
    """
    known, needed, closed = _signature(target)
    title = given['type'] if isinstance(given.get('type'), str) else getattr(target, '__name__', '')
    names = {name: name for name in (*known, *read) if name not in added}
    for key in given:
        if closed and key not in BUILDER_KEYS and key not in names:
            expected = _expected(str(key), names, most=20)
            inherited = (
                ''
                if 'Did you mean' in expected
                else ' Where an inherited config brought it, put _delete_=True beside type.'
            )
            raise InputError(f'{where}: {title} received argument {key!r}, {expected}{inherited}')
    if complete and (missing := [name for name in needed if name not in given and name not in added]):
        got = ', '.join(str(key) for key in given if key != 'type') or 'no argument'
        raise InputError(f'{where}: {title} needs {", ".join(missing)}; received {got}.')


def takes(target, name: str) -> bool:
    """Tell whether a class or function has an argument of that name."""
    return name in _signature(target)[0]


def _expected(received: str, spelled: Mapping[str, str], most: int) -> str:
    """'expected one of …, did you mean …?': what may be written, each with the part of it that is compared."""
    written = {part.lower(): text for text, part in spelled.items()}
    nearest = sorted(written[part] for part in get_close_matches(received.lower(), written, n=most, cutoff=0.0))
    more = '' if len(nearest) == len(written) else f' (the nearest of {len(written)})'
    hint = did_you_mean(received.lower(), written, most=1, write=lambda part: repr(written[part]))
    return f'expected one of{more}: {", ".join(nearest) or "none"}.{hint}'


def _registered(scope: str, registries: tuple[str, ...] = ()) -> dict:
    """Every name registered in a package, in some registries or in all, with what it stands for."""
    try:
        module = import_module(f'{scope}.registry')
    except ModuleNotFoundError:
        if scope in SOMETIMES:
            raise InputError(not_installed(scope)) from None
        return {}
    found = [
        value
        for name, value in vars(module).items()
        if isinstance(value, Registry) and value.scope == scope and (not registries or name in registries)
    ]
    for registry in found:
        registry.import_from_location()
    return {name: target for registry in found for name, target in registry.module_dict.items()}


def _signature(target) -> tuple[dict, list, bool]:
    """Arguments, those without default, and whether these are all; ``**kwargs`` hands on to the next class."""
    # mmpretrain's torchvision/NAME
    if isinstance(target, partial) and inspect.isclass(wrapped := target.keywords.get('transform')):
        target = wrapped
    if not (inspect.isclass(target) or inspect.isfunction(target)):
        return {}, [], False
    inits = (
        [vars(base)['__init__'] for base in target.__mro__ if '__init__' in vars(base)]
        if inspect.isclass(target)
        else [target]
    )
    known, needed, closed = {}, [], False
    for init in inits:
        parameters = (
            list(inspect.signature(init).parameters.values())[inspect.isclass(target) :]
            if init is not object.__init__
            else []
        )
        own = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if init is inits[0]:
            needed = [name for name, p in own.items() if p.default is p.empty]
        known = own | known
        rest = [p.name for p in parameters if p.kind == p.VAR_KEYWORD]
        if closed := not rest:
            break
        if not _hands_on(init, rest[0]):
            break
    return known, needed, closed


def _hands_on(init, rest: str) -> bool:
    """Tell whether a constructor does nothing with its ``**kwargs`` but hand them to the next class in line."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):
        return False
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == '__init__'
    ]
    handed = [
        key.value
        for call in calls
        for key in call.keywords
        if key.arg is None and getattr(key.value, 'id', '') == rest
    ]
    return len(handed) == 1 and sum(isinstance(node, ast.Name) and node.id == rest for node in ast.walk(tree)) == 1
