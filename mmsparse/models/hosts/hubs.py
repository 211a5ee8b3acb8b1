"""Pretrained weights that a name promises: asked of the hubs, or found in their caches."""

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
            f'TimmViT: timm has no pretrained weights for {name!r}. Pass host.checkpoint=FILE, or '
            'host.checkpoint=False for random weights.'
        )
    place = promised.hf_hub_id or promised.url
    with reaching('TimmViT', name, place, promised.hf_hub_id, 'model.safetensors', '.safetensors, .npz or .pth'):
        return timm.create_model(name, pretrained=True, **kwargs)


def as_promised(host: nn.Module, name: str, **kwargs) -> dict[str, Tensor]:
    """Return the parameters that timm has resized while it read the weights that a name promises, as they were before.

    Args:
        host, name: the model and its name in timm.
        kwargs: with which it was built; only img_size and patch_size resize anything.
    """
    plain = {key: value for key, value in kwargs.items() if key not in ('img_size', 'patch_size')}
    if plain == kwargs:
        return {}
    own, ours = pretrained_timm(name, **plain), dict(host.named_parameters())
    grids = [getattr(getattr(model, 'patch_embed', None), 'grid_size', None) for model in (own, host)]
    moved = {'pos_embed'} if grids[0] != grids[1] else set()
    theirs = {key: value.detach() for key, value in own.named_parameters()}
    return {key: value for key, value in theirs.items() if key in moved or value.shape != ours[key].shape}


def pretrained_open_clip(name: str, tag: str, quick_gelu: bool) -> str:
    """Return the file with the weights of an open_clip model.

    Args:
        name: open_clip's name of the model.
        tag: open_clip's name of the weights.
        quick_gelu: whether the model has QuickGELU.

    Raises:
        InputError: no such weights, weights for the other activation, or they can neither be reached nor found in the
            cache.
    """
    import open_clip

    promised = open_clip.get_pretrained_cfg(name, tag)
    if not promised:
        raise InputError(
            f'OpenClipViT: {name} has no weights {tag!r}; known to open_clip: '
            f'{", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"}. Set host.pretrained to one of '
            'them, or host.checkpoint to a file or to False for random weights.'
        )
    refuse_other_open_clip_activation(name, quick_gelu, f'the weights {tag!r}', promised.get('quick_gelu', False))
    repository = promised.get('hf_hub', '').rstrip('/')
    place, formats = repository or promised.get('url'), '.safetensors or .pth'
    with reaching('OpenClipViT', name, place, repository, 'open_clip_config.json', formats):
        return open_clip.download_pretrained(promised)


@contextmanager
def reaching(builder: str, name: str, place: str, repository: str | None, file: str, kinds: str) -> Iterator[None]:
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
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f'{builder}: the pretrained weights of {name!r} can be neither reached nor found in the cache (hub: '
            f'{place}; {type(error).__name__}). Download the file elsewhere and pass it: --cfg-options '
            f'model.backbone.host.checkpoint=FILE ({kinds}), or train from random weights with '
            'model.backbone.host.checkpoint=False.'
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = offline
