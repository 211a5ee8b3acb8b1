"""timm's other kinds of ViT, from norms behind branches to relative positions: each equals timm's own forward pass,
trains, and goes back to timm.
"""

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from combinations import CLASSES
from hosts import assert_near, build, draw, timm_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.models.hosts.views.rotary import PLACE
from mmsparse.registry import MODELS
from small_converter import write_config
from small_run import tool
from weight_files import save

STEM = dict(patch_size=1, depth=3, img_size=64)
KINDS = {
    'norms behind branches': timm_host(name='vit_base_patch16_rpn_224'),
    'norms behind branches, EVA': timm_host(name='eva02_enormous_patch14_clip_224'),
    'distilled': timm_host(name='deit_tiny_distilled_patch16_224'),
    'distilled, any size': timm_host(name='deit_tiny_distilled_patch16_224', dynamic_img_size=True),
    'hybrid, ResNetV2': timm_host(name='vit_small_r26_s32_224', **STEM),
    'hybrid, its stem alone': timm_host(name='vit_tiny_r_s16_p8_224', img_size=64, patch_size=2),
    'hybrid, batch norms': timm_host(name='vit_small_resnet26d_224', **STEM),
    'hybrid, no projection': timm_host(name='vit_base_mci_224', width=768, heads=3, **STEM),
    'shared keys': timm_host(name='vit_large_patch16_sapiens2', heads=4, num_kv_heads=(4, 4, 2, 2, 1, 4)),
    'mixed rotary': timm_host(name='vit_small_patch16_rope_mixed_224'),
    'mixed rotary and learned, any size': timm_host(
        name='vit_small_patch16_rope_mixed_ape_224', dynamic_img_size=True
    ),
    'NaFlex': timm_host(name='naflexvit_base_patch16_gap'),
    'NaFlex, a table for each axis': timm_host(name='naflexvit_base_patch16_parfac_gap'),
    'NaFlex, convolution and latent': timm_host(name='naflexvit_base_patch16_map', embed_proj_type='conv'),
    'NaFlex, no prefix': timm_host(name='naflexvit_base_patch16_siglip'),
    'NaFlex, RADIO': timm_host(name='naflexvit_base_patch16_radio_v3', pos_embed_grid_size=(6, 6)),
    'BEiT': timm_host(name='beit_base_patch16_224', init_values=0.5),
    'BEiT, one table and a gated FFN': timm_host(
        name='beitv2_base_patch16_224', use_rel_pos_bias=False, use_shared_rel_pos_bias=True, swiglu_mlp=True
    ),
    'relative positions': timm_host(name='vit_relpos_base_patch16_clsgap_224', init_values=0.5),
    'relative positions, a table': timm_host(
        name='vit_relpos_medium_patch16_cls_224', init_values=0.5, rel_pos_type='bias', qk_norm=True
    ),
    'relative positions, one for all blocks': timm_host(name='vit_srelpos_small_patch16_224', init_values=0.5),
    'relative positions, norms behind branches': timm_host(name='vit_relpos_base_patch16_rpn_224'),
    'branches side by side': timm_host(name='vit_small_patch16_18x2_224', depth=4),
    'Qwen3-VL': timm_host(name='qwen3_vit_88m', pos_embed_grid_size=6),
}
LORA = dict(type='mmsparse.LoRA', rank=2, alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))
MIXED = [name for name in KINDS if name.startswith('mixed')]


def twice(host):
    """The same host for images of twice the size."""
    return dict(host, img_size=2 * host['img_size'])


def pictures(host, batch=2):
    side = host['img_size']
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(1))


def of_timm(host, **more):
    """timm's own model of a host's config."""
    options = {key: value for key, value in host.items() if key not in ('type', 'name', 'checkpoint')}
    return timm.create_model(host['name'], **{'num_classes': 0, **options, **more}).eval()


def drawn(host, **options):
    """A backbone with drawn parameters and statistics of batch norms."""
    backbone = build(host, **options)
    generator = torch.Generator().manual_seed(2)
    for key, value in backbone.host.named_buffers():
        if key.endswith(('running_mean', 'running_var')):
            value.uniform_(0.5, 1.5, generator=generator)
    return backbone


@pytest.mark.parametrize('size', [1, 2])
@pytest.mark.parametrize('kind', KINDS)
def test_the_network_equals_timms_own_forward_pass(kind, size):
    host = KINDS[kind] if size == 1 else twice(KINDS[kind])
    backbone = drawn(host, out_type='pooled')
    with torch.no_grad():
        for images, bound in ((pictures(host), 1e-5), (pictures(host).double(), 1e-9)):
            backbone.to(images.dtype)
            expected = backbone.host.forward_features(images)
            assert_near(backbone.forward_tokens(images).x_bnc, expected.flatten(1, -2), bound)
            expected = backbone.host(images)
            assert_near(backbone(images)[-1], expected, bound)
    assert expected.std() > 0.1


