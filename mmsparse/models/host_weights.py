"""Weights of a frozen host: where they come from, and proof that they stay what they are.

The ladder: safetensors; .npz without pickle (the original JAX files, by timm's own reader); .pth with ``weights_only=True``; nothing else.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError

CLASSIFIER = ('head.', 'head_dist.', 'fc.', 'pre_logits.')
REACH_SECONDS = 5
SHIPPED = 'mmsparse://'


@contextmanager
def seeded() -> Iterator[None]:
    """Draw from a seed of its own: a random host is the same in every process, and the run's random state does not notice."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


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


def read_tensors(path: str) -> dict[str, Tensor]:
    """Read a .safetensors, .pth, .pt or .bin file of tensors; nothing in it is executed.

    Raises:
        InputError: the file is missing, truncated, of another kind, or holds more than tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f'{path}: no such file of host weights. Set host.checkpoint to an existing .safetensors, .npz or .pth file.')
    try:
        if file.suffix == '.safetensors':
            from safetensors.torch import load_file

            return load_file(file)
        if file.suffix in ('.pth', '.pt', '.bin'):
            state = torch.load(file, map_location='cpu', weights_only=True)
            for key in ('state_dict', 'model'):
                state = state.get(key, state)
            return {key: value for key, value in state.items() if isinstance(value, Tensor)}
    except pickle.UnpicklingError as error:
        raise InputError(
            f'{path}: not a plain file of tensors, or damaged; objects are never unpickled here. Received: {str(error).splitlines()[0]} '
            'Download it again, or save its state_dict as .safetensors in an environment that trusts it.'
        ) from error
    except Exception as error:  # each reader has its own words for a damaged file
        raise InputError(
            f'{path}: the file cannot be read, it is damaged or cut short ({type(error).__name__}: {error}). Download it again.'
        ) from error
    raise InputError(f'{path}: received a {file.suffix or "suffixless"} file, expected .safetensors, .npz or .pth.')


def shipped(path: str) -> str:
    """Return the file that ``mmsparse://NAME`` stands for, weights that travel with the package; other paths as they are.

    Raises:
        InputError: no such weights are shipped.
    """
    if not path.startswith(SHIPPED):
        return path
    assets = Path(__file__).parents[1] / 'assets'
    file = assets / f'{path.removeprefix(SHIPPED)}.safetensors'
    if file.parent != assets or not file.is_file():
        known = ', '.join(SHIPPED + found.stem for found in sorted(assets.glob('*.safetensors')))
        raise InputError(f'{path}: no such weights travel with the package. Known: {known or "none"}.')
    return str(file)


def read_weights(path: str) -> dict[str, Tensor]:
    """Read a file of tensors as `read_tensors` does, also one that travels with the package, or an http address through torch.hub's cache.

    Raises:
        InputError: also where it cannot be reached, or the address is of another kind.
    """
    if path.startswith(('http://', 'https://')):
        path = _download(path)
    elif '://' in path and not path.startswith(SHIPPED):
        raise InputError(f'{path}: received an address of an unknown kind. Expected a file, or an address with http or https.')
    return read_tensors(shipped(path))


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
    """Load a timm host from a file; position embeddings are resized by timm's own rule."""
    checkpoint_filter_fn = import_module(type(host).__module__).checkpoint_filter_fn
    path = shipped(path)
    if not path.endswith('.npz') or not Path(path).is_file():
        load_strictly(host, checkpoint_filter_fn(read_tensors(path), host), path)
        return
    try:
        host.load_pretrained(path)  # timm's reader of the JAX files: every array by name, no pickle
    except (KeyError, ValueError, AssertionError, RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f'{path}: not the JAX weights of {name}, or damaged ({type(error).__name__}: {error}). Download it again, or name the host it belongs to.'
        ) from error


def load_mmpretrain(host: nn.Module, path: str, prefix: str = 'backbone.') -> None:
    """Load an mmpretrain host from a file of the backbone or of a whole classifier; a URL goes through torch.hub's cache."""
    state = read_weights(path)
    if any(key.startswith(prefix) for key in state):
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    host._prepare_pos_embed(state, '')
    load_strictly(host, state, path)


