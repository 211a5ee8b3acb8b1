"""Rotary positions and attention pooling: the hosts' own forward, phases that follow their rows, and refusals by
name.
"""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from hosts import assert_all_fold_and_the_answer_stays, assert_near, build, timm_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.views.rotary import PHASE
from mmsparse.registry import MODELS
from mmsparse.tokens import Plan, reduce

ROOT = Path(__file__).parents[1]
ROTARY = {
    'dinov3': timm_host(name='vit_small_patch16_dinov3'),
    'dinov3, any size': timm_host(name='vit_small_patch16_dinov3', dynamic_img_size=True),
    'eva02': timm_host(name='eva02_tiny_patch14_224'),
    'rope': timm_host(name='vit_small_patch16_rope_224'),
    'perception encoder': timm_host(name='vit_pe_core_tiny_patch16_384'),
}
LORA = dict(type='mmsparse.LoRA', rank=2, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))
GATED = {  # one packed linear or two, in both views
    'eva02, two linears and a norm': timm_host(name='eva02_base_patch14_224'),
    'dinov3, two linears': timm_host(name='vit_small_plus_patch16_dinov3', init_values=0.5),
    'eva02, packed': timm_host(name='eva02_tiny_patch14_224'),
    'aimv2, two linears': timm_host(
        name='aimv2_large_patch14_224', qkv_bias=True, proj_bias=True, norm_layer='layernorm'
    ),
    'aimv2, as published': timm_host(name='aimv2_large_patch14_224'),
    'dinov2, packed': timm_host(name='vit_giant_patch14_reg4_dinov2'),
}
MODERN = {
    **ROTARY,
    **GATED,
    'eva, learned positions': timm_host(name='eva_giant_patch14_224'),
    'eva02 clip, norm behind attention': timm_host(name='eva02_base_patch16_clip_224'),
    'beit3, norm behind attention': timm_host(name='beit3_base_patch16_224'),
    'siglip': timm_host(name='vit_base_patch16_siglip_224'),
    'siglip, mean': timm_host(name='vit_base_patch16_siglip_gap_224'),
}


def pictures(batch=3):
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def sparsifiers(view):
    """Each one, set to reduce nothing or to reduce."""
    class_token = view.class_token
    score = 'class' if class_token else 'shift'
    return {
        'EViT': [dict(layers=(2, 4), keep_rate=rate, score=score) for rate in (1.0, 0.6)],
        'DynamicViT': [dict(layers=(2, 4), keep_rates=rates) for rates in ((1.0, 1.0), (0.7, 0.4))],
        'ToMe': [dict(r=0), dict(r=2)],
        'PYRA': [dict(r=0), dict(r=2)],
        'PiToMe': [dict(keep_rate=rate) for rate in (1.0, 0.8)],
        'RandomDrop': [dict(layers=(2, 4), keep_rate=rate) for rate in (1.0, 0.6)],
        'ATS': [
            dict(layers=(2, 4), keep_rate=rate, score='class' if class_token else 'received') for rate in (1.0, 0.6)
        ],
        'AdaptiveKeep': [dict(layers=(2, 4), keep_rate=rate, score=score) for rate in (1.0, 0.6)],
    }


@pytest.mark.parametrize('name', MODERN)
def test_the_network_equals_the_hosts_own_forward(name):
    raw, pooled = (build(MODERN[name], out_type=out_type) for out_type in ('raw', 'pooled'))
    with torch.no_grad():
        assert_near(raw(pictures())[-1], raw.host.forward_features(pictures()))
        expected = pooled.host(pictures())
        assert_near(pooled(pictures())[-1], expected)
    assert expected.std() > 0.1


@pytest.mark.parametrize('name', MODERN)
def test_every_sparsifier_runs_and_is_neutral_where_it_reduces_nothing(name):
    dense = build(MODERN[name], out_type='pooled')
    with torch.no_grad():
        expected = dense(pictures())[-1]
        for kind, (neutral, reducing) in sparsifiers(dense.view).items():
            for options, same in ((neutral, True), (reducing, False)):
                backbone = build(MODERN[name], sparsifier=dict(type=f'mmsparse.{kind}', **options), out_type='pooled')
                backbone.host.load_state_dict(dense.host.state_dict())
                found = backbone(pictures())[-1]
                assert found.isfinite().all()
                assert ((found - expected).abs().max() < 1e-5) == same, kind


