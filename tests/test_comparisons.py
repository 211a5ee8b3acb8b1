"""Trials, their ledger, and the commands that compare: what they train, keep, repeat and refuse."""

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmsparse.analysis import trials
from mmsparse.analysis.trials import Ledger, key_of, trial, trial_config
from mmsparse.errors import InputError
from mmsparse.registry import DATASETS
from mmsparse.visualization.result_file import Result, read_results
from mmsparse.visualization.tables import BEGIN, END
from small_run import ROOT

SHORT = """
_base_ = ['{root}/configs/sparse_tuning/tiny_digits.py']
train_dataloader = dict(batch_size=10, dataset=dict(indices=20))
val_dataloader = dict(batch_size=10, dataset=dict(indices=20))
test_dataloader = val_dataloader
param_scheduler = []
train_cfg = dict(max_epochs=1)
"""
RESULT = {
    'precision': 'float32',
    'accuracy': 50.0,
    'trainable': 10,
    'kib': 1.0,
    'gflops': 0.1,
    'tokens': [65, 65, 46],
    'train img/s': 9.0,
    'test img/s': 9.0,
    'speed': 2.0,
    'saved': 2048.0,
}


@pytest.fixture(scope='module')
def short(tmp_path_factory):
    path = tmp_path_factory.mktemp('short') / 'short.py'
    path.write_text(SHORT.format(root=ROOT))
    return path