@pytest.mark.parametrize('kind', KINDS)
def test_adapters_train_under_sparsifiers_and_blocks_run_again_with_the_same_gradients(kind):
    """Dense Adapter and LoRA under EViT and ToMe: every parameter gets a gradient, bit for bit the same with_cp."""
    host = twice(KINDS[kind])
    score = 'class' if MODELS.build(host).class_token else 'received'
    sparsifier = [
        dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.6, score=score),
        dict(type='mmsparse.ToMe', r=[0, 0, 2] + [0] * (host['depth'] - 3)),
    ]
    adapter = [LORA, dict(type='mmsparse.DenseAdapter', bottleneck=4)]
    gradients = []
    for again in (False, True):
        backbone = drawn(host, adapter=adapter, sparsifier=sparsifier, out_type='pooled', with_cp=again).train()
        backbone(pictures(host))[-1].square().sum().backward()
        trained = {name: value.grad for name, value in backbone.named_parameters() if value.requires_grad}
        assert not any(name.startswith('host.') for name in trained)
        assert all(grad is not None and grad.isfinite().all() and grad.any() for grad in trained.values())
        gradients.append(trained)
    assert backbone.forward_tokens(pictures(host)).patches < backbone.view.patches
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


@pytest.mark.parametrize('adapter', [LORA, [LORA, dict(type='mmsparse.SSF')]], ids=['LoRA', 'LoRA, SSF'])
@pytest.mark.parametrize('kind', KINDS)
def test_timm_loads_what_is_merged_strictly_with_the_head_and_answers_the_same(kind, adapter, tmp_path, capsys):
    host = KINDS[kind]
    config, state, model = write_config(tmp_path, host, adapter, out_type='pooled', width=host['embed_dim'])
    code, out = tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out.pth'), tmp_path / 'out.pth'
    if not model.backbone.adapters[-1].folds:  # keys without biases take no shift
        assert code == 2 and 'where this host has no bias to take it' in capsys.readouterr().err
        return
    assert code == 0
    library = of_timm(host, num_classes=CLASSES)
    library.load_state_dict(torch.load(out, weights_only=True))
    with torch.no_grad():
        assert_near(library(pictures(host)), model.eval()(pictures(host)))


@pytest.mark.parametrize('kind', [kind for kind in KINDS if 'batch norms' not in kind])  # timm fetches that stem
def test_a_file_of_timms_gives_what_timm_makes_of_it_at_another_size_too(kind, tmp_path):
    """Under a prefix and with heads beside it; timm's own reader resizes the positions of the file."""
    host, file = KINDS[kind], str(tmp_path / 'host.safetensors')
    source = draw(of_timm(host, num_classes=2), 5)
    save_file(source.state_dict(), file)
    torch.save({f'module.{key}': value for key, value in source.state_dict().items()}, tmp_path / 'host.pth')
    overlay = dict(file=file, num_classes=2)
    for options, path in ((host, file), (twice(host), str(tmp_path / 'host.pth'))):
        theirs = of_timm(options, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
        backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=dict(options, checkpoint=path), out_type='raw'))
        ours = backbone.host.state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize('kind', ['hybrid, ResNetV2', 'hybrid, its stem alone'])
def test_a_hybrid_loads_googles_own_file(kind, tmp_path):
    source = draw(of_timm(KINDS[kind]), 5)
    host = dict(KINDS[kind], checkpoint=save(source, tmp_path / 'host.npz'))
    loaded = MODELS.build(dict(type='mmsparse.SparseViT', host=host, out_type='raw'))
    assert loaded.frozen_models['host'].fingerprint() == digest(dict(source.named_parameters()))


@pytest.mark.parametrize('kind', ['distilled', 'hybrid, ResNetV2', 'mixed rotary', 'NaFlex', 'Qwen3-VL', 'BEiT'])
def test_what_a_name_promises_is_loaded_and_called_by_its_file_at_every_size(kind, tmp_path, monkeypatch):
    host, file = dict(KINDS[kind], depth=2), str(tmp_path / 'hub.safetensors')
    if host['patch_size'] == 8:  # timm resizes patches too; here only the grid
        host |= dict(patch_size=16, img_size=64)
    source = draw(of_timm({key: value for key, value in host.items() if key != 'img_size'}), 5)
    save_file(source.state_dict(), file)

    def downloaded(name, **options):
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=dict(file=file), **options)

    for module in ('hubs', 'views.timm'):
        monkeypatch.setattr(f'mmsparse.models.hosts.{module}.pretrained_timm', downloaded)
    for options in (host, twice(host)):
        backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=dict(options, checkpoint=None), out_type='raw'))
        assert backbone.frozen_models['host'].fingerprint() == digest(dict(source.named_parameters()))


