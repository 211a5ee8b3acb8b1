"""A config, a state and the model of both: what the tests of the converters share."""

from mmengine.config import Config

from combinations import CLASSES, WIDTH
from hosts import draw
from mmsparse.apis.adapted import build_classifier
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.state.card import describe
from mmsparse.state.files import write_state
from mmsparse.state.saved_tensors import adapter_tensors

PIXELS = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)


def write_config(folder, host, adapter, sparsifier=None, out_type='cls_token', width=WIDTH):
    """A config file and a state of its model with all trained parameters drawn; returns both and the model."""
    backbone = dict(type='mmsparse.SparseViT', host=host, adapter=adapter, sparsifier=sparsifier, out_type=out_type)
    head = dict(type='LinearClsHead', num_classes=CLASSES, in_channels=width)
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=dict(type='ImageClassifier', backbone=backbone, head=head),
            data_preprocessor=PIXELS,
        )
    )
    cfg.dump(folder / 'config.py')
    model = build_classifier(Config.fromfile(folder / 'config.py'))
    frozen = {key: value.clone() for key, value in model.state_dict().items() if key not in adapter_tensors(model)}
    draw(model)
    model.load_state_dict(frozen, strict=False)
    tensors = adapter_tensors(model)
    write_state(folder / 'state', tensors, describe(model, digest(tensors), cfg.to_dict(), None, {}, 1, 1))
    return folder / 'config.py', folder / 'state', model
