"""tools/ on a segmentor: trained, kept, tested, drawn and loaded as a classifier is."""

import json
import runpy
import sys

import numpy as np
import pytest
import torch

import mmsparse
from mmsparse.errors import InputError
from small_run import ROOT
from small_segmentation import DYT, write_run


def tool(name, *args):
    before, sys.argv = sys.argv, [f'tools/{name}', *map(str, args)]
    try:
        runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
    finally:
        sys.argv = before


@pytest.fixture(scope='module', params=[('evit_delta_fcn', ', sparsifier=dict(layers=(2,))'), ('dyt_fcn', DYT)], ids=['evit', 'dyt'])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp('segmentation')
    config = write_run(folder, *request.param)
    tool('train.py', config, '--work-dir', folder / 'run')
    return folder


def test_what_was_trained_is_tested_with_the_same_score_and_drawn(run):
    state = run / 'run/epoch_2'
    card = json.loads((state / 'adapter.json').read_text())
    assert card['classes'][3] == 'road' and card['normalisation'] == dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
    shown, metrics = run / 'shown', run / 'metrics.json'
    tool('test.py', run / 'small.py', state, '--work-dir', run / 'test', '--out', metrics, '--out-item', 'metrics', '--show-dir', shown)
    assert json.loads(metrics.read_text())['mIoU'] == pytest.approx(card['score']['mIoU'])
    assert len(list(shown.rglob('*.png'))) == 3


def test_an_adapter_of_a_segmentor_loads_from_its_card_alone(run):
    model, card = mmsparse.load(run / 'run/epoch_2'), json.loads((run / 'run/epoch_2/adapter.json').read_text())
    assert type(model).__name__ == card['config']['model']['type'].split('.')[-1]
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 48, 32))
    assert logits.shape == (1, 11, 12, 8) and np.isfinite(logits.numpy()).all()


def test_a_segmentor_does_not_classify(run):
    from mmsparse.apis.classify import Classifier

    with pytest.raises(InputError, match='does not classify images.*--show-dir'):
        Classifier(run / 'run/epoch_2')
