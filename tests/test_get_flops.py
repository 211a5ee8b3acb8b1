"""From a config to its cost: files, shapes and photographs, and one clear error for each wrong input."""

import json
import runpy
import sys

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmsparse.analysis.from_config import build_from_config, count_config
from mmsparse.config.read import read_config
from mmsparse.errors import InputError
from mmsparse.evaluation import published_macs
from mmsparse.visualization.tables import read_csv
from small_run import ROOT, write_images, write_run
from small_state import train

TINY = ROOT / 'configs/sparsify'


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool in this process; returns its status and what it printed."""

    def get_flops(*args):
        monkeypatch.setattr(sys, 'argv', ['get_flops.py', *map(str, args)])
        status = 0
        try:
            runpy.run_path(str(ROOT / 'tools/analysis_tools/get_flops.py'), run_name='__main__')
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out + err

    return get_flops


def test_the_files_hold_what_the_terminal_shows(run, tmp_path):
    config = ROOT / 'configs/sparse_tuning/tiny_digits.py'
    status, text = run(config, '--batch', 3, '--csv', tmp_path / 'a.csv', '--json', tmp_path / 'a.json')
    document, lines = (
        json.loads((tmp_path / 'a.json').read_text()),
        read_csv(tmp_path / 'a.csv', ['layer', 'part', 'published']),
    )
    assert status == 0 and f'{document["published"]:,}' in text and 'random, none were loaded' in text
    assert document['batch'] == 3 and document['shape'] == [32, 32] and document['uncounted'] == []
    model = build_from_config(read_config(config))
    assert document['published'] == published_macs(model, torch.zeros(3, 3, 32, 32))
    assert document['parameters']['total'] == sum(p.numel() for p in model.parameters())
    assert document['parameters']['trainable_without_head'] == sum(
        p.numel() for p in model.backbone.parameters() if p.requires_grad
    )
    for name in ('published', 'executed', 'flops'):
        assert (
            document[name]
            == sum(part[name] for part in document['parts'].values())
            == sum(place[name] for place in document['places'])
        )
        assert [int(line[name]) for line in lines] == [place[name] for place in document['places']] + [document[name]]
    assert [int(line['tokens']) for line in lines if line['part'] == 'ffn'] == document['tokens'] and len(
        document['tokens']
    ) == 12


def test_another_shape_builds_the_host_for_it(tmp_path):
    cfg = read_config(write_run(tmp_path))
    wide = count_config(cfg, (32, 48))
    assert wide.shape == (32, 48) and wide.account.tokens[0] == 1 + 4 * 6
    assert count_config(cfg, (64,)).shape == (64, 64) and count_config(cfg).shape == (32, 32)
    assert cfg.model.backbone.host.img_size == 32


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--shape', 33), ['33×33', '8×8', '32×32']),
        (('--shape', 32, 36), ['32×36', '32×32']),
        (('--shape', 0), ['--shape: received 0']),
        (('--shape', 1, 2, 3), ['--shape: received 1 2 3']),
        (('--batch', 0), ['--batch: received 0', 'at least 1']),
        (('--batch', -2), ['--batch: received -2']),
        (('--images', 'x'), ['--images', 'depends neither on images']),
        (('--adapter', 'x'), ['--adapter', 'depends neither on images']),
        (('--cfg-options', 'model.backbone.sparsifier.type=mmsparse.Evit'), ['mmsparse.EViT']),
        (('--cfg-options', 'model=None'), ['no model']),
        (('--json', '/'), ['/: cannot be written']),
    ],
)
def test_wrong_options_are_one_clear_error_each(run, tmp_path, options, words):
    status, text = run(write_run(tmp_path, 2, 2), *options)
    assert status == 2 and 'Traceback' not in text
    assert all(word in text for word in words), text


def test_a_missing_config_is_named(run):
    status, text = run(ROOT / 'configs/sparse_tuning/tiny_digit.py')
    assert status == 2 and 'Did you mean' in text and 'configs/sparse_tuning/tiny_digits.py?' in text


def test_a_network_without_a_sparsevit_wants_a_shape(run):
    status, text = run(ROOT / 'configs/pretraining/tiny_cifar10.py')
    assert status == 2 and '--shape' in text
    status, text = run(ROOT / 'configs/pretraining/tiny_cifar10.py', '--shape', 32)
    assert status == 0 and '167,767,552' in text  # as its metafile says


@pytest.fixture
def by_image(tmp_path):
    cfg = read_config(write_run(tmp_path, 8, 4))
    cfg.model.backbone.sparsifier = dict(type='mmsparse.ATS', layers=(2,), keep_rate=0.7)
    return cfg


def test_costs_that_depend_on_the_image_are_means_over_photographs(by_image, tmp_path):
    write_images(tmp_path / 'photos', 5)
    Image.new('L', (70, 40)).save(tmp_path / 'photos/grey.png')
    found = count_config(by_image, batch=2, images=tmp_path / 'photos')
    assert 'Averaged over 6 images' in found.remarks[1] and 'random, seed 0' in found.remarks[0]
    assert found.account.tokens[0] == 17 > found.account.tokens[1] > 1
    single = count_config(by_image, images=tmp_path / 'photos')
    assert found.account.total.published == pytest.approx(2 * single.account.total.published)
    assert 'travel with the package' in count_config(by_image).remarks[1]


def test_weights_that_are_not_there_are_replaced_and_named(by_image):
    by_image.model.backbone.host.checkpoint = '/nowhere/weights.safetensors'
    found = count_config(by_image)
    assert (
        'random' in found.remarks[0]
        and '/nowhere/weights.safetensors' in found.remarks[0]
        and 'ATS decides by image' in found.remarks[0]
    )
    by_image.model.backbone.host.checkpoint = False
    assert count_config(by_image).account == found.account


def test_a_trained_state_is_counted_on_its_own_host_alone(by_image, tmp_path):
    state = f'{train(tmp_path / "small.py", "run").work_dir}/epoch_3'
    found = count_config(by_image, adapter=state)
    assert state in found.remarks[0] and found.account.tokens[0] == 17
    by_image.model.backbone.host.depth = 5
    with pytest.raises(InputError, match='belongs to another host'):
        count_config(by_image, adapter=state)


def test_too_few_or_broken_images_are_refused(run, by_image, tmp_path):
    by_image.dump(tmp_path / 'ats.py')
    write_images(tmp_path / 'two', 2)
    for options, words in (
        (('--images', tmp_path / 'two', '--batch', 3), '--batch 3: received 2 images'),
        (('--images', tmp_path / 'none'), 'no such image or folder'),
        (('--images', tmp_path / 'ats.py'), 'cannot be read as an image'),
        (('--adapter', tmp_path / 'none'), 'none'),
    ):
        status, text = run(tmp_path / 'ats.py', *options)
        assert status == 2 and words in text and 'Traceback' not in text, text


def test_clips_are_counted_with_the_frames_of_the_config_or_with_others():
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/tiny_video.py')
    cfg.merge_from_dict({'default_scope': 'mmpretrain', 'model.head.num_classes': 4})
    eight, four = count_config(cfg), count_config(cfg, frames=4)
    assert (eight.frames, four.frames, eight.account.batch) == (8, 4, 1) and cfg.model.frames == 8
    assert eight.account.part('ffn').published == 2 * four.account.part('ffn').published
    assert eight.account.tokens[0] == 8 * 65
    cfg.model.backbone.sparsifier = dict(type='mmsparse.DyTDispatcher')
    found = count_config(cfg, batch=12, frames=2)
    assert found.account.tokens[0] == 2 * 65 and 0 < found.account.ffn_tokens[0] < 2 * 65
    assert 'Each of them is a clip of 2 frames that stands still.' in found.remarks
    with pytest.raises(InputError, match='^--frames: received 4, but .*tiny_digits.py sets no frames: its model'):
        count_config(read_config(ROOT / 'configs/sparse_tuning/tiny_digits.py'), frames=4)