@pytest.mark.parametrize('name', ROTARY)
def test_the_rows_that_stay_keep_their_phases(name):
    """As timm's own blocks compute on those rows with their rotary embeddings picked beside them."""
    backbone = build(
        ROTARY[name], sparsifier=dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.5, fuse='drop')
    ).double()
    host, images = backbone.host, pictures(1).double()
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
        kept_k = (tokens.source_bm[0] >= 0).nonzero().flatten()
        x_bnc, phase_md = host._pos_embed(host.patch_embed(images))
        x_bnc = host.blocks[0](host.norm_pre(x_bnc), rope=phase_md)
        block = host.blocks[1]
        y_bnc = block.attn(block.norm1(x_bnc), rope=phase_md)
        x_bnc = x_bnc + (y_bnc if block.gamma_1 is None else block.gamma_1 * y_bnc)
        x_bnc = torch.cat([x_bnc[:, : backbone.view.prefix], x_bnc[:, backbone.view.prefix + kept_k]], dim=1)
        y_bnc = block.mlp(block.norm2(x_bnc))
        x_bnc = x_bnc + (y_bnc if block.gamma_2 is None else block.gamma_2 * y_bnc)
        for block in host.blocks[2:]:
            x_bnc = block(x_bnc, rope=phase_md[kept_k])
        torch.testing.assert_close(tokens.x_bnc, host.norm(x_bnc), rtol=0, atol=1e-9)


@pytest.mark.parametrize('name', GATED)
@pytest.mark.parametrize('adapter', [LORA, dict(LORA, type='mmsparse.DoRA'), dict(type='mmsparse.SSF')])
def test_adapters_take_gate_and_value_for_one_operator_and_fold_into_it(name, adapter):
    backbone = build(GATED[name], adapter, out_type='pooled').double()
    fc1 = backbone.view.operator(1, 'fc1')
    part, bare = backbone.adapters[0].layers['1']['fc1'], build(GATED[name], out_type='pooled').double()
    assert (
        fc1.shape[0]
        == 2 * backbone.view.operator(1, 'fc2').shape[1]
        == len(part.weight if 'SSF' in adapter['type'] else part['up'].weight)
    )
    bare.host.load_state_dict(backbone.host.state_dict())
    images, folds = pictures().double(), backbone.adapters[0].folds
    with torch.no_grad():
        before = backbone(images)[-1]
        assert (before - bare(images)[-1]).abs().max() > 0.05
        backbone.fold()
        torch.testing.assert_close(backbone(images)[-1], before, rtol=0, atol=1e-9)
    takes_every_shift = name in ('aimv2, two linears', 'dinov2, packed')
    assert folds == ('SSF' not in adapter['type'] or takes_every_shift)


@pytest.mark.parametrize('name', ['aimv2, two linears', 'dinov2, packed'])
def test_what_stands_in_front_of_gate_and_value_folds_into_both(name):
    backbone = build(GATED[name], dict(type='mmsparse.RepAdapter', bottleneck=4), out_type='pooled')
    assert_all_fold_and_the_answer_stays(backbone, pictures())


@pytest.mark.parametrize('name', GATED)
def test_slices_over_gate_and_value_fold(name):
    assert_all_fold_and_the_answer_stays(
        build(GATED[name], dict(type='mmsparse.FacTTK', rank=2), out_type='pooled'), pictures()
    )


def test_where_the_patches_do_not_divide_the_image_the_multiple_below_is_the_same_network():
    """timm reads no pixel behind the last whole patch; the view wants that said."""
    tiny = dict(embed_dim=48, depth=2, num_heads=3)
    wide, name = (
        torch.randn(2, 3, 384, 384, generator=torch.Generator().manual_seed(0)),
        'vit_so400m_patch14_siglip_384',
    )
    with pytest.raises(
        InputError, match='384×384 pixels, which its patches of 14×14 do not divide. Use a multiple, such as 378×378'
    ):
        MODELS.build(dict(type='mmsparse.TimmViT', name=name, checkpoint=False, **tiny))
    backbone = build(
        dict(type='mmsparse.TimmViT', name=name, checkpoint=False, img_size=378, **tiny), out_type='pooled'
    )
    theirs = timm.create_model(name, num_classes=0, **tiny).eval()
    theirs.load_state_dict(backbone.host.state_dict())
    with torch.no_grad():
        assert_near(backbone(wide[..., :378, :378])[-1], theirs(wide))


