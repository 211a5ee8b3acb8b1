"""Small VTAB: what its six tasks show, that training and test never share a picture, and the tool that runs it."""

import json
import re
import runpy
import sys
import tarfile
from functools import cache
from hashlib import sha256

import numpy as np
import pytest
from mmpretrain.registry import DATASETS, MODELS

from mmsparse.analysis import small_vtab
from mmsparse.analysis.small_vtab import ALL, EVIT, METHODS, OWN, Row, answers, plan, table
from mmsparse.analysis.trials import key_of
from mmsparse.config.read import read_config
from mmsparse.datasets.digits import Digits
from mmsparse.datasets.small_vtab.puzzles import counts, quadrants, ways_up
from mmsparse.datasets.small_vtab.tasks import ANIMALS, GROUPS, KINDS, TASKS
from mmsparse.errors import InputError
from mmsparse.visualization.result_file import Result, read_results
from small_run import ROOT

LEAF = ROOT / 'configs/sparse_tuning/tiny_small_vtab.py'
TOOL = ROOT / 'tools/analysis_tools/small_vtab.py'
SHORT = f"""
_base_ = ['{LEAF}']
train_dataloader = dict(batch_size=10, dataset=dict(indices=20))
val_dataloader = dict(batch_size=10, dataset=dict(indices=20))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
"""


@cache
def data(task: str, split: str):
    return DATASETS.build(dict(type='mmsparse.SmallVTAB', task=task, split=split, lazy_init=True))


@cache
def arrays(task: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    return data(task, split).load_arrays()


def packed(name: str) -> dict[str, list[str]]:
    """The digests of an archive's files by their split."""
    found = {'train': [], 'test': []}
    with tarfile.open(ROOT / 'mmsparse/assets' / name) as archive:
        for entry in archive:
            found[entry.name.split('/')[0]].append(sha256(archive.extractfile(entry).read()).hexdigest())
    return found


@pytest.mark.parametrize(
    ('task', 'train', 'test', 'shape'),
    [
        ('unseen', [100] * 3, [400] * 3, (32, 32, 3)),
        ('ten_kinds', [100] * 10, [100] * 10, (32, 32, 3)),
        ('way_up', [250] * 4, [250] * 4, (32, 32, 3)),
        ('quadrant', [250] * 4, [250] * 4, (16, 16, 3)),
        ('animals', [200] * 5, [200] * 5, (32, 32, 3)),
    ],
)
def test_a_task_is_balanced_and_always_the_same(task, train, test, shape):
    for split, expected in (('train', train), ('test', test)):
        images, labels = arrays(task, split)
        assert np.bincount(labels).tolist() == expected and images.shape[1:] == shape and images.dtype == np.uint8
        again, same = data(task, split).load_arrays()
        assert (images == again).all() and (labels == same).all()
        assert data(task, split).metainfo['classes'] == TASKS[task].names and len(expected) == TASKS[task].classes


def test_digits_are_those_of_the_other_data_set():
    for split, count in (('train', 1000), ('test', 797)):
        images, labels = arrays('digits', split)
        other, same = Digits(split, lazy_init=True).load_arrays()
        assert len(images) == count and (labels == same).all() and (images == other).all()


def test_no_picture_is_in_two_parts():
    """By the files: within small VTAB, and against the unseen photographs, which are a task themselves."""
    own, unseen = packed('small_vtab.tar.xz'), packed('unseen_photos.tar.xz')
    assert [len(own['train']), len(own['test'])] == [1000, 1000]
    every = [*own['train'], *own['test'], *unseen['train'], *unseen['test']]
    assert len(set(every)) == len(every)


def test_the_puzzles_are_cut_from_pictures_of_their_own_split():
    train, test = (arrays('ten_kinds', split)[0] for split in ('train', 'test'))
    for split, pictures in (('train', train), ('test', test)):
        turned, quarters = arrays('way_up', split)
        assert all(
            (np.rot90(image, -turn) == picture).all() for image, turn, picture in zip(turned, quarters, pictures)
        )
        half = pictures.reshape(1000, 16, 2, 16, 2, 3).mean((2, 4)).round().astype(np.uint8)
        known = {image.tobytes(): KINDS[kind] in ANIMALS for image, kind in zip(half, arrays('ten_kinds', split)[1])}
        for image, count in zip(*arrays('animals', split)):
            tiles = [image[row : row + 16, column : column + 16].tobytes() for row in (0, 16) for column in (0, 16)]
            assert sum(known[tile] for tile in tiles) == count and len(set(tiles)) == 4


def test_a_picture_is_turned_counter_clockwise():
    picture = np.array([[1, 2], [3, 4]], np.uint8)[None, ..., None].repeat(5, 0)
    images, labels = ways_up(picture)
    assert labels.tolist() == [0, 1, 2, 3, 0]
    assert images[..., 0].tolist() == [
        [[1, 2], [3, 4]],
        [[2, 4], [1, 3]],
        [[4, 3], [2, 1]],
        [[3, 1], [4, 2]],
        [[1, 2], [3, 4]],
    ]


def test_quadrants_are_counted_as_one_reads():
    picture = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(4, 0)
    images, labels = quadrants(picture)
    assert labels.tolist() == [0, 1, 2, 3]
    assert images[..., 0].tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]], [[8, 9], [12, 13]], [[10, 11], [14, 15]]]


