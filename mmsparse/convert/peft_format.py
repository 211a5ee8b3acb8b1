"""LoRA in the format of the `peft` library, for timm hosts, both ways.

`peft` knows modules, and q, k and v are mostly one module in timm. Pairs of rank r for n of them are there one pair of rank n·r: the
down-projections stacked, the up-projections block by block; alpha is n times ours, so that the scale stays. Where gate and value of a FFN are two
modules, our pair on both becomes a pair for each, with the same down-projection.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.lora import TARGETS, LoRA
from mmsparse.models.hosts.views.base import QKV, View
from mmsparse.models.hosts.views.eva import EvaView
from mmsparse.models.hosts.views.operators import SideBySide
from mmsparse.models.hosts.views.timm import TimmView
from mmsparse.models.hosts.views.timm_parts import GATE_AND_VALUE
from mmsparse.structures.tokens import Tokens
from mmsparse.utils.value_checks import is_number

PREFIX = 'base_model.model.'
OTHER_FORMS = dict(use_dora=False, bias='none', fan_in_fan_out=False, lora_bias=False)  # what changes the sum beyond a scaled product
# Every other start (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA, …) takes its product out of peft's base weights, which the host here still has whole.
STARTS_BESIDE_THE_BASE = (None, True, False, 'gaussian', 'eva', 'orthogonal', 'mica')


def to_peft(model: nn.Module) -> tuple[dict, dict[str, Tensor]]:
    """Return adapter_config.json's content and the tensors of adapter_model.safetensors; the trained head goes along as a saved module.

    Args:
        model: a classifier on a timm host whose only adapter is LoRA.

    Raises:
        InputError: another host, adapter or head.
    """
    lora, fc = _lora_of(model), _head_of(model)
    view = model.backbone.view
    linears = _linears(view)
    modules = {module: own for module, held in linears.items() if (own := [share for share in held if share.target in lora.targets])}
    for module in modules:
        _refuse_what_peft_passes_by(module, view)
    tensors = {f'{PREFIX}head.{name}': value for name, value in fc.state_dict().items()}
    for layer, pairs in lora.layers.items():
        for module, shares in modules.items():
            down, up = _joined(pairs, shares, linears[module])
            stem = f'{PREFIX}blocks.{int(layer) - 1}.{module}'
            tensors |= {f'{stem}.lora_A.weight': down, f'{stem}.lora_B.weight': up}
    times = {module: len(shares) for module, shares in modules.items()}
    base = times.popitem()[1] if len(times) == 1 else 1
    config = dict(
        peft_type='LORA',
        task_type=None,
        inference_mode=True,
        base_model_name_or_path=view.name,
        r=base * lora.rank,
        lora_alpha=base * lora.alpha,
        lora_dropout=lora.dropout.p,
        target_modules=rf'blocks\.\d+\.({"|".join(map(re.escape, modules))})',
        modules_to_save=['head'],
        rank_pattern={module: n * lora.rank for module, n in times.items() if n > 1},
        alpha_pattern={module: n * lora.alpha for module, n in times.items() if n > 1},
        **OTHER_FORMS,
    )
    return config, {name: value.detach().contiguous().clone() for name, value in tensors.items()}


def from_peft(config: Mapping, tensors: Mapping[str, Tensor], model: nn.Module, source: str) -> None:
    """Fill the LoRA and the head of a model from `peft`'s files.

    A pair on the fused module becomes one pair for each of q, k and v that it changes, of the columns that reach it.

    Args:
        config: content of adapter_config.json.
        tensors: of adapter_model.safetensors.
        model: a classifier on a timm host whose only adapter is LoRA; its targets and rank must have room for what the file holds.
        source: named in errors.

    Raises:
        InputError: another form of adapter, tensors of another network, no head; or the text says which LoRA the config needs.
    """
    lora, fc = _lora_of(model), _head_of(model)
    if not isinstance(config, Mapping) or not {'r', 'lora_alpha'} <= config.keys():
        raise InputError(f"{source}: adapter_config.json has no r or no lora_alpha. Expected the folder that peft's save_pretrained wrote.")
    _refuse_other_values(config, source)
    odd = [key for key, usual in OTHER_FORMS.items() if config.get(key, usual) not in (usual, None)]
    if config.get('peft_type') != 'LORA' or odd:
        named = ', '.join(f'{key}={config[key]!r}' for key in odd)
        raise InputError(f'{source}: received {config.get("peft_type")} {named}, expected plain LoRA, a scaled product and nothing else.')
    if (start := config.get('init_lora_weights')) not in STARTS_BESIDE_THE_BASE:
        raise InputError(
            f"{source}: received init_lora_weights={start!r}, a start that also moves peft's base weights, while the host has its own. "
            'Let peft write plain LoRA: save_pretrained(FOLDER, path_initial_model_for_weight_conversion=the adapter before training), and copy the '
            f'tensors {PREFIX}head.* over, which it leaves out. What it cannot convert has to be trained with init_lora_weights=True.'
        )
    left = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    head = {name: left.pop(f'head.{name}', None) for name in fc.state_dict()}
    if any(value is None or value.shape != fc.state_dict()[name].shape for name, value in head.items()):
        raise InputError(
            f'{source}: expected a head of {fc.out_features} classes and width {fc.in_features} in the file, as head.weight and head.bias. '
            "Train it along, with modules_to_save=['head']."
        )
    products = list(_products(config, left, model.backbone.view, source))
    room = {target: max((len(down) for _, found, down, _ in products if found == target), default=0) for target in _order(products)}
    if not set(room) <= set(lora.targets) or max(room.values(), default=0) > lora.rank:
        rank = max(room.values())
        alpha = rank * _scale(config, '', config['r'])
        raise InputError(
            f"{source}: the config's LoRA has rank {lora.rank} and targets {lora.targets}, which has no room for the file. "
            f"Set model.backbone.adapter=dict(type='mmsparse.LoRA', rank={rank}, alpha={alpha}, targets={tuple(room)})."
        )
    with torch.no_grad():
        fc.load_state_dict(head)
        for pairs in lora.layers.values():
            for pair in pairs.values():
                pair['up'].weight.zero_()
        for layer, target, down, up in products:
            pair = lora.layers[str(layer)][target]
            pair['down'].weight[: len(down)] = down
            pair['up'].weight[:, : len(down)] = up / lora.scale


def _products(config: Mapping, left: dict[str, Tensor], view: View, source: str) -> Iterator[tuple[int, str, Tensor, Tensor]]:
    """Yield layer, target, down and the scaled up of every product in the file that is not zero."""
    linears, found = _linears(view), {}
    while left:
        name = next(iter(left))
        match = re.fullmatch(r'(blocks\.(\d+)\.([\w.]+))\.lora_[AB]\.weight', name)
        held = linears.get(match[3]) if match else None
        pair = [left.pop(f'{match[1]}.lora_{side}.weight', None) for side in 'AB'] if held else [None]
        layer = int(match[2]) + 1 if held else 0
        if any(value is None for value in pair) or not 1 <= layer <= view.depth:
            raise InputError(f'{source}: received the tensor {name}, which belongs to no linear layer of {view.name}. Use the host that trained it.')
        _refuse_what_peft_passes_by(match[3], view)
        down, up = pair
        up = up * _scale(config, match[1], len(down))
        for share, rows in zip(held, up.chunk(len(held))):
            all_rows, columns = view.operator(layer, share.target).shape
            if (len(rows), down.shape[1]) != (all_rows // share.of, columns):
                raise InputError(
                    f'{source}: {match[1]} is {len(rows)}×{down.shape[1]}, but {share.target} of {view.name} is {all_rows // share.of}×{columns}.'
                )
            whole = up.new_zeros(share.of, len(rows), len(down)).index_copy(0, torch.tensor([share.place]), rows[None]).flatten(0, 1)
            found[layer, share.target] = _sum(found.get((layer, share.target)), (down, whole))
    for (layer, target), (down, up) in found.items():
        used = up.any(dim=0)
        if used.any():
            yield layer, target, down[used], up[:, used]


def _sum(one: tuple[Tensor, Tensor] | None, other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return one product for two, of no higher rank where they read alike."""
    if one is None:
        return other
    (down, up), (more_down, more_up) = one, other
    return (down, up + more_up) if torch.equal(down, more_down) else (torch.cat([down, more_down]), torch.cat([up, more_up], dim=1))


