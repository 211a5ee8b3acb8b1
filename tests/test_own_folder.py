"""One's own pictures: what a folder holds, how it is parted, and what host, data and schedule follow from it."""

import json
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from safetensors.torch import save_file

from mmsparse.config.check import check_config
from mmsparse.config.own_folder import fill_in
from mmsparse.config.read import read_config
from mmsparse.datasets.class_folders import read_folder
from mmsparse.datasets.image_files import extensions, image_files
from mmsparse.errors import InputError
from mmsparse.models.hosts.named_hosts import named_host
from mmsparse.registry import DATASETS, MODELS
from small_run import ROOT, tool

CUSTOM = 'configs/sparse_tuning/tiny_custom.py'


def picture(path: Path, size=(32, 32), colour='red', mode='RGB', **options) -> Path:
    """Write a picture of one colour; its name says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, colour).convert(mode).save(path, **options)
    return path


def pictures(folder: Path, **counts: int) -> Path:
    """Write a class folder with so many pictures for each name; the later the name, the brighter they are."""
    for shade, (name, count) in enumerate(counts.items()):
        for index in range(count):
            picture(folder / name / f'{index:03d}.png', colour=(50 + 150 * shade // len(counts), index % 50, 30))
    return folder


def filled(folder: Path, work_dir: Path, host=None, resume=None, **options) -> Config:
    """The shipped config for a folder, as tools/train.py makes it."""
    cfg = read_config(ROOT / CUSTOM, options)
    cfg.work_dir = str(work_dir)
    fill_in(cfg, Namespace(data=folder and str(folder), host=host, cfg_options=options, resume=resume))
    return cfg


def test_every_kind_that_pillow_reads_is_a_picture_and_what_cannot_be_read_is_none():
    assert {
        '.jpg',
        '.jpeg',
        '.jfif',
        '.png',
        '.webp',
        '.gif',
        '.bmp',
        '.tif',
        '.tiff',
        '.ppm',
        '.avif',
    } <= extensions()
    assert not {'.pdf', '.mpg', '.mp4', '.h5', '.txt', '.json', '.npy', ''} & extensions()


def test_a_folder_is_listed_whole_in_one_order(tmp_path):
    shown = [picture(tmp_path / name) for name in ('a/B.JPG', 'a/a.webp', 'a/deep/c.GIF', 'b/x.png')]
    for name in ('.DS_Store', 'a/._B.JPG', '__MACOSX/a/B.JPG', '.cache/x.png', 'a/notes.txt', 'a/film.mp4'):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'b/back').symlink_to(tmp_path)
    found = image_files(tmp_path)
    assert found.images == sorted(shown)
    assert [path.name for path in found.others] == ['film.mp4', 'notes.txt']
    assert {path.relative_to(tmp_path).as_posix() for path in found.hidden} == {
        '.DS_Store',
        '.cache/x.png',
        '__MACOSX/a/B.JPG',
        'a/._B.JPG',
    }


def test_the_hold_out_takes_its_share_of_each_class_and_depends_on_names_and_seed_alone(tmp_path, monkeypatch):
    folder = pictures(tmp_path / 'flowers', aster=10, rose=3, tulip=2, lily=1)
    found = read_folder(folder)
    assert found.classes == ['aster', 'lily', 'rose', 'tulip']
    count = {
        part: [[label for _, label in rows].count(index) for index in range(4)] for part, rows in found.parts.items()
    }
    assert count == {'train': [8, 1, 2, 1], 'val': [2, 0, 1, 1]}
    assert '4 pictures, 20% of each class, seed 0; none of lily' in found.notes['hold-out']
    shutil.move(folder, tmp_path / 'elsewhere')
    walk = __import__('os').walk
    monkeypatch.setattr('os.walk', lambda *args, **kwargs: reversed(list(walk(*args, **kwargs))))
    assert read_folder(tmp_path / 'elsewhere').parts == found.parts
    assert read_folder(tmp_path / 'elsewhere', seed=1).parts != found.parts


@pytest.mark.parametrize('name', ['val', 'valid', 'Validation', 'test'])
def test_a_validation_split_of_the_folder_is_used_as_it_is(name, tmp_path):
    pictures(tmp_path / 'Train', a=3, b=2)
    pictures(tmp_path / name, a=1, b=2)
    found = read_folder(tmp_path)
    assert found.parts['train'] == [
        *((f'Train/a/00{index}.png', 0) for index in range(3)),
        ('Train/b/000.png', 1),
        ('Train/b/001.png', 1),
    ]
    assert found.parts['val'] == [(f'{name}/a/000.png', 0), (f'{name}/b/000.png', 1), (f'{name}/b/001.png', 1)]
    assert not found.notes


def test_three_parts_are_three_and_a_test_without_labels_or_a_class_called_train_is_no_part(tmp_path):
    for part, count in (('train', 3), ('val', 2), ('test', 1)):
        pictures(tmp_path / 'three' / part, a=count, b=count)
    cfg = filled(tmp_path / 'three', tmp_path / 'run')
    assert [Path(cfg[f'{part}_dataloader'].dataset.ann_file).name for part in ('train', 'val', 'test')] == [
        'train.json',
        'val.json',
        'test.json',
    ]
    pictures(tmp_path / 'contest/train', a=5, b=5)
    picture(tmp_path / 'contest/test/1.png')
    found = read_folder(tmp_path / 'contest')
    assert {part: len(rows) for part, rows in found.parts.items()} == {'train': 8, 'val': 2}
    assert 'test' in found.notes['left out']
    assert read_folder(pictures(tmp_path / 'vehicles', train=5, car=5)).classes == ['car', 'train']


def test_all_kinds_are_used_and_what_is_left_out_is_counted(tmp_path):
    pictures(tmp_path, a=3, b=3)
    kinds = dict(WEBP='RGB', gif='P', tif='CMYK', jpeg='RGB', PNG='RGBA', bmp='L', avif='RGB')
    for end, mode in kinds.items():
        picture(tmp_path / f'a/more/kind.{end}', mode=mode)
    whole = picture(tmp_path / 'b/cut.jpg', size=(200, 200)).read_bytes()
    (tmp_path / 'b/cut.jpg').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'b/no.png').write_text('<html>not found</html>')
    picture(tmp_path / 'a/range.tif', mode='F')
    for name in ('a/list.csv', 'b/film.mp4', 'b/._x.png', '.DS_Store', 'empty/readme'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    picture(tmp_path / 'loose.png')
    found = read_folder(tmp_path)
    used = {Path(path).name for rows in found.parts.values() for path, _ in rows}
    assert {f'kind.{end}' for end in kinds} <= used and len(used) == 3 + len(kinds)
    assert found.classes == ['a', 'b']
    said = found.notes['left out']
    for part in (
        '3 files that are no pictures (',
        '.csv 1',
        '3 that cannot be read (a/range.tif, b/cut.jpg, b/no.png)',
        '1 pictures outside',
        '2 hidden',
        'without a picture: empty',
    ):
        assert part in said


@pytest.mark.parametrize(
    ('make', 'name', 'words'),
    [
        (lambda f: f, 'nothing', 'no such folder'),
        (lambda f: picture(f / 'a.png'), 'a.png', 'this is a file'),
        (lambda f: f.mkdir(), '.', 'no picture that can be read'),
        (lambda f: (f / 'a').mkdir(parents=True), '.', 'no picture that can be read'),
        (lambda f: picture(f / 'a.png'), '.', 'lie in this folder itself'),
        (lambda f: pictures(f, a=3, b=3), 'a', 'Is it the folder above'),
        (lambda f: pictures(f, a=3), '.', "only one class has pictures, 'a'"),
        (
            lambda f: pictures(f / 'flowers', a=3, b=3),
            '.',
            'if these are the classes, name it: --data {folder}/flowers',
        ),
        (lambda f: (pictures(f / 'x', a=3, b=3), pictures(f / 'y', a=3, b=3)), '.', 'own_folder.nested=True'),
        (
            lambda f: [pictures(f / x / y, a=3, b=3) for x in 'xy' for y in ('train', 'val')],
            '.',
            'a folder train of its own',
        ),
        (
            lambda f: [pictures(f / y, a=3, b=3) for y in ('train', 'val')],
            'train',
            'Name the folder above: --data {folder}',
        ),
        (
            lambda f: (pictures(f / 'train', a=3, b=3), pictures(f / 'val', a=3, c=3)),
            '.',
            'val has classes that train lacks: c',
        ),
        (lambda f: pictures(f, a=1, b=1), '.', 'one picture only'),
        (lambda f: (pictures(f / 'train', a=3, b=3), (f / 'val/a').mkdir(parents=True)), '.', 'no picture for val'),
        (
            lambda f: [pictures(f / y, a=3, b=3) for y in ('train', 'val', 'valid')],
            '.',
            'val and valid, which mean the same',
        ),
    ],
)
def test_a_folder_that_cannot_be_meant_is_refused_in_one_sentence(make, name, words, tmp_path):
    folder = tmp_path / 'data'
    make(folder)
    with pytest.raises(InputError, match=r'--data .*') as error:
        filled(folder / name, tmp_path / 'run')
    assert words.format(folder=folder) in str(error.value)
    assert not (tmp_path / 'run').exists()


def test_classes_made_of_sub_folders_alone_need_a_word(tmp_path):
    pictures(tmp_path / 'x', a=3, b=3)
    pictures(tmp_path / 'y', a=3, b=3)
    cfg = filled(tmp_path, tmp_path.parent / 'nested', **{'own_folder.nested': True})
    assert cfg.model.head.num_classes == 2 and 'own_folder' not in cfg


@pytest.mark.parametrize(
    ('count', 'batch', 'epochs', 'rate'),
    [(5, 5, 160, 9.5e-4), (38, 8, 32, 1.2e-3), (320, 40, 20, 2.7e-3), (800, 50, 10, 3e-3), (16000, 50, 10, 3e-3)],
)
def test_batch_rate_and_length_follow_from_the_number_of_pictures(count, batch, epochs, rate, tmp_path, monkeypatch):
    rows = [(f'a/{index}.png', index % 2) for index in range(count)]
    found = Namespace(classes=['a', 'b'], parts=dict(train=rows, val=rows), notes={})
    monkeypatch.setattr('mmsparse.config.own_folder.read_folder', lambda root, hold_out, seed, nested: found)
    cfg = filled(tmp_path, tmp_path / 'run')
    steps = -(-count // batch)
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (batch, epochs) and steps * epochs >= 160
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(rate, rel=0.02)
    asked = filled(
        tmp_path,
        tmp_path / 'run',
        **{'train_cfg.max_epochs': 3, 'train_dataloader.batch_size': 4, 'optim_wrapper.optimizer.lr': 1e-4},
    )
    assert (asked.train_cfg.max_epochs, asked.train_dataloader.batch_size, asked.optim_wrapper.optimizer.lr) == (
        3,
        4,
        1e-4,
    )


def test_what_is_written_is_a_config_like_any_other_with_a_head_and_images_that_fit(tmp_path):
    folder = pictures(tmp_path / 'my "flowers"', a=6, b=6, c=6)
    cfg = filled(folder, tmp_path / 'run')
    check_config(cfg)
    cfg.dump(tmp_path / 'written.py')
    again = Config.fromfile(tmp_path / 'written.py')
    assert again.to_dict() == cfg.to_dict() and 'own_folder' not in again
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(again.train_dataloader.dataset)
        model = MODELS.build(again.model)
    assert (len(data), list(data.metainfo['classes'])) == (15, ['a', 'b', 'c'])
    assert (
        data[0]['inputs'].shape == (3, 32, 32)
        and model.head.fc.out_features == again.data_preprocessor.num_classes == 3
    )
    assert again.data_preprocessor.mean == [127.5] * 3


@pytest.mark.parametrize(
    ('host', 'width', 'size', 'mean', 'out_type'),
    [
        ('vit_small_patch14_dinov2.lvd142m', 384, 518, 123.675, 'cls_token'),
        ('vit_base_patch16_siglip_224.webli', 768, 224, 127.5, 'pooled'),
        ('ViT-B-32-quickgelu:openai', 768, 224, 122.77, 'cls_token'),
    ],
)
def test_a_host_brings_its_width_size_and_pixels(host, width, size, mean, out_type, tmp_path):
    cfg = filled(pictures(tmp_path / 'f', a=2, b=2), tmp_path / 'run', host)
    assert (cfg.model.head.in_channels, cfg.model.backbone.out_type) == (width, out_type)
    assert cfg.data_preprocessor.mean[0] == pytest.approx(mean, abs=0.01)
    assert cfg.train_dataloader.dataset.pipeline[1].scale == cfg.test_dataloader.dataset.pipeline[2].crop_size == size
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmpretrain'):
        cfg.model.backbone.host.checkpoint = False
        assert MODELS.build(cfg.model)(torch.zeros(1, 3, size, size)) is not None


@pytest.mark.parametrize('host', [None, 'vit_tiny_patch16_224.augreg_in21k'])
def test_one_option_sets_the_size_of_the_images_of_whatever_host(host, tmp_path):
    cfg = filled(pictures(tmp_path / 'data', a=5, b=5), tmp_path / 'run', host, img_size=48)
    assert cfg.model.backbone.host.img_size == 48 and 'img_size' not in cfg
    steps = [*cfg.train_dataloader.dataset.pipeline, *cfg.test_dataloader.dataset.pipeline]
    assert [
        step.get('scale') or step.get('crop_size')
        for step in steps
        if step.type in ('RandomResizedCrop', 'CenterCrop')
    ] == [48, 48]


def test_a_file_of_weights_says_whose_they_are(tmp_path):
    shipped = ROOT / 'mmsparse/assets/tiny_vit.safetensors'
    known = named_host('mmsparse://tiny_vit')
    shutil.copy(shipped, tmp_path / 'renamed.safetensors')  # without the card beside it
    assert named_host(str(tmp_path / 'renamed.safetensors')) == dict(
        known, checkpoint=str(tmp_path / 'renamed.safetensors')
    )
    for name, file in (
        ('vit_tiny_patch16_224', 'mine.safetensors'),
        ('vit_small_patch14_reg4_dinov2', 'other.safetensors'),
        ('deit_tiny_patch16_224.fb_in1k', 'deit_tiny_patch16_224-a1311bcf.pth'),
    ):
        state = timm.create_model(name.split('.')[0]).state_dict()
        path = tmp_path / file
        torch.save(state, path) if path.suffix == '.pth' else save_file(state, path)
        assert named_host(str(path))['name'] == name
    (tmp_path / 'hub').mkdir()
    save_file(dict(x=torch.zeros(1)), tmp_path / 'hub/model.safetensors')
    (tmp_path / 'hub/config.json').write_text(
        json.dumps(dict(architecture='vit_base_patch16_224', pretrained_cfg=dict(tag='dino')))
    )
    assert named_host(str(tmp_path / 'hub/model.safetensors'))['name'] == 'vit_base_patch16_224.dino'


@pytest.mark.parametrize(
    ('host', 'words'),
    [
        ('vit_bse_patch16_224', 'Did you mean vit_base_patch16_224'),
        ('vit_base_patch16_224.imagnet', 'Known: vit_base_patch16_224.augreg2_in21k_ft_in1k'),
        ('ViT-B-16', 'Expected ViT-B-16:WEIGHTS, with one of openai'),
        ('resnet50', 'resnet'),
        ('missing.safetensors', 'no such file'),
    ],
)
def test_a_host_that_cannot_be_meant_is_refused(host, words, tmp_path):
    with pytest.raises(InputError, match=words):
        filled(pictures(tmp_path / 'f', a=2, b=2), tmp_path / 'run', host)


def test_a_file_that_does_not_say_whose_it_is_names_the_way(tmp_path):
    file = tmp_path / 'x.safetensors'
    no_patches = {'patch_embed.proj.weight': torch.zeros(192, 3, 16, 16), 'pos_embed': torch.zeros(1, 0, 192)}
    for state in (no_patches, {'layers.0.ln1.weight': torch.zeros(4)}):
        save_file(state, file)
        with pytest.raises(InputError, match=f'--host NAME --cfg-options model.backbone.host.checkpoint={file}'):
            named_host(str(file))
    folder = pictures(tmp_path / 'f', a=2, b=2)
    cfg = filled(folder, tmp_path / 'run', 'vit_tiny_patch16_224', **{'model.backbone.host.checkpoint': str(file)})
    assert cfg.model.backbone.host.to_dict() == dict(
        type='mmsparse.TimmViT', name='vit_tiny_patch16_224', checkpoint=str(file)
    )


def test_a_resumed_run_has_the_pictures_it_began_with(tmp_path):
    folder = pictures(tmp_path / 'f', a=5, b=5)
    first = filled(folder, tmp_path / 'run')
    assert filled(folder, tmp_path / 'run', resume='auto').to_dict() == first.to_dict()
    picture(folder / 'a/new.png')
    with pytest.raises(InputError, match=r'in this list 1 are new and 0 are gone'):
        filled(folder, tmp_path / 'run', resume='auto')
    with pytest.raises(InputError, match='without --resume'):
        filled(folder, tmp_path / 'other', resume=str(tmp_path / 'run/epoch_1'))
    filled(folder, tmp_path / 'run')


def test_data_and_host_are_for_configs_that_take_a_folder(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/sparse_tuning/tiny_digits.py')
    with pytest.raises(InputError, match=f'Use a config with own_folder, such as {CUSTOM}'):
        fill_in(cfg, Namespace(data='x', host=None, cfg_options=None, resume=None))
    with pytest.raises(InputError, match='--data FOLDER'):
        filled(None, tmp_path)
    with pytest.raises(InputError, match='hold_out'):
        filled(pictures(tmp_path / 'f', a=2, b=2), tmp_path / 'run', **{'own_folder.hold_out': 1.0})


def test_from_a_folder_to_answers_by_the_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / 'shades', dark=8, bright=8)
    (tmp_path / 'shades/notes.txt').write_text('')
    # workers of a process this large end slowly
    alone = [f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')]
    assert tool('train.py', ROOT / CUSTOM, '--data', 'shades', '--cfg-options', 'train_cfg.max_epochs=6', *alone) == 0
    said = ''.join(capsys.readouterr())
    assert (
        '4 pictures, 25% of each' not in said
        and '20% of each class, seed 0' in said
        and '1 files that are no pictures (.txt 1)' in said
    )
    run = tmp_path / 'work_dirs/tiny_custom_shades'
    written = (run / 'tiny_custom.py').read_text()
    assert tool('test.py', run / 'tiny_custom.py', run / 'epoch_6', '--tta') == 0
    assert 'accuracy/top1' in ''.join(capsys.readouterr())
    assert (run / 'tiny_custom.py').read_text() == written  # not the test's options
    assert tool('infer.py', run / 'epoch_6', 'shades/dark/000.png') == 0
    named = capsys.readouterr().out
    assert 'dark' in named and 'bright' in named
