"""VTAB-1K: the table of tasks, what a data set gets, the option that chooses a task, and what is said about bad lists."""

import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from PIL import Image

from mmsparse.config.check import check_config
from mmsparse.config.read import read_config
from mmsparse.config.vtab_settings import PER_TASK
from mmsparse.datasets.vtab.tasks import GROUPS, SPLITS, TASKS
from mmsparse.errors import InputError
from small_run import ROOT, refused, tool
from small_vtab import write_config, write_task

LORA = ROOT / 'configs/vtab/vitb_lora.py'
FEW = pytest.mark.filterwarnings('ignore:VTAB. .* lists')


def build(root, task, **more):
    return DATASETS.build(dict(type='mmsparse.VTAB', task=task, data_root=str(root), **more))


def test_the_tasks_are_those_of_the_benchmark():
    """Zhai et al., 2019: 7 natural, 4 specialized and 8 structured tasks; sizes as TFDS has them."""
    assert [sum(task.group == group for task in TASKS.values()) for group in GROUPS] == [7, 4, 8]
    assert [task.classes for task in TASKS.values()] == [
        *(100, 102, 47, 102, 37, 10, 397),
        *(2, 10, 45, 5),
        *(8, 6, 6, 4, 16, 16, 18, 9),
    ]
    assert sum(task.test for task in TASKS.values()) == 75_564 + 87_138 + 225_202
    assert len({task.column for task in TASKS.values()}) == 19


@FEW
def test_a_task_gives_pictures_and_labels_of_each_split(tmp_path):
    folder = write_task(tmp_path, 'kitti')
    sets = {split: build(tmp_path, 'kitti', split=split) for split in SPLITS}
    assert {split: len(data) for split, data in sets.items()} == dict(zip(SPLITS, (10, 8, 2, 6)))
    assert list(sets['train800val200'].get_gt_labels()) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert sets['test'].metainfo['classes'] == ('kitti 0', 'kitti 1', 'kitti 2', 'kitti 3')
    pipeline = [dict(type='mmsparse.LoadImage'), dict(type='Resize', scale=224), dict(type='PackInputs')]
    item = build(tmp_path, 'kitti', split='test', pipeline=pipeline[::2])[5]
    rgb = np.asarray(Image.open(folder / 'images/test/000005.png'))
    assert torch.equal(item['inputs'], torch.from_numpy(rgb[..., ::-1].copy()).permute(2, 0, 1))
    assert item['data_samples'].gt_label.item() == 1
    # stretched, not cropped
    assert build(tmp_path, 'kitti', split='test', pipeline=pipeline)[0]['inputs'].shape == (3, 224, 224)


def test_another_number_of_pictures_is_said(tmp_path):
    write_task(tmp_path, 'svhn')
    with pytest.warns(UserWarning, match='svhn/train800val200.txt lists 10 pictures, VTAB-1K has 1,000 there'):
        build(tmp_path, 'svhn')
    with pytest.warns(UserWarning, match='svhn/test.txt lists 6 pictures, VTAB-1K has 26,032 there'):
        build(tmp_path, 'svhn', split='test')


@pytest.mark.parametrize('task', TASKS)
def test_one_option_sets_data_classes_and_work_folder(task):
    cfg = read_config(LORA, dict(task=task))
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    assert [loader.dataset.task for loader in loaders] == [task] * 3
    assert [loader.dataset.split for loader in loaders] == ['train800val200', 'test', 'test']
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == TASKS[task].classes
    assert cfg.work_dir == f'./work_dirs/vitb_lora_{task}'
    check_config(cfg)


def test_without_the_option_a_file_is_for_the_task_that_it_names(tmp_path):
    for path in ROOT.glob('configs/vtab/*.py'):
        written, read = Config.fromfile(path), read_config(path)
        assert written.pop('task') == 'cifar' and read.pop('work_dir') == f'./work_dirs/{path.stem}_cifar'
        written.pop('per_task', None)
        assert read.to_dict() == written.to_dict(), path
    own = tmp_path / 'own.py'
    own.write_text(f"_base_ = '{LORA}'\ntask = 'dsprites_loc'\nwork_dir = 'here'\n")
    cfg = read_config(own)
    assert (cfg.val_dataloader.dataset.task, cfg.model.head.num_classes) == ('dsprites_loc', 16)
    assert cfg.work_dir == 'here'
    # what a run writes is a config like any other
    cfg.dump(tmp_path / 'written.py')
    assert 'task' not in Config.fromfile(tmp_path / 'written.py')
    assert read_config(tmp_path / 'written.py').to_dict() == cfg.to_dict()


