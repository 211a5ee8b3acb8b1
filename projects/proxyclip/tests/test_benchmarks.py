"""The eight benchmarks from files on disk to mIoU, on generated stand-ins: layout, label maps, what is ignored, order
of classes.
"""

import sys

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmsparse.errors import InputError
from projects.proxyclip.proxyclip.datasets import PascalVOC20Dataset
from stand_ins import CONFIGS, LAYOUTS, build, read, stand_in


@pytest.fixture(scope='module', params=LAYOUTS)
def benchmark(request, tmp_path_factory):
    return request.param, *build(request.param, tmp_path_factory.mktemp(request.param))


def test_labels_mean_what_the_benchmark_says(benchmark):
    name, runner, expected = benchmark
    item = runner.test_loop.dataloader.dataset[0]
    assert np.array_equal(item['data_samples'].gt_sem_seg.data[0], expected)
    assert item['data_samples'].ori_shape == (60, 90)
    assert min(item['inputs'].shape[1:]) == (448 if name in ('ade20k', 'cityscapes') else 336)


def test_the_right_answer_scores_100_whatever_is_said_of_ignored_pixels(benchmark, monkeypatch):
    _, runner, expected = benchmark
    classes = len(runner.model.vocabulary.classes)

    def score(labels):
        def predict(inputs, samples):
            samples[0].set_data(dict(pred_sem_seg=PixelData(data=torch.from_numpy(labels)[None])))
            return samples

        monkeypatch.setattr(runner.model, 'predict', predict)
        return runner.test()['mIoU']

    assert score(np.where(expected == 255, 3 % classes, expected)) == 100
    assert score(np.where(expected == 255, 0, (expected + 1) % classes)) < 40


def test_a_benchmark_runs_from_its_config_to_miou(benchmark, monkeypatch):
    name, runner, expected = benchmark
    seen = []
    model, predict = runner.model, runner.model.predict
    if name in ('ade20k', 'cityscapes'):  # the window as configured, fewer of them
        monkeypatch.setattr(model, 'stride', model.window)
    monkeypatch.setattr(model, 'predict', lambda *given: seen.append(predict(*given)) or seen[-1])
    assert 0 <= runner.test()['mIoU'] <= 100
    sample = seen[0][0]
    assert sample.pred_sem_seg.data.shape == (1, *expected.shape)
    score = sample.seg_logits.data
    assert score.shape == (len(model.vocabulary.classes), *expected.shape) and score.isfinite().all()
    best, label = score.max(0)
    assert torch.equal(sample.pred_sem_seg.data[0], torch.where(best < model.prob_thd, 0, label))


def test_words_that_do_not_fit_the_data_stop_before_the_first_image(tmp_path):
    (tmp_path / 'mine.txt').write_text('cat\nsofa\n')
    made, _ = build('voc20', tmp_path, lambda cfg: cfg.model.update(classes=str(tmp_path / 'mine.txt')))
    made.model.predict = None
    with pytest.raises(
        InputError, match=r'names 2 classes \(cat, sofa\), but the test data \(PascalVOC20Dataset\) has 20'
    ):
        made.test()


def test_the_command_needs_no_checkpoint(tmp_path, monkeypatch, capsys):
    from importlib import util

    stand_in(tmp_path / 'voc', 'voc20')
    cfg = read('voc20', 'tome')
    cfg.test_dataloader.update(num_workers=0)
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'voc')
    cfg.dump(tmp_path / 'small.py')
    spec = util.spec_from_file_location('tools_test', CONFIGS.parents[2] / 'tools' / 'test.py')
    tool = util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(
        sys, 'argv', ['test.py', str(tmp_path / 'small.py'), 'none', '--work-dir', str(tmp_path / 'work')]
    )
    tool.main()
    assert 'mIoU' in capsys.readouterr().out


def test_classes_in_another_order_than_the_data_are_refused(tmp_path):
    def swapped(cfg):
        names = PascalVOC20Dataset.METAINFO['classes']
        cfg.model.classes = [*names[1::-1], *names[2:]]

    runner, _ = build('voc20', tmp_path, swapped)
    with pytest.raises(InputError, match="names 'aeroplane' as class 1, but in the test data .* it is class 0"):
        runner.test()
