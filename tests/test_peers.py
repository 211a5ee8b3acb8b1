"""mmpretrain's and mmseg's Python calls, with our configs and a state, and with what `mmsparse.load` returns: all say
what `predict` says.
"""

import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.apis import MMSegInferencer, init_model
from mmseg.apis import inference_model as segment

import mmsparse
import small_run
import small_segmentation
from mmsparse.errors import InputError
from small_state import train


class World:
    """A config, its trained state, the loaded model and a picture of its test data."""

    def __init__(self, config, picture):
        self.config = str(config)
        self.state = f'{train(config, "run").work_dir}/epoch_2'
        self.model, self.picture = mmsparse.load(self.state), str(picture)


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    folder = tmp_path_factory.mktemp('classes')
    config = small_run.write_run(folder, train=8, test=3)
    config.write_text(config.read_text() + 'train_cfg.update(max_epochs=2)\n')
    return World(config, folder / 'data/test/class_0/000.png')


@pytest.fixture(scope='module')
def street(tmp_path_factory):
    folder = tmp_path_factory.mktemp('maps')
    return World(small_segmentation.write_run(folder), folder / 'camvid/images/val/0.jpg')


@pytest.fixture(autouse=True)
def scope():
    """Peers set the default scope of the process."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def classifier(photo):
    return mmpretrain.get_model(photo.config, pretrained=photo.state)


def features_of(photo, model):
    picture = mmsparse.load(photo.state).predict.reader(photo.picture)['inputs'][None].float()
    with torch.no_grad():
        return model.extract_feat((picture.flip(1) - 127.5) / 127.5)[-1][0]


CLASSIFY = {
    'get_model(config, state)': lambda w: mmpretrain.ImageClassificationInferencer(classifier(w))(w.picture)[0],
    'ImageClassificationInferencer(config, state)': lambda w: mmpretrain.ImageClassificationInferencer(
        w.config, pretrained=w.state
    )(w.picture)[0],
    'ImageClassificationInferencer(loaded)': lambda w: mmpretrain.ImageClassificationInferencer(w.model)(w.picture)[0],
    'inference_model(loaded)': lambda w: mmpretrain.inference_model(w.model, w.picture),
    'inference_model(loaded, array)': lambda w: mmpretrain.inference_model(w.model, bgr(w.picture)),
}
FEATURES = {
    'FeatureExtractor(config, state)': lambda w: mmpretrain.FeatureExtractor(w.config, pretrained=w.state)(w.picture)[
        0
    ],
    'FeatureExtractor(loaded)': lambda w: mmpretrain.FeatureExtractor(w.model)(w.picture)[0],
}
SEGMENT = {
    'init_model(config, state) and inference_model': lambda w: labels(
        segment(init_model(w.config, w.state, device='cpu'), w.picture)
    ),
    'inference_model(loaded)': lambda w: labels(segment(w.model, w.picture)),
    'inference_model(loaded, [path, path])': lambda w: labels(segment(w.model, [w.picture] * 2)[1]),
    'inference_model(init_model, array)': lambda w: labels(
        segment(init_model(w.config, w.state, device='cpu'), bgr(w.picture))
    ),
    'MMSegInferencer(config, state)': lambda w: MMSegInferencer(w.config, w.state, device='cpu')(w.picture)[
        'predictions'
    ],
}


def bgr(path):
    from PIL import Image

    return np.ascontiguousarray(np.asarray(Image.open(path).convert('RGB'))[..., ::-1])


def labels(sample):
    return sample.pred_sem_seg.data[0].numpy()


@pytest.mark.parametrize('call', CLASSIFY)
def test_mmpretrains_calls_classify(photo, call):
    answer, expected = CLASSIFY[call](photo), photo.model.predict(photo.picture)
    answer = answer[0] if isinstance(answer, list) else answer
    assert answer['pred_class'] == expected.name
    assert answer['pred_score'] == pytest.approx(expected.score, abs=1e-6)


@pytest.mark.parametrize('call', FEATURES)
def test_mmpretrains_calls_extract_features(photo, call):
    answer = FEATURES[call](photo)
    assert torch.allclose(answer[-1], features_of(photo, photo.model), atol=1e-5)


@pytest.mark.parametrize('call', SEGMENT)
def test_mmsegs_calls_segment(street, call):
    answer, expected = SEGMENT[call](street), street.model.predict(street.picture).label_hw
    assert answer.shape == (360, 480) and (answer != expected).mean() < 1e-3


def test_a_state_of_another_host_is_refused_by_the_calls(photo, tmp_path):
    cfg = Config.fromfile(photo.config)
    cfg.model.backbone.host.depth = 3
    with pytest.raises(InputError, match='belongs to another host'):
        mmpretrain.get_model(cfg, pretrained=photo.state)
    with pytest.raises(FileNotFoundError):
        mmpretrain.get_model(photo.config, pretrained=str(tmp_path / 'nothing'))