def test_tiles_are_counted_and_none_is_there_twice():
    values = np.arange(20, dtype=np.uint8)  # pictures of one value each; the odd ones count
    pictures = values[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    images, labels = counts(pictures, values % 2 == 1, seed=0)
    assert images.shape == pictures.shape and labels.tolist() == [0, 1, 2, 3, 4] * 4
    tiles = images[:, ::2, ::2, 0].reshape(20, 4)
    assert ((tiles % 2 == 1).sum(1) == labels).all() and all(len(set(four)) == 4 for four in tiles.tolist())
    places = tiles[labels == 1] % 2 == 1
    assert len(set(places.argmax(1))) > 1  # not always in one corner
    assert (counts(pictures, values % 2 == 1, seed=1)[0] != images).any()


def test_a_task_brings_its_classes_into_a_config_and_a_wrong_one_is_refused():
    for name, task in TASKS.items():
        cfg = read_config(LEAF, {'task': name})
        assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == task.classes
        assert {cfg[f'{part}_dataloader'].dataset.task for part in ('train', 'val', 'test')} == {name}
    with pytest.raises(InputError, match=r"task: received 'quadrants', expected one of .*Did you mean quadrant"):
        read_config(LEAF, {'task': 'quadrants'})
    with pytest.raises(InputError, match='SmallVTAB: received task'):
        DATASETS.build(dict(type='mmsparse.SmallVTAB', task='svhn'))
    assert {task.group for task in TASKS.values()} == set(GROUPS)


def planned(methods, tasks=('quadrant',), seeds=1, **more):
    return list(plan(methods, tasks, seeds, **dict(dict(work_dir=ROOT, precision='fp32'), **more)))


def test_runs_go_seed_by_seed_with_the_same_data_and_length_and_a_method_keeps_its_own_sparsifier():
    runs = planned(['linear probe', 'DyT'], ('digits', 'quadrant'), seeds=2)
    rows = [Row('linear probe', ALL), Row('linear probe', EVIT), Row('DyT', OWN)]
    assert [run[:3] for run in runs] == [
        (row, seed, task) for seed in (0, 1) for row in rows for task in ('digits', 'quadrant')
    ]
    cfgs = [cfg for row, seed, task, cfg in runs if (seed, task) == (1, 'quadrant')]
    assert all(cfg.train_dataloader == cfgs[0].train_dataloader and cfg.randomness.seed == 1 for cfg in cfgs)
    assert {cfg.train_cfg.max_epochs for cfg in cfgs} == {3}
    assert [(cfg.model.backbone.get('sparsifier') or {}).get('type') for cfg in cfgs] == [
        None,
        'mmsparse.EViT',
        'mmsparse.DyTDispatcher',
    ]
    assert len({key_of(cfg) for *_, cfg in runs}) == len(runs)


def test_a_run_is_known_whatever_a_config_calls_its_parts(monkeypatch):
    before = planned(['LoRA'])
    copy = small_vtab.config_copy
    monkeypatch.setattr(small_vtab, 'config_copy', lambda *args: renamed(copy(*args)))

    def renamed(cfg):
        cfg.some_name = 'of a base'
        return cfg

    assert [key_of(cfg) for *_, cfg in planned(['LoRA'])] == [key_of(cfg) for *_, cfg in before]


def test_the_plain_adapter_has_as_many_parameters_as_the_dense_one():
    sizes = []
    for *_, cfg in planned(['Dense Adapter', 'plain adapter, width 59'])[::2]:
        cfg.model.backbone.host.checkpoint = False
        backbone = MODELS.build(cfg.model.backbone)
        sizes.append(sum(p.numel() for p in backbone.parameters() if p.requires_grad))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.005)


def test_every_peft_config_of_the_small_host_is_run():
    left_out = ('noah_search', 'noah_supernet')
    configs = {path.name for path in ROOT.glob('configs/peft/tiny_*.py') if not path.stem.endswith(left_out)}
    assert {path.split('/')[1] for path, _ in METHODS.values() if path.startswith('peft/')} == configs