def program(path: str):
    """The module of a tool, not run."""
    spec = importlib.util.spec_from_file_location(path.replace('/', '_'), ROOT / 'tools' / f'{path}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config(short, tmp_path, seed=0, **backbone):
    cfg = Config.fromfile(short)
    cfg.model.backbone.update(backbone)
    return trial_config(cfg, Config.fromfile(short), seed, tmp_path)


def test_a_trial_says_what_was_trained_and_at_what_cost(short, tmp_path):
    result = trial(config(short, tmp_path))
    assert result['trainable'] == 182_784 + 1_290 and result['kib'] == result['trainable'] * 4 / 1024
    assert result['tokens'] == [65, 65, 65, 65] + [47] * 3 + [35] * 3 + [26] * 3
    assert result['accuracy'] in [5.0 * right for right in range(21)]
    assert result['saved'] > 4 * 32 * 32  # an image at least
    assert 0.11 < result['gflops'] < 0.13 and result['speed'] > 0 and result['train img/s'] > 0
    assert not list(tmp_path.rglob('adapter.safetensors'))


def test_data_classes_and_seed_come_from_the_trial_and_the_rest_from_the_config(tmp_path):
    own = Config.fromfile(ROOT / 'configs/sparsify/tiny_dyt_dense_adapter_digits.py')
    data = Config.fromfile(ROOT / 'configs/sparse_tuning/tiny_photos.py')
    cfg = trial_config(own, data, 7, tmp_path)
    assert (
        cfg.train_dataloader.dataset.type == 'mmsparse.UnseenPhotos'
        and cfg.model.head.num_classes == 3
        and cfg.randomness.seed == 7
    )
    assert (
        cfg.model.type == own.model.type
        and cfg.model.backbone == own.model.backbone
        and own.model.head.num_classes == 10
    )


def test_a_ledger_trains_each_config_once(short, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(trials, 'trial', lambda cfg: trained.append(cfg) or RESULT)
    path = tmp_path / 'folder/ledger.jsonl'
    assert Ledger(path).get(config(short, tmp_path), config='a', seed=0) == RESULT
    assert Ledger(path).get(config(short, tmp_path / 'elsewhere')) == RESULT and len(trained) == 1
    other = [config(short, tmp_path, seed=1), config(short, tmp_path, adapter=None)]
    assert (
        all(Ledger(path).find(cfg) is None for cfg in other)
        and len({key_of(cfg) for cfg in [trained[0], *other]}) == 3
    )
    (line,) = path.read_text().splitlines()
    assert json.loads(line)['config'] == 'a' and json.loads(line)['result'] == RESULT
    path.write_text(line + '\n{"key": "ab\n')
    with pytest.raises(InputError, match=r'ledger\.jsonl, line 2: not a result'):
        Ledger(path).find(other[0])


def test_compare_puts_means_and_ranges_between_the_markers_of_a_page(short, tmp_path, monkeypatch, capsys):
    compare = program('analysis_tools/compare')
    scores = iter([50.0, 90.0, 60.0, 80.0])
    monkeypatch.setattr(trials, 'trial', lambda cfg: RESULT | {'accuracy': next(scores)})
    monkeypatch.setitem(compare.SMALL, 'digits', str(short))
    other = short.with_name('other.py')
    other.write_text(f"_base_ = ['{short}']\nmodel = dict(backbone=dict(adapter=None))\n")
    page = tmp_path / 'page.md'
    page.write_text(f'Before.\n{BEGIN}\nold\n{END}\nAfter.\n')
    args = [
        'compare.py',
        short,
        other,
        '--data',
        'digits',
        '--seeds',
        2,
        '--ledger',
        tmp_path / 'l.jsonl',
        '--out',
        page,
    ]
    monkeypatch.setattr(sys, 'argv', [str(arg) for arg in args])
    compare.main()
    text = page.read_text()
    assert (
        '| short | 55.0 (50.0 to 60.0) | 10 | 1 | 0.100 | 65, 46 from layer 2 | 9 | 9 | 2.00 | 2 |' in text
        and '| other | 85.0 (80.0 to 90.0) |' in text
    )
    assert text.startswith('Before.\n') and text.endswith('After.\n') and 'old' not in text
    compare.main()  # everything is known: the iterator of scores is empty
    assert page.read_text() == text
    monkeypatch.setattr(sys, 'argv', [*sys.argv, '--csv', str(tmp_path / 'new/results.csv')])
    compare.main()
    runs = read_results([tmp_path / 'new/results.csv'])
    assert runs == [
        Result(name, 'digits', seed, score, gflops=0.1, trainable_kib=1.0, precision='float32', length='1 epochs')
        for name, seed, score in (('short', 0, 50.0), ('short', 1, 60.0), ('other', 0, 90.0), ('other', 1, 80.0))
    ]
    page.write_text('no markers')
    with pytest.raises(SystemExit) as end:
        compare.main()
    assert end.value.code == 2 and 'expected a line' in capsys.readouterr().err


def test_the_claim_prints_paired_differences_with_their_intervals(tmp_path, monkeypatch, capsys):
    claim = program('analysis_tools/claim')
    scores = {'mmsparse.DenseAdapter': (60.0, 64.0), 'mmsparse.LoRA': (58.0, 60.0)}

    def fake(cfg):
        adapter = cfg.model.backbone.adapter
        return RESULT | {'accuracy': scores.get(adapter.type if adapter else None, (10.0, 11.0))[cfg.randomness.seed]}

    monkeypatch.setattr(trials, 'trial', fake)
    args = [
        'claim.py',
        '--data',
        'photos',
        '--seeds',
        2,
        '--ledger',
        tmp_path / 'l.jsonl',
        '--out',
        tmp_path / 'page.md',
    ]
    monkeypatch.setattr(sys, 'argv', [str(arg) for arg in args])
    claim.main()
    text = (tmp_path / 'page.md').read_text()
    # Differences of -2 and -4: mean -3, standard error 1, and t(1 degree, 97.5 %) = 12.706.
    assert '| LoRA, EViT | 59.0 | -3.00 | -15.71 to +9.71 | 10 | 0.100 |' in text
    assert text.count('2 paired seeds') == 2 and '## photos, keep 0.5' in text
    # Rows without a reduction are the same at both keep rates, and run once.
    assert len((tmp_path / 'l.jsonl').read_text().splitlines()) == 2 * (2 * len(claim.ROWS) - 2)
    # With one setting changed, each row stands beside Sparse-Tuning under the same change.
    scores |= {'mmsparse.AdaptFormer': (61.0, 65.0)}
    monkeypatch.setattr(sys, 'argv', [*sys.argv, '--variants', 'photos', '--keep', '0.7'])
    claim.main()
    text = (tmp_path / 'page.md').read_text()
    assert '## photos, keep 0.7, variants, 2 paired seeds' in text and text.count('| AdaptFormer, EViT, ') == len(
        claim.VARIANTS
    )
    assert '| AdaptFormer, EViT, width 8 | 63.0 | +1.00 | – |' in text


def test_a_variant_changes_both_adapters_and_the_data_that_it_names():
    claim = program('analysis_tools/claim')
    args = SimpleNamespace(
        seeds=1, data=[], keep=[], variants=['photos', 'digits'], ledger=Path('l.jsonl'), precision=None
    )
    for _, (name, variant), _, cfg in claim.planned(args):
        adapter = cfg.model.backbone.adapter
        assert (adapter.bottleneck, cfg.optim_wrapper.optimizer.lr) == (
            {'width 8': 8, 'width 64': 64}.get(variant, 32),
            {'learning rate 1e-3': 1e-3, 'learning rate 1e-2': 1e-2}.get(variant, 3e-3),
        )
        assert adapter.type == {claim.REFERENCE: 'mmsparse.DenseAdapter', claim.RIVAL: 'mmsparse.AdaptFormer'}[name]
        fewer = variant == '100 training images'
        assert ('indices' in cfg.train_dataloader.dataset) == fewer
        if fewer and name == claim.REFERENCE:
            train = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[]))
            labels = [train.get_data_info(index)['gt_label'] for index in range(len(train))]
            assert len(train) == 100 and set(labels) == set(range(cfg.model.head.num_classes))


