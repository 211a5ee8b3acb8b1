"""Classifying files: the same answer as tools/test.py gives, for every kind of picture, and pictures of the tokens."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmsparse.apis.classify import Classifier, image_files
from mmsparse.errors import InputError
from small_run import command, write_run
from small_state import train


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    config = write_run(tmp_path_factory.mktemp('infer'))
    return train(config, 'run')


@pytest.fixture(scope='module')
def classifier(run):
    return Classifier(f'{run.work_dir}/epoch_3')


def test_a_file_gets_the_answer_that_the_runners_own_pipeline_gives(run, classifier):
    dataset = run.val_dataloader.dataset
    run.model.eval()
    for index in range(3):
        item = dataset[index]
        batch = run.model.data_preprocessor(dict(inputs=[item['inputs']], data_samples=[item['data_samples']]))
        with torch.no_grad():
            expected = run.model(**batch, mode='predict')[0]
        answer = classifier(dataset.get_data_info(index)['img_path'])
        names = dict(answer.scores)
        assert [names[name] for name in dataset.metainfo['classes']] == pytest.approx(expected.pred_score.tolist(), abs=1e-6)
        assert answer.scores[0][1] == max(names.values()) and sum(names.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'I;16', 'CMYK', 'rotated'])
def test_every_kind_of_picture_is_seen_as_its_colours(classifier, tmp_path, mode):
    values = np.random.default_rng(0).integers(0, 256, (4, 4), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    grey = Image.fromarray(values)
    plain, other = tmp_path / 'plain.png', tmp_path / ('other.tif' if mode == 'CMYK' else 'other.png')
    grey.convert('RGB').save(plain)
    if mode == 'I;16':
        Image.fromarray(values.astype(np.uint16) * 257).save(other)
    elif mode == 'CMYK':
        grey.convert('RGB').convert('CMYK').save(other)
    elif mode == 'rotated':
        exif = Image.Exif()
        exif[0x0112] = 3
        grey.convert('RGB').rotate(180).save(other, exif=exif)
    else:
        grey.convert(mode).save(other)
    assert dict(classifier(other).scores) == pytest.approx(dict(classifier(plain).scores), abs=1e-6)


def test_the_picture_shows_what_the_network_saw_and_the_tokens_their_stages(classifier, run):
    path = run.val_dataloader.dataset.get_data_info(0)['img_path']
    picture = classifier(path).picture
    seen = run.val_dataloader.dataset[0]['inputs'].numpy()[::-1].transpose(1, 2, 0)
    assert np.array_equal(np.asarray(picture), seen)
    sheet = classifier.tokens(path)
    assert sheet.height > 200 and sheet.width > 2 * 200  # the start and one reduction at least


def test_folders_are_searched_and_what_is_no_image_is_refused(classifier, tmp_path):
    with pytest.raises(InputError, match='no image in this folder'):
        image_files(tmp_path)
    with pytest.raises(InputError, match='no such image'):
        image_files(tmp_path / 'nothing.jpg')
    (tmp_path / 'deep').mkdir()
    (tmp_path / 'deep' / 'words.jpg').write_text(json.dumps('no picture'))
    (tmp_path / 'notes.txt').write_text('passed over')
    (found,) = image_files(tmp_path)
    with pytest.raises(InputError, match=r'words\.jpg: cannot be read'):
        classifier(found)


def test_the_command_answers_a_folder_and_draws_its_tokens(run, classifier, tmp_path):
    folder = f'{run.val_dataloader.dataset.data_root}/class_0'
    files = image_files(folder)
    done = command('tools/infer.py', f'{run.work_dir}/epoch_3', folder, '--topk', 2, '--show-tokens', '--out', tmp_path / 'out', folder=tmp_path)
    answers = json.loads((tmp_path / 'out/answers.json').read_text())
    assert list(answers) == [str(file) for file in files] and len(list((tmp_path / 'out').glob('*_tokens.png'))) == len(files)
    for file in files:
        expected = dict(classifier(file, 2).scores)
        assert answers[str(file)] == pytest.approx(expected, abs=1e-6)
        assert f'{file}: ' + ', '.join(f'{name} {score:.1%}' for name, score in expected.items()) in done.stdout


@pytest.mark.parametrize('image, words', [('nothing.jpg', 'no such image'), ('words.jpg', 'cannot be read')])
def test_the_command_ends_with_one_message(run, tmp_path, image, words):
    (tmp_path / 'words.jpg').write_text('no picture')
    done = command('tools/infer.py', f'{run.work_dir}/epoch_3', tmp_path / image, folder=tmp_path, status=2)
    assert words in done.stderr and image in done.stderr and 'Traceback' not in done.stderr


def test_a_broken_picture_costs_no_answers(run, tmp_path):
    Image.new('RGB', (32, 32)).save(tmp_path / 'a.png')
    (tmp_path / 'b.png').write_bytes(b'no picture')
    command('tools/infer.py', f'{run.work_dir}/epoch_3', tmp_path, '--out', tmp_path / 'out', folder=tmp_path, status=2)
    assert [name.endswith('a.png') for name in json.loads((tmp_path / 'out/answers.json').read_text())] == [True]