def test_methods_bring_the_settings_that_they_publish():
    """A few entries read off the papers' code by hand, and counts of parameters that follow from all ranks."""
    read = {
        name: lambda task, name=name: read_config(ROOT / f'configs/vtab/vitb_{name}.py', dict(task=task))
        for name in ('convpass', 'fact_tt', 'fact_tk', 'ssf')
    }
    of = {name: lambda task, name=name: read[name](task).model.backbone.adapter for name in read}
    assert (of['convpass']('kitti').scale, of['convpass']('kitti').conv_init) == (10.0, 'xavier')
    assert (of['convpass']('sun397').scale, of['convpass']('sun397').conv_init) == (0.1, 'identity')
    assert (of['fact_tt']('clevr_dist').rank, of['fact_tt']('clevr_dist').scale) == (4, 10.0)
    assert (of['fact_tk']('oxford_iiit_pet').rank, of['fact_tk']('oxford_iiit_pet').scale) == (16, 10.0)
    optimizer = read['ssf']('smallnorb_azi').optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.weight_decay) == (2e-2, 5e-5)
    # at width 768: U, V and 144 cores; the paper's table has 0.04 M for the first
    count = dict(fact_tt=lambda r: 1536 * r + 144 * r**2, fact_tk=lambda r: 1536 * r + 144 * r + r**3)
    means = {name: sum(count[name](of[name](task).rank) for task in TASKS) / 19 for name in count}
    assert {name: round(value) for name, value in means.items()} == dict(fact_tt=39_734, fact_tk=68_985)
    sub = [
        read_config(ROOT / 'configs/vtab/vitb_noah.py', dict(task=task)).model.backbone.adapter.subnet
        for task in TASKS
    ]
    noah = [
        768 * (sum(p) + 4 * sum(r)) + sum(1537 * a + 768 for a in w) for p, r, w in (each.values() for each in sub)
    ]
    assert (noah[0], round(sum(noah) / 19)) == (320_330, 360_134)  # the paper: 0.36 M
    queries = [
        read_config(ROOT / 'configs/vtab/vitb_synqt.py', dict(task=task)).model.backbone.adapter.queries
        for task in TASKS
    ]
    assert round(sum(2_613_650 + 9_216 * count for count in queries) / 19) == 2_697_079  # the paper: 2.73 M
    assert all(len(values) == 19 for columns in PER_TASK.values() for values in columns.values())


def test_options_win_over_what_a_method_sets_for_a_task():
    changes = {'task': 'svhn', 'model.backbone.adapter.scale': 3.0}
    adapter = read_config(ROOT / 'configs/vtab/vitb_fact_tt.py', changes).model.backbone.adapter
    assert (adapter.scale, adapter.rank) == (3.0, 16)
    other = {'task': 'svhn', 'model.backbone.adapter.type': 'mmsparse.LoRA'}
    assert read_config(ROOT / 'configs/vtab/vitb_fact_tt.py', other).model.backbone.adapter == dict(
        type='mmsparse.LoRA'
    )


def test_a_variable_of_that_name_means_nothing_for_other_data(tmp_path):
    (tmp_path / 'own.py').write_text(f"_base_ = '{ROOT}/configs/sparse_tuning/tiny_digits.py'\ntask = 'reading'\n")
    assert read_config(tmp_path / 'own.py').task == 'reading'


def test_an_unknown_method_is_refused(tmp_path):
    (tmp_path / 'own.py').write_text(f"_base_ = '{LORA}'\nper_task = 'FacT'\n")
    with pytest.raises(InputError, match="per_task: received='FacT', expected one of .*'FacT-TT'"):
        read_config(tmp_path / 'own.py')


def test_all_recipes_are_one_protocol():
    """DyT's: nothing is augmented, pixels from -1 to 1, the last of 100 epochs counts."""
    common = None
    for path in ROOT.glob('configs/vtab/*.py'):
        cfg = read_config(path, dict(task='eurosat'))
        now = {key: cfg[key] for key in ('train_dataloader', 'val_dataloader', 'data_preprocessor', 'param_scheduler')}
        now |= dict(train_cfg=cfg.train_cfg, host=cfg.model.backbone.host)
        assert now == (common or now), path
        common = now
    assert [step.type for step in common['train_dataloader'].dataset.pipeline] == [
        *('mmsparse.LoadImage', 'Resize', 'PackInputs')
    ]
    assert common['data_preprocessor'].mean == common['data_preprocessor'].std == [127.5] * 3
    assert (common['train_cfg'].max_epochs, common['train_dataloader'].batch_size) == (100, 64)
    assert common['train_cfg'].max_epochs % common['train_cfg'].val_interval == 0


