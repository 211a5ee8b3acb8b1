"""What a user types: pictures, folders, films and classes of all kinds, answered or refused in one line."""

import json
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmsparse.datasets.palette import palette
from mmsparse.models.backbones.encoder import exchanged
from projects.proxyclip import cost, segment, speed
from small_proxyclip import build, config, images
from stand_ins import CONFIGS


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """The shipped config with small towers, as a file."""
    cfg = Config.fromfile(CONFIGS / 'voc20_dense.py')
    for part in ('backbone', 'vfm'):
        cfg.model[part].host = config()[part]['host']
    cfg.test_pipeline[1].scale = (200, 64)
    cfg.model.update(window=64, stride=32)
    path = tmp_path_factory.mktemp('config') / 'small.py'
    cfg.dump(path)
    return path


@pytest.fixture
def run(small, tmp_path, monkeypatch, capsys):
    """Run segment.py; return what it wrote, or its last line where it refuses."""

    def command(source, classes='cat; sofa; plant pot', *more):
        out = tmp_path / 'out'
        monkeypatch.setattr(
            sys,
            'argv',
            ['segment.py', str(source), '--classes', classes, '--config', str(small), '--out', str(out), *more],
        )
        try:
            segment.main()
        except SystemExit as stopped:
            assert stopped.code == 2
            return capsys.readouterr().err.strip().splitlines()[-1]
        return out, json.loads((out / 'shares.json').read_text())

    return command


def noise(size=(90, 60), mode='RGB'):
    return Image.effect_noise(size, 80).convert(mode)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'P', 'CMYK', 'LA'])
def test_a_picture_of_any_mode_gets_labels_of_its_size(run, tmp_path, mode):
    file = tmp_path / ('a.jpg' if mode == 'CMYK' else 'a.png')
    noise(mode=mode).save(file)
    out, shares = run(file)
    assert sum(shares[str(file)].values()) == pytest.approx(1)
    assert list(shares[str(file)]) == ['cat', 'sofa', 'plant pot']
    labels = np.asarray(Image.open(out / '0000_a_labels.png'))
    assert labels.shape == (60, 90) and labels.max() < 3
    for index, name in enumerate(('cat', 'sofa', 'plant pot')):
        assert (labels == index).mean() == pytest.approx(shares[str(file)][name])
    picture = np.asarray(Image.open(out / '0000_a.png'))
    assert picture.shape[0] >= 60 and picture.shape[1] > 90  # the legend stands beside it


def test_a_picture_smaller_than_the_window_and_one_larger_than_an_answer(run, tmp_path):
    noise((20, 9)).save(tmp_path / 'small.png')
    noise((2048, 128)).save(tmp_path / 'wide.png')
    out, shares = run(tmp_path)
    assert len(shares) == 2
    assert np.asarray(Image.open(out / '0000_small_labels.png')).shape == (9, 20)
    assert np.asarray(Image.open(out / '0001_wide_labels.png')).shape == (64, 1024)


def test_a_film_becomes_a_film(run, tmp_path):
    file = tmp_path / 'film.mp4'
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'mp4v'), 8, (96, 64))
    for seed in range(5):
        writer.write(np.random.default_rng(seed).integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    out, shares = run(file, 'cat; sofa', '--every', '2')
    assert [name.split('frame ')[1] for name in shares] == ['0', '2', '4']
    made = cv2.VideoCapture(str(out / 'film.mp4'))
    assert (made.get(cv2.CAP_PROP_FRAME_COUNT), made.get(cv2.CAP_PROP_FPS), made.get(cv2.CAP_PROP_FRAME_WIDTH)) == (
        3,
        4,
        96,
    )
    assert (out / 'film_last.png').is_file()


def test_classes_may_come_from_a_file_with_synonyms(run, tmp_path):
    noise().save(tmp_path / 'a.png')
    (tmp_path / 'words.txt').write_text('cat, kitten\nwall; floor; sky\n')
    _, shares = run(tmp_path / 'a.png', str(tmp_path / 'words.txt'))
    assert list(shares[str(tmp_path / 'a.png')]) == ['cat', 'wall']


def test_a_list_of_classes_may_be_longer_than_a_file_name(run, tmp_path):
    noise().save(tmp_path / 'a.png')
    names = [f'{animal} {number}' for animal in ('cat', 'dog', 'horse', 'sheep') for number in range(20)]
    assert len('; '.join(names)) > 255
    _, shares = run(tmp_path / 'a.png', '; '.join(names))
    assert set(shares[str(tmp_path / 'a.png')]) <= set(names)


@pytest.mark.parametrize(
    ('classes', 'words'),
    [
        (';', 'a class without a name'),
        ('cat', "single class 'cat'"),
        ('cat; sofa; cat', "'cat' more than once"),
        ('cat; sofa;', 'a class without a name'),
    ],
)
def test_classes_that_cannot_be_used_are_refused_in_one_line(run, tmp_path, classes, words):
    noise().save(tmp_path / 'a.png')
    assert words in run(tmp_path / 'a.png', classes)


def test_inputs_that_cannot_be_used_are_refused_in_one_line(run, tmp_path):
    assert 'nowhere.png: no such image or folder' in run(tmp_path / 'nowhere.png')
    (tmp_path / 'empty').mkdir()
    assert 'no image in this folder' in run(tmp_path / 'empty')
    for name, words in (('a.png', 'a.png: cannot be read as an image'), ('a.mp4', 'a.mp4: OpenCV finds no picture')):
        (tmp_path / name).write_bytes(b'no picture')
        assert words in run(tmp_path / name)


def test_weights_that_cannot_be_reached_are_named_with_the_ways_to_provide_them(run, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'none'))
    noise().save(tmp_path / 'a.png')
    picture, named = tmp_path / 'a.png', 'vit_base_patch16_224.dino'
    options = ['--config', str(CONFIGS / 'voc20_dense.py'), '--cfg-options']
    text = run(picture, 'cat; sofa', *options, 'model.backbone.host.checkpoint=None')
    assert 'ViT-B-16-quickgelu' in text and 'model.backbone.host.checkpoint=FILE' in text
    text = run(picture, 'cat; sofa', *options, 'model.backbone.host.checkpoint=False')
    assert named in text and 'model.vfm.host.checkpoint=FILE' in text and 'model.backbone' not in text


def test_colours_of_classes_differ():
    colours = palette(40).astype(int)
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(40)
    assert apart.min() > 10 and apart[:8, :8].min() > 60


def test_the_published_form_says_the_same(small):
    model, x = build(patch=8).double(), images(112, 112).double()
    with torch.no_grad():
        ours = model(x)
        published = speed.published_form(model.backbone.readout)
        with exchanged(model.backbone.encoder, lambda given: given | dict(readout=published)):
            torch.testing.assert_close(model(x), ours, atol=1e-9, rtol=0)


@pytest.mark.parametrize('part', ['model', 'readout'])
def test_speeds_are_printed_beside_each_other(small, monkeypatch, capsys, part):
    options = [str(small), str(small), '--window', '64', '--rounds', '2', '--part', part]
    monkeypatch.setattr(sys, 'argv', ['speed.py', *options])
    speed.main()
    assert 'per head' in capsys.readouterr().out


def test_costs_are_printed_in_columns_of_their_own(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['cost.py', str(CONFIGS / 'voc20_dense.py')])
    cost.main()
    line = next(line for line in capsys.readouterr().out.splitlines() if 'voc20_dense' in line)
    assert line.replace('│', ' ').split() == ['voc20_dense', '38.5', '41.4', '0.3', '80.4']
