"""Classifying files: the same answer as tools/test.py gives, for every kind of picture, and pictures of the tokens."""

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS
from PIL import Image

import mmsparse
from mmsparse.datasets.image_files import images_at
from mmsparse.errors import InputError
from small_run import refused, tool, write_run
from small_state import train

KINDS = ('L', 'RGBA', 'P', 'I;16', 'CMYK', 'rotated')


def write_kinds(folder: Path) -> list[Path]:
    """Write one picture in every kind of file, with what loaders disagree about."""
    random = np.random.default_rng(0)
    values = random.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    picture, files = Image.fromarray(values), []
    for kind in KINDS:
        file, options = folder / f'{kind.replace(";", "")}.{"tif" if kind == "CMYK" else "png"}', {}
        if kind == 'I;16':
            image = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
        elif kind == 'RGBA':
            image = picture.copy()
            image.putalpha(Image.fromarray(values[..., 1]))
        elif kind == 'rotated':
            image, options = picture, dict(exif=Image.Exif())
            options['exif'][0x0112] = 6
        else:
            image = picture.convert(kind)
        image.save(file, **options)
        files.append(file)
    return files


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    config = write_run(tmp_path_factory.mktemp('infer'))
    return train(config, 'run')


@pytest.fixture(scope='module')
def loaders(run, tmp_path_factory):
    """The state, once as trained on mmcv's loader, once on mmsparse's."""
    folder, states = tmp_path_factory.mktemp('loaders'), {}
    for name in ('LoadImageFromFile', 'mmsparse.LoadImage'):
        pipeline = [dict(type=name), dict(type='PackInputs')]
        cfg = {
            'val_dataloader.dataset.pipeline': pipeline,
            'test_dataloader.dataset.pipeline': pipeline,
            'train_cfg.max_epochs': 2,
        }
        states[name] = train(write_run(folder / name, train=8, test=3), 'run', **cfg)
    return states


@pytest.fixture(scope='module')
def model(run):
    return mmsparse.load(f'{run.work_dir}/epoch_3')


@pytest.mark.parametrize('loader', ['LoadImageFromFile', 'mmsparse.LoadImage'])
def test_every_kind_of_file_gets_the_answer_of_tools_test(loaders, tmp_path, loader):
    run = loaders[loader]
    write_kinds(tmp_path)
    dataset = deepcopy(run.cfg.test_dataloader.dataset)
    dataset.update(data_root=str(tmp_path), with_label=False, extensions=('.png', '.tif'))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(dataset)
    model = mmsparse.load(f'{run.work_dir}/epoch_2')
    run.model.eval()
    assert len(data) == len(KINDS)
    scores = []
    for index in range(len(data)):
        path = data.get_data_info(index)['img_path']
        expected = run.model.test_step(pseudo_collate([data[index]]))[0].pred_score
        answer = model.predict(path)
        assert answer.path == Path(path)
        by_label = dict(zip((choice.label for choice in answer.top), (choice.score for choice in answer.top)))
        assert [by_label[label] for label in range(3)] == pytest.approx(expected.tolist(), abs=1e-6), path
        scores.append(by_label[0])
    assert len(set(scores)) > 3  # the kinds do differ


@pytest.mark.parametrize('loader', ['LoadImageFromFile', 'mmsparse.LoadImage'])
def test_a_picture_in_memory_is_the_file(loaders, tmp_path, loader):
    model = mmsparse.load(f'{loaders[loader].work_dir}/epoch_2')
    for file in write_kinds(tmp_path):
        if file.stem == 'CMYK' and loader == 'LoadImageFromFile':  # OpenCV's colours of printing inks are its own
            continue
        with Image.open(file) as image:
            assert model.predict(image).top[0].score == pytest.approx(model.predict(file).score, abs=1e-6), file
    file = tmp_path / 'plain.png'
    array = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(array).save(file)
    assert model.predict(array).top == model.predict(file).top


def test_lists_folders_and_batches_say_what_single_files_say(run, model):
    folder = f'{run.val_dataloader.dataset.data_root}/class_0'
    files = images_at(folder)
    singles = [model.predict(file) for file in files]
    for batch_size in (1, 3, None):
        for answers in (
            model.predict(folder, batch_size=batch_size),
            model.predict([str(file) for file in files], batch_size=batch_size),
        ):
            assert [answer.path for answer in answers] == files
            for answer, single in zip(answers, singles, strict=True):
                assert answer.name == single.name and answer.score == pytest.approx(single.score, abs=1e-5)
    assert {choice.name for choice in singles[0].top} == {'class_0', 'class_1', 'class_2'}
    assert sum(choice.score for choice in singles[0].top) == pytest.approx(1, abs=1e-5)
    assert len(model.predict(files[0], topk=2).top) == 2


