"""Read files of weights, from disk, the package or an address; nothing in them is executed."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.models.hosts.checkpoint_contents import network, unpickled

SHIPPED = 'mmsparse://'
HASHED = re.compile(r'-(?!20\d{6}\.)[0-9a-f]{8,}\.')  # a name that torch.hub and OpenMMLab give to one file only
KINDS = ('.safetensors', '.pth', '.pt', '.bin', '.ckpt', '.tar')
# How files begin that a failed download leaves, and what they are.
NO_WEIGHTS = {b'version https://git-lfs': 'the pointer of Git LFS to a file; `git lfs pull` fetches it', b'<': 'a web page, not the file behind it'}


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
        f'{where}: received checkpoint={checkpoint!r}. Expected a file, False for random weights, or None for the pretrained weights that a name of '
        'timm or open_clip promises.'
    )


def read_tensors(path: str) -> dict[str, Tensor]:
    """Read the network in a .safetensors, .pth, .pt, .bin, .ckpt or .pth.tar file, TorchScript archives too; nothing in it is executed.

    Raises:
        InputError: the file is missing, truncated, of another kind, or no network can be told from what it holds.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f'{path}: no such file of host weights. Set host.checkpoint to an existing .safetensors, .npz or .pth file.')
    if file.suffix not in KINDS:
        raise InputError(
            f'{path}: received a {file.suffix or "suffixless"} file, expected .safetensors or .pth, or for a VisionTransformer of timm .npz.'
        )
    with file.open('rb') as opened:
        head = opened.read(32)
    for start, what in NO_WEIGHTS.items():
        if head.startswith(start):
            raise InputError(f'{path}: this is {what}. Download the weights again.')
    try:
        if file.suffix == '.safetensors' or head[8:9] == b'{':  # hubs have them as .bin too; what is called safetensors is never unpickled
            from safetensors.torch import load_file

            return load_file(file)
        return network(unpickled(file), path)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(
            f'{path}: not a plain file of tensors, or damaged; other objects are never unpickled here. Received: {_reason(error)}. Download it '
            'again, or where you trust it save the tensors alone: torch.save(torch.load(FILE, weights_only=False)[KEY], OUT) with the KEY they have.'
        ) from error
    except Exception as error:  # each reader has its own words for a damaged file
        raise InputError(
            f'{path}: the file cannot be read, it is damaged or cut short ({type(error).__name__}: {error}). Download it again.'
        ) from error


def _reason(error: Exception) -> str:
    """What torch's reader stopped at, without its advice to unpickle all the same."""
    told = re.search(r'WeightsUnpickler error:\s*(.*)', str(error))
    reason = told[1] if told else str(error).splitlines()[0]
    return re.sub(r"<class '.*Beside'>", 'one of another class', reason.split('. Please')[0]).rstrip('. ')


def shipped(path: str) -> str:
    """Return the file that ``mmsparse://NAME`` stands for, weights that travel with the package; other paths as they are.

    Raises:
        InputError: no such weights are shipped.
    """
    if not path.startswith(SHIPPED):
        return path
    assets = Path(__file__).parents[2] / 'assets'
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


def _download(url: str) -> str:
    name = Path(urlsplit(url).path).name
    if not name.endswith(KINDS):
        raise InputError(f'{url}: received the address of {name or "no file"}, expected one of a {", ".join(KINDS)} file.')
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    if not HASHED.search(name):  # model.safetensors is what half of a hub is called
        folder /= hashlib.sha256(url.encode()).hexdigest()[:16]
    file = folder / name
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(file), progress=False)
        except OSError as error:
            raise InputError(f'{url}: cannot be reached ({error}). Download it elsewhere and give the path of the file instead.') from error
    return str(file)
