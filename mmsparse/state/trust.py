"""What may be built from a card that somebody else wrote: known types with harmless arguments, nothing else.

MMEngine's registry imports and calls whatever dotted path stands as a type, and some registered types read files or fetch code that their
arguments name. So the config is judged as data, before anything is built.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

from mmengine.model.weight_init import WEIGHT_INITIALIZERS
from torch import nn

from mmsparse.errors import InputError
from mmsparse.state.card import PACKAGES, Card
from mmsparse.utils.imports import register_segmentation

TYPE = re.compile(rf'(?:({"|".join(PACKAGES)})\.)?([A-Za-z]\w*)')
# Modules whose registered types only compute. Not among them: what reads files, fetches models by name (multimodal, Hugging Face, VPD) or
# evaluates text (mmpretrain's torchvision wrappers). What others registered in mmsparse's own tables, the caller has imported.
HARMLESS = re.compile(
    r'mmpretrain\.models\.(backbones|heads|losses|necks|classifiers\.(image|timm)$|utils\.(?!huggingface|vector_quantizer))'
    r'|mmseg\.models\.(backbones\.(?!vpd)|decode_heads|losses|necks|segmentors\.encoder_decoder|data_preprocessor)'
    r'|(mmpretrain|mmseg)\.datasets\.transforms\.(?!loading)|mmcv\.(cnn|transforms)\.|mmengine\.(model\.|utils\.dl_utils\.parrots_wrapper$)|torch\.nn\.modules\.'
)
DIRECTIVES = ('_base_', '_scope_', '_delete_', 'custom_imports')
SHIPPED = re.compile(r'mmsparse://\w+')  # host weights that travel with the package
PLACES = {'path', 'paths', 'url', 'uri', 'file', 'filename', 'dir', 'root', 'folder', 'checkpoint', 'ckpt', 'prefix', 'args'}
NAMES = ('type', 'name', 'model_name')  # where a dot belongs to a name
LOADERS = ('LoadImageFromFile', 'LoadImage')  # of mmcv and of mmsparse; their backends are refused by their keys
REMEDY = 'Read the card; if you trust it, write its model into a config of your own and use tools/test.py.'


def model_config(card: Card, file: str, host_checkpoint: str | None = None) -> dict:
    """Return the card's model config, safe to build for evaluation under the card's default scope.

    Args:
        card: of any origin.
        file: named in errors.
        host_checkpoint: the caller's file of host weights, instead of what the card names.

    Raises:
        InputError: something in it may not be built; the text names the place.
    """
    model = deepcopy(card.config.get('model'))
    if not isinstance(model, dict):
        raise InputError(f'{file}: received no model config on the card. {REMEDY}')
    preprocessor = model.setdefault('data_preprocessor', deepcopy(card.config.get('data_preprocessor')))
    for part, key in ((model, 'train_cfg'), (preprocessor, 'batch_augments')):  # Mixup and the like have no use here
        if isinstance(part, dict):
            part.pop(key, None)
    hosts = [_host(model, path, file) for path in card.frozen]
    weights = [_weights(host, file, host_checkpoint) for host in hosts]
    # A word that open_clip's own list must hold, no place: as harmless as the name of the host.
    tags = [host.pop('pretrained', None) if host.get('type') == 'mmsparse.OpenClipViT' else None for host in hosts]
    _judge(model, 'model', 'MODELS', scope_of(card, file), file)
    for host, checkpoint, tag in zip(hosts, weights, tags):
        host.update(dict(checkpoint=checkpoint) | ({} if tag is None else dict(pretrained=tag)))
    return model


def pipeline_config(card: Card, file: str) -> list[dict]:
    """Return the transforms that the card's test images go through, safe to build with TRANSFORMS under the card's default scope.

    What loads annotations is left out. The first step that is among `LOADERS` reads the file; a data set of arrays has none and gets
    `mmsparse.LoadImage`. Types get their package before their names, so that another default scope finds them too. JSON has made lists of tuples,
    which transforms tell apart: lists of numbers become tuples again.

    Raises:
        InputError: there are none, or one may not be built.
    """
    try:
        loader = card.config.get('test_dataloader') or card.config['val_dataloader']
        pipeline = deepcopy(list(loader['dataset']['pipeline']))
    except (KeyError, TypeError):
        raise InputError(f'{file}: its card has no test_dataloader.dataset.pipeline, so it does not say how images are prepared.') from None
    steps = [(index, step) for index, step in enumerate(pipeline) if 'Annotation' not in _bare(step)]
    for index, step in steps:
        _judge(step, f'test_dataloader.dataset.pipeline[{index}]', 'TRANSFORMS', scope_of(card, file), file)
    load = [] if any(_bare(step) in LOADERS for _, step in steps) else [dict(type='mmsparse.LoadImage')]
    if load and not card.normalisation.get('to_rgb'):  # networks here see RGB: where the card swaps no channels, its data set handed out RGB
        load[0]['to_rgb'] = True
    return _portable([*load, *(step for _, step in steps)], scope_of(card, file))


def scope_of(card: Card, file: str) -> str:
    """Return the card's default scope.

    Raises:
        InputError: not one of the four packages, or the card wants modules imported.
    """
    found = card.config.get('default_scope') or 'mmengine'
    if found not in PACKAGES:
        raise InputError(f'{file}: received default_scope {found!r} on the card, expected one of {", ".join(PACKAGES)}. {REMEDY}')
    if card.config.get('custom_imports'):
        raise InputError(f'{file}: the card asks for custom_imports; nothing is imported on behalf of a card. {REMEDY}')
    return found


def refuse_foreign_types(card: Card, file: str, ours: Any) -> None:
    """Refuse a card whose model names a type outside the packages, unless the config at hand names it too: it is the config that gets built there.

    Args:
        card: of any origin.
        file: named in the error.
        ours: the plain config of the model at hand.

    Raises:
        InputError: the card names such a type.
    """
    known = {name for _, name in _types(ours, 'model')}
    for place, name in _types(card.config.get('model'), 'model'):
        if not TYPE.fullmatch(name) and name not in known:
            raise InputError(_foreign(file, place, name))


def _judge(node: Any, place: str, kind: str, scope: str, file: str) -> None:
    """Walk a config; `kind` is the registry that its types must stand in."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            _judge(item, f'{place}[{index}]', kind, scope, file)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            here, words = f'{place}.{key}', set(key.lower().split('_'))
            if key in DIRECTIVES:
                raise InputError(f'{file}: the card holds {here}, which a card may not. {REMEDY}')
            if key == 'type':
                _judge_type(value, place, kind, scope, file)
            elif key == 'init_cfg':
                _judge_init(value, here, file)
            elif (words & PLACES and isinstance(value, str | Mapping)) or ('pretrained' in words and value):
                raise InputError(f'{file}: the card wants {here}={value!r} read; no file or address is opened on behalf of a card. {REMEDY}')
            elif isinstance(value, str):
                _judge_text(value, here, key, file)
            else:
                _judge(value, here, kind, scope, file)
    elif isinstance(node, str):
        _judge_text(node, place, '', file)


