"""Folders, hub names and configs of transformers' hosts: read whole, or refused by name; nothing is opened for a
card.
"""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import transformers
from mmengine.config import Config
from safetensors.torch import load_file, save_file

import mmsparse
from hosts import draw
from mmsparse.config.own_folder import fill_in
from mmsparse.engine.hooks.start_card import describe_start
from mmsparse.errors import InputError
from mmsparse.models.hosts.build import build_view, sketch
from mmsparse.models.hosts.frozen_model import fingerprint
from mmsparse.models.hosts.named_hosts import named_host
from mmsparse.registry import MODELS
from small_run import ROOT, write_images, write_run
from small_state import change_card, copy_of, train
from small_transformers import CONFIGS, WIDTH, entries, host_of, of_folder, pictures, saved

TEXT = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=20)


@pytest.mark.parametrize('whole', ['classifier', 'clip', 'projection', 'siglip'])
def test_a_host_is_found_in_folders_of_whole_models(whole, tmp_path, monkeypatch):
    two_towers = dict(vision_config=entries('clip'), text_config=TEXT)
    kind, config, part, left = {
        'classifier': ('ViTForImageClassification', transformers.ViTConfig(**entries('vit')), 'vit', 'classifier'),
        'projection': (
            'CLIPVisionModelWithProjection',
            transformers.CLIPVisionConfig(**entries('clip')),
            'vision_model',
            'visual_projection',
        ),
        'clip': ('CLIPModel', transformers.CLIPConfig(**two_towers), 'vision_model', 'text_model'),
        'siglip': ('SiglipModel', transformers.SiglipConfig(**two_towers), 'vision_model', 'text_model'),
    }[whole]
    told = []
    monkeypatch.setattr('mmsparse.models.hosts.checkpoint_contents.print_log', lambda text, _: told.append(text))
    tower = getattr(saved(tmp_path, getattr(transformers, kind), config), part)
    for host in (of_folder(tmp_path), of_folder('facebook/elsewhere', checkpoint=str(tmp_path))):
        view = build_view(host)
        assert fingerprint(view.host) == fingerprint(tower)
        assert len(told) == 1 and left in told.pop()


@pytest.mark.parametrize('name', CONFIGS)
def test_every_kind_is_read_from_its_folder_whole_and_in_shards_and_by_its_config(name, tmp_path):
    own = draw(build_view(host_of(name)).host)
    own.save_pretrained(tmp_path / 'whole')
    own.save_pretrained(tmp_path / 'shards', max_shard_size='20KB')
    assert len(list((tmp_path / 'shards').glob('*.safetensors'))) > 1
    folders = (of_folder(tmp_path / 'whole'), of_folder(tmp_path / 'shards'), host_of(name, str(tmp_path / 'whole')))
    views = [build_view(host) for host in folders]
    assert {fingerprint(view.host) for view in views} == {fingerprint(own)}
    with torch.no_grad():
        answers = [view.answer(pictures(48, 24)) for view in views]
    assert all(torch.equal(answer, answers[0]) for answer in answers)


def test_a_sketch_has_the_sizes_of_its_host_without_its_weights(tmp_path):
    saved(tmp_path, transformers.ViTModel, transformers.ViTConfig(**entries('vit')))
    (tmp_path / 'model.safetensors').write_bytes(b'damaged')
    for view in (sketch(of_folder(tmp_path)), sketch(host_of('siglip2'))):
        assert (view.width, view.image_size) == (WIDTH, (32, 32)) and next(view.host.parameters()).is_meta
    assert sketch(of_folder(tmp_path, img_size=64)).image_size == (64, 64)


def test_the_pixels_of_the_weights_are_compared_with_the_preprocessors(tmp_path):
    saved(tmp_path, transformers.ViTModel, transformers.ViTConfig(**entries('vit')))
    assert build_view(of_folder(tmp_path)).pixels is None
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(dict(image_mean=[0.5] * 3, image_std=[0.25] * 3)))
    model = dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmsparse.SparseViT', host=of_folder(tmp_path)),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=2, in_channels=WIDTH),
    )
    with torch.no_grad():
        same = MODELS.build(model | dict(data_preprocessor=dict(mean=[127.5] * 3, std=[63.75] * 3)))
        other = MODELS.build(model | dict(data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3)))
        assert 'pixels' not in describe_start(same)
        assert 'trained with mean=[127.5, 127.5, 127.5], std=[63.75, 63.75, 63.75]' in describe_start(other)['pixels']


