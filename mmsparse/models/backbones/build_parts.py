"""From the arguments of a SparseViT to its parts and layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter, check_weights
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.part import check_sites
from mmsparse.registry import MODELS
from mmsparse.utils.value_checks import is_list, is_whole

# what stands there, and one of them
ROLES = {'adapter': (BaseAdapter, 'mmsparse.LoRA'), 'sparsifier': (BaseSparsifier, 'mmsparse.EViT')}


def build_parts(role: str, cfg: dict | Sequence[dict] | None, view: View) -> nn.ModuleList:
    """Build the parts that a config, a list of them or None names.

    Args:
        role: of `ROLES`.
        cfg: without `view`.
        view: the host's.

    Raises:
        InputError: something else than configs of such parts, or a part that would never act.
    """
    kind, example = ROLES[role]
    parts = []
    for each in [] if cfg is None else cfg if isinstance(cfg, list | tuple) else [cfg]:
        part = MODELS.build(dict(each, view=view)) if isinstance(each, dict) else None
        if not isinstance(part, kind):
            raise InputError(
                f'SparseViT: received {role}={each!r}, expected the config of one, such as dict(type={example!r}), a '
                'list of them, or None.'
            )
        check_sites(part)
        if isinstance(part, BaseAdapter):
            check_weights(part)
        parts.append(part)
    name_spans([part for part in parts if getattr(part, 'span', '')])
    return nn.ModuleList(parts)


def name_spans(adapters: Sequence[BaseAdapter]) -> None:
    """Number the prefix spans of several adapters of one class, in the order of the list.

    Raises:
        InputError: two methods claim the same.
    """
    claims: dict[str, list[BaseAdapter]] = {}
    for adapter in adapters:
        claims.setdefault(adapter.span, []).append(adapter)
    for span, same in claims.items():
        names = dict.fromkeys(type(adapter).__name__ for adapter in same)
        if len(names) > 1:
            raise InputError(
                f'SparseViT: {" and ".join(names)} both claim the prefix span {span!r}, and each would replace the '
                "other's tokens. Give one of them a `span` of its own, or leave it out."
            )
        for number, adapter in enumerate(same[1:], start=2):
            adapter.span = f'{span} {number}'


def check_output(out_type: str, view: View, adapters: Iterable[BaseAdapter]) -> None:
    """Refuse an output that the host does not have, or an adapter does not give."""
    if out_type == 'cls_token' and not view.class_token:
        raise InputError(
            f"SparseViT: the host {view.name} has no class token. Use out_type='pooled' or 'avg_featmap'."
        )
    if out_type == 'featmap' and (whole := [type(adapter).__name__ for adapter in adapters if adapter.one_vector]):
        raise InputError(
            f'SparseViT: received out_type={out_type!r}, but {whole[0]} describes an image by one vector, which would '
            'stand everywhere in the map. Use another adapter for dense heads.'
        )


def layers_of(out_indices: int | Sequence[int], depth: int) -> tuple[int, ...]:
    """Return the layers, counted from 1, of blocks counted from 0 or from the end, as mmpretrain names them.

    Raises:
        InputError: what are no blocks of a network of that depth, or not in rising order.
    """
    indices = [out_indices] if is_whole(out_indices) else out_indices
    told = f'SparseViT: received out_indices={out_indices}, expected'
    if not is_list(indices) or any(not is_whole(index) or not -depth <= index < depth for index in indices):
        raise InputError(f'{told} blocks in [{-depth}, {depth - 1}], counted from 0.')
    layers = tuple(index % depth + 1 for index in indices)
    if list(layers) != sorted(set(layers)):
        raise InputError(f'{told} each block once, in rising order.')
    return layers
