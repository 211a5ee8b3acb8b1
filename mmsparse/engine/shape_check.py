"""Heads and necks of a wrong width, found before there is data: one black image (clip) goes through the model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from mmsparse.errors import InputError, refuse
from mmsparse.evaluation.model_input import input_shape
from mmsparse.models.backbones import SparseViT
from mmsparse.state.saved_tensors import unwrapped


def check_shapes(model: nn.Module) -> None:
    """Refuse a SparseViT's neck or head that is built for another width or kind of output; other models pass.

    Raises:
        InputError: names the entry of the config to be changed.
    """
    model = unwrapped(model)
    if not isinstance(backbone := getattr(model, 'backbone', None), SparseViT) or not hasattr(model, 'extract_feat'):
        return
    parts = {name: module for name, module in model.named_modules() if not name.startswith('backbone.')}
    hooks = [module.register_forward_pre_hook(partial(_check, model, name)) for name, module in parts.items()]
    training, shape = model.training, input_shape(model, 1, *backbone.view.image_size)
    image = next(model.parameters()).new_zeros(shape)
    drawn = torch.get_rng_state()
    try:
        with torch.no_grad():
            feats = model.eval().extract_feat(image)
            for name in ('head', 'decode_head', 'auxiliary_head'):
                part = getattr(model, name, None)
                for each in part if isinstance(part, nn.ModuleList) else [part]:
                    answer = each(feats) if isinstance(each, nn.Module) else None
                    if name == 'head' and isinstance(answer, torch.Tensor) and answer.dim() != 2:
                        raise InputError(
                            f'model.backbone.out_type: {_received(backbone, feats[-1])}, expected B×C for a head. '
                            f'{_way(2)}'
                        )
    except InputError:
        raise
    except Exception:  # a model that needs more than an image here says so itself, where it gets it
        pass
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
        torch.set_rng_state(drawn)


def _check(model: nn.Module, name: str, module: nn.Module, inputs: tuple) -> None:
    refuse(_width_faults(model, name, module, inputs[0]))


def _width_faults(model: nn.Module, name: str, module: nn.Module, x) -> Iterator[str]:
    """Compare what a layer receives with what it is built for; the module around it with `in_channels` is named."""
    linear, built = isinstance(module, nn.Linear), getattr(module, 'in_features', getattr(module, 'in_channels', None))
    if not isinstance(module, nn.Linear | nn.Conv2d | nn.AdaptiveAvgPool2d):
        return
    if not isinstance(x, torch.Tensor) or x.dim() != 4 and not linear:
        expected = 'B×C' if linear else 'maps B×C×h×w'
        yield f'model.{name}: {_received(model.backbone, x)}, expected {expected}. {_way(2 if linear else 4)}'
    width = x.shape[-1] if linear else x.shape[1]
    if built is None or width == built:
        return
    if linear and x.dim() > 2 and model.backbone.out_type in ('raw', 'featmap'):
        yield f'model.{name}: {_received(model.backbone, x)}, expected B×{built}. {_way(2)}'
    owners = [name.rsplit('.', cut)[0] for cut in range(name.count('.') + 1)]
    owner = next((owner for owner in owners[1:] if hasattr(model.get_submodule(owner), 'in_channels')), owners[-1])
    yield (
        f'model.{owner}.in_channels: received {built}, but {width} channels arrive from the host '
        f'{model.backbone.view.name}. Set model.{owner}.in_channels={width}.'
    )


def _received(backbone: SparseViT, x) -> str:
    shape = 'B×' + '×'.join(map(str, x.shape[1:])) if isinstance(x, torch.Tensor) else type(x).__name__
    return f'received {shape} from a backbone with out_type={backbone.out_type!r}'


def _way(dims: int) -> str:
    kinds = "'cls_token', 'pooled' or 'avg_featmap'" if dims == 2 else "'featmap'"
    return f'Set model.backbone.out_type to {kinds}.'
