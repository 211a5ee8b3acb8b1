"""Text embeddings of a vocabulary: 80 prompts per query, encoded once and kept on disk under the hash of what they
were made from.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models.hosts.checkpoint_contents import rooted
from mmsparse.models.hosts.frozen_model import seeded
from mmsparse.models.hosts.hubs import pretrained_open_clip
from mmsparse.models.hosts.weight_files import checked, read_weights

# What CLIP needs besides the text tower, as small as it gets: it is thrown away.
NO_VISION = dict(image_size=1, patch_size=1, width=64, layers=1)


def text_bank(
    queries: Sequence[str], name: str, checkpoint: str | bool | None = None, pretrained: str = 'openai'
) -> Tensor:
    """Return one unit vector per query: the mean over OpenAI's 80 ImageNet prompts (CLIP, arXiv 2103.00020, sec.
    3.1.4).

    Args:
        queries: words, as the prompts get them.
        name, checkpoint, pretrained: of the CLIP model, as for ``mmsparse.OpenClipViT``; a file must hold the whole
            model. With checkpoint=False the vectors are random too: those of a random text tower would mean as little,
            after minutes.

    Returns:
        Q×D, float32.

    Raises:
        InputError: no such model, weights that cannot be reached, a file without text tower, or words that the tower
            cannot tell apart or read whole.
    """
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None or config.get('custom_text') or 'hf_model_name' in config['text_cfg']:
        raise InputError(
            f"text: {name!r} has no text tower of CLIP's own kind. Name another open_clip model, such as "
            "'ViT-B-16-quickgelu'."
        )
    _check_words(queries, name)
    checkpoint = checked(checkpoint, 'ProxyCLIP')
    if checkpoint is False:
        with seeded():
            return F.normalize(torch.randn(len(queries), config['embed_dim']), dim=-1)
    file = checkpoint or pretrained_open_clip(name, pretrained, config.get('quick_gelu', False))
    prompts = [template('{}') for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    kept = cache_folder() / f'{_hash(file, name, prompts, queries)}.safetensors'
    if kept.is_file():
        try:
            return _stored(kept, (len(queries), config['embed_dim']))
        except (SafetensorError, ValueError, OSError) as error:
            print_log(
                f'{kept}: the stored text embeddings cannot be used ({error}); they are made again.',
                'current',
                logging.WARNING,
            )
    text_qd = _encode(config, name, file, queries)
    _keep(text_qd, kept)
    return text_qd


def cache_folder() -> Path:
    """Return where banks are kept: beside the files that torch.hub keeps."""
    return Path(torch.hub.get_dir()) / 'text_banks'


def _check_words(queries: Sequence[str], name: str) -> None:
    """Refuse words that are one to the tokenizer, or none, and prompts whose end it would cut off."""
    import open_clip

    tokenizer, read = _tokenizer(name), {}
    longest = max(open_clip.OPENAI_IMAGENET_TEMPLATES, key=lambda template: len(tokenizer.encode(template('x'))))
    for query in queries:
        tokens = tuple(tokenizer.encode(query))
        if not tokens:
            raise InputError(f'classes: the tokenizer of {name} reads nothing in {query!r}. Use letters.')
        if (same := read.setdefault(tokens, query)) != query:
            raise InputError(
                f'classes: the tokenizer of {name} reads {same!r} and {query!r} alike (upper case and spaces count '
                'for nothing). Name one of them.'
            )
        count = len(tokenizer.encode(longest(query))) + 2  # start and end
        if count > tokenizer.context_length:
            raise InputError(
                f'classes: {query!r} makes prompts of {count} tokens, but {name} reads {tokenizer.context_length}, '
                'and the rest would be lost. Use a shorter name.'
            )


@cache
def _tokenizer(name: str):
    import open_clip

    return open_clip.get_tokenizer(name)


def _encode(config: dict, name: str, file: str, queries: Sequence[str]) -> Tensor:
    import open_clip

    model = open_clip.CLIP(
        config['embed_dim'], NO_VISION, config['text_cfg'], quick_gelu=config.get('quick_gelu', False)
    ).eval()
    state = rooted(read_weights(file), ('token_embedding.weight',), file).state
    wanted = {key for key in model.state_dict() if not key.startswith('visual.')} - {'logit_scale'}
    if lacks := sorted(wanted - state.keys()):
        raise InputError(
            f'{file}: {len(lacks)} tensors of the text tower of {name} are not in it, {lacks[0]} for one. Words need '
            'the file of the whole model, not of the visual tower alone.'
        )
    try:
        model.load_state_dict({key: state[key] for key in wanted}, strict=False)
    except RuntimeError as error:
        raise InputError(
            f'{file}: not the weights of {name} ({str(error).splitlines()[-1].strip()}). Name the model that it '
            'belongs to.'
        ) from error
    many = len(queries) > 30  # a minute and more on a CPU
    text_dq = open_clip.build_zero_shot_classifier(
        model, _tokenizer(name), queries, open_clip.OPENAI_IMAGENET_TEMPLATES, use_tqdm=many
    )
    return text_dq.T.contiguous()


def _hash(file: str, *made_from: object) -> str:
    sha = hashlib.sha256(json.dumps(made_from).encode())
    with open(_existing(file), 'rb') as stream:
        while block := stream.read(1 << 22):
            sha.update(block)
    return sha.hexdigest()


def _existing(file: str) -> str:
    if not Path(file).is_file():
        raise InputError(
            f'{file}: no such file of CLIP weights. Set model.backbone.host.checkpoint to an existing .safetensors or '
            '.pth file.'
        )
    return file


def _keep(text_qd: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f'.{os.getpid()}')  # another process may be writing the same
    save_file({'text': text_qd}, unfinished, {'made_from': path.stem})
    os.replace(unfinished, path)


def _stored(path: Path, shape: tuple[int, int]) -> Tensor:
    with safe_open(path, 'pt') as file:
        text_qd = file.get_tensor('text')
        if tuple(text_qd.shape) != shape:
            raise ValueError(f'{" × ".join(map(str, text_qd.shape))} numbers instead of {shape[0]} × {shape[1]}')
        if (file.metadata() or {}).get('made_from') != path.stem:
            raise ValueError('made from other words or weights, or by an earlier version')
    return text_qd
