"""tools/ on a segmentor: trained, kept, tested, drawn and loaded as a classifier is."""

import json
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import mmsparse
from mmsparse.visualization.label_map import overlay
from small_run import tool
from small_segmentation import DYT, write_run


@pytest.fixture(
    scope='module',
    params=[('evit_delta_fcn', ', sparsifier=dict(layers=(2,))'), ('dyt_fcn', DYT)],
    ids=['evit', 'dyt'],
)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp('segmentation')
    config = write_run(folder, *request.param)
    assert tool('train.py', config, '--work-dir', folder / 'run') == 0
    return folder


def test_what_was_trained_is_tested_with_the_same_score_and_drawn(run):
    state = run / 'run/epoch_2'
    card = json.loads((state / 'adapter.json').read_text())
    assert card['classes'][3] == 'road' and card['normalisation'] == dict(
        mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True
    )
    shown, metrics = run / 'shown', run / 'metrics.json'
    assert (
        tool(
            'test.py',
            run / 'small.py',
            state,
            '--work-dir',
            run / 'test',
            '--out',
            metrics,
            '--out-item',
            'metrics',
            '--show-dir',
            shown,
        )
        == 0
    )
    assert json.loads(metrics.read_text())['mIoU'] == pytest.approx(card['score']['mIoU'])
    assert len(list(shown.rglob('*.png'))) == 3


@pytest.mark.parametrize('more', [(), ('--tta',)], ids=['one view', 'tta'])
def test_sides_that_patches_do_not_divide_are_tested_and_label_maps_alone_are_kept(run, tmp_path, more):
    where = 'test_dataloader.dataset.pipeline.1' if not more else 'tta_pipeline.1.transforms.0.0'
    out = tmp_path / 'predictions.pkl'
    options = ('--cfg-options', f'{where}.scale=(84,62)', 'test_dataloader.batch_size=2')
    assert (
        tool('test.py', run / 'small.py', run / 'run/epoch_2', '--work-dir', tmp_path, '--out', out, *more, *options)
        == 0
    )
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 3 and not any('seg_logits' in one for one in predictions)
    assert all(
        one['pred_sem_seg']['data'].shape[-2:] == (360, 480) and one['pred_sem_seg']['data'].dtype == torch.uint8
        for one in predictions
    )


def test_an_adapter_of_a_segmentor_loads_from_its_card_alone(run):
    model, card = mmsparse.load(run / 'run/epoch_2'), json.loads((run / 'run/epoch_2/adapter.json').read_text())
    assert type(model).__name__ == card['config']['model']['type'].split('.')[-1]
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 48, 32))
    assert logits.shape == (1, 11, 12, 8) and np.isfinite(logits.numpy()).all()


def test_pictures_get_maps_legends_and_shares(run, capsys):
    state, pictures, out = run / 'run/epoch_2', run / 'camvid/images/val', run / 'out'
    assert tool('infer.py', state, pictures, '--out', out) == 0
    model, shares = mmsparse.load(state), json.loads((out / 'shares.json').read_text())
    text = capsys.readouterr().out
    assert list(shares) == [str(pictures / f'{index}.jpg') for index in range(3)]
    for index, (path, parts) in enumerate(shares.items()):
        answer = model.predict(path)
        label_hw = np.asarray(Image.open(out / f'000{index}_{index}_labels.png'))
        assert label_hw.shape == (360, 480) and np.array_equal(label_hw, answer.label_hw)
        assert parts == {name: float((label_hw == label).mean()) for label, name in enumerate(model.card.classes)}
        drawn = np.asarray(Image.open(out / f'000{index}_{index}.png'))
        assert drawn.shape[0] >= 360 and drawn.shape[1] > 480  # the legend stands at the right
        tinted = overlay(np.asarray(Image.open(path)), label_hw, 11)
        assert np.array_equal(drawn[:360, :480], tinted)
        largest = max(parts, key=parts.get)
        assert f'{path}: {largest} {parts[largest]:.1%}' in text


def test_maps_are_those_of_tools_test(run):
    state, shown = run / 'run/epoch_2', run / 'maps'
    first = '.0' if isinstance(Config.fromfile(run / 'small.py').test_evaluator, list) else ''
    assert (
        tool(
            'test.py',
            run / 'small.py',
            state,
            '--work-dir',
            run / 'test',
            '--cfg-options',
            f'test_evaluator{first}.output_dir={shown}',
        )
        == 0
    )
    answers = mmsparse.load(state).predict(run / 'camvid/images/val')
    for answer in answers:
        assert np.array_equal(np.asarray(Image.open(shown / f'{answer.path.stem}.png')), answer.label_hw)


def test_tokens_of_a_segmentor_are_refused(run, capsys):
    assert (
        tool('infer.py', run / 'run/epoch_2', run / 'camvid/images/val', '--show-tokens', '--out', run / 'tokens') == 2
    )
    assert 'tokens are drawn for classifiers' in capsys.readouterr().err