@pytest.mark.parametrize(
    ('config', 'changes', 'words'),
    [
        (LORA, dict(task='dsprite_loc'), "task: received 'dsprite_loc'.*Did you mean dsprites_loc or dsprites_ori?"),
        (LORA, dict(task='cifar100'), "received 'cifar100', expected one of cifar, .*Did you mean cifar"),
        (LORA, dict(tasks='svhn'), 'Did you mean task?'),
        (ROOT / 'configs/peft/vitb_lora_cifar100.py', dict(task='svhn'), 'Use one of configs/vtab'),
    ],
)
def test_a_task_that_is_none_is_refused_with_the_nearest(config, changes, words):
    with pytest.raises(InputError, match=words):
        read_config(config, changes)


BAD = {  # what is done to a folder, and words of the one sentence
    'no list': (lambda folder: (folder / 'test.txt').unlink(), 'test.txt: no such list', 'vtab1k.py'),
    'no folder': (lambda folder: folder.rename(folder.with_name('kiti')), 'no such list', 'Set data_root'),
    'empty': (lambda folder: (folder / 'test.txt').write_text(''), 'test.txt is empty', 'a path and a label'),
    'label': (
        lambda folder: replace(folder / 'test.txt', '000002.png 2', '000002.png 4'),
        'test.txt, line 3: received the label 4',
        'expected 0 to 3',
    ),
    'no label': (lambda folder: replace(folder / 'test.txt', '000002.png 2', '000002.png'), 'line 3', 'a label'),
    'negative': (lambda folder: replace(folder / 'test.txt', '000002.png 2', '000002.png -1'), 'line 3', 'a label'),
    'Windows': (lambda folder: replace(folder / 'test.txt', '\n', '\r\n'), 'Windows line ends', "sed -i 's/\\r$//'"),
    'mark': (
        lambda folder: (folder / 'test.txt').write_text((folder / 'test.txt').read_text(), 'utf-8-sig'),
        'byte-order mark',
        'Save it without one',
    ),
    'UTF-16': (
        lambda folder: (folder / 'test.txt').write_text((folder / 'test.txt').read_text(), 'utf-16'),
        'byte-order mark',
        'Save it without one',
    ),
    'picture': (
        lambda folder: (folder / 'images/test/000003.png').unlink(),
        '1 of 6 pictures in this list are not there',
        'images/test/000003.png',
    ),
}


def replace(file, old: str, new: str) -> None:
    file.write_bytes(file.read_bytes().replace(old.encode(), new.encode()))


@FEW
@pytest.mark.parametrize('name', BAD)
def test_a_bad_list_is_one_clear_error(tmp_path, name):
    spoil, *words = BAD[name]
    spoil(write_task(tmp_path, 'kitti'))
    with pytest.raises(InputError) as error:
        build(tmp_path, 'kitti', split='test')
    text = str(error.value)
    assert all(word in text for word in words) and '\n' not in text and len(text) < 600, text


@FEW
def test_a_task_trains_and_tests_by_its_option_and_is_known_to_its_state(tmp_path, capsys):
    for task in ('dsprites_loc', 'dsprites_ori'):
        write_task(tmp_path / 'data', task)
    config, run = write_config(tmp_path), tmp_path / 'run'
    place = ('--cfg-options', 'task=dsprites_loc')
    assert tool('train.py', config, '--work-dir', run, *place) == 0
    assert Config.fromfile(run / 'small.py').val_dataloader.dataset.task == 'dsprites_loc'
    assert tool('test.py', config, run / 'epoch_2', *place) == 0
    capsys.readouterr()
    assert tool('analysis_tools/collect_results.py', run) == 0
    assert re.search(r'small \| 1 \| – .*\| \d+\.\d\d \|', capsys.readouterr().out)
    assert build(tmp_path / 'data', 'dsprites_loc', split='val200').result_name == 'vtab/dsprites_loc (val200)'
    # as many classes, but others
    text = refused(capsys, 'test.py', config, run / 'epoch_2', '--cfg-options', 'task=dsprites_ori')
    assert 'trained for the classes' in text and 'dsprites_loc 0' in text
    # before training: nothing is written
    (tmp_path / 'data/dsprites_loc/test.txt').unlink()
    text = refused(capsys, 'train.py', config, '--work-dir', tmp_path / 'second', *place)
    assert 'test.txt: no such list' in text and not list((tmp_path / 'second').glob('epoch_*'))
