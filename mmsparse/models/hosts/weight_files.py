"""Read files of weights, from disk, the package or an address; nothing in them is executed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors.torch import load_file
from torch import Tensor

from mmsparse.errors import InputError, in_words, refuse
from mmsparse.models.hosts.checkpoint_contents import network, unpickled

SHIPPED = 'mmsparse://'
HASHED = re.compile(r'-(?!20\d{6}\.)[0-9a-f]{8,}\.')  # a name that torch.hub and OpenMMLab give to one file only
KINDS = ('.safetensors', '.pth', '.pt', '.bin', '.ckpt', '.tar')
# How files begin that a failed download leaves, and what they are.
NO_WEIGHTS = {
    b'version https://git-lfs': 'the pointer of Git LFS to a file; `git lfs pull` fetches it',
    b'<': 'a web page, not the file behind it',
}


def checked(checkpoint: object, where: str) -> str | bool | None:
    """Return what a config names as weights: a file, None (those that the name promises) or False (random ones).

    Raises:
        InputError: anything else; True would not say which.
    """
    if isinstance(checkpoint, Path):
        return str(checkpoint)
    if checkpoint is None or checkpoint is False or isinstance(checkpoint, str):
        return checkpoint
    raise InputError(
        f'{where}: received checkpoint={checkpoint!r}. Expected a file, False for random weights, or None for the '
        'pretrained weights that a name of timm or open_clip promises.'
    )


def read_tensors(path: str) -> dict[str, Tensor]:
    """Read the network in a file of one of `KINDS`, TorchScript archives too; nothing in it is executed.

    Raises:
        InputError: the file is missing, truncated, of another kind, or no network can be told from what it holds.
    """
    file = Path(path)
    refuse(f'{path}: {fault}' for fault in _faults(file))
    with in_words(f'{path}: the file cannot be read, it is damaged or cut short', 'Download it again.'):
        # Hubs have safetensors as .bin too; what is called safetensors is never unpickled.
        if file.suffix == '.safetensors' or _head(file)[8:9] == b'{':
            return load_file(file)
        return network(unpickled(file), path)


def _faults(file: Path) -> Iterator[str]:
    if not file.is_file():
        yield 'no such file of host weights. Set host.checkpoint to an existing .safetensors, .npz or .pth file.'
    if file.suffix not in KINDS:
        received = f'received a {file.suffix or "suffixless"} file'
        yield f'{received}, expected .safetensors or .pth, or for a VisionTransformer of timm .npz.'
    head = _head(file)
    for start, what in NO_WEIGHTS.items():
        if head.startswith(start):
            yield f'this is {what}. Download the weights again.'


def _head(file: Path) -> bytes:
    with file.open('rb') as opened:
        return opened.read(32)


def shipped(path: str) -> str:
    """Return the file behind ``mmsparse://NAME``, weights that travel with the package; other paths as they are.

    Raises:
        InputError: no such weights are shipped.
    """
    if not path.startswith(SHIPPED):
        return path
    assets = Path(__file__).parents[2] / 'assets'
    known = {SHIPPED + file.stem: str(file) for file in sorted(assets.glob('*.safetensors'))}
    if path not in known:
        raise InputError(f'{path}: no such weights travel with the package. Known: {", ".join(known) or "none"}.')
    return known[path]


def card_of(path: str) -> dict[str, Any]:
    """Return what tools/model_converters/export_host.py has written beside a file of weights; empty without it."""
    card = Path(shipped(path)).with_suffix('.json')
    try:
        content = json.loads(card.read_text()) if card.is_file() else {}
    except ValueError:  # somebody else's
        return {}
    return content if isinstance(content, dict) and {'architecture', 'normalisation'} <= content.keys() else {}


def read_weights(path: str) -> dict[str, Tensor]:
    """Read a file of tensors as `read_tensors` does, also one that travels with the package, or an http address
    through torch.hub's cache.

    Raises:
        InputError: also where it cannot be reached, or the address is of another kind.
    """
    return read_tensors(_downloaded(path) if '://' in path and not path.startswith(SHIPPED) else shipped(path))


def _faults_of_address(url: str, name: str) -> Iterator[str]:
    if not url.startswith(('http://', 'https://')):
        yield f'{url}: received an address of an unknown kind. Expected a file, or an address with http or https.'
    if not name.endswith(KINDS):
        yield f'{url}: received the address of {name or "no file"}, expected one of a {", ".join(KINDS)} file.'


def _downloaded(url: str) -> str:
    name = Path(urlsplit(url).path).name
    refuse(_faults_of_address(url, name))
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    if not HASHED.search(name):  # model.safetensors is what half of a hub is called
        folder /= hashlib.sha256(url.encode()).hexdigest()[:16]
    file = folder / name
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with in_words(f'{url}: cannot be reached', 'Download it elsewhere and give the path of the file instead.'):
            torch.hub.download_url_to_file(url, str(file), progress=False)
    return str(file)
