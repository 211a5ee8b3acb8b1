"""Every kind of bad file is named, counted and replaced or scored as wrong, whatever loads it; nothing hangs."""

import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import TRANSFORMS

from mmsparse.analysis.campaigns.picture_kinds import BROKEN, CLOSED, FINE, IRREGULAR, write_kind
from mmsparse.datasets.bad_samples import KEY, guard
from mmsparse.engine.hooks.bad_samples import _make_wrong
from mmsparse.errors import InputError
from mmsparse.state.files import read_state
from small_run import refused, tool, write_run
from small_state import change_card, copy_of, train

LOADERS = ('LoadImageFromFile', 'mmsparse.LoadImage')
BAD = [*BROKEN, *IRREGULAR, *([CLOSED] if os.geteuid() else [])]  # 24 kinds, and one that root can read


class Hangs(BaseException):
    """No Exception: those are taken for reasons why a file is bad."""


@pytest.fixture(autouse=True)
def no_hang():
    """A pipe or device that is read would wait, or fill the memory."""

    def late(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Listed(BaseDataset):
    """Files of two classes in turn."""

    METAINFO = dict(classes=('a', 'b'))

    def __init__(self, paths, **kwargs):
        self.paths = paths
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self):
        return [dict(img_path=str(path), gt_label=number % 2) for number, path in enumerate(self.paths)]


def listed(folder, kinds, loader, **settings):
    """Guarded data: each file between two that can be read."""
    good = folder / 'good.png'
    if not good.exists():
        folder.mkdir(parents=True, exist_ok=True)
        good.write_bytes(FINE['really_png.jpg'])
    paths = [path for name in kinds for path in (good, write_kind(folder, name), good, good)]
    pipeline = [TRANSFORMS.build(dict(type=loader)), TRANSFORMS.build(dict(type='PackInputs'))]
    data = Listed(paths, pipeline=pipeline, **settings)
    guard(data)
    data.begin(0.9)
    return data


@pytest.mark.parametrize('test_mode', [False, True], ids=['train', 'test'])
@pytest.mark.parametrize('loader', LOADERS)
def test_each_bad_kind_is_named_and_has_a_place_holder(tmp_path, loader, test_mode):
    data = listed(tmp_path, BAD, loader, test_mode=test_mode)
    data = pickle.loads(pickle.dumps(data))  # workers that are spawned
    for number, name in enumerate(BAD):
        index = 4 * number + 1
        item = data[index]
        sample = item['data_samples']
        reason = sample.get(KEY)
        assert reason.startswith(f'{tmp_path / name}: ') and '\n' not in reason and ' at 0x' not in reason, reason
        assert (sample.sample_idx, sample.gt_label.item()) == (index, 1)
        assert bool(item['inputs'].any()) is not test_mode
    assert len(data.bad) == len(BAD) and type(data).__name__ == 'Listed'


@pytest.mark.parametrize('loader', LOADERS)
def test_each_odd_kind_that_is_fine_is_read(tmp_path, loader):
    data = listed(tmp_path, FINE, loader)
    samples = [data[4 * number + 1] for number in range(len(FINE))]
    assert not data.bad and all(sample['inputs'].any() for sample in samples)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Trained with every bad kind that a folder's listing shows, and a name that is not UTF-8, in training and test."""
    config = write_run(tmp_path_factory.mktemp('bad'), train=32, test=20)
    for split in ('train', 'test'):
        for name in (*BROKEN, list(FINE)[-1]):
            write_kind(config.parent / f'data/{split}/class_1', name)
    return train(config, 'whole', **OPTIONS)


OPTIONS = {
    'default_hooks.bad_samples.max_bad': 0.9,
    'train_dataloader.num_workers': 2,
    'train_dataloader.dataset.extensions': ('.png', '.jpg', '.gif', '.webp', '.tiff', '.bmp'),
    'val_dataloader.dataset.extensions': ('.png', '.jpg', '.gif', '.webp', '.tiff', '.bmp'),
    'test_dataloader.dataset.extensions': ('.png', '.jpg', '.gif', '.webp', '.tiff', '.bmp'),
}


