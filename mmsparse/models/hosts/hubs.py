"""Pretrained weights that a name promises: asked of timm's and open_clip's hubs, or found in their caches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from mmsparse.errors import InputError, in_words
from mmsparse.models.hosts.activations import refuse_other_open_clip_activation, refuse_other_timm_activation

REACH_SECONDS = 5


def pretrained_timm(name: str, **kwargs) -> nn.Module:
    """Build a timm host with the weights that its name promises; `kwargs` are timm.create_model's.

    Raises:
        InputError: the name promises none, or they can neither be reached nor found in the cache; within seconds.
    """
    import timm

    known = ', '.join(timm.list_pretrained(f'{name.split(".")[0]}*'))
    with in_words(f'TimmViT: {name}', f'Known: {known or "none"}.'):
        promised = timm.get_pretrained_cfg(name)
    refuse_other_timm_activation(name)
    if promised is None or not promised.has_weights:
        raise InputError(
            f'TimmViT: timm has no pretrained weights for {name!r}. Pass host.checkpoint=FILE, or host.checkpoint=False for random weights.'
        )
    place = promised.hf_hub_id or promised.url
    with _reaching('TimmViT', name, place, promised.hf_hub_id, 'model.safetensors', '.safetensors, .npz or .pth'):
        return timm.create_model(name, pretrained=True, **kwargs)


def as_promised(host: nn.Module, name: str, **kwargs) -> dict[str, Tensor]:
    """Return what timm has resized of a pretrained host while it read the weights, as they have it; `kwargs` built the host."""
    if not {'img_size', 'patch_size'} & kwargs.keys():
        return {}
    own = pretrained_timm(name, **{key: value for key, value in kwargs.items() if key not in ('img_size', 'patch_size')})
    moved = own.patch_embed.grid_size != host.patch_embed.grid_size
    ours = dict(host.named_parameters())
    theirs = {key: value.detach() for key, value in own.named_parameters()}
    return {key: value for key, value in theirs.items() if value.shape != ours[key].shape or moved and key == 'pos_embed'}


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
            f'OpenClipViT: {name} has no weights {tag!r}; known to open_clip: '
            f'{", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"}. '
            'Set host.pretrained to one of them, host.checkpoint to a file, or host.checkpoint=False for random weights.'
        )
    refuse_other_open_clip_activation(name, quick_gelu, f'the weights {tag!r}', promised.get('quick_gelu', False))
    repository = promised.get('hf_hub', '').rstrip('/')
    with _reaching('OpenClipViT', name, repository or promised.get('url'), repository, 'open_clip_config.json', '.safetensors or .pth'):
        return open_clip.download_pretrained(promised)


@contextmanager
def _reaching(builder: str, name: str, place: str, repository: str | None, file: str, kinds: str) -> Iterator[None]:
    """Ask the hub one question with a short limit: its client would retry for a minute. Where it does not answer, the
    cache decides; where that lacks the weights, the error says how else to provide them."""
    from huggingface_hub import constants, get_session, hf_hub_url

    offline = constants.HF_HUB_OFFLINE
    try:
        if repository and not offline:
            try:
                get_session().head(hf_hub_url(repository, file), timeout=REACH_SECONDS)
            except Exception:  # whatever the transport raises
                constants.HF_HUB_OFFLINE = True
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f'{builder}: the pretrained weights of {name!r} can be neither reached nor found in the cache (hub: {place}; '
            f'{type(error).__name__}). Download the file elsewhere and pass it: --cfg-options '
            f'model.backbone.host.checkpoint=FILE ({kinds}), or train from random weights with '
            'model.backbone.host.checkpoint=False.'
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = offline