def _judge_type(name: Any, place: str, kind: str, scope: str, file: str) -> None:
    match = TYPE.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InputError(_foreign(file, place, name))
    # Looked up in the tables alone: `Registry.get` would go on to import what it does not find.
    packages = [match[1]] if match[1] else [scope, 'mmengine']
    package, target = next(((one, found) for one in packages if (found := _registered(kind, one, match[2])) is not None), (None, None))
    if target is None:
        raise InputError(f'{file}: {place}.type is {name!r} on the card, which is not registered in {" or ".join(packages)} ({kind}). {REMEDY}')
    home = getattr(target, '__module__', '')
    right = HARMLESS.match(home) and inspect.isclass(target) and (kind != 'MODELS' or issubclass(target, nn.Module))
    if package != 'mmsparse' and not right:
        raise InputError(f'{file}: {place}.type is {name!r} on the card; types of {home} are not built from a card. {REMEDY}')


def _judge_init(value: Any, place: str, file: str) -> None:
    for _, name in _types(value, place):
        if name not in WEIGHT_INITIALIZERS.module_dict or 'Pretrained' in name:
            raise InputError(f'{file}: {place} has the type {name!r} on the card, expected a way to draw weights, such as TruncNormal. {REMEDY}')


def _judge_text(text: str, place: str, key: str, file: str) -> None:
    if re.search(r'[/\\:~%$]', text) or ('.' in text and key not in NAMES):
        raise InputError(f'{file}: {place} is {text!r} on the card, which reads like a file or an address; neither is opened for a card. {REMEDY}')


def _host(model: dict, path: str, file: str) -> dict:
    node = model
    for part in path.split('.'):
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise InputError(f'{file}: the card lists a frozen model {path}, but its config has no model.{path}. Copy the folder again.')
    return node


def _weights(host: dict, file: str, given: str | None) -> str | bool | None:
    """Take the weights out of a host's config; return what to load: the caller's file, or what is no file of the card's choice."""
    checkpoint, init_cfg = host.pop('checkpoint', None), host.pop('init_cfg', None)
    if given is not None:
        return str(given)
    named = checkpoint or init_cfg
    if named and not (isinstance(named, str) and SHIPPED.fullmatch(named)):
        raise InputError(
            f'{file}: its host was loaded from {named!r}; no file is opened on behalf of a card. Pass host_checkpoint=FILE with the same weights; '
            'they are compared by fingerprint.'
        )
    return checkpoint


def _registered(kind: str, package: str, name: str) -> Any:
    registry = getattr(import_module(f'{package}.registry'), kind)
    registry.import_from_location()
    if package == 'mmsparse' and name not in registry.module_dict:
        register_segmentation()
    return registry.module_dict.get(name)


def _bare(step: Any) -> str:
    return str(step.get('type')).split('.')[-1] if isinstance(step, Mapping) else ''


def _portable(node: Any, scope: str) -> Any:
    if isinstance(node, Mapping):
        node = {key: _portable(value, scope) for key, value in node.items()}
        name = node.get('type', '.')  # peers look for a loader by its bare name, which every scope finds
        foreign = '.' not in name and name not in LOADERS and scope != 'mmengine' and _registered('TRANSFORMS', scope, name)
        return dict(node, type=f'{scope}.{name}') if foreign else node
    if isinstance(node, list):
        return tuple(node) if node and all(isinstance(item, int | float) for item in node) else [_portable(item, scope) for item in node]
    return node


def _types(node: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        if 'type' in node:
            yield place, str(node['type'])
        node = {f'.{key}': value for key, value in node.items()}
    elif isinstance(node, list | tuple):
        node = {f'[{index}]': value for index, value in enumerate(node)}
    else:
        return
    for key, value in node.items():
        yield from _types(value, place + key)


def _foreign(file: str, place: str, name: Any) -> str:
    return f'{file}: {place}.type is {name!r} on the card, expected a type registered in {", ".join(PACKAGES)}; nothing else is looked up. {REMEDY}'