def log_of(folder):
    return next(folder.glob('*/*.log')).read_text()


def test_a_run_goes_on_and_reports_each_once(run):
    text = log_of(Path(run.work_dir))
    for mode, done in (('train', 'replaced'), ('val', 'scored as wrong')):
        assert f'{len(BROKEN)} samples of the {mode} data could not be read and were {done}:' in text
        for name in BROKEN:
            assert sum(f'of the {mode} data:' in row and f'/{name}: ' in row for row in text.splitlines()) == 1, name
    assert 'Traceback' not in text and 'not_utf8' not in text


def test_a_run_on_bad_pictures_resumes_bit_by_bit(run):
    folder = Path(run.work_dir)
    again = train(folder.parent / 'small.py', 'again', resume=True, load_from=str(folder / 'epoch_2'), **OPTIONS)
    ours, theirs = (read_state(Path(each) / 'epoch_3').tensors for each in (folder, again.work_dir))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_too_many_stop_the_run_in_one_sentence(run):
    with pytest.raises(
        InputError, match=f'2 of {33 + len(BROKEN)} samples cannot be read, more than the 1 that max_bad=0.001 allows'
    ):
        train(
            Path(run.work_dir).parent / 'small.py',
            'stopped',
            **{**OPTIONS, 'default_hooks.bad_samples.max_bad': None, 'train_dataloader.num_workers': 0},
        )


def test_test_scores_each_as_wrong(run, capfd):
    config, state = Path(run.work_dir).parent / 'small.py', Path(run.work_dir) / 'epoch_3'
    options = [f'{key}={value}' for key, value in OPTIONS.items() if not key.startswith('train')]
    folder = Path(run.work_dir).parent / 'tested'
    assert tool('test.py', config, state, '--work-dir', folder, '--cfg-options', *options) == 0
    text = log_of(folder)
    assert f'{len(BROKEN)} samples of the test data could not be read and were scored as wrong:' in text
    assert 'Traceback' not in text + capfd.readouterr().err


def test_a_map_of_a_bad_picture_has_every_pixel_wrong():
    truth, guess = torch.tensor([[[0, 1], [2, 255]]]), torch.zeros(1, 2, 2, dtype=torch.long)
    sample = BaseDataElement()
    sample.gt_sem_seg, sample.pred_sem_seg = PixelData(data=truth), PixelData(data=guess)
    _make_wrong(sample)
    assert (sample.pred_sem_seg.data != truth).all()


@pytest.mark.parametrize('loader', LOADERS)
def test_infer_names_each_and_answers_for_the_others(run, tmp_path, loader, capsys):
    state, folder = change_loader(run, tmp_path, loader), tmp_path / 'all'
    for name in (*BAD, *FINE):
        write_kind(folder, name)
    capsys.readouterr()
    assert tool('infer.py', state, folder) == 1
    out, err = capsys.readouterr()
    # a folder's listing shows no folders as files, and nothing that is missing
    named = [name for name in BAD if name not in ('folder.jpg', 'missing.jpg')]
    for name in named:
        assert f'infer.py: {folder / name}: ' in err, name
    assert 'Traceback' not in err and err.count('infer.py: ') == len(named) + 1
    assert sum(' %' in row or '%' in row for row in out.splitlines()) == len(FINE) and 'not_utf8_\\udcff.jpg' in out


@pytest.mark.parametrize('name', [*IRREGULAR, 'empty.jpg'])
def test_infer_refuses_one_in_one_sentence(run, tmp_path, name, capsys):
    assert str(tmp_path / name) in refused(
        capsys, 'infer.py', Path(run.work_dir) / 'epoch_3', write_kind(tmp_path, name)
    )


def change_loader(run, folder, loader):
    """Copy a state; its test data were read by this loader."""
    state = copy_of(Path(run.work_dir) / 'epoch_3', folder / 'state')

    def change(content):
        steps = content['config']['test_dataloader']['dataset']['pipeline']
        assert steps[0]['type'] == LOADERS[0]
        steps[0]['type'] = loader

    change_card(state, change)
    return state
