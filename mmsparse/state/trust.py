"""What may be built from a card that somebody else wrote: known types with harmless arguments, nothing else.

MMEngine's registry imports and calls whatever dotted path a config gives as a type, and some registered types open
files or fetch code that their arguments name. So the config on a card is read as data before anything of it is built,
by three rules:

1. A type stands in a table of the four packages already, as a class of a module in `HARMLESS`, or in mmsparse's own
   tables, where the caller's plug-ins stand too once they are imported. Nothing is looked up, so nothing is imported.
2. No key steers how MMEngine reads the config (`DIRECTIVES`) or names a place (`PLACES`, `pretrained`): hosts pass
   arguments on to timm, which opens the file or address that such a key holds.
3. No text, under whatever key, reads like a file or an address.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

from mmengine.model.weight_init import WEIGHT_INITIALIZERS
from torch import nn

from mmsparse.errors import InputError, refuse
from mmsparse.state.card import PACKAGES, Card
from mmsparse.utils.imports import register_segmentation

TYPE = re.compile(rf'(?:({"|".join(PACKAGES)})\.)?([A-Za-z]\w*)')
# Rule 1: modules whose registered types, some 340, only compute. Not among them: what reads files, fetches models by
# name (multimodal, Hugging Face, VPD) or evaluates text (mmpretrain's torchvision wrappers). Types in mmsparse's own
# tables are ours or the caller's, who has imported them.
HARMLESS = re.compile(
    r'mmpretrain\.models\.(backbones|heads|losses|necks|classifiers\.(image|timm)$|utils\.(?!huggingface|vector_quantizer))'
    r'|mmseg\.models\.(backbones\.(?!vpd)|decode_heads|losses|necks|segmentors\.encoder_decoder|data_preprocessor)'
    r'|(mmpretrain|mmseg)\.datasets\.transforms\.(?!loading)|mmcv\.(cnn|transforms)\.|mmengine\.(model\.|utils\.dl_utils\.parrots_wrapper$)|torch\.nn\.modules\.'
)
# Rule 2: entries of MMEngine's config language and scope switch, and words of which one in a key (text_path,
# backend_args) means a place.
DIRECTIVES = ('_base_', '_scope_', '_delete_', 'custom_imports')
PLACES = {
    'path',
    'paths',
    'url',
    'uri',
    'file',
    'filename',
    'dir',
    'root',
    'folder',
    'checkpoint',
    'ckpt',
    'prefix',
    'args',
}
NAMES = ('type', 'name', 'model_name')  # rule 3: the keys whose texts may hold a dot, as timm's names of weights do
SHIPPED = re.compile(r'mmsparse://\w+')  # host weights that travel with the package
REMEDY = 'Read the card; if you trust it, write its model into a config of your own and use tools/test.py.'


def model_config(card: Card, file: str, host_checkpoint: str | None = None) -> dict:
    """Return the card's model config, safe to build for evaluation under the scope that `scope_of` gives.

    Args:
        card: of any origin.
        file: the card's, named in errors.
        host_checkpoint: the caller's file of host weights, loaded instead of what the card names.

    Raises:
        InputError: something in it may not be built; the text names the place.
    """
    model = deepcopy(card.config.get('model'))
    if not isinstance(model, dict):
        _refuse(file, ['received no model config on the card.'])
    preprocessor = model.setdefault('data_preprocessor', deepcopy(card.config.get('data_preprocessor')))
    for part, key in ((model, 'train_cfg'), (preprocessor, 'batch_augments')):  # for training only: Mixup and the like
        if isinstance(part, dict):
            part.pop(key, None)
    weights = [(host, _weights(host, file, host_checkpoint)) for host in (_host(model, path) for path in card.frozen)]
    refuse_unsafe(model, 'model', 'MODELS', card, file)
    for host, entries in weights:
        host.update(entries)
    return model


def scope_of(card: Card, file: str) -> str:
    """Return the card's default scope.

    Raises:
        InputError: not one of the four packages.
    """
    found = card.config.get('default_scope') or 'mmengine'
    if found not in PACKAGES:
        _refuse(file, [f'received default_scope {found!r} on the card, expected one of {", ".join(PACKAGES)}.'])
    return found


def plug_ins(card: Card) -> str:
    """Return ' Its run had custom_imports …', a sentence for errors, or nothing where it had none.

    They are a text to read: who trusts the modules imports them, and their types are then registered.
    """
    found = card.config.get('custom_imports')
    named = found.get('imports') if isinstance(found, Mapping) else found
    if not named:
        return ''
    text = ', '.join(named) if isinstance(named, list) and all(isinstance(name, str) for name in named) else named
    return (
        f' Its run had custom_imports of {text!r}, and nothing is imported on behalf of a card: if you trust what you '
        'have under that name, import it before you load.'
    )


def refuse_foreign_types(card: Card, file: str, ours: Any) -> None:
    """Refuse a card whose model names a type outside the packages, unless the config at hand, `ours`, names it too.

    Nothing of the card is built there; but no run of this config wrote it.
    """
    known = {name for _, name in _types(ours, 'model')}
    named = _types(card.config.get('model'), 'model')
    _refuse(file, (_foreign(place, name) for place, name in named if not TYPE.fullmatch(name) and name not in known))


def refuse_unsafe(node: Any, place: str, kind: str, card: Card, file: str) -> None:
    """Refuse a part of a card's config that breaks a rule; `kind` is the registry in which its types must stand.

    Raises:
        InputError: the text names the place in the config, which begins with `place`.
    """
    _refuse(file, _faults(node, place, kind, scope_of(card, file)), plug_ins(card))


def _refuse(file: str, faults: Iterable[str], more: str = '') -> None:
    refuse(f'{file}: {fault}{more} {REMEDY}' for fault in faults)


def _faults(node: Any, place: str, kind: str, scope: str, key: str = '') -> Iterator[str]:
    """Say, a sentence each, what breaks the rules; `scope` is the package of types without one, `key` that of the
    node.
    """
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _faults(item, f'{place}[{index}]', kind, scope)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            here, words = f'{place}.{key}', set(key.lower().split('_'))
            if key in DIRECTIVES:
                yield f'the card holds {here}, which a card may not.'
            elif key == 'type':
                yield from _faults_of_type(value, place, kind, scope)
            elif key == 'init_cfg':
                odd = [
                    name
                    for _, name in _types(value, here)
                    if name not in WEIGHT_INITIALIZERS.module_dict or 'Pretrained' in name
                ]
                yield from (
                    f'{here} has the type {name!r} on the card, expected a way to draw weights, such as TruncNormal.'
                    for name in odd
                )
            elif (
                (words & PLACES and isinstance(value, str | Mapping))
                or ('pretrained' in words and value)
                or key == 'name'
                and _of_transformers(node)
            ):
                yield f'the card wants {here}={value!r} read; no file or address is opened on behalf of a card.'
            else:
                yield from _faults(value, here, kind, scope, key)
    elif isinstance(node, str) and (re.search(r'[/\\:~%$]', node) or ('.' in node and key not in NAMES)):
        yield f'{place} is {node!r} on the card, which reads like a file or an address; neither is opened for a card.'


def _faults_of_type(name: Any, place: str, kind: str, scope: str) -> Iterator[str]:
    """Apply rule 1; arguments as in `_faults`."""
    match = TYPE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        yield _foreign(place, name)
        return
    packages = [match[1]] if match[1] else [scope, 'mmengine']
    package, target = next(
        ((one, found) for one in packages if (found := registered(kind, one, match[2])) is not None), (None, None)
    )
    home = getattr(target, '__module__', '')
    right = HARMLESS.match(home) and inspect.isclass(target) and (kind != 'MODELS' or issubclass(target, nn.Module))
    if target is None:
        yield f'{place}.type is {name!r} on the card, which is not registered in {" or ".join(packages)} ({kind}).'
    elif package != 'mmsparse' and not right:
        yield f'{place}.type is {name!r} on the card; types of {home} are not built from a card.'


def registered(kind: str, package: str, name: str) -> Any:
    """Return what stands in a package's table, or None; `Registry.get` would try to import what is not there."""
    registry = getattr(import_module(f'{package}.registry'), kind)
    registry.import_from_location()
    if package == 'mmsparse' and name not in registry.module_dict:
        register_segmentation()
    return registry.module_dict.get(name)


