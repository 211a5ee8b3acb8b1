"""Merge adapters into their host: a plain checkpoint with which the host's own library answers alike, as is tried."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import copy, deepcopy
from typing import NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmsparse.errors import InputError, refuse
from mmsparse.models.adapters.folding import hindrance, mergeable, unmerged

TOLERANCE = 1e-4  # share of the largest output by which two networks may differ; another order of sums gives 1e-6


class Library(NamedTuple):
    """A host library's counterpart of a model.

    Attributes:
        tensors: its checkpoint, by name.
        model: built by the library.
        answer: gives what `model` is to answer to the images at hand, B×K or B×C.
        options: arguments with which it was built, beyond those in the host's config.
        ask: gives the answer of `model` to images, where that is not what it returns.
    """

    tensors: dict[str, Tensor]
    model: nn.Module
    answer: Callable[[], Tensor]
    options: dict[str, str] = {}
    ask: Callable[[Tensor], Tensor] | None = None


def merge_adapters(model: nn.Module, cfg: Mapping) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Fold the adapters of a classifier into its host, for good, and return the host library's checkpoint.

    Its keys are for timm those of the host, with the trained head as ``head.*``; for mmpretrain an ImageClassifier's;
    for open_clip and transformers the visual tower's alone, which has no place for a head. A sparsifier is no weight
    of the host: the library computes all tokens.

    Args:
        model: the classifier, its adapter loaded.
        cfg: the config of the model.

    Returns:
        The tensors by name; and arguments, beyond those of the host in `cfg`, that make the library's model pool as
        this one does.

    Raises:
        InputError: an adapter that cannot merge; a head, neck or output that the library has no counterpart of.
    """
    backbone = model.backbone
    refuse(_obstacles(model))
    images = torch.randn(2, 3, *backbone.view.image_size, generator=torch.Generator().manual_seed(0))
    # refuses while the model is still whole; its tensors are the host's own
    library = _LIBRARIES[_package(model)](model, cfg, images)
    backbone.merge()
    if not _answers_alike(library, images):
        raise InputError(
            f'{type(library.model).__name__} would not answer as this model does: its pooling before the head is '
            'another than '
            f"out_type={backbone.out_type!r}. Train with out_type='pooled', the host's own."
        )
    return {name: value.contiguous() for name, value in library.tensors.items()}, library.options


def linear_head(model: nn.Module) -> nn.Linear:
    """Return the linear layer of a classifier that timm has a place for.

    Raises:
        InputError: another head, or a neck before it.
    """
    refuse(_neck(model))
    fc = getattr(model.head, 'fc', None)
    if not isinstance(fc, nn.Linear):
        raise InputError(
            f'received the head {type(model.head).__name__}, but a timm model ends in one linear layer. Use '
            'LinearClsHead.'
        )
    return fc


def _obstacles(model: nn.Module) -> Iterator[str]:
    """Say what of a model has no place in a plain checkpoint, before anything is changed."""
    adapters, view = model.backbone.adapters, model.backbone.view
    if apart := {type(adapter).__name__: adapter.apart for adapter in adapters if not adapter.folds}:
        yield (
            f'{", ".join(sorted(apart))} cannot merge into {view.name}: '
            f'{"; ".join(f"{name} {why}" for name, why in sorted(apart.items()))}. Keep the adapter as it is: '
            'mmsparse.load and tools/test.py run it. LoRA merges into every host.'
        )
    yield from hindrance(unmerged(adapters, mergeable(adapters, view)))
    yield from _neck(model)
    if (package := _package(model)) not in _LIBRARIES:
        yield f'{view.name} comes from the package {package}. Known libraries to merge for: {", ".join(_LIBRARIES)}.'


def _neck(model: nn.Module) -> Iterator[str]:
    if getattr(model, 'neck', None) is not None:
        yield "received a model with a neck, which a host library's files have no place for. Use a model without one."


def _package(model: nn.Module) -> str:
    return type(model.backbone.host).__module__.split('.')[0]