def pretrained_timm(name: str, **kwargs) -> nn.Module:
    """Build a timm host with the weights that its name promises.

    Raises:
        InputError: the name promises none, or they can neither be reached nor found in the cache; within seconds.
    """
    import timm

    try:
        promised = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise InputError(f'TimmViT: {name}: {error}. Known: {", ".join(timm.list_pretrained(name.split(".")[0] + "*")) or "none"}.') from error
    if promised is None or not promised.has_weights:
        raise InputError(
            f'TimmViT: timm has no pretrained weights for {name!r}. Pass host.checkpoint=FILE, or host.checkpoint=False for random weights.'
        )
    try:
        with _asked_once(promised.hf_hub_id, 'model.safetensors'):
            return timm.create_model(name, pretrained=True, **kwargs)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable('TimmViT', name, promised.hf_hub_id or promised.url, error, '.safetensors, .npz or .pth') from error


def pretrained_open_clip(name: str, tag: str, quick_gelu: bool) -> str:
    """Return the file with the weights of an open_clip model.

    Args:
        name: open_clip's name of the model.
        tag: open_clip's name of the weights.
        quick_gelu: whether the model has QuickGELU; with the wrong activation the weights would load, and be worth little.

    Raises:
        InputError: no such weights, weights for the other activation, or they can neither be reached nor found in the cache.
    """
    import open_clip

    promised = open_clip.get_pretrained_cfg(name, tag)
    if not promised:
        raise InputError(
            f'OpenClipViT: {name} has no weights {tag!r}; known to open_clip: {", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"}. '
            'Set host.pretrained to one of them, host.checkpoint to a file, or host.checkpoint=False for random weights.'
        )
    if promised.get('quick_gelu', False) != quick_gelu:
        other = name.removesuffix('-quickgelu') if quick_gelu else f'{name}-quickgelu'
        raise InputError(f'OpenClipViT: the weights {tag!r} were trained {"without" if quick_gelu else "with"} QuickGELU. Use name={other!r}.')
    try:
        with _asked_once(promised.get('hf_hub', '').rstrip('/'), 'open_clip_config.json'):
            return open_clip.download_pretrained(promised)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable('OpenClipViT', name, promised.get('hf_hub') or promised.get('url'), error, '.safetensors or .pth') from error


def load_open_clip(host: nn.Module, path: str) -> None:
    """Load a visual tower from a file of it or of the whole model; position embeddings are resized by open_clip's own rule."""
    from open_clip.model import resize_pos_embed

    state = {key.removeprefix('module.'): value for key, value in read_weights(path).items()}
    if not any(key.startswith('visual.') for key in state):
        state = {f'visual.{key}': value for key, value in state.items()}
    resize_pos_embed(state, SimpleNamespace(visual=host))
    load_strictly(host, {key.removeprefix('visual.'): value for key, value in state.items() if key.startswith('visual.')}, path)


@contextmanager
def _asked_once(repository: str | None, file: str) -> Iterator[None]:
    """Ask the hub one question with a short limit: its client would retry for a minute. Where it does not answer, the cache decides."""
    from huggingface_hub import constants, get_session, hf_hub_url

    offline = constants.HF_HUB_OFFLINE
    try:
        if repository and not offline:
            try:
                get_session().head(hf_hub_url(repository, file), timeout=REACH_SECONDS)
            except Exception:  # whatever the transport raises
                constants.HF_HUB_OFFLINE = True
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _unreachable(builder: str, name: str, place: str, error: Exception, formats: str) -> InputError:
    return InputError(
        f'{builder}: the pretrained weights of {name!r} can be neither reached nor found in the cache (hub: {place}; '
        f'{type(error).__name__}). Download the file elsewhere and pass it: --cfg-options model.backbone.host.checkpoint=FILE '
        f'({formats}), or train from random weights with model.backbone.host.checkpoint=False.'
    )


def _download(url: str) -> str:
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    file = folder / url.rsplit('/', 1)[1]
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(file), progress=False)
        except OSError as error:
            raise InputError(f'{url}: cannot be reached ({error}). Download it elsewhere and set host.checkpoint to the file.') from error
    return str(file)


def _some(items: list[str]) -> str:
    return ', '.join(items[:4]) + (f' and {len(items) - 4} more' if len(items) > 4 else '') if items else 'none'
