"""From the configs of adapters and sparsifiers to the parts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.part import check_sites
from mmsparse.registry import MODELS

ROLES = {
    'adapter': (BaseAdapter, 'mmsparse.LoRA'),
    'sparsifier': (BaseSparsifier, 'mmsparse.EViT'),
}  # what stands there, and one of them


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
        parts.append(part)
    return nn.ModuleList(parts)