def _scale(config: Mapping, module: str, rank: int) -> float:
    """Return alpha over rank, or over its root (rsLoRA); patterns name modules by the end of their path."""
    names = {key.replace(r'\.', '.'): alpha for key, alpha in (config.get('alpha_pattern') or {}).items()}
    alpha = next((alpha for name, alpha in names.items() if f'.{module}'.endswith(f'.{name}')), config['lora_alpha'])
    return alpha / (math.sqrt(rank) if config.get('use_rslora') else rank)


def _refuse_other_values(config: Mapping, source: str) -> None:
    """Refuse what is no number or no plain name: a stranger's regular expression may take for ever."""
    patterns = config.get('alpha_pattern') or {}
    if not isinstance(patterns, Mapping) or not all(re.fullmatch(r'(?:\w|\\?\.)+', name) for name in patterns):
        raise InputError(f'{source}: received alpha_pattern={patterns!r}, expected numbers by the ends of paths such as attn.qkv. Write them out.')
    for name, value in {'r': config['r'], 'lora_alpha': config['lora_alpha'], **patterns}.items():
        if not is_number(value):
            raise InputError(f'{source}: received {name}={value!r} in adapter_config.json, expected a number.')


def _order(products) -> list[str]:
    """Targets in the order of the block."""
    found = {target for _, target, _, _ in products}
    return [target for target in TARGETS if target in found]


