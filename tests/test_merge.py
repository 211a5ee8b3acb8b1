"""Merging: a checkpoint that the host's own library loads strictly and that answers as the adapted model."""

import re

import open_clip
import pytest
import timm
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS as MMPRETRAIN
from safetensors.torch import load_file

from combinations import CLASSES, HOSTS, SIDE, WIDTH, images
from hosts import assert_near, build
from mmsparse.convert.merge import merge_adapters
from mmsparse.errors import InputError
from mmsparse.state.saved_tensors import adapter_tensors
from small_converter import write_config
from small_run import tool

LORA = dict(type='mmsparse.LoRA', rank=2, alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))
DORA = dict(LORA, type='mmsparse.DoRA')
BOTH = [LORA, dict(type='mmsparse.SSF')]


def merged(folder, *args, suffix='.safetensors', **options):
    """The adapted model's logits on all rows, and what the tool wrote."""
    config, state, model = write_config(folder, *args, **options)
    assert tool('model_converters/merge_adapter.py', config, state, folder / f'out{suffix}') == 0
    out = folder / f'out{suffix}'
    with torch.no_grad():
        expected = model.head(model.backbone.outputs(model.backbone.encode(images(), sparsify=False)))
    return expected, model, load_file(out) if suffix == '.safetensors' else torch.load(out, weights_only=True)


def test_a_rotary_host_is_timms_too(tmp_path):
    expected, _, tensors = merged(tmp_path, HOSTS['timm_dinov3'], LORA, out_type='pooled')
    options = {key: value for key, value in HOSTS['timm_dinov3'].items() if key not in ('type', 'name', 'checkpoint')}
    model = timm.create_model('vit_small_patch16_dinov3', num_classes=CLASSES, **options)
    model.load_state_dict(tensors)
    assert_near(model.eval()(images()), expected)


@pytest.mark.parametrize(
    ('options', 'argument'),
    [
        ({}, "global_pool='token'"),
        (dict(global_pool='token'), None),
        (dict(use_fc_norm=True), "Train with out_type='pooled'"),
    ],
)
def test_a_library_that_pools_by_mean_is_built_to_read_the_class_token_where_its_parts_allow(
    options, argument, tmp_path, capsys
):
    host = HOSTS['timm_dinov3'] | options
    config, state, model = write_config(tmp_path, host, LORA)
    code, said = (
        tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out.safetensors'),
        capsys.readouterr(),
    )
    if 'use_fc_norm' in options:
        assert code == 2 and argument in said.err
        return
    assert code == 0 and (f'Build its model with {argument}: ' in said.out) == (argument is not None)
    options = {key: value for key, value in host.items() if key not in ('type', 'name', 'checkpoint')}
    library = timm.create_model('vit_small_patch16_dinov3', num_classes=CLASSES, **{**options, 'global_pool': 'token'})
    library.load_state_dict(load_file(tmp_path / 'out.safetensors'))
    assert_near(library.eval()(images()), model(images()))


@pytest.mark.parametrize(
    'adapter',
    [LORA, BOTH, BOTH[::-1], [DORA, LORA], dict(type='mmsparse.BitFit'), dict(type='mmsparse.FullTuning'), None],
)
@pytest.mark.parametrize('host', ['timm_layer_scale', 'timm_registers', 'timm_no_class_token'])
def test_timm_loads_it_strictly_with_the_head_and_answers_the_same(host, adapter, tmp_path):
    out_type = 'pooled' if host == 'timm_no_class_token' else 'cls_token'
    expected, _, tensors = merged(tmp_path, HOSTS[host], adapter, out_type=out_type)
    options = {key: value for key, value in HOSTS[host].items() if key not in ('type', 'name', 'checkpoint')}
    model = timm.create_model('vit_tiny_patch16_224', num_classes=CLASSES, **options)
    model.load_state_dict(tensors)
    assert_near(model.eval()(images()), expected)


@pytest.mark.parametrize('host', ['mmpretrain', 'mmpretrain_pre_norm'])
def test_mmpretrain_loads_it_strictly_as_an_image_classifier(host, tmp_path):
    expected, _, tensors = merged(tmp_path, HOSTS[host], BOTH, suffix='.pth')
    backbone = {key: value for key, value in HOSTS[host].items() if key != 'checkpoint'} | dict(out_type='cls_token')
    head = dict(type='LinearClsHead', num_classes=CLASSES, in_channels=WIDTH)
    model = MMPRETRAIN.build(
        dict(type='mmpretrain.ImageClassifier', backbone=backbone, head=dict(head, type='mmpretrain.LinearClsHead'))
    )
    model.load_state_dict(tensors)
    model.eval()
    assert_near(model(images()), expected)


