"""From a config and an adapter to a model, the one that tools/test.py runs, without a runner."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmsparse.config.check import check_config
from mmsparse.errors import InputError
from mmsparse.models.backbones import SparseViT
from mmsparse.state.agreement import full_state_dict, other_settings
from mmsparse.state.card import plain
from mmsparse.state.files import read_state


def build_classifier(cfg: Config) -> nn.Module:
    """Build the classifier of a config with its host's weights, in evaluation mode; adapter and head are untrained.

    Raises:
        InputError: a misspelt config, or one whose backbone is no SparseViT.
    """
    check_config(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        model = MODELS.build(
            dict(cfg.model, data_preprocessor=cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor'))
        )
    model.eval()
    if not isinstance(getattr(model, 'backbone', None), SparseViT):
        raise InputError(
            f'{cfg.filename}: received a {type(model).__name__} without mmsparse.SparseViT as its backbone, so it has '
            'no adapter.'
        )
    return model


def adapted(cfg: Config, adapter: str | Path) -> nn.Module:
    """Build the classifier of a config and load an adapter into it. Where config and card differ the config wins.

    Args:
        cfg: as `mmsparse.config.read.read_config` gives it.
        adapter: the folder of a state, or the adapter.safetensors in it.

    Raises:
        InputError: as `build_classifier`; a damaged adapter, or another model's.
    """
    model, state = build_classifier(cfg), read_state(adapter)
    other_settings(state, plain(cfg.model))
    model.load_state_dict(full_state_dict(model, state))
    return model
