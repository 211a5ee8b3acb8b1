"""What can be measured: a timm network by name, a classifier by config, a module that a user's function makes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import to_2tuple
from mmpretrain.models import BaseClassifier
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.config.check import check_config
from mmsparse.errors import InputError
from mmsparse.models.backbones.folding import fold_all
from mmsparse.models.hosts.frozen_model import seeded
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.utils.spelling import did_you_mean


@dataclass(frozen=True)
class Contender:
    """A network under its name.

    Args:
        name: for tables.
        module: takes B×3×H×W and gives logits, or an mmpretrain classifier.
        folded: whether it has its form for testing, and nothing in it trains.
    """

    name: str
    module: nn.Module
    folded: bool = False

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width that the network was built for; None: it does not say."""
        view = getattr(getattr(self.module, 'backbone', None), 'view', None)
        if view is not None:
            return view.image_size
        sizes = (getattr(module, 'img_size', None) for module in self.module.modules())
        size = next((size for size in sizes if size is not None), None)
        return None if size is None else to_2tuple(size)

    def predict(self, run: nn.Module, images: Tensor) -> Tensor:
        """Return the logits.

        Args:
            run: `module`, or its compiled form.
            images: B×3×H×W.
        """
        return run(images, mode='tensor') if isinstance(self.module, BaseClassifier) else run(images)

    def loss(self, run: nn.Module, images: Tensor) -> Tensor:
        """Return the sum of all losses of a training step; every label is class 0. Arguments as in `predict`."""
        if isinstance(self.module, BaseClassifier):
            return self.module.parse_losses(run(images, [DataSample().set_gt_label(0) for _ in images], mode='loss'))[
                0
            ]
        logits_bk = run(images)
        return F.cross_entropy(logits_bk, logits_bk.new_zeros(len(images)).long())


FOLDED = ', folded'  # behind the name of a config, in tables


def build_contenders(specs: Sequence[str], configs: dict[str, Config]) -> list[Contender]:
    """Build contenders with random weights from a fixed seed.

    Args:
        specs: each a key of `configs`, which may end on `FOLDED`: as it tests after `fold()`; 'dense': the first
            config's host as it came, all of it trains; 'MODULE:FUNCTION'; or a name of timm, which gets the image
            size and the classes of the configs.
        configs: the configs among them, by their place in `specs`.

    Raises:
        InputError: a name that nobody knows, a config of no image classifier, or networks for different sizes.
    """
    built = {spec: _contender(spec, cfg) for spec, cfg in configs.items()}
    sizes = {found.name: found.image_size for found in built.values() if found.image_size}
    heads = (getattr(found.module, 'head', None) for found in built.values())
    classes = next((head.num_classes for head in heads if hasattr(head, 'num_classes')), None)
    options = dict(img_size=next(iter(sizes.values()), None), num_classes=classes)
    contenders = []
    for spec in specs:
        if spec in built:
            contenders.append(built[spec])
        elif spec == 'dense':
            contenders.append(Contender(spec, _dense(configs, classes)))
        elif ':' in spec:
            contenders.append(Contender(spec, _from_function(spec)))
        else:
            contenders.append(
                Contender(spec, _from_timm(spec, {key: value for key, value in options.items() if value}))
            )
    sizes = {found.name: found.image_size for found in contenders if found.image_size}
    if len(set(sizes.values())) > 1:
        told = ', '.join(f'{name} {height}×{width}' for name, (height, width) in sizes.items())
        raise InputError(
            f'benchmark: the contenders take images of different sizes: {told}. Choose networks for one size.'
        )
    return contenders


def _contender(name: str, cfg: Config) -> Contender:
    module, folded = _from_config(name, cfg), name.endswith(FOLDED)
    if folded:
        fold_all(module)
    return Contender(name, module, folded)


def _from_config(name: str, cfg: Config) -> nn.Module:
    host = cfg.get('model', {}).get('backbone', {}).get('host')
    if isinstance(host, dict):
        host.checkpoint = False  # the time does not depend on the weights
        host.pop('init_cfg', None)
    check_config(cfg)
    with seeded(), DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmpretrain'):
        model = MODELS.build(cfg.model) if 'model' in cfg else None
    if not isinstance(model, BaseClassifier):
        raise InputError(
            f'{name}: received a config of {type(model).__name__}, expected an image classifier of mmpretrain in '
            '`model`.'
        )
    return model


def _dense(configs: dict[str, Config], classes: int | None) -> nn.Module:
    """The host by its own library's forward pass, with a head: full tuning, and what reduction has to beat."""
    model = next((cfg.model for cfg in configs.values() if isinstance(cfg.model.backbone.get('host'), dict)), None)
    if model is None:
        raise InputError(
            'dense: received no config with a host beside it. Name a config of a SparseViT, or a network of timm by '
            'its name.'
        )
    host = {key: value for key, value in model.backbone.host.items() if key not in ('checkpoint', 'init_cfg')}
    if host['type'] == 'mmsparse.TimmViT':
        options = {key: value for key, value in host.items() if key not in ('type', 'name')}
        return _from_timm(host['name'], dict(options, num_classes=classes))
    if host['type'] == 'mmsparse.OpenClipViT':
        with seeded():
            tower = MODELS.build(dict(host, checkpoint=False)).host
            return nn.Sequential(tower, nn.Linear(tower.output_dim, classes))
    if host['type'] == 'mmsparse.TransformersViT':
        with seeded():
            view = MODELS.build(dict(host, checkpoint=False))
            return nn.Sequential(_Answer(view), nn.Linear(view.width, classes))
    host['out_type'] = model.backbone.get('out_type', 'cls_token')
    with seeded():
        return MODELS.build(
            dict(type='mmpretrain.ImageClassifier', backbone=host, head=dict(model.head, _scope_='mmpretrain'))
        )


class _Answer(nn.Module):
    """A vision model of transformers, which returns more than one tensor."""

    def __init__(self, view: View):
        super().__init__()
        self.host, self.forward = view.host, view.answer


def _from_function(spec: str) -> nn.Module:
    where, _, function = spec.partition(':')
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` would
    try:
        made = getattr(import_module(where), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f'{spec}: cannot be imported ({error}). Expected MODULE:FUNCTION, the module in this folder or installed.'
        ) from error
    finally:
        sys.path.pop(0)
    with seeded():
        module = made()
    if not isinstance(module, nn.Module):
        raise InputError(
            f'{spec}: the function returned {type(module).__name__}. Expected a torch.nn.Module that turns B×3×H×W '
            'images into B×classes logits; the function takes no arguments.'
        )
    return module


def _from_timm(name: str, options: dict) -> nn.Module:
    import timm

    if not timm.is_model(name):
        hint = did_you_mean(name.split('.')[0], timm.list_models())
        raise InputError(f'{name}: neither a config file (.py), nor MODULE:FUNCTION, nor a network of timm.{hint}')
    try:
        with seeded():
            return timm.create_model(name, **options)
    except TypeError as error:  # not every network of timm is told its size
        raise InputError(
            f'{name}: timm cannot build it with {options} ({error}). Choose a Vision Transformer.'
        ) from error
