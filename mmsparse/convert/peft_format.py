"""LoRA in the format of the `peft` library, for timm hosts, both ways; `peft_blocks` says how its modules are
built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Required

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from typing_extensions import TypedDict

from mmsparse.convert.merge import linear_head
from mmsparse.convert.peft_blocks import divided, joined, linears, refuse_passed_by, shape, summed
from mmsparse.errors import InputError, refuse
from mmsparse.models.adapters.lora import TARGETS, LoRA
from mmsparse.models.hosts.views.eva import EvaView
from mmsparse.models.hosts.views.timm import TimmView
from mmsparse.models.hosts.views.view import View
from mmsparse.state.schema import validated
from mmsparse.structures import Tokens

PREFIX = 'base_model.model.'
# what changes the sum beyond a scaled product
OTHER_FORMS = dict(use_dora=False, bias='none', fan_in_fan_out=False, lora_bias=False)
# Every other start (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA, …) subtracts its product from peft's base weights; the host
# here has them whole.
STARTS_BESIDE_THE_BASE = (None, True, False, 'gaussian', 'eva', 'orthogonal', 'mica')


def _ends(pattern: str) -> str:
    """Return a regular expression that ends in time on any text: no group of it repeats, and little else does."""
    if len(pattern) > 2000 or re.search(r'\)[*+{?]', pattern) or len(re.findall(r'(?<!\\)[*+{]', pattern)) > 3:
        raise ValueError(
            'should be a pattern without repeated groups, with at most three repetitions: another may take for ever'
        )
    return pattern


Rank = Annotated[int, Field(strict=True, gt=0, le=2**16)]
Alpha = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-(2**24), le=2**24)]
# The ends of paths, such as attn.qkv: a stranger's regular expression may take for ever.
Module = Annotated[str, Field(pattern=r'^(\w|\\?\.)+$')]
Pattern = Annotated[str, AfterValidator(_ends)]


class _Config(TypedDict, total=False):
    """What adapter_config.json may say of plain LoRA; entries that are not named here do not change the sum."""

    peft_type: Required[Literal['LORA']]
    r: Required[Rank]
    lora_alpha: Required[Alpha]
    rank_pattern: dict[Module, Rank] | None
    alpha_pattern: dict[Module, Alpha] | None
    target_modules: Pattern | list[str] | None
    exclude_modules: Pattern | list[str] | None
    layers_pattern: Pattern | list[str] | None
    use_rslora: bool | None
    init_lora_weights: Any
    use_dora: Literal[False, None]
    bias: Literal['none', None]
    fan_in_fan_out: Literal[False, None]
    lora_bias: Literal[False, None]


def to_peft(model: nn.Module) -> tuple[dict, dict[str, Tensor]]:
    """Return the content of adapter_config.json, and the tensors of adapter_model.safetensors, the head's too.

    Args:
        model: a classifier on a timm host whose only adapter is LoRA.

    Raises:
        InputError: another host, adapter or head.
    """
    (lora, fc), view = _lora_and_head(model), model.backbone.view
    modules = {
        module: held for module, held in linears(view).items() if any(share.target in lora.targets for share in held)
    }
    for module in modules:
        refuse_passed_by(module, view)
    tensors = {f'{PREFIX}head.{name}': value for name, value in fc.state_dict().items()}
    for layer, pairs in lora.layers.items():
        for module, held in modules.items():
            stem = f'{PREFIX}{view.parts["blocks"]}.{int(layer) - 1}.{module}'
            tensors[f'{stem}.lora_A.weight'], tensors[f'{stem}.lora_B.weight'] = joined(pairs, held)
    times = {module: sum(share.target in lora.targets for share in held) for module, held in modules.items()}
    base = times.popitem()[1] if len(times) == 1 else 1
    config = dict(
        peft_type='LORA',
        task_type=None,
        inference_mode=True,
        base_model_name_or_path=view.name,
        r=base * lora.rank,
        lora_alpha=base * lora.alpha,
        lora_dropout=lora.dropout.p,
        target_modules=rf'{re.escape(view.parts["blocks"])}\.\d+\.({"|".join(map(re.escape, modules))})',
        modules_to_save=['head'],
        rank_pattern={module: n * lora.rank for module, n in times.items() if n > 1},
        alpha_pattern={module: n * lora.alpha for module, n in times.items() if n > 1},
        **OTHER_FORMS,
    )
    return config, {name: value.detach().contiguous().clone() for name, value in tensors.items()}


def from_peft(config: Mapping, tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> None:
    """Fill the LoRA and the head of a model from `peft`'s files.

    Args:
        config: content of adapter_config.json.
        tensors: of adapter_model.safetensors.
        model: a classifier on a timm host whose only adapter is LoRA, with the file's targets and at least its rank.
        source: named in errors.

    Raises:
        InputError: another kind of adapter, tensors of another network, no head; or too small a LoRA, and the text
            says which to set.
    """
    lora, fc = _lora_and_head(model)
    remedy = "Expected the folder that peft's save_pretrained wrote for plain LoRA, a scaled product and nothing else."
    config = validated(_Config, config, f'{source}: adapter_config.json cannot be used', remedy)
    left = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    head = {name: left.pop(f'head.{name}', None) for name in fc.state_dict()}
    refuse(f'{source}: {fault}' for fault in _faults_of_file(config, head, fc))
    products = _products(config, left, model.backbone.view, source)
    ranks = {
        target: max((len(down) for (_, name), (down, _) in products.items() if name == target), default=0)
        for target in TARGETS
    }
    targets, rank = tuple(target for target in TARGETS if ranks[target]), max(ranks.values())
    if rank > lora.rank or not set(targets) <= set(lora.targets):
        raise InputError(
            f"{source}: the config's LoRA has rank {lora.rank} and targets {lora.targets}, which has no room for the "
            f"file. Set model.backbone.adapter=dict(type='mmsparse.LoRA', rank={rank}, "
            f'alpha={rank * _scale(config, "", config["r"])}, targets={targets}).'
        )
    with torch.no_grad():
        fc.load_state_dict(head)
        for pairs in lora.layers.values():
            for pair in pairs.values():
                pair['up'].weight.zero_()
        for (layer, target), (down, up) in products.items():
            pair = lora.layers[str(layer)][target]
            pair['down'].weight[: len(down)] = down
            pair['up'].weight[:, : len(down)] = up / lora.scale


def _products(
    config: _Config, left: dict[str, Tensor], view: View, source: str
) -> dict[tuple[int, str], tuple[Tensor, Tensor]]:
    """Return down and scaled up of every product in the file that is not zero, by layer (from 1) and target."""
    found: dict[tuple[int, str], list] = {}
    for layer in range(1, view.depth + 1):
        for module, held in linears(view).items():
            place = f'{view.parts["blocks"]}.{layer - 1}.{module}'
            names = [f'{place}.lora_{side}.weight' for side in 'AB']
            if not all(name in left for name in names):
                continue
            refuse_passed_by(module, view)
            down, up = (left.pop(name) for name in names)
            inputs, outputs = shape(view, layer, held)
            if down.shape[1:] != (inputs,) or up.shape != (outputs, len(down)):
                raise InputError(
                    f'{source}: {names[0]} and its lora_B are of shapes {tuple(down.shape)} and {tuple(up.shape)}, '
                    f'but {module} of {view.name} reads {inputs} and gives {outputs}.'
                )
            known = {config['r'], *(config.get('rank_pattern') or {}).values()}
            if len(down) not in known:
                raise InputError(
                    f'{source}: r: received {config["r"]}, but {names[0]} has rank {len(down)}. Copy the folder again.'
                )
            up = up * _scale(config, place, len(down))
            for target, *product in divided(down, up, held):
                found.setdefault((layer, target), []).append(product)
    for name in left:
        raise InputError(
            f'{source}: received the tensor {name}, which belongs to no linear layer of {view.name}. Use the host '
            'that trained it.'
        )
    return {key: product for key, products in found.items() if len((product := summed(products))[0])}


def _scale(config: _Config, module: str, rank: int) -> float:
    """Return alpha over rank, or over its root (rsLoRA); patterns name modules by the end of their path."""
    patterns = (config.get('alpha_pattern') or {}).items()
    alpha = next(
        (alpha for name, alpha in patterns if f'.{module}'.endswith(f'.{name}'.replace(r'\.', '.'))),
        config['lora_alpha'],
    )
    return alpha / (math.sqrt(rank) if config.get('use_rslora') else rank)


def _faults_of_file(config: _Config, head: Mapping[str, Tensor | None], fc: nn.Linear) -> Iterator[str]:
    if (start := config.get('init_lora_weights')) not in STARTS_BESIDE_THE_BASE:
        yield (
            f"received init_lora_weights={start!r}, a start that also moves peft's base weights, while the host has "
            'its own. '
            'Let peft write plain LoRA: save_pretrained(FOLDER, path_initial_model_for_weight_conversion=the adapter '
            'before training), and copy the '
            f'tensors {PREFIX}head.* over, which it leaves out. What it cannot convert has to be trained with '
            'init_lora_weights=True.'
        )
    if any(value is None or value.shape != fc.state_dict()[name].shape for name, value in head.items()):
        yield (
            f'expected a head of {fc.out_features} classes and width {fc.in_features} in the file, as head.weight and '
            'head.bias. '
            "Train it along, with modules_to_save=['head']."
        )


def _lora_and_head(model: nn.Module) -> tuple[LoRA, nn.Linear]:
    """Return the only adapter of a model on a timm host, and the linear layer that reads what timm itself would give
    it.

    Raises:
        InputError: another host, adapter or head, a neck, or another pooling than timm's.
    """
    refuse(_faults_of_model(model))
    return model.backbone.adapters[0], model.head.fc


def _faults_of_model(model: nn.Module) -> Iterator[str]:
    backbone, view = model.backbone, model.backbone.view
    names = [type(adapter).__name__ for adapter in backbone.adapters]
    if not isinstance(view, TimmView | EvaView) or len(names) != 1 or type(backbone.adapters[0]) is not LoRA:
        yield (
            f'received {", ".join(names) or "no adapter"} on {view.name}, expected mmsparse.LoRA alone on a timm '
            'host: '
            "peft's format knows nothing else of it."
        )
    if hasattr(view.host, 'head_dist'):
        yield f"{view.name} has two heads, and peft's format keeps one. Use tools/model_converters/merge_adapter.py."
    x_1nc = linear_head(model).weight.new_empty(1, view.prefix + view.patches, view.width).normal_()
    with torch.no_grad():
        tokens = Tokens.start(x_1nc, view.prefix, view.grid)
        ours, timms = backbone.outputs([tokens])[0], view.pooled(tokens)
    if ours.shape != timms.shape or not torch.allclose(ours, timms):
        yield (
            f'received out_type={backbone.out_type!r}, which is not what {view.name} gives its head in timm. '
            "Train with out_type='pooled', the host's own."
        )
