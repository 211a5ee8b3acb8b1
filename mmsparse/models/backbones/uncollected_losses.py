"""Refuse a model that would train without the losses of its parts."""

from collections.abc import Mapping

from mmsparse.errors import InputError
from mmsparse.models.backbones.sparse_vit import SparseViT
from mmsparse.models.part import has_losses
from mmsparse.registry import REFUSALS
from mmsparse.utils.hints import find_type


def refuse_lost_losses(target, cfg: Mapping, scope: str, where: str) -> None:
    """Refuse a model whose backbone has parts with losses that nobody collects; a backbone on its own, and any other
    config, passes.

    Args:
        target: class that the config builds.
        cfg: its config.
        scope: default scope, e.g. 'mmpretrain'.
        where: place in the config, for the error.

    Raises:
        InputError: names the parts and the model that collects their losses.
    """
    backbone, where = cfg.get('backbone'), f'{where}.backbone'
    while isinstance(backbone, Mapping) and isinstance(backbone.get('module'), Mapping):  # mmpretrain's LoRAModel
        backbone, where = backbone['module'], f'{where}.module'
    if not isinstance(backbone, Mapping) or 'type' not in backbone or getattr(target, 'collects_losses', False):
        return
    kind = find_type(backbone['type'], scope, where, ('MODELS',))
    if not (isinstance(kind, type) and issubclass(kind, SparseViT)):
        return
    for key in ('adapter', 'sparsifier'):
        parts = backbone.get(key) or ()
        for part in [parts] if isinstance(parts, Mapping) else parts:
            if has_losses(found := find_type(part['type'], scope, f'{where}.{key}', ('MODELS',))):
                raise InputError(
                    f'{where}.{key}: {found.__name__} has losses of its own, and {target.__name__} does not collect '
                    f'them, so it would not learn. Use {_collector(cfg)}.'
                )


def _collector(cfg: Mapping) -> str:
    """Say which model collects: the kind of head tells the task."""
    if 'decode_head' in cfg:
        return "type='mmsparse.SparseSegmentor' for the model; it takes EncoderDecoder's arguments"
    return "type='mmsparse.SparseClassifier' for the model; it takes ImageClassifier's arguments"


REFUSALS.append(refuse_lost_losses)
