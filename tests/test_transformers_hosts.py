"""transformers' vision models as hosts: the library's own answers come out, at any size, under all methods."""

from dataclasses import replace

import pytest
import torch
from mmengine.config import Config
from transformers.models.siglip2.image_processing_siglip2 import convert_image_to_patches

from combinations import images, options
from hosts import assert_near, build
from mmsparse.analysis.contenders import build_contenders
from mmsparse.errors import InputError
from mmsparse.models.hosts.build import build_view
from mmsparse.models.hosts.frozen_model import fingerprint
from mmsparse.structures.plan import Plan, reduce
from small_converter import write_config
from small_run import tool, write_run
from small_transformers import CONFIGS, WIDTH, host_of, pictures

LORA = dict(type='mmsparse.LoRA', rank=2, alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))


def library(name, host, x_bchw):
    """The library's own answer: all tokens after a norm, and pooled."""
    if name == 'siglip2':
        pixels = torch.stack([torch.as_tensor(convert_image_to_patches(image, 8)) for image in x_bchw])
        grid = torch.tensor([[side // 8 for side in x_bchw.shape[-2:]]] * len(x_bchw))
        found = host(pixels, torch.ones(pixels.shape[:2], dtype=torch.long), grid)
    else:
        any_size = dict(interpolate_pos_encoding=True) if name in ('vit', 'clip', 'siglip') else {}
        found = host(x_bchw, **any_size)
    tokens = host.post_layernorm(found.last_hidden_state) if name == 'clip' else found.last_hidden_state
    return tokens, tokens[:, 0] if found.pooler_output is None else found.pooler_output


@pytest.mark.parametrize('size', [(32, 32), (48, 24)])
@pytest.mark.parametrize('name', CONFIGS)
def test_tokens_and_pooling_equal_the_librarys_own_at_any_size(name, size):
    for index, out_type in enumerate(('raw', 'pooled')):
        backbone = build(host_of(name), out_type=out_type)
        with torch.no_grad():
            expected = library(name, backbone.host, pictures(*size))[index]
            assert_near(backbone(pictures(*size))[-1], expected)
            assert_near(backbone.view.answer(pictures(*size)), expected) if index else None
        assert expected.std() > 0.1


@pytest.mark.parametrize('name', CONFIGS)
def test_methods_train_what_a_gradient_reaches_and_sparsifiers_are_neutral_at_a_keep_rate_of_one(name):
    for adapter in ('FullTuning', 'BitFit', 'LoRA', 'SSF', 'VPT', 'AdaptFormer', 'DenseAdapter'):
        backbone = build(
            host_of(name),
            dict(type=f'mmsparse.{adapter}', **options(adapter)),
            dict(type='mmsparse.ToMe', r=2),
            'pooled',
        )
        backbone.train()
        backbone(pictures())[-1].square().sum().backward()
        without = [key for key, value in backbone.named_parameters() if value.requires_grad and value.grad is None]
        assert not without and any(value.requires_grad for value in backbone.parameters())
    dense = build(host_of(name), out_type='pooled')
    for rate in (1.0, 0.5):
        score = dict(score='class' if dense.view.class_token else 'received')
        reduced = build(
            host_of(name), None, dict(type='mmsparse.EViT', layers=(2,), keep_rate=rate, **score), 'pooled'
        )
        with torch.no_grad():
            same = (reduced(pictures())[-1] - dense(pictures())[-1]).abs().max() < 1e-5
        assert same == (rate == 1)


@pytest.mark.parametrize('name', CONFIGS)
def test_a_merged_lora_is_loaded_by_the_library(name, tmp_path):
    config, state, model = write_config(tmp_path, host_of(name), LORA, out_type='pooled')
    assert tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out/model.safetensors') == 0
    with torch.no_grad():
        expected = model.backbone(images())[-1]
        assert (expected - model.backbone.view.answer(images())).abs().max() > 1e-2  # LoRA does something
    model.backbone.host.config.save_pretrained(tmp_path / 'out')
    without_pooler = dict(add_pooling_layer=False) if name == 'vit' else {}
    kind = type(model.backbone.host)
    host, told = kind.from_pretrained(tmp_path / 'out', output_loading_info=True, **without_pooler)
    assert not told['missing_keys'] and not told['unexpected_keys']
    with torch.no_grad():
        assert_near(library(name, host.eval(), images())[1], expected)


@pytest.mark.parametrize('name', ['vit', 'clip', 'dinov2_gated', 'siglip2'])
def test_ssf_folds_into_tables_of_another_grid_too(name):
    """CLIP's patch projection has no bias: the shift moves to the positions, which the library resizes."""
    backbone = build(host_of(name, img_size=(48, 24)), dict(type='mmsparse.SSF'), out_type='pooled').double()
    x_bchw = pictures(48, 24).double()
    with torch.no_grad():
        before = backbone(x_bchw)[-1]
        backbone.fold()
        assert not backbone.adapters
        torch.testing.assert_close(backbone(x_bchw)[-1], before, rtol=0, atol=1e-6 if name == 'siglip2' else 1e-9)


@pytest.mark.parametrize('name', ['siglip', 'siglip2'])
def test_the_head_counts_a_token_as_the_patches_behind_it_and_reads_no_prompts(name):
    backbone = build(host_of(name), dict(type='mmsparse.VPT', num_prompts=2), out_type='pooled').double()
    with torch.no_grad():
        t = backbone.forward_tokens(pictures().double())
        x_bnc = t.x_bnc.clone()
        x_bnc[:, 3] = x_bnc[:, 2]  # the first two patches, behind the prompts
        expected = backbone.view.pooled(replace(t, x_bnc=x_bnc))
        index_bn = torch.tensor([0, 1, 2, 2, *range(3, 17)]).expand(2, -1)
        weight_bn = torch.tensor([1.0, 1.0, 0.5, 0.5] + [1.0] * 14).double().expand(2, -1)
        merged = reduce(replace(t, x_bnc=x_bnc), Plan(index_bn, 17, weight_bn))
        merged.x_bnc[:, :2] = 100.0
        torch.testing.assert_close(backbone.view.pooled(merged), expected, rtol=0, atol=1e-9)


def test_dense_is_the_host_as_the_library_runs_it(tmp_path):
    cfg = Config.fromfile(write_run(tmp_path))
    cfg.model.backbone.host = host_of('siglip2')
    cfg.model.backbone.update(out_type='pooled', sparsifier=None)
    dense, ours = build_contenders(['dense', 'ours'], {'ours': cfg})
    assert ours.image_size == (32, 32) and dense.module(pictures()).shape == (2, 3)


def test_random_weights_are_drawn_from_the_packages_own_seed():
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(fingerprint(build_view(host_of('vit')).host))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]


def test_a_head_that_the_host_has_not_is_refused():
    host = host_of('siglip', config=CONFIGS['siglip'] | dict(vision_use_head=False))
    with pytest.raises(InputError, match='received one with vision_use_head=False'):
        build(host, out_type='pooled')
    assert build(host, out_type='avg_featmap')(pictures())[-1].shape == (2, WIDTH)
