"""Load a file of weights into a host: found in the file, brought to the host's names and grid, loaded whole or
refused.

Files are read as safetensors, as .npz without pickle (the original JAX files, by timm's own reader), or as .pth with
``weights_only=True``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmsparse.errors import InputError, in_words, refuse
from mmsparse.models.hosts.activations import (
    quick_gelu,
    refuse_other_open_clip_activation,
    refuse_other_timm_activation,
)
from mmsparse.models.hosts.checkpoint_contents import rooted, tell
from mmsparse.models.hosts.frozen_model import tensor_differences
from mmsparse.models.hosts.position_tables import Grid, fit_positions, resampled
from mmsparse.models.hosts.weight_files import read_weights, shipped

PROJECTIONS = ('patch_embed.proj.weight', 'visual.conv1.weight')
# Keys by which a network is found in a file, whatever stands before them: CLIP, SAM, BEiT-3, AIMv2 and MobileCLIP
# as published, timm's own.
TIMM_ROOTS = (
    'visual.ln_pre.weight',
    'image_encoder.patch_embed.proj.weight',
    'beit3.vision_embed.proj.weight',
    'preprocessor.patchifier.proj.weight',
    'patch_embed.proj.weight',
    'ln_pre.weight',
    'image_encoder.model.patch_emb.0.block.conv.weight',
    'patch_embed.backbone.0.conv.weight',
    'embeds.proj.weight',
)
JAX_TREES = ('', 'opt/target/', 'params/', 'params/img/')  # where the network is in an .npz
JAX_PARTS = ('embedding/', 'cls', 'pos_embedding', 'Transformer/', 'MAPHead_0/', 'conv_root/', 'gn_root/', 'block')
# What training leaves beside a network: classifiers, decoders (MAE), heads of self-supervision, the token that stands
# for masked patches.
BESIDE = ('head', 'fc.', 'pre_logits.', 'decoder', 'mask_token', 'lm_head.', 'dino_head.', 'ibot_head.')
BESIDE += ('projector', 'predictor')
Filed = dict[str, Tensor]


def load_strictly(host: nn.Module, state: Filed, path: str, prefix: str = '', left: Collection[str] = ()) -> None:
    """Load every parameter of the host; what is no part of it (`BESIDE`) is left out, and the user told.

    Args:
        host: what the tensors belong to.
        state: tensors by the host's keys, heads and decoders of the file among them.
        path, prefix, left: file, what was stripped from its keys, and its keys that have been left out already; for
            messages.

    Raises:
        InputError: a tensor is missing, of another shape or not the host's.
    """
    ours = host.state_dict()
    beside = [key for key in state if key not in ours and key.startswith(BESIDE)]
    state = {key: value for key, value in state.items() if key not in beside}
    refuse_others(host, state, ours, path)
    host.load_state_dict(state)
    tell(path, prefix, [*left, *beside])


def refuse_others(host: nn.Module, given: Mapping[str, Tensor], ours: Mapping[str, Tensor], path: str) -> None:
    """Refuse the tensors of a file, `given`, that are not exactly those of a host, `ours`.

    Raises:
        InputError: names what is missing, unexpected or of another shape.
    """
    if wrong := tensor_differences(given, ours):
        raise InputError(
            f'{path}: these are not the weights of this host ({type(host).__name__}). Tensors {wrong}. '
            'Name the file of this architecture, or the architecture of this file.'
        )


def _converting(path: str, name: str) -> AbstractContextManager:
    """Answer for a library that converts a file to its model, and fails in its own words on another model's."""
    lead = f'{path}: not the weights of {name}, or damaged'
    return in_words(lead, 'Download it again, or name the host it belongs to.')


class _WithoutPositions:
    """A timm host as seen by timm's converters, which leave a table of positions alone where the host has none."""

    pos_embed = None

    def __init__(self, host: nn.Module):
        self._host = host

    def __getattr__(self, name: str) -> object:
        return getattr(self._host, name)