def results(scores: dict[str, float]) -> dict[str, dict]:
    return {task: dict(accuracy=score, gflops=0.1, kib=2.0, precision='bfloat16') for task, score in scores.items()}


def test_means_are_over_seeds_with_all_tasks_and_differences_over_pairs():
    ours, theirs = dict(zip(TASKS, (90, 60, 60, 40, 50, 30))), dict(zip(TASKS, (88, 59, 58, 39, 48, 29)))
    dense, plain = Row('Dense Adapter', EVIT), Row('plain adapter, width 59', EVIT)
    more = {task: score + 2 for task, score in ours.items()}
    runs = {dense: {0: results(ours), 1: results(more), 2: results({'digits': 91})}, plain: {0: results(theirs)}}
    line = dict(zip(table(runs, 3).columns, table(runs, 3).rows[0]))
    assert line['seeds'] == '2 of 3' and line['Digits'] == '91.0' and line['Way up'] == '41.0'
    assert [line[name] for name in ('Natural', 'Structured', 'mean of groups', 'mean of tasks')] == [
        '71.0',
        '41.0',
        '56.0',
        '56.0',
    ]
    assert line['95 % interval'] == '43.3 to 68.7'  # 56 ± 12.706 · √2 / √2
    assert (line['GFLOPs'], line['trainable KiB']) == ('0.100', '2')
    compared, said = answers(runs)
    pair = dict(zip(compared.columns, compared.rows[0]))
    assert (pair['seeds'], pair['Ten kinds'], pair['mean'], pair['95 % over seeds']) == (1, '+2.0', '+1.50', '–')
    # gains 2, 1, 2, 1, 2, 1: a deviation of √.3, t of five degrees of freedom 2.571
    assert pair['95 % over tasks'] == '+0.9 to +2.1' and re.fullmatch(r'0\.00', pair['p'])
    assert said == [f'{compared.rows[0][0]}: +1.50 points (+0.9 to +2.1 over tasks): **they pay**.']
    runs[plain] = {0: results({**theirs, 'digits': 96})}
    assert 'that they pay is not shown' in answers(runs)[1][0]
    runs[plain] = {0: results({**more, 'digits': 93})}
    assert answers(runs)[1][0].endswith('**they cost**.')


def test_the_tool_trains_writes_the_page_and_goes_on_from_its_ledger(tmp_path, monkeypatch, capsys):
    short, page, ledger = tmp_path / 'short.py', tmp_path / 'page.md', tmp_path / 'ledger.jsonl'
    short.write_text(SHORT)
    monkeypatch.setattr(small_vtab, 'TASK_CONFIG', str(short))
    options = ['--methods', 'linear probe', '--tasks', 'quadrant', '--seeds', 1, '--precision', 'fp32']
    options += ['--csv', tmp_path / 'runs.csv', '--ledger', ledger, '--out', page, '--work-dir', tmp_path / 'logs']
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, options)])
    runpy.run_path(str(TOOL), run_name='__main__')
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [(line['method'], line['tokens'], line['task'], line['seed']) for line in lines] == [
        ('linear probe', tokens, 'quadrant', 0) for tokens in (ALL, EVIT)
    ]
    whole, reduced = (line['result'] for line in lines)
    assert whole['trainable'] == reduced['trainable'] == 128 * 4 + 4
    assert reduced['gflops'] < 0.7 * whole['gflops'] and whole['precision'] == 'float32'
    assert all(result['accuracy'] in [5.0 * right for right in range(21)] for result in (whole, reduced))
    assert read_results([tmp_path / 'runs.csv'])[1] == Result(
        'linear probe, EViT .7',
        'small_vtab/quadrant',
        0,
        reduced['accuracy'],
        gflops=reduced['gflops'],
        trainable_kib=reduced['kib'],
        precision='float32',
        length='1 epochs',
    )
    text = page.read_text()
    assert '2 of 2 runs are in (float32).' in text and f'| {whole["accuracy"]:.1f} |' in text and '0 of 1' in text
    monkeypatch.setattr('mmsparse.analysis.trials.RUNNERS.build', lambda cfg: pytest.fail('trained again'))
    runpy.run_path(str(TOOL), run_name='__main__')
    assert page.read_text() == text and len(ledger.read_text().splitlines()) == 2
    monkeypatch.setattr(sys, 'argv', [*sys.argv, '--methods', 'linear prob'])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert end.value.code == 2 and "received 'linear prob', expected" in capsys.readouterr().err