class Share(NamedTuple):
    """What a module gives: the outputs of a target, or one of so many equal shares of them."""

    target: str
    place: int = 0
    of: int = 1


def _joined(pairs: nn.ModuleDict, shares: list[Share], held: tuple[Share, ...]) -> tuple[Tensor, Tensor]:
    """Return one down- and one up-projection for the pairs on one module, whose rows are in equal parts those of what it holds."""
    down = torch.cat([pairs[share.target]['down'].weight for share in shares])
    ups = [pairs[share.target]['up'].weight.chunk(share.of)[share.place] for share in shares]
    width, rank = ups[0].shape
    up = down.new_zeros(len(held) * width, len(down))
    for place, (block, own) in enumerate(zip(map(held.index, shares), ups)):
        up[block * width : (block + 1) * width, place * rank : (place + 1) * rank] = own
    return down, up


def _linears(view: View) -> dict[str, tuple[Share, ...]]:
    """Return timm's linear modules in a block and what each of them gives, side by side, in the order of the block."""
    found = {}
    for name in ('qkv', *TARGETS):
        stem = view.parts.get(name, '')
        if name == 'fc1' and isinstance(view.operator(1, name), SideBySide):
            found |= {stem.removesuffix('fc1') + part: (Share(name, place, 2),) for place, part in enumerate(GATE_AND_VALUE)}
        elif stem:
            found[stem] = tuple(map(Share, QKV)) if name == 'qkv' else (Share(name),)
    return found


def _refuse_what_peft_passes_by(module: str, view: View) -> None:
    if module == 'attn.qkv' and getattr(view.blocks[0].attn, 'q_bias', None) is not None:
        raise InputError(
            f'{view.name}: timm reads the weight of attn.qkv here without running the module, so a pair that peft puts on it has no effect. Leave '
            'q, k and v out of the targets, or write plain weights with tools/model_converters/merge_adapter.py.'
        )


def _lora_of(model: nn.Module) -> LoRA:
    adapters, view = model.backbone.adapters, model.backbone.view
    if not isinstance(view, TimmView | EvaView) or len(adapters) != 1 or not isinstance(adapters[0], LoRA):
        found = ', '.join(type(adapter).__name__ for adapter in adapters) or 'no adapter'
        raise InputError(f"received {found} on {view.name}, expected mmsparse.LoRA alone on a timm host: peft's format knows nothing else of it.")
    return adapters[0]


def _head_of(model: nn.Module) -> nn.Linear:
    """Return the linear layer that reads what timm itself would give it.

    Raises:
        InputError: another head, a neck, or another pooling than timm's.
    """
    fc, view, backbone = getattr(model.head, 'fc', None), model.backbone.view, model.backbone
    if not isinstance(fc, nn.Linear):
        raise InputError(f'received the head {type(model.head).__name__}, but a timm model ends in one linear layer. Use LinearClsHead.')
    if getattr(model, 'neck', None) is not None:
        raise InputError("received a model with a neck, which timm's models have no place for. Use a model without one.")
    rows_1nc = fc.weight.new_empty(1, view.prefix + view.patches, view.width).normal_()
    with torch.no_grad():
        tokens = Tokens.start(rows_1nc, view.prefix, view.grid)
        ours, timms = backbone.outputs([tokens])[0], view.pooled(tokens)
    if ours.shape != timms.shape or not torch.allclose(ours, timms):
        raise InputError(
            f'received out_type={backbone.out_type!r}, which is not what {view.name} gives its head in timm. '
            "Train with out_type='pooled', the host's own."
        )
    return fc
