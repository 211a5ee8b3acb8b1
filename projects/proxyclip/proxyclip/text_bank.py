"""Text embeddings of a vocabulary: 80 prompts per query, encoded once and kept on disk under the hash of what they were made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.logging import print_log
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models.checkpoints import rooted
from mmsparse.models.host_weights import seeded
from mmsparse.models.hubs import pretrained_open_clip
from mmsparse.models.weight_files import checked, read_weights

# What CLIP needs besides the text tower, as small as it gets: it is thrown away.
NO_VISION = dict(image_size=1, patch_size=1, width=64, layers=1)


def text_bank(queries: Sequence[str], name: str, checkpoint: str | bool | None = None, pretrained: str = 'openai') -> Tensor:
    """Return one unit vector per query: the mean over OpenAI's 80 ImageNet prompts (CLIP, arXiv 2103.00020, sec. 3.1.4).

    Args:
        queries: words, as the prompts get them.
        name, checkpoint, pretrained: of the CLIP model, as for ``mmsparse.OpenClipViT``; a file must hold the whole model. With
            checkpoint=False the vectors are random too: those of a random text tower would mean as little, after minutes.

    Returns:
        Q×D, float32.

    Raises:
        InputError: no such model, weights that cannot be reached, or a file without text tower.
    """
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None or config.get('custom_text') or 'hf_model_name' in config['text_cfg']:
        raise InputError(f"text: {name!r} has no text tower of CLIP's own kind. Name another open_clip model, such as 'ViT-B-16-quickgelu'.")
    checkpoint = checked(checkpoint, 'ProxyCLIP')
    if checkpoint is False:
        with seeded():
            return F.normalize(torch.randn(len(queries), config['embed_dim']), dim=-1)
    file = checkpoint or pretrained_open_clip(name, pretrained, config.get('quick_gelu', False))
    prompts = [template('{}') for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    kept = cache_folder() / f'{_hash(file, name, prompts, queries)}.safetensors'
    if kept.is_file():
        try:
            return load_file(kept)['text']
        except (SafetensorError, KeyError, OSError) as error:
            print_log(f'{kept}: the stored text embeddings are damaged ({error}); they are made again.', 'current')
    text_qd = _encode(config, name, file, queries)
    _keep(text_qd, kept)
    return text_qd


def cache_folder() -> Path:
    """Return where banks are kept: beside the files that torch.hub keeps."""
    return Path(torch.hub.get_dir()) / 'text_banks'


def _encode(config: dict, name: str, file: str, queries: Sequence[str]) -> Tensor:
    import open_clip

    model = open_clip.CLIP(config['embed_dim'], NO_VISION, config['text_cfg'], quick_gelu=config.get('quick_gelu', False)).eval()
    state = rooted(read_weights(file), ('token_embedding.weight',), file).state
    wanted = {key for key in model.state_dict() if not key.startswith('visual.')} - {'logit_scale'}
    if lacks := sorted(wanted - state.keys()):
        raise InputError(
            f'{file}: {len(lacks)} tensors of the text tower of {name} are not in it, {lacks[0]} for one. Words need the file of the whole model, '
            'not of the visual tower alone.'
        )
    try:
        model.load_state_dict({key: state[key] for key in wanted}, strict=False)
    except RuntimeError as error:
        raise InputError(f'{file}: not the weights of {name} ({str(error).splitlines()[-1].strip()}). Name the model that it belongs to.') from error
    tokenizer = open_clip.get_tokenizer(name)
    many = len(queries) > 30  # a minute and more on a CPU
    text_dq = open_clip.build_zero_shot_classifier(model, tokenizer, queries, open_clip.OPENAI_IMAGENET_TEMPLATES, use_tqdm=many)
    return text_dq.T.contiguous()


def _hash(file: str, *made_from: object) -> str:
    sha = hashlib.sha256(json.dumps(made_from).encode())
    with open(_existing(file), 'rb') as stream:
        while block := stream.read(1 << 22):
            sha.update(block)
    return sha.hexdigest()


def _existing(file: str) -> str:
    if not Path(file).is_file():
        raise InputError(f'{file}: no such file of CLIP weights. Set model.backbone.host.checkpoint to an existing .safetensors or .pth file.')
    return file


def _keep(text_qd: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f'.{os.getpid()}')  # another process may be writing the same
    save_file({'text': text_qd}, unfinished)
    os.replace(unfinished, path)