def test_open_clips_visual_tower_loads_it_strictly(tmp_path, capsys):
    _, adapted, tensors = merged(tmp_path, HOSTS['open_clip'], BOTH, out_type='pooled', width=512)
    said = capsys.readouterr().out
    assert (
        'Without the trained head: the visual tower of open_clip has no place for one. It stays in '
        f'{tmp_path / "state"}' in said
    )
    vision = dict(image_size=SIDE, patch_size=8, width=WIDTH, layers=3, head_width=WIDTH // 2)
    text = dict(context_length=8, vocab_size=8, width=8, heads=1, layers=1)
    tower = open_clip.CLIP(512, vision, text, quick_gelu=True).visual
    tower.load_state_dict(tensors)
    assert_near(tower.eval()(images()), adapted.backbone(images())[-1])


def test_a_sparsifier_is_no_weight_and_the_tool_says_so(tmp_path, capsys):
    merged(tmp_path, HOSTS['timm'], LORA, sparsifier=dict(type='mmsparse.EViT', layers=(2,)))
    said = capsys.readouterr().out
    assert 'Without the trained head' not in said and 'Build its model' not in said
    assert 'Without EViT: a plain checkpoint computes all rows' in said and 'mean [127.5, 127.5, 127.5]' in said


@pytest.mark.parametrize(
    ('host', 'adapter', 'out_type', 'message'),
    [
        (
            'timm',
            dict(type='mmsparse.AdaptFormer', bottleneck=4),
            'cls_token',
            'into vit_tiny_patch16_224: AdaptFormer is a branch of its own',
        ),
        (
            'timm',
            [LORA, dict(type='mmsparse.VPT'), dict(type='mmsparse.DenseAdapter', bottleneck=4)],
            'cls_token',
            'DenseAdapter, VPT cannot merge',
        ),
        (
            'timm',
            [LORA, dict(type='mmsparse.VPT'), dict(type='mmsparse.SSF')],
            'cls_token',
            'VPT cannot merge into vit_tiny_patch16_224: VPT adds',
        ),
        (
            'timm',
            [LORA, dict(type='mmsparse.DoRA')],
            'cls_token',
            'LoRA would change the weights that DoRA, listed behind it, computes with.',
        ),
        (
            'timm_dinov3',
            [dict(type='mmsparse.SSF'), LORA],
            'pooled',
            'into vit_small_patch16_dinov3: SSF shifts q, k, v, where this host has',
        ),
        (
            'timm_dinov3',
            dict(type='mmsparse.RepAdapter'),
            'pooled',
            'RepAdapter shifts the input of q, k, v, where this host has no bias to take it',
        ),
        (
            'mmpretrain',
            LORA,
            'avg_featmap',
            'ImageClassifier would not answer as this model does: its pooling before the head',
        ),
        ('timm', LORA, 'avg_featmap', "its pooling before the head is another than out_type='avg_featmap'"),
    ],
)
def test_what_has_no_counterpart_in_the_library_is_refused(host, adapter, out_type, message, tmp_path, capsys):
    config, state, _ = write_config(tmp_path, HOSTS[host], adapter, out_type=out_type)
    assert tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out.safetensors') == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out.safetensors').exists()


def test_a_head_that_the_library_has_not_is_refused_while_the_model_is_whole(tmp_path):
    config, _, model = write_config(tmp_path, HOSTS['timm'], LORA)
    model.head = torch.nn.Sequential(model.head)
    with pytest.raises(InputError, match='received the head Sequential, but a timm model ends in one linear layer'):
        merge_adapters(model, Config.fromfile(config).model)
    assert not model.backbone.folded and adapter_tensors(model)


def test_a_shift_without_a_bias_to_take_it_is_refused(tmp_path, capsys):
    config, state, model = write_config(tmp_path, HOSTS['timm'] | dict(qkv_bias=False), dict(type='mmsparse.SSF'))
    assert not model.backbone.adapters[0].folds
    assert tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out.safetensors') == 2
    assert 'SSF shifts q, k, v, where this host has no bias to take it' in capsys.readouterr().err


def test_a_name_that_says_no_format_is_refused_before_anything_is_read(tmp_path, capsys):
    (tmp_path / 'config.py').touch()
    assert (
        tool('model_converters/merge_adapter.py', tmp_path / 'config.py', tmp_path / 'state', tmp_path / 'out.bin')
        == 2
    )
    assert 'expected a name ending in .safetensors or .pth' in capsys.readouterr().err


def test_nothing_is_saved_or_loaded_after_fold(tmp_path):
    _, _, model = write_config(tmp_path, HOSTS['timm'], BOTH)
    model.backbone.fold()
    with pytest.raises(
        InputError, match=r'fold\(\) has merged LoRA.* into the host, whose weights no state keeps. Save before fold'
    ):
        adapter_tensors(model)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


@pytest.mark.parametrize(
    ('adapter', 'said'),
    [
        ([LORA, dict(type='mmsparse.SSF')], []),
        ([LORA, dict(type='mmsparse.VPT'), LORA], ['VPT, LoRA not merged. VPT adds tokens, .* List it last']),
        (
            [DORA, dict(type='mmsparse.AdaptFormer', bottleneck=4)],
            ['AdaptFormer not merged. .* of the host computes.$'],
        ),
        ([LORA, DORA], ['LoRA, DoRA not merged. LoRA would change the weights that DoRA.* List DoRA first']),
    ],
)
def test_what_stays_unmerged_is_said_with_the_reason(adapter, said, monkeypatch):
    lines = []
    monkeypatch.setattr('mmsparse.models.backbones.folding.print_log', lambda text, logger: lines.append(text))
    backbone = build(HOSTS['timm'], adapter)
    with torch.no_grad():
        expected = backbone(images())[-1]
        backbone.merge()
        assert_near(backbone(images())[-1], expected)
    assert len(lines) == len(said) and all(re.search(pattern, line) for pattern, line in zip(said, lines))
