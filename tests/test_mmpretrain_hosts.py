"""mmpretrain's other Vision Transformers as hosts: distilled, EVA-02, and those of pre-training on masked images."""

import pytest
import torch
from mmpretrain.registry import MODELS as MMPRETRAIN
from safetensors.torch import save_file

from combinations import CLASSES, images, options
from hosts import WIDTH, assert_near, build, mmpretrain_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.views.rotary import PHASE
from mmsparse.registry import MODELS
from small_converter import write_config
from small_run import tool

LORA = dict(type='mmsparse.LoRA', rank=2, alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))
EVA = mmpretrain_host(type='mmpretrain.ViTEVA02', qkv_bias=True)
KINDS = {
    'plain': mmpretrain_host(layer_scale_init_value=1.0),
    'distilled': mmpretrain_host(type='mmpretrain.DistilledVisionTransformer'),
    'eva02': EVA,
    'eva02, norm in the FFN, no bias': EVA | dict(sub_ln=True, qkv_bias=False),
    'eva02, no class token': EVA | dict(with_cls_token=False, pre_norm=True),
    'mae': mmpretrain_host(type='mmpretrain.MAEViT', mask_ratio=0.5),
    'milan': mmpretrain_host(type='mmpretrain.MILANViT'),
    'maskfeat': mmpretrain_host(type='mmpretrain.MaskFeatViT'),
    'mocov3': mmpretrain_host(type='mmpretrain.MoCoV3ViT', stop_grad_conv1=True),
}
UNMASKED = dict(mae=dict(mask=None), milan=dict(importance=None), maskfeat=dict(mask=None))


def pictures(*size):
    return torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('size', [(32, 32), (48, 24)])
@pytest.mark.parametrize('kind', KINDS)
def test_tokens_and_pooling_equal_mmpretrains_own_at_any_size(kind, size):
    for out_type, pooling in (('raw', 'raw'), ('pooled', 'avg_featmap')):
        backbone = build(KINDS[kind] | dict(out_type=pooling), out_type=out_type)
        with torch.no_grad():
            found = backbone(pictures(*size))[-1]
            expected = backbone.host(pictures(*size), **UNMASKED.get(kind, {}))[-1]
        assert_near(found, expected)
        assert expected.std() > 0.1
    backbone = build(KINDS[kind])  # mmpretrain's forward pass leaves the phases of another size in its buffers
    assert_near(backbone(pictures(32, 32))[-1], build(KINDS[kind])(pictures(32, 32))[-1], 0)


@pytest.mark.parametrize('kind', KINDS)
def test_methods_run_and_train_what_a_gradient_reaches(kind):
    for adapter in ('FullTuning', 'LoRA', 'SSF', 'VPT', 'DenseAdapter'):
        for sparsifier in (
            dict(type='mmsparse.ToMe', r=2),
            dict(type='mmsparse.RandomDrop', layers=(2,), keep_rate=0.6),
        ):
            backbone = build(KINDS[kind], dict(type=f'mmsparse.{adapter}', **options(adapter)), sparsifier).train()
            backbone(pictures(32, 32))[-1].square().sum().backward()
            without = [key for key, own in backbone.named_parameters() if own.requires_grad and own.grad is None]
            assert [key for key in without if not key.startswith('sparsifiers')] == []
    score = 'shift' if 'no class' in kind else 'class'
    evit = dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.6, score=score)
    backbone = build(KINDS[kind], dict(type='mmsparse.DenseAdapter', bottleneck=4), evit)
    t = backbone.forward_tokens(pictures(32, 32))
    assert t.patches == 8 and (PHASE in t.carry) == ('eva' in kind)
    alone = backbone.forward_tokens(pictures(32, 32)[1:2])
    assert_near(alone.x_bnc, t.x_bnc[1:2])


@pytest.mark.parametrize('kind', KINDS)
def test_lora_folds_and_the_phases_ride_with_their_tokens(kind):
    backbone = build(KINDS[kind], LORA, dict(type='mmsparse.ToMe', r=2)).double()
    with torch.no_grad():
        expected = backbone(pictures(32, 32).double())[-1]
        backbone.fold()
        assert_near(backbone(pictures(32, 32).double())[-1], expected, 1e-10)


