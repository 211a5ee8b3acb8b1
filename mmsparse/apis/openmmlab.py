"""Attributes that functions of mmpretrain and mmseg set on the models they build, and look for on any other."""

from __future__ import annotations

from types import SimpleNamespace

from mmengine.config import Config
from torch import nn

from mmsparse.datasets.palette import dataset_meta
from mmsparse.errors import InputError
from mmsparse.state.pipeline import pipeline_config
from mmsparse.state.trust import scope_of


def equip(model: nn.Module, file: str) -> None:
    """Let mmpretrain's inferencers and `inference_model`, and mmseg's `inference_model`, take a loaded model.

    Args:
        model: with a `card`.
        file: the card's, named in errors.
    """
    model._dataset_meta = model.dataset_meta = dataset_meta(model.card.classes)
    task = 'Image Classification' if hasattr(model, 'head') else 'Semantic Segmentation'
    model._metainfo = SimpleNamespace(results=[SimpleNamespace(task=task)])
    try:
        pipeline = pipeline_config(model.card, file)
    except InputError:  # no pipeline that may be built: `predict` says so when it is called
        return
    model._config = model.cfg = Config(
        dict(
            default_scope=scope_of(model.card, file),
            test_pipeline=pipeline,
            test_dataloader=dict(dataset=dict(pipeline=pipeline)),
        )
    )