@pytest.mark.parametrize('kind', MIXED)
def test_where_phases_differ_by_layer_and_head_the_rows_that_stay_keep_theirs(kind):
    """As timm's own blocks compute on those rows, with the phases of every layer picked beside them."""
    evit = dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.5, fuse='drop')
    backbone = build(KINDS[kind], sparsifier=evit).double()
    host, images = backbone.host, pictures(KINDS[kind], 1).double()
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
        kept_k = (tokens.source_bm[0] >= 0).nonzero().flatten()
        x_bnc, phase_lhmd = host._pos_embed(host.patch_embed(images))
        x_bnc = host.blocks[0](x_bnc, rope=phase_lhmd[0])
        block = host.blocks[1]
        x_bnc = x_bnc + block.gamma_1 * block.attn(block.norm1(x_bnc), rope=phase_lhmd[1])
        x_bnc = torch.cat([x_bnc[:, :1], x_bnc[:, 1 + kept_k]], dim=1)
        x_bnc = x_bnc + block.gamma_2 * block.mlp(block.norm2(x_bnc))
        for block, phase_hmd in zip(host.blocks[2:], phase_lhmd[2:]):
            x_bnc = block(x_bnc, rope=phase_hmd[:, kept_k])
        torch.testing.assert_close(tokens.x_bnc, host.norm(x_bnc), rtol=0, atol=1e-9)


def test_a_merged_row_is_at_the_mean_of_the_places_behind_it_and_a_prompt_is_nowhere():
    backbone = build(KINDS[MIXED[0]], dict(type='mmsparse.VPT', num_prompts=2), dict(type='mmsparse.ToMe', r=2))
    tokens = backbone.forward_tokens(pictures(KINDS[MIXED[0]]))
    place_bn2 = tokens.carry[PLACE]
    assert not place_bn2[:, : tokens.prefix].any() and tokens.prefix == 1 + 2
    row_m, column_m = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing='ij')
    place_m2 = torch.stack([column_m, row_m], -1).flatten(0, 1)
    for row in tokens.source_bm[0].unique().tolist():
        behind_2 = place_m2[tokens.source_bm[0] == row].mean(0)
        torch.testing.assert_close(place_bn2[0, row], behind_2, rtol=0, atol=1e-6)


def test_a_norm_behind_a_branch_is_the_branchs_tail_and_none_stands_before_it():
    """At norm1 and norm2 comes back what goes in; attn and mlp give what the residual sum gets."""
    backbone = build(KINDS['norms behind branches'])
    view, block, x_bnc = backbone.view, backbone.view.blocks[0], torch.randn(2, 16, 48)
    assert view.norm1(block, x_bnc) is x_bnc is view.norm2(block, x_bnc)
    assert view.operator(1, 'norm1') is view.operator(1, 'norm2') is None
    torch.testing.assert_close(view.mlp_branch(block, x_bnc), block.norm2(x_bnc), rtol=0, atol=0)
    sites = {
        site
        for part in build(KINDS['norms behind branches'], dict(type='mmsparse.SSF')).adapters
        for site in part.sites
    }
    assert sites == {'embed', 'q', 'k', 'v', 'proj', 'fc1', 'fc2'}


def test_batch_norms_of_a_host_that_trains_keep_their_statistics():
    """No state has them: they are no parameters."""
    backbone = drawn(KINDS['hybrid, batch norms'], adapter=dict(type='mmsparse.FullTuning'), out_type='pooled').train()
    norms = [module for module in backbone.host.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    backbone(pictures(KINDS['hybrid, batch norms']))[-1].square().sum().backward()
    assert norms and all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before))
    assert all(norm.weight.grad.any() for norm in norms) and backbone.host.blocks.training


@pytest.mark.parametrize(
    ('host', 'message'),
    [
        (timm_host(name='vit_base_patch16_xp_224'), 'ParallelScalingBlock'),
        (timm_host(name='vit_dlittle_patch16_reg1_gap_256'), 'DiffAttention'),
        (timm_host(name='vit_small_r26_s32_224', patch_size=1, img_size=70), r'makes \(3, 3\) tokens of \(70, 70\)'),
        (timm_host(name='vit_small_patch16_rope_mixed_224', rope_shift_coords=0.5), 'moved in training'),
        (timm_host(name='eva02_tiny_patch14_224', rope_type='mrope'), 'rotary positions are RotaryEmbeddingMRope'),
        (timm_host(name='naflexvit_base_patch16_gap', rope_type='axial'), 'has a type of timm.models.eva.EvaBlock'),
        (timm_host(name='naflexvit_base_patch16_gap', patch_drop_rate=0.5), 'patch_drop_rate, which loses track'),
    ],
    ids=str,
)
def test_what_cannot_run_exactly_is_refused_by_name(host, message):
    with pytest.raises(InputError, match=message):
        MODELS.build(host)


def test_the_projector_of_a_language_model_is_no_pooling():
    for name in ('qwen3_vit_88m_enc', 'qwen3_vit_88m_merge'):
        with pytest.raises(InputError, match="cannot run the host's pooling 'merge'"):
            build(timm_host(name=name), out_type='pooled')
        assert build(timm_host(name=name))(torch.randn(1, 3, 32, 32))[-1].shape == (1, 16, 48)