def _answers_alike(library: Library, images: Tensor) -> bool:
    if library.model.state_dict().keys() != library.tensors.keys():  # a norm that only one way of pooling has
        return False
    library.model.load_state_dict(library.tensors)
    library.model.eval()
    with torch.no_grad(), suppress(TypeError):  # two tokens for a head of one: mmpretrain's distilled DeiT
        expected, found = library.answer(), (library.ask or library.model)(images)
        return found.shape == expected.shape and bool(
            (found - expected).abs().max() <= TOLERANCE * expected.abs().max()
        )
    return False


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    return model.head(model.backbone.outputs(model.backbone.encode(images, sparsify=False)))


def _timm(model: nn.Module, cfg: Mapping, images: Tensor) -> Library:
    import timm

    fc = linear_head(model)
    host = {key: value for key, value in cfg['backbone']['host'].items() if key not in ('type', 'name', 'checkpoint')}
    heads = [head for head in ('head', 'head_dist') if hasattr(model.backbone.host, head)]  # DeiT's answer their mean
    tensors = {
        **model.backbone.host.state_dict(),
        **{f'{head}.{name}': value.clone() for head in heads for name, value in fc.state_dict().items()},
    }
    # Where timm pools another way by default its last norm may stand elsewhere: then no argument makes it read the
    # class token.
    pools = model.backbone.out_type == 'cls_token' and model.backbone.host.global_pool != 'token'
    for options in [dict(global_pool='token'), {}] if pools else [{}]:
        name = cfg['backbone']['host']['name'].split('.')[0]
        library = timm.create_model(name, pretrained=False, num_classes=fc.out_features, **{**host, **options})
        if library.state_dict().keys() == tensors.keys():
            break
    return Library(tensors, library, lambda: _logits(model, images), options)


def _mmpretrain(model: nn.Module, cfg: Mapping, images: Tensor) -> Library:
    host = {key: value for key, value in cfg['backbone']['host'].items() if key not in ('checkpoint', 'init_cfg')}
    out_type = model.backbone.out_type
    options = {} if out_type in ('pooled', model.backbone.host.out_type) else dict(out_type=out_type)
    # one that masks patches unless it is told not to: for a classifier it is the plain one
    if len(inspect.signature(type(model.backbone.host).forward).parameters) > 2:
        options = dict(dict(out_type=model.backbone.host.out_type), **options, type='mmpretrain.VisionTransformer')
        host.pop('mask_ratio', None)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        library = MODELS.build(
            dict(type='mmpretrain.ImageClassifier', backbone={**host, **options}, head=dict(cfg['head']))
        )
    parts = {'backbone': model.backbone.host, 'head': model.head}
    tensors = {f'{path}.{name}': value for path, part in parts.items() for name, value in part.state_dict().items()}
    for key in model.backbone.view.unread:
        tensors.pop(f'backbone.{key}', None)
    return Library(tensors, library, lambda: _logits(model, images), options)


def _open_clip(model: nn.Module, cfg: Mapping, images: Tensor) -> Library:
    backbone = model.backbone
    library = MODELS.build({**cfg['backbone']['host'], 'checkpoint': False}).host
    return Library(backbone.host.state_dict(), library, lambda: _pooled(backbone, images))


def _transformers(model: nn.Module, cfg: Mapping, images: Tensor) -> Library:
    view = copy(model.backbone.view)
    view.host = deepcopy(view.host)
    return Library(
        model.backbone.host.state_dict(), view.host, lambda: _pooled(model.backbone, images), ask=view.answer
    )


def _pooled(backbone: nn.Module, images: Tensor) -> Tensor:
    return backbone.view.pooled(backbone.forward_tokens(images, sparsify=False))


# By the package that a host comes from: timm has several views.
_LIBRARIES = {'timm': _timm, 'mmpretrain': _mmpretrain, 'open_clip': _open_clip, 'transformers': _transformers}
