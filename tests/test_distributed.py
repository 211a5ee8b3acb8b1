"""Two processes do what one does: gloo on a CPU, started by the shell scripts."""

import pickle

import pytest
import torch

from mmsparse.state.files import read_resume, read_state
from small_run import command, tool, write_images, write_run

DOUBLE = """
from mmpretrain.models import ClsDataPreprocessor, ImageClassifier
from mmpretrain.registry import MODELS

@MODELS.register_module()
class DoublePreprocessor(ClsDataPreprocessor):
    def forward(self, data, training=False):
        data = super().forward(data, training)
        return dict(data, inputs=data['inputs'].double())

@MODELS.register_module()
class DoubleClassifier(ImageClassifier):
    '''Float64 before the distributed wrapper makes its buckets.'''
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.double()
"""
SGD = """
_base_ = ['small.py']
custom_imports = dict(imports=['double'])
preprocessor = dict(type='DoublePreprocessor', mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
model = dict(type='DoubleClassifier', data_preprocessor=preprocessor)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.5, momentum=0.9))
train_cfg = dict(max_epochs=1)
param_scheduler = None
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and its checkpoint after 5 SGD steps of 8 images in float64, trained by one process."""
    folder = tmp_path_factory.mktemp('run')
    config = write_run(folder, train=40, augment='[]', dropout=0.0)
    (folder / 'double.py').write_text(DOUBLE)
    sgd = folder / 'sgd.py'
    sgd.write_text(SGD)
    command('tools/train.py', sgd, '--no-validate', '--work-dir', 'one', folder=folder)
    return config, sgd, folder / 'one/epoch_1'


@pytest.mark.slow
def test_two_processes_train_the_same_weights(trained):
    _, sgd, one = trained
    folder = sgd.parent
    options = ('--no-validate', '--work-dir', 'two', '--cfg-options', 'train_dataloader.batch_size=4')
    command('tools/dist_train.sh', sgd, 2, *options, folder=folder)
    ours, expected = (read_state(path) for path in (folder / 'two/epoch_1', one))
    assert ours.card.iter == expected.card.iter == 5
    moments = read_resume(expected)['optimizer']['state']
    moved = [key for key, value in moments.items() if value['momentum_buffer'].abs().max() > 1e-6]
    assert len(moved) == len(moments) > 0
    assert ours.tensors.keys() == expected.tensors.keys()
    for key, value in expected.tensors.items():
        assert value.dtype == torch.float64, key
        torch.testing.assert_close(ours.tensors[key], value, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_two_processes_predict_every_image_once_and_in_order(trained, monkeypatch):
    _, config, checkpoint = trained
    folder, images = config.parent, 103
    write_images(folder / f'data/{images}', images)
    options = ('--cfg-options', f'test_dataloader.dataset.data_root={folder}/data/{images}')
    monkeypatch.syspath_prepend(folder)  # to its custom_imports
    assert (
        tool('test.py', config, checkpoint, '--work-dir', folder / 'alone', '--out', folder / 'one.pkl', *options) == 0
    )
    command('tools/dist_test.sh', config, checkpoint, 2, '--out', 'two.pkl', *options, folder=folder)
    one, two = (pickle.loads((folder / name).read_bytes()) for name in ('one.pkl', 'two.pkl'))
    assert len(one) == len(two) == images
    assert [ours['img_path'] for ours in two] == [expected['img_path'] for expected in one]
    assert len({expected['img_path'] for expected in one}) == images
    for ours, expected in zip(two, one):
        torch.testing.assert_close(ours['pred_score'], expected['pred_score'], rtol=0, atol=1e-6)
        assert ours['pred_label'] == expected['pred_label']