def _host(model: dict, path: str) -> dict:
    """Return the config at a path, or an empty one: whether frozen models agree is found out when they are loaded."""
    node: Any = model
    for part in path.split('.'):
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def _weights(host: dict, file: str, given: str | None) -> dict:
    """Take what names weights out of a host's config, and return the entries that are safe to put back.

    They name the caller's file; or else weights that are no file of the card's choice: those of a name, random, or
    shipped with the package.
    """
    checkpoint, init_cfg = host.pop('checkpoint', None), host.pop('init_cfg', None)
    name = host.pop('name', None) if _of_transformers(host) else None
    named = name or checkpoint or init_cfg
    harmless = name is None and (not named or isinstance(named, str) and SHIPPED.fullmatch(named))
    if given is None and not harmless:
        raise InputError(
            f'{file}: its host was loaded from {named!r}; no file is opened on behalf of a card. Pass '
            'host_checkpoint=FILE with the same weights (of transformers their folder); they are compared by '
            'fingerprint.'
        )
    entries = dict(checkpoint=checkpoint if given is None else str(given)) | ({} if name is None else dict(name=name))
    # open_clip looks this word up in a list of its own: as harmless as the name of the host.
    tag = host.pop('pretrained', None) if host.get('type') == 'mmsparse.OpenClipViT' else None
    return entries if tag is None else dict(entries, pretrained=tag)


def _of_transformers(host: Mapping) -> bool:
    """Tell whether the `name` of a host is a place: a folder, or a repository that anybody may have opened."""
    return str(host.get('type')).split('.')[-1] == 'TransformersViT'


def _types(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Give the place and the name of every type in a config."""
    if isinstance(node, Mapping):
        if 'type' in node:
            yield place, str(node['type'])
        for key, value in node.items():
            yield from _types(value, f'{place}.{key}')
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _types(value, f'{place}[{index}]')


def _foreign(place: str, name: Any) -> str:
    return (
        f'{place}.type is {name!r} on the card, expected a type registered in {", ".join(PACKAGES)}; nothing else is '
        'looked up.'
    )
