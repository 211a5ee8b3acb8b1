"""How the images were normalised that a host was trained on: what timm, open_clip and our card say of its weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from torch import nn

from mmsparse.models.hosts.weight_files import SHIPPED, card_of

ALIKE = 0.5  # of 255: lists round their values differently


class Pixels(NamedTuple):
    """Mean and standard deviation of red, green and blue (0 to 255) by which images were normalised."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        return ', '.join(f'{key}={[round(value, 3) for value in values]}' for key, values in self._asdict().items())

    def like(self, other: Pixels | None) -> bool:
        """Tell whether both say the same."""
        if other is None or [len(values) for values in self] != [len(values) for values in other]:
            return False
        return all(math.isclose(a, b, abs_tol=ALIKE) for a, b in zip(sum(self, ()), sum(other, ())))


def pixels_in(cfg: Mapping | None) -> Pixels | None:
    """Read the entries `mean` and `std` (0 to 1) of what timm and open_clip say of weights."""
    if not (cfg and cfg.get('mean') and cfg.get('std')):
        return None
    return Pixels(*(tuple(255 * value for value in cfg[key]) for key in ('mean', 'std')))


def pixels_on_card(checkpoint: str) -> Pixels | None:
    """Return what the card beside a file of weights says."""
    said = card_of(checkpoint).get('normalisation')
    return said and Pixels(tuple(said['mean']), tuple(said['std']))


def timm_pixels(name: str, checkpoint: str | bool | None) -> Pixels | None:
    """Return what the weights of a timm model expect: by its tag, by their file, or where all tags of its name agree;
    None: not known."""
    import timm

    if checkpoint is False:
        return None
    if checkpoint and checkpoint.startswith(SHIPPED):
        return pixels_on_card(checkpoint)
    base, _, tag = name.partition('.')
    if checkpoint is None or tag:
        return _timm_tag(name)
    if checkpoint.endswith('.npz'):
        return Pixels((127.5,) * 3, (127.5,) * 3)  # Google's JAX ViTs, all of them
    for named in published_by_timm(checkpoint)[:1]:
        return _timm_tag(named)
    return pixels_in(published(checkpoint)) or _agreed(_timm_tag(known) for known in timm.list_pretrained(f'{base}.*'))


def open_clip_pixels(name: str, tag: str, checkpoint: str | bool | None) -> Pixels | None:
    """Return what the weights of an open_clip model expect, as `timm_pixels` does for timm's."""
    import open_clip

    if checkpoint is False:
        return None
    if checkpoint is None:
        return pixels_in(open_clip.get_pretrained_cfg(name, tag))
    return pixels_in(published(checkpoint)) or _agreed(
        pixels_in(open_clip.get_pretrained_cfg(name, known)) for known in open_clip.list_pretrained_tags_by_model(name)
    )


def published(path: str) -> Mapping | None:
    """Return what open_clip's list says of a file that bears the name under which weights were published, or lies in
    their folder of the hub's cache; None: nothing."""
    import open_clip

    place = f'{Path(path)}'.replace('--', '/')
    for cfg in (open_clip.get_pretrained_cfg(*pair) for pair in open_clip.list_pretrained()):
        repository = cfg.get('hf_hub', '').rstrip('/')
        if repository and f'{repository}/' in place or cfg.get('url') and cfg['url'].endswith(f'/{Path(path).name}'):
            return cfg
    return None


def published_by_timm(path: str) -> list[str]:
    """Return timm's names, tags included, of a file that bears the name under which weights were published, or lies in
    their folder of the hub's cache; those with QuickGELU first, whose weights timm lists under plain names too."""
    file, place = Path(path), f'{Path(path)}'.replace('--', '/')
    found = [
        name
        for name, repository, url in _publications()
        if file.stem in (name, repository.rpartition('/')[2])
        or url.endswith(f'/{file.name}')
        or repository
        and f'{repository}/' in place
    ]
    return sorted(found, key=lambda name: '_quickgelu' not in name)


@cache
def _publications() -> list[tuple[str, str, str]]:
    """Name, repository on the hub and address of all weights that timm knows; half a second."""
    import timm

    known = ((name, timm.get_pretrained_cfg(name)) for name in timm.list_pretrained())
    return [(name, cfg.hf_hub_id or '', cfg.url or '') for name, cfg in known]


def warning(model: nn.Module) -> str | None:
    """Return how the data preprocessor of a model on a SparseViT and the weights of its host disagree; None: they
    agree, or nothing is known."""
    view, ours = model.backbone.view, applied(model)
    if view.pixels is None or view.pixels.like(ours):
        return None
    said = f'data_preprocessor normalises with {ours or "nothing"}'
    return f'{said}; the weights of {view.name} were trained with {view.pixels}. Set these'


def applied(model: nn.Module) -> Pixels | None:
    """Return what the data preprocessor of a model applies, or None where it does not normalise."""
    mean, std = (getattr(getattr(model, 'data_preprocessor', None), key, None) for key in ('mean', 'std'))
    known = mean is not None and std is not None and not mean.is_meta
    return Pixels(tuple(mean.flatten().tolist()), tuple(std.flatten().tolist())) if known else None


def _timm_tag(name: str) -> Pixels | None:
    import timm

    cfg = timm.get_pretrained_cfg(name)
    return pixels_in(cfg and vars(cfg))


def _agreed(known: Iterable[Pixels | None]) -> Pixels | None:
    first, *rest = list(known) or [None]
    return first if first and all(first.like(other) for other in rest) else None