def test_the_keep_rates_of_the_claim_reach_every_sparsifier():
    claim = program('analysis_tools/claim')
    parts = {
        keep: {name: dict(cfg.model.backbone.sparsifier) for name, cfg in claim.configs(keep)} for keep in claim.KEEP
    }
    assert parts[0.5]['LoRA, EViT']['keep_rate'] == 0.5 and parts[0.7]['LoRA, EViT']['keep_rate'] == 0.7
    assert parts[0.7]['Dense Adapter, DynamicViT']['keep_rates'] == (0.7, 0.49, 0.343)
    assert [parts[keep]['Dense Adapter, ToMe']['r'] for keep in (0.7, 0.5)] == [3, 5]


@pytest.mark.slow
def test_the_demo_trains_all_rows_and_ends_with_the_table(short, tmp_path, monkeypatch, capsys):
    demo = program('demo')
    monkeypatch.setitem(demo.SMALL, 'digits', str(short))
    monkeypatch.setattr(sys, 'argv', ['demo.py', '--random-host', '--work-dir', str(tmp_path)])
    demo.main()
    with (tmp_path / 'digits/table.csv').open() as file:
        rows = {row['method']: row for row in csv.DictReader(file)}
    expected = [1_930, 1_290, 1_290, 184_074, 101_514, 184_074, 184_074]
    assert [float(row['trainable']) for row in rows.values()] == expected
    assert list(rows)[1:] == [
        'linear probe',
        'reduction only',
        'Dense Adapter only',
        'AdaptFormer-style, reduction',
        'Sparse-Tuning',
        'Sparse-Tuning, random host',
    ]
    dense, sparse = (float(rows[name]['gflops']) for name in ('Dense Adapter only', 'Sparse-Tuning'))
    assert 0.6 < sparse / dense < 0.7
    text = capsys.readouterr().out
    assert all(name in text for name in rows) and 'chance 10' in text


def test_hooks_that_change_what_is_trained_make_another_trial(short, tmp_path):
    plain, cfgs = config(short, tmp_path), [config(short, tmp_path) for _ in range(4)]
    cfgs[0].default_hooks.epoch_seed = None
    cfgs[1].default_hooks.ema = dict(type='EMAHook')
    cfgs[2].default_hooks.rate = dict(type='mmsparse.KeepRateWarmupHook', begin=1, end=5)
    cfgs[3].default_hooks.logger = dict(type='LoggerHook', interval=1)  # looks on
    assert len({key_of(cfg) for cfg in [plain, *cfgs[:3]]}) == 4 and key_of(cfgs[3]) == key_of(plain)


def test_two_rows_of_one_name_are_refused(short, tmp_path, monkeypatch, capsys):
    other = tmp_path / 'other' / short.name
    other.parent.mkdir()
    other.touch()
    monkeypatch.setattr(sys, 'argv', ['compare.py', str(short), str(other)])
    with pytest.raises(SystemExit):
        program('analysis_tools/compare').main()
    assert 'two configs have the same name' in capsys.readouterr().err


def test_the_claim_compares_seeds_that_all_rows_have():
    claim = program('analysis_tools/claim')
    runs = {seed: RESULT | {'accuracy': 60.0 + seed} for seed in range(3)}
    rows = {(claim.REFERENCE, ''): {seed: run for seed, run in runs.items() if seed < 2}, ('row', ''): runs}
    lines = claim.table(rows, [0, 1]).rows
    # equal differences have no interval
    assert [line[1] for line in lines] == ['60.5', '60.5'] and lines[1][2:4] == ['+0.00', '–']
