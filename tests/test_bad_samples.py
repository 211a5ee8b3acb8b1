"""A sample that cannot be read is replaced in training, wrong in testing, named, counted, and limited."""

import logging

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.datasets import BaseDataset
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample

from mmsparse.datasets.bad_samples import GuardedSamples
from mmsparse.engine.hooks.bad_samples import BadSamplesHook
from mmsparse.errors import InputError

LABELS = [0, 1, 0, 1, 0, 1, 0, 1]


class Data(GuardedSamples, BaseDataset):
    """Samples whose pixel is their number; some cannot be read."""

    METAINFO = dict(classes=('a', 'b'))

    def __init__(self, broken=(), **kwargs):
        self.broken = broken
        super().__init__(ann_file='', pipeline=[self.read], **kwargs)

    def load_data_list(self):
        return [dict(number=number, gt_label=label) for number, label in enumerate(LABELS)]

    def read(self, item):
        if item['number'] in self.broken:
            raise InputError(f'{item["number"]}.mp4: truncated.')
        sample = DataSample().set_gt_label(item['gt_label'])
        sample.set_metainfo(dict(sample_idx=item['sample_idx']))
        return dict(inputs=torch.full((1,), item['number'] + 1), data_samples=sample)


def test_the_next_sample_of_the_class_takes_its_place_whoever_asks():
    data, other = Data(broken=(2, 6), max_bad=0.5), Data(broken=(2, 6), max_bad=0.5)
    packed = data[2]
    assert packed['inputs'].item() == 5 and packed['data_samples'].gt_label.item() == 0
    assert (packed['data_samples'].sample_idx, packed['data_samples'].bad_sample) == (2, '2.mp4: truncated.')
    other[6]  # another worker met them in another order
    assert other[2]['inputs'].item() == 5 and data[6]['inputs'].item() == other[6]['inputs'].item() == 1
    assert 'bad_sample' not in data[4]['data_samples']


def test_in_testing_it_is_an_empty_input_with_its_own_label():
    packed = Data(broken=(3,), test_mode=True)[3]
    assert packed['inputs'].item() == 0 and packed['data_samples'].gt_label.item() == 1


def test_more_than_the_limit_stop_the_run():
    data = Data(broken=(2, 3))
    data[2]
    with pytest.raises(
        InputError, match='2 of 8 samples cannot be read, more than the 1 that max_bad=0.001 allows.*3.mp4'
    ):
        data[3]
    with pytest.raises(InputError, match='0.mp4: truncated. No other sample'):
        Data(broken=(0, 2, 4, 6), max_bad=0.9)[0]
    with pytest.raises(InputError, match='max_bad=2'):
        Data(max_bad=2)


class Loader:
    def __init__(self, dataset):
        self.dataset = dataset


class Runner:
    """What the hook uses of a runner."""

    def __init__(self, train, test):
        self.train_dataloader, self.test_dataloader = Loader(train), Loader(test)
        self.test_evaluator = Evaluator(Accuracy(topk=(1, 2)))
        self.test_evaluator.dataset_meta = test.metainfo
        self.logger = logging.getLogger('bad')


def test_the_hook_names_each_once_lets_answers_be_wrong_and_reports(caplog):
    caplog.set_level(logging.WARNING)
    runner, hook = Runner(Data(broken=(2,)), Data(broken=(5,), test_mode=True)), BadSamplesHook()
    hook.before_train(runner)
    for number in (2, 2, 3):
        hook.after_train_iter(runner, 0, dict(data_samples=[runner.train_dataloader.dataset[number]['data_samples']]))
    hook.after_train_epoch(runner)
    hook._report(runner, 'train')
    hook.before_test(runner)
    hook.before_test(runner)  # validation runs many times
    for number, label in enumerate(LABELS):
        sample = runner.test_dataloader.dataset[number]['data_samples']
        sample.set_pred_score(torch.nn.functional.one_hot(torch.tensor(label), 2).float()).set_pred_label(label)
        hook.after_test_iter(runner, 0, dict(data_samples=[sample]))
        runner.test_evaluator.process([sample], None)
    metrics = runner.test_evaluator.evaluate(len(LABELS))
    assert metrics['accuracy/top1'] == 87.5
    hook.after_test_epoch(runner)
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        'Bad sample 1 of the train data: 2.mp4: truncated.',
        '1 samples of the train data could not be read and were replaced:\n  2.mp4: truncated.',
        'Bad sample 1 of the test data: 5.mp4: truncated.',
        '1 samples of the test data could not be read and were scored as wrong:\n  5.mp4: truncated.',
    ]


def test_bad_samples_of_all_workers_count_together():
    runner, hook = Runner(Data(), Data()), BadSamplesHook()
    for number in (1, 2):
        sample = DataSample().set_gt_label(0)
        sample.set_metainfo(dict(sample_idx=number, bad_sample='broken'))
        batch = dict(data_samples=[sample])
        if number == 1:
            hook.after_train_iter(runner, 0, batch)
        else:
            with pytest.raises(InputError, match='2 of 8 samples'):
                hook.after_train_iter(runner, 0, batch)