def test_a_tensor_goes_to_the_models_own_predict(model):
    samples = model.predict(torch.zeros(2, 3, 32, 32), None)
    assert len(samples) == 2 and samples[0].pred_score.shape == (3,)


def test_wrong_input_is_named(model, tmp_path):
    (tmp_path / 'words.jpg').write_text('no picture')
    cases = {
        'words.jpg: cannot be read': tmp_path / 'words.jpg',
        'no image in this folder': write_empty(tmp_path / 'empty'),
        'no such file': tmp_path / 'nothing.jpg',
        'array of float32': np.zeros((32, 32, 3), np.float32),
        'received int': 5,
    }
    for words, source in cases.items():
        with pytest.raises(InputError, match=words):
            model.predict(source)
    for options in (dict(batch_size=0), dict(topk=0), dict(batchsize=2)):
        with pytest.raises(InputError, match=next(iter(options))):
            model.predict(np.zeros((32, 32, 3), np.uint8), **options)
    with pytest.raises(InputError, match="device 'gpu'"):
        mmsparse.load(model.predict.file, device='gpu')


def write_empty(folder: Path) -> Path:
    folder.mkdir()
    (folder / 'notes.txt').write_text('passed over')
    return folder


def test_one_broken_file_of_many_has_its_error_and_costs_no_others(model, tmp_path):
    Image.new('RGB', (32, 32)).save(tmp_path / 'a.png')
    (tmp_path / 'b.png').write_bytes(b'no picture')
    Image.new('RGB', (32, 32)).save(tmp_path / 'c.png')
    first, broken, last = model.predict(tmp_path)
    assert first.error is None and first.top == last.top
    assert 'b.png' in broken.error and broken.top == () and broken.name is None


def test_tokens_are_drawn_over_what_the_network_saw(model, run):
    path = run.val_dataloader.dataset.get_data_info(0)['img_path']
    sheet = model.predict.tokens(path)
    assert sheet.height > 200 and sheet.width > 2 * 200  # the start and one reduction at least
    assert np.array_equal(np.asarray(model.predict.picture(path)), np.asarray(Image.open(path)))


def test_the_command_answers_a_folder_and_draws_its_tokens(run, model, tmp_path, capsys):
    folder = f'{run.val_dataloader.dataset.data_root}/class_0'
    files = images_at(folder)
    assert (
        tool('infer.py', f'{run.work_dir}/epoch_3', folder, '--topk', 2, '--show-tokens', '--out', tmp_path / 'out')
        == 0
    )
    said = capsys.readouterr().out
    answers = json.loads((tmp_path / 'out/answers.json').read_text())
    assert list(answers) == [str(file) for file in files] and len(
        list((tmp_path / 'out').glob('*_tokens.png'))
    ) == len(files)
    for file in files:
        expected = model.predict(file, topk=2).top
        assert [answer['name'] for answer in answers[str(file)]] == [choice.name for choice in expected]
        assert [answer['score'] for answer in answers[str(file)]] == pytest.approx(
            [choice.score for choice in expected], abs=1e-5
        )
        assert f'{file}: {expected[0].name} ' in said


@pytest.mark.parametrize('image, words', [('nothing.jpg', 'no such image'), ('words.jpg', 'cannot be read')])
def test_the_command_ends_with_one_message(run, tmp_path, image, words, capsys):
    (tmp_path / 'words.jpg').write_text('no picture')
    text = refused(capsys, 'infer.py', f'{run.work_dir}/epoch_3', tmp_path / image)
    assert words in text and image in text


def test_the_command_finishes_a_folder_with_a_broken_file(run, tmp_path, capsys):
    for name in 'ac':
        Image.new('RGB', (32, 32)).save(tmp_path / f'{name}.png')
    (tmp_path / 'b.png').write_bytes(b'no picture')
    assert tool('infer.py', f'{run.work_dir}/epoch_3', tmp_path, '--out', tmp_path / 'out') == 1
    said = capsys.readouterr().err
    assert [Path(name).name for name in json.loads((tmp_path / 'out/answers.json').read_text())] == ['a.png', 'c.png']
    assert 'b.png: cannot be read' in said and 'no answer for 1 of 3 files' in said