def load_timm(host: nn.Module, name: str, path: str, grid: Grid | None = None) -> Filed:
    """Load a timm host from a file; position embeddings are resized by timm's own rule, patches are not.

    Args:
        host, name: the host and its name in timm.
        path: .safetensors, .pth and its like, or .npz (the original JAX files).
        grid: for which the positions of the file were trained, or None: a square.

    Returns:
        Parameters that were resized, as they stand in the file.

    Raises:
        InputError: the file cannot be read, or is not this host's.
    """
    import timm

    path = shipped(path)
    if path.endswith('.npz') and Path(path).is_file() and isinstance(host, timm.models.VisionTransformer):
        return _load_jax(host, name, path, grid)
    found = rooted(read_weights(path), TIMM_ROOTS, path)
    refuse_other_timm_activation(name, path, found.state)
    refuse(f'{path}: {fault}' for fault in _faults(host, name, found.state))
    # CLIP's tower without its model: timm's converter knows it by its place there
    alone = 'ln_pre.weight' in found.state
    state = {f'visual.{key}' if alone else key: value for key, value in found.state.items()}
    clip, left = 'visual.ln_pre.weight' in state, list(found.left)
    left += [key for key in state if clip and not key.startswith('visual.')]
    convert = _converter(host, name)
    with _converting(path, name):
        known = inspect.signature(convert).parameters
        options = dict(adapt_layer_scale=True) if 'adapt_layer_scale' in known else {}  # reads DeiT III's names
        state = convert(state, _WithoutPositions(host), **options)
        left += [key for key in found.state if key.startswith(BESIDE) and key not in state]
        filed = _fit_timm(host, state, grid, path) | _resized_tables(host, found.state, state, path)
    load_strictly(host, state, path, found.prefix, left)
    return filed


def _resized_tables(host: nn.Module, theirs: Filed, ours: Filed, path: str) -> Filed:
    """Return the tables of relative positions that timm's converter has resized, as they stand in the file."""
    own = dict(host.named_parameters())
    filed = {
        key: theirs[key].to(own[key].dtype)
        for key, value in ours.items()
        if key.endswith('relative_position_bias_table') and key in own and value.shape != theirs[key].shape
    }
    if filed:
        print_log(f'{path}: its tables of relative positions were resized to {host.patch_embed.grid_size}.', 'current')
    return filed


def _converter(host: nn.Module, name: str) -> Callable:
    import timm

    module = import_module(timm.model_entrypoint(name.split('.')[0]).__module__)
    kind = 'classifier' if hasattr(host, 'encoder') else 'encoder'  # Qwen3-VL has one for each
    return getattr(module, 'checkpoint_filter_fn', None) or getattr(module, f'checkpoint_filter_fn_{kind}')


def _faults(host: nn.Module, name: str, state: Filed) -> Iterator[str]:
    """Yield what timm's converter would resample without a word."""
    if any(key.startswith('radio_model.') for key in state):  # its positions, by a rule of their own
        yield 'RADIO as published. Save the model that timm makes of it, and name that file.'
    stem = getattr(host, 'patch_embed', None)  # NaFlex ViTs and Qwen's keep it deeper, and resample nothing
    own = getattr(getattr(stem, 'proj', None), 'weight', None)
    for key, value in state.items():
        if own is not None and key.endswith(PROJECTIONS) and value.ndim == 4 and value.shape != own.shape:
            yield (
                f'its patch projection is {tuple(value.shape)}, that of {name} {tuple(own.shape)}. Name the host of '
                'this file.'
            )


def _fit_timm(host: nn.Module, state: Filed, grid: Grid | None, path: str, **rule: object) -> Filed:
    if not hasattr(host, 'patch_embed'):  # the table stays as it is, every forward pass resizes it
        return {}
    prefix = 0 if getattr(host, 'no_embed_class', False) else getattr(host, 'num_prefix_tokens', 1)
    return fit_positions(host, 'pos_embed', host.patch_embed.grid_size, prefix, state, grid, path, **rule)