def test_a_merged_row_has_the_mean_of_the_phases_behind_it_and_a_prompt_has_none():
    backbone = build(ROTARY['dinov3'], dict(type='mmsparse.VPT', num_prompts=2), dict(type='mmsparse.ToMe', r=2))
    tokens = backbone.forward_tokens(pictures())
    phase_bnd = tokens.carry[PHASE]
    assert not phase_bnd[:, : tokens.prefix].any() and tokens.prefix == 5 + 2
    fresh = build(ROTARY['dinov3']).view.embed(pictures(1), lambda patches: patches).carry[PHASE][0, 5:]
    for row in tokens.source_bm[0].unique().tolist():
        behind = fresh[tokens.source_bm[0] == row]
        torch.testing.assert_close(phase_bnd[0, row], behind.mean(0), rtol=0, atol=1e-6)


def test_attention_pooling_counts_a_row_as_the_patches_behind_it_and_padding_not_at_all():
    backbone = build(MODERN['siglip'], out_type='pooled').double()
    view, t = backbone.view, backbone.forward_tokens(pictures(2).double())
    x_bnc = t.x_bnc.clone()
    x_bnc[:, 1] = x_bnc[:, 0]
    expected = view.pooled(replace(t, x_bnc=x_bnc))
    index_bn = torch.tensor([0, 0, *range(1, 15)]).expand(2, -1)
    merged = reduce(
        replace(t, x_bnc=x_bnc), Plan(index_bn, 15, torch.tensor([0.5, 0.5] + [1.0] * 14).double().expand(2, -1))
    )
    torch.testing.assert_close(view.pooled(merged), expected, rtol=0, atol=1e-9)
    mask_bn = torch.ones(2, 17).double().index_fill(1, torch.tensor([16]), 0.0)
    padded = replace(t, x_bnc=torch.cat([x_bnc, torch.randn(2, 1, 48).double()], dim=1), mask_bn=mask_bn)
    torch.testing.assert_close(view.pooled(padded), expected, rtol=0, atol=1e-9)


def test_weights_of_a_rotary_host_are_read_by_its_own_rules(tmp_path):
    options = {key: value for key, value in ROTARY['dinov3'].items() if key not in ('type', 'name', 'checkpoint')}
    host = timm.create_model('vit_small_patch16_dinov3', num_classes=0, **options)
    torch.save(host.state_dict(), tmp_path / 'host.pth')
    backbone = MODELS.build(
        dict(type='mmsparse.SparseViT', host=ROTARY['dinov3'] | dict(checkpoint=str(tmp_path / 'host.pth')))
    )
    assert all(torch.equal(value, backbone.host.state_dict()[key]) for key, value in host.state_dict().items())


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            'samvit_base_patch16',
            'timm.models.vision_transformer_sam.VisionTransformerSAM, which no view knows.* such as .*, or write a view: CONTRIBUTING.md, Add a host',
        ),
    ],
)
def test_what_has_no_view_is_refused_by_name(name, message):
    with pytest.raises(InputError, match=message):
        MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(name=name)))


def test_the_tool_that_counts_hosts_tells_who_has_a_view_and_why_others_have_none():
    refusal = runpy.run_path(str(ROOT / 'tools/analysis_tools/timm_hosts.py'))['refusal']
    assert refusal('vit_tiny_patch16_224') is None and refusal('eva02_base_patch16_clip_224') is None
    assert refusal('vit_base_mci_224') is None
    assert 'DiffAttention' in refusal('vit_dwee_patch16_reg1_gap_256')
    # built whole: timm wants one entry per block
    assert refusal('vit_large_patch16_sapiens2') is None