@pytest.mark.parametrize('kind', KINDS)
def test_mmpretrain_loads_the_merged_file_and_answers_the_same(kind, tmp_path):
    host = KINDS[kind] | dict(
        out_type='avg_featmap' if kind in ('distilled', 'eva02, no class token') else 'cls_token'
    )
    config, state, adapted = write_config(tmp_path, host, LORA, out_type='pooled', width=WIDTH)
    assert tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out.pth') == 0
    plain = {key: value for key, value in host.items() if key not in ('checkpoint', 'mask_ratio')}
    if kind in UNMASKED:  # its own class masks patches in a classifier; the keys are the plain one's
        plain['type'] = 'mmpretrain.VisionTransformer'
    head = dict(type='mmpretrain.LinearClsHead', num_classes=CLASSES, in_channels=WIDTH)
    model = MMPRETRAIN.build(dict(type='mmpretrain.ImageClassifier', backbone=plain, head=head))
    model.load_state_dict(torch.load(tmp_path / 'out.pth', weights_only=True))
    assert_near(model.eval()(images()), adapted(images()))


def test_two_tokens_for_one_head_are_no_pooling(tmp_path, capsys):
    host = KINDS['distilled'] | dict(out_type='cls_token')
    with pytest.raises(InputError, match='this host gives class and distillation token. Use out_type='):
        build(host, out_type='pooled')
    config, state, _ = write_config(tmp_path, host, LORA, width=WIDTH)
    assert tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out.safetensors') == 2
    assert "its pooling before the head is another than out_type='cls_token'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ('host', 'message'),
    [
        (KINDS['distilled'] | dict(pre_norm=True), 'received pre_norm, which its forward pass leaves out'),
        (KINDS['mocov3'] | dict(frozen_stages=0), 'received frozen_stages=0; adapters say what trains'),
        (EVA | dict(layer_cfgs=[dict(), *[dict(rope=None)] * 5]), 'block 2 of .* sets rope or with_cls_token'),
        (mmpretrain_host(type='mmpretrain.MFFViT'), 'MFFViT, which no view knows'),
        (mmpretrain_host(type='mmpretrain.DeiT3'), 'DeiT3, which no view knows'),
    ],
)
def test_what_no_view_runs_is_refused_by_name(host, message):
    with pytest.raises(InputError, match=message):
        build(host)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_files_of_maes_pre_training_load_for_what_follows(suffix, tmp_path):
    source = build(KINDS['mae']).host
    state = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    state |= {'neck.mask_token': torch.zeros(1, 1, 8), 'neck.decoder_embed.weight': torch.zeros(8, WIDTH)}
    path = tmp_path / f'mae{suffix}'
    if suffix == '.pth':
        torch.save(dict(state_dict=state, meta=dict(epoch=1)), path)
    else:
        save_file(state, path)
    x_bchw, given = pictures(32, 32), dict(checkpoint=str(path))
    expected = source(x_bchw, mask=None)[-1]
    for host in (KINDS['mae'], mmpretrain_host()):
        assert_near(backbone_of(host | given, 'raw')(x_bchw)[-1], expected)
    larger = backbone_of(mmpretrain_host(img_size=48) | given, 'raw')
    assert_near(larger(pictures(48, 48))[-1], source(pictures(48, 48), mask=None)[-1])
    # the config of MAE's fine-tuning: one norm behind the mean, new, and none before it
    tuned = backbone_of(mmpretrain_host(out_type='avg_featmap', final_norm=False) | given, 'pooled')
    assert tuned.host.ln2.weight.eq(1).all() and tuned.host.ln2.bias.eq(0).all()
    source.final_norm = False
    mean_bc = source(x_bchw, mask=None)[-1][:, 1:].mean(1)
    assert_near(tuned(x_bchw)[-1], torch.nn.functional.layer_norm(mean_bc, (WIDTH,), eps=1e-6))
    with pytest.raises(InputError, match='Tensors missing: ln2'):
        backbone_of(mmpretrain_host(out_type='avg_featmap') | given, 'pooled')


def backbone_of(host, out_type):
    """A SparseViT with the weights of its file."""
    return MODELS.build(dict(type='mmsparse.SparseViT', host=host, out_type=out_type)).eval()


def test_phases_are_those_of_the_grid_whatever_a_file_of_another_size_holds(tmp_path):
    small = build(EVA).host
    path = tmp_path / 'eva.pth'
    torch.save(small.state_dict(), path)
    larger = backbone_of(EVA | dict(img_size=48, checkpoint=str(path)), 'raw')
    assert_near(larger(pictures(48, 48))[-1], small(pictures(48, 48))[-1])