@torch.no_grad()
def _load_jax(host: nn.Module, name: str, path: str, grid: Grid | None) -> Filed:
    """Load the original .npz by timm's own reader (every array by name, no pickle).

    The reader passes by what only one of the two sides has, and takes any number of positions for a square. So the
    host is filled with NaN before, to see what has not been read, and its table of positions is as large as the file's
    while it is read.
    """
    with _converting(path, name), np.load(path, allow_pickle=False) as arrays:
        depth, patch, tree = _jax_geometry(arrays)
        ours = host.patch_embed.patch_size
        if depth != len(host.blocks) or patch != ours and not name.startswith('flexivit'):  # made for any size
            raise ValueError(f'{depth} blocks with patches of {patch}, for {len(host.blocks)} with {ours}')
        kernel = torch.from_numpy(arrays[f'{tree}embedding/kernel']).permute(3, 2, 0, 1)
        places = (f'{tree}pos_embedding', f'{tree}Transformer/posembed_input/pos_embedding')
        tables = [torch.from_numpy(arrays[key]) for key in places if key in arrays]
        state = dict(pos_embed=tables[0]) if tables else {}
        rule = dict(mode='bilinear', antialias=False)  # timm's for these files
        filed = _fit_timm(host, state, grid, path, resize=lambda *table: resampled(*table, **rule))
        left = [key for key in arrays if not key.startswith(tuple(f'{tree}{part}' for part in JAX_PARTS))]
        for parameter in host.parameters():
            parameter.fill_(math.nan)
        own = host.pos_embed
        if filed:
            host.pos_embed = nn.Parameter(torch.empty_like(filed['pos_embed']))
        host.load_pretrained(path)
        if filed:
            host.pos_embed = own
            own.copy_(state['pos_embed'])
    every = dict(host.named_parameters())
    refuse_others(host, {key: value for key, value in every.items() if not value.isnan().any()}, every, path)
    tell(path, tree, left)
    if kernel.shape != host.patch_embed.proj.weight.shape:
        filed['patch_embed.proj.weight'] = kernel.contiguous()
    return filed


def _jax_geometry(arrays: Mapping[str, np.ndarray]) -> tuple[int, tuple[int, int], str]:
    """Return the number of blocks, the patch size (pixels), and where the network is: a file may hold a second
    tower.
    """
    tree = next((tree for tree in JAX_TREES if f'{tree}embedding/kernel' in arrays), '')
    layers, stacked = f'{tree}Transformer/encoderblock_', f'{tree}Transformer/encoderblock/LayerNorm_0/scale'
    blocks = {key.removeprefix(layers).split('/')[0] for key in arrays if key.startswith(layers)}
    depth = arrays[stacked].shape[0] if stacked in arrays else len(blocks)
    return depth, arrays[f'{tree}embedding/kernel'].shape[:2], tree


def load_open_clip(host: nn.Module, name: str, path: str, quick: bool, grid: Grid | None = None) -> Filed:
    """Load a visual tower from a file of it or of the whole model.

    Args:
        name, quick: of the model, and whether it has QuickGELU.
        host, path, grid: as for `load_timm`, returns and errors too; positions are resized by open_clip's own rule.
    """
    found = rooted(read_weights(path), ('visual.class_embedding', 'class_embedding'), path)
    refuse_other_open_clip_activation(name, quick, path, quick_gelu(path, found.state))
    tower = 'visual.' if 'visual.class_embedding' in found.state else ''
    wide = host.positional_embedding.dtype  # of published files in half precision too
    state = {key.removeprefix(tower): value.to(wide) for key, value in found.state.items() if key.startswith(tower)}
    filed = fit_positions(host, 'positional_embedding', host.grid_size, 1, state, grid, path)
    left = [*found.left, *(key for key in found.state if not key.startswith(tower))]
    load_strictly(host, state, path, found.prefix, left)
    return filed