def test_a_folder_and_a_name_of_the_hub_are_hosts_for_the_command_line(tmp_path):
    saved(tmp_path / 'host', transformers.SiglipVisionModel, transformers.SiglipVisionConfig(**entries('siglip')))
    (tmp_path / 'host/preprocessor_config.json').write_text(
        json.dumps(dict(image_mean=[0.5] * 3, image_std=[0.25] * 3))
    )
    write_images(tmp_path / 'data', 8)
    cfg = Config.fromfile(ROOT / 'configs/sparse_tuning/tiny_custom.py')
    cfg.work_dir = str(tmp_path / 'run')
    host = str(tmp_path / 'host')
    fill_in(cfg, Namespace(data=str(tmp_path / 'data'), host=host, cfg_options={}, resume=None))
    assert cfg.model.backbone.host.to_dict() == named_host(host) == of_folder(host, checkpoint=None)
    assert cfg.model.head.in_channels == WIDTH and cfg.model.backbone.out_type == 'pooled'
    assert cfg.data_preprocessor['std'] == [63.75] * 3
    assert named_host('facebook/dinov2-base')['name'] == 'facebook/dinov2-base'


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """The hub's cache in a folder of its own, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    return tmp_path / 'hub'


def test_a_name_is_found_in_the_hubs_cache(offline):
    place = offline / 'models--someone--tiny'
    model = saved(place / 'snapshots/abc', transformers.ViTModel, transformers.ViTConfig(**entries('vit')))
    (place / 'refs').mkdir()
    (place / 'refs/main').write_text('abc')
    view = build_view(of_folder('someone/tiny'))
    del model.pooler
    assert fingerprint(view.host) == fingerprint(model) and view.source == 'pretrained, from the hub'


def test_unreachable_weights_are_one_message_with_the_ways_to_provide_them(offline):
    with pytest.raises(
        InputError, match=r"'someone/tiny' can be neither .*host\.checkpoint=FILE .*host\.checkpoint=False"
    ):
        build_view(of_folder('someone/tiny'))


def no_weights(folder):
    (folder / 'model.safetensors').unlink()


def another_depth(folder):
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps(config | dict(num_hidden_layers=2)))


def another_width(folder):
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps(config | dict(intermediate_size=48)))


def without_a_tensor(folder):
    tensors = load_file(folder / 'model.safetensors')
    del tensors['layernorm.bias']
    save_file(tensors, folder / 'model.safetensors', metadata=dict(format='pt'))


def damaged(folder):
    (folder / 'model.safetensors').write_bytes((folder / 'model.safetensors').read_bytes()[:1000])


def no_config(folder):
    (folder / 'config.json').unlink()


def no_vit(folder):
    transformers.ResNetConfig().save_pretrained(folder)


def unknown(folder):
    (folder / 'config.json').write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (no_weights, 'no .safetensors file is in it.*save_pretrained'),
        (another_depth, r'not the weights of this host \(ViTModel\)\. Tensors unexpected: layers\.2\.'),
        (another_width, 'not the weights of this vit, or damaged'),
        (without_a_tensor, r'Tensors missing: layernorm\.bias'),
        (damaged, 'not the weights of this vit, or damaged'),
        (no_config, 'has no config.json.* Expected a folder as save_pretrained writes it'),
        (no_vit, 'type resnet, which is no ViT that a view knows. Known: clip, clip_vision_model, dinov2'),
        (unknown, 'type own, which is no ViT'),
    ],
)
def test_a_folder_that_is_no_host_is_refused_by_name(change, message, tmp_path):
    saved(tmp_path, transformers.ViTModel, transformers.ViTConfig(**entries('vit')))
    change(tmp_path)
    with pytest.raises(InputError, match=f'(?s){message}'):
        build_view(of_folder(tmp_path))


@pytest.mark.parametrize(
    ('host', 'message'),
    [
        (dict(checkpoint=False), 'name=None and config=None, expected one of them'),
        (host_of('vit', name='someone/tiny'), 'expected one of them'),
        (host_of('vit', None), 'a config promises no weights'),
        (host_of('vit', 'model.safetensors'), "checkpoint='model.safetensors', expected a folder"),
        (
            host_of('vit', config=dict(model_type='vits')),
            "model_type='vits', expected one of clip_vision_model, dinov2",
        ),
        (
            host_of('vit', config=dict(model_type='vit', hiden_size=3)),
            'config.hiden_size, .* Did you mean hidden_size',
        ),
        (host_of('vit', config=dict(model_type='vit', hidden_size='3')), r"'hidden_size' .* Change host\.config"),
        (
            host_of('vit', config=CONFIGS['dinov3'] | dict(num_attention_heads=3)),
            '3 heads do not divide its 32 channels',
        ),
        (
            host_of('vit', config=CONFIGS['vit'] | dict(image_size=(32, 64))),
            'positions are for 32×64 pixels, and only those of squares',
        ),
        (dict(name=3), 'name=3 and config=None, expected one of them'),
        (host_of('vit', img_size='32'), "img_size='32', expected an edge in pixels"),
        (host_of('vit', img_size=36), 'image size of 36×36 pixels, which its patches of 8×8 do not divide'),
    ],
)
def test_a_config_that_is_no_host_is_refused(host, message):
    with pytest.raises(InputError, match=message):
        build_view(dict(type='mmsparse.TransformersViT') | host)


def test_a_state_is_kept_without_the_host_and_opens_no_folder_on_behalf_of_its_card(tmp_path):
    saved(tmp_path / 'host', transformers.ViTModel, transformers.ViTConfig(**entries('vit')))
    host = dict(of_folder(tmp_path / 'host'), _delete_=True)
    trained = train(write_run(tmp_path), 'run', **{'model.backbone.host': host})
    state = Path(trained.work_dir) / 'epoch_3'
    assert not [key for key in load_file(state / 'adapter.safetensors') if 'host' in key]
    with pytest.raises(
        InputError, match=r'host was loaded from .*; no file is opened on behalf of a card.*host_checkpoint=FILE'
    ):
        mmsparse.load(state)
    (tmp_path / 'host').rename(tmp_path / 'moved')
    loaded = mmsparse.load(state, host_checkpoint=tmp_path / 'moved')
    trained.model.eval()
    assert torch.equal(loaded(pictures()), trained.model(pictures()))
    draw(transformers.ViTModel(transformers.ViTConfig(**entries('vit'))), seed=1).save_pretrained(tmp_path / 'moved')
    with pytest.raises(InputError, match='belongs to another host'):
        mmsparse.load(state, host_checkpoint=tmp_path / 'moved')


def test_a_card_reaches_no_folder_under_another_spelling_or_at_another_place(tmp_path):
    trained = train(write_run(tmp_path), 'run', **{'model.backbone.host': dict(host_of('vit'), _delete_=True)})
    state = Path(trained.work_dir) / 'epoch_3'
    assert mmsparse.load(state).backbone.view.source == 'random, seed 0'
    elsewhere, unnamed = (copy_of(state, tmp_path / name) for name in ('elsewhere', 'unnamed'))
    change_card(elsewhere, lambda card: card['config']['model'].update(neck=of_folder('folder')))
    with pytest.raises(InputError, match=r"wants model\.neck\.name='folder' read; no file"):
        mmsparse.load(elsewhere)

    def without_its_package(card):
        card['config'].update(default_scope='mmsparse')
        card['config']['model']['backbone'].update(host=of_folder('folder', type='TransformersViT'))

    change_card(unnamed, without_its_package)
    with pytest.raises(InputError, match="host was loaded from 'folder'; no file"):
        mmsparse.load(unnamed)


def test_where_the_library_is_missing_or_old_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr('transformers.__version__', '5.8.1')
    with pytest.raises(
        InputError, match=r"transformers 5\.8\.1 is installed, .* pip install 'mmsparse\[transformers\]'"
    ):
        build_view(host_of('vit'))
    code = f"""
import sys
sys.modules['transformers'] = None
from mmsparse.cli.reporting import reporting
from mmsparse.models.hosts.build import build_view
with reporting(lambda: ''):
    build_view({host_of('vit')})
"""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert done.returncode == 2 and 'transformers: not installed in this environment' in done.stderr
    assert "pip install 'mmsparse[transformers]'" in done.stderr and 'Traceback' not in done.stderr
