"""Weights of a frozen host: where they come from, and proof that they stay what they are.

The ladder: safetensors; .npz without pickle (the original JAX files, by timm's own reader); .pth with ``weights_only=True``; nothing else.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from mmsparse.errors import InputError

from .weight_files import read_tensors, read_weights, shipped

PROJECTIONS = ('patch_embed.proj.weight', 'visual.conv1.weight')
JAX_TREES = ('', 'opt/target/', 'params/', 'params/img/')  # where the network is in an .npz
CLASSIFIER = ('head.', 'head_dist.', 'fc.', 'pre_logits.')


@contextmanager
def seeded() -> Iterator[None]:
    """Draw from a seed of its own: a random host is the same in every process, and the run's random state does not notice."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def sketching() -> bool:
    """Whether hosts are built on torch's meta device, which holds no values: no weights are read for them then."""
    return torch.get_default_device().type == 'meta'


class FrozenModel(NamedTuple):
    """A network that a model holds and does not train, as its property `frozen_models` (a dict by attribute) names it.

    States leave such weights out and keep the fingerprint instead.
    """

    module: nn.Module
    name: str
    source: str


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the names, types, shapes and bytes of tensors, whatever their order."""
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return sha.hexdigest()


def fingerprint(module: nn.Module, trains: frozenset[str] = frozenset()) -> str:
    """Return the digest of all parameters that do not train."""
    return digest({name: value for name, value in module.named_parameters() if name not in trains})


def load_strictly(host: nn.Module, state: dict[str, Tensor], path: str) -> None:
    """Load every parameter of the host; a missing, extra or misshapen one is refused. A classifier in the file is left out.

    Raises:
        InputError: the file is not this host's.
    """
    state = {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}
    ours = host.state_dict()
    missing, extra = sorted(ours.keys() - state.keys()), sorted(state.keys() - ours.keys())
    shapes = [
        f'{key} {tuple(state[key].shape)} for {tuple(ours[key].shape)}' for key in ours.keys() & state.keys() if state[key].shape != ours[key].shape
    ]
    if missing or extra or shapes:
        raise InputError(
            f'{path}: these are not the weights of this host ({type(host).__name__}). Missing: {_some(missing)}; unexpected: {_some(extra)}; '
            f'other shapes: {_some(sorted(shapes))}. Name the file of this architecture, or the architecture of this file.'
        )
    host.load_state_dict(state)


def load_timm(host: nn.Module, name: str, path: str) -> None:
    """Load a timm host from a file; position embeddings are resized by timm's own rule, patches are not."""
    path = shipped(path)
    if path.endswith('.npz') and Path(path).is_file() and hasattr(host, 'load_pretrained'):
        _load_jax(host, name, path)
        return
    state = read_tensors(path)
    own = host.patch_embed.proj.weight
    kernels = [value for key, value in state.items() if key.endswith(PROJECTIONS) and value.ndim == 4]
    if any(kernel.shape != own.shape for kernel in kernels):  # timm's filter would resample it
        raise InputError(f'{path}: its patch projection is {tuple(kernels[0].shape)}, that of {name} {tuple(own.shape)}. Name the host of this file.')
    with _converting(path, name):
        state = import_module(type(host).__module__).checkpoint_filter_fn(state, host)
    load_strictly(host, state, path)


@torch.no_grad()
def _load_jax(host: nn.Module, name: str, path: str) -> None:
    """Load the original .npz by timm's own reader (every array by name, no pickle), which passes by what only one of the two sides has."""
    with _converting(path, name), np.load(path, allow_pickle=False) as arrays:
        depth, patch = _jax_geometry(arrays)
        resized = patch != host.patch_embed.patch_size and not name.startswith('flexivit')  # FlexiViT's patches are made for that
        if depth != len(host.blocks) or resized:
            raise ValueError(f'{depth} blocks with patches of {patch}, for {len(host.blocks)} with {host.patch_embed.patch_size}')
        for parameter in host.parameters():
            parameter.fill_(math.nan)
        host.load_pretrained(path)
    missing = sorted(key for key, parameter in host.named_parameters() if not parameter.is_meta and parameter.isnan().any())
    if missing:
        raise InputError(f'{path}: these are not all weights of {name}. Missing: {_some(missing)}. Name the architecture of this file.')


def _jax_geometry(arrays: Mapping[str, np.ndarray]) -> tuple[int, tuple[int, int]]:
    """Return the number of blocks, one by one or stacked, and the patch size; a file may hold a second tower."""
    trees = [tree for tree in JAX_TREES if f'{tree}embedding/kernel' in arrays]
    if not trees:
        raise KeyError('embedding/kernel')
    tree = trees[0]
    stacked = f'{tree}Transformer/encoderblock/LayerNorm_0/scale'
    blocks = {key.removeprefix(tree).split('/')[1] for key in arrays if key.startswith(f'{tree}Transformer/encoderblock_')}
    return arrays[stacked].shape[0] if stacked in arrays else len(blocks), arrays[f'{tree}embedding/kernel'].shape[:2]


def load_mmpretrain(host: nn.Module, path: str, prefix: str = 'backbone.') -> None:
    """Load an mmpretrain host from a file of the backbone or of a whole classifier; a URL goes through torch.hub's cache."""
    state = read_weights(path)
    if any(key.startswith(prefix) for key in state):
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    with _converting(path, type(host).__name__):
        host._prepare_pos_embed(state, '')
    load_strictly(host, state, path)


def load_open_clip(host: nn.Module, path: str) -> None:
    """Load a visual tower from a file of it or of the whole model; position embeddings are resized by open_clip's own rule."""
    from open_clip.model import resize_pos_embed

    state = {key.removeprefix('module.'): value for key, value in read_weights(path).items()}
    if not any(key.startswith('visual.') for key in state):
        state = {f'visual.{key}': value for key, value in state.items()}
    with _converting(path, type(host).__name__):
        resize_pos_embed(state, SimpleNamespace(visual=host))
    load_strictly(host, {key.removeprefix('visual.'): value for key, value in state.items() if key.startswith('visual.')}, path)


@contextmanager
def _converting(path: str, name: str) -> Iterator[None]:
    """Answer for a library that brings a file into the form of its model, and fails in its own words where the file is another model's."""
    try:
        yield
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        BadZipFile,
    ) as error:
        raise InputError(
            f'{path}: not the weights of {name}, or damaged ({type(error).__name__}: {error}). Download it again, or name the host it belongs to.'
        ) from error


def _some(items: list[str]) -> str:
    return ', '.join(items[:4]) + (f' and {len(items) - 4} more' if len(items) > 4 else '') if items else 'none'
