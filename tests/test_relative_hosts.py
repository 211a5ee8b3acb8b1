"""Hosts with relative positions: reduced tokens as a plain loop has them, and mmpretrain's BEiTViT.

timm's BEiT and relative-position ViTs are among the hosts of tests/test_timm_hosts.py.
"""

import pytest
import torch
from mmpretrain.registry import MODELS as MMPRETRAIN

from combinations import CLASSES
from hosts import HEADS, WIDTH, assert_near, build, timm_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.registry import MODELS
from references.adapted import adapted
from small_converter import write_config
from small_run import tool

LORA = dict(type='mmsparse.LoRA', rank=2, alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2'))
ARCH = dict(embed_dims=WIDTH, num_layers=6, num_heads=HEADS, feedforward_channels=4 * WIDTH)
BEIT = dict(type='mmpretrain.BEiTViT', checkpoint=False, arch=ARCH, img_size=32, patch_size=8)
MMPRETRAIN_KINDS = {
    'a table for each block': BEIT | dict(layer_scale_init_value=0.5),
    'one table for all': BEIT
    | dict(use_rel_pos_bias=False, use_shared_rel_pos_bias=True, final_norm=True, out_type='cls_token'),
    'learned positions': BEIT
    | dict(use_rel_pos_bias=False, use_abs_pos_emb=True, layer_scale_init_value=0, bias=True, img_size=(32, 48)),
}
REDUCTIONS = {'alone': None, 'EViT': dict(layers=(2, 4), keep_rate=0.6), 'ToMe': dict(r=2)}


def pictures(host, batch=2, seed=1):
    size = host['img_size']
    height, width = size if isinstance(size, tuple) else (size, size)
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('sparsifier', REDUCTIONS)
def test_beit_under_a_sparsifier_equals_a_plain_loop(sparsifier):
    """A merged token has the mean bias of its patches, and the class token ranks with its own."""
    host = timm_host(name='beit_base_patch16_224', init_values=0, global_pool='token', img_size=(32, 48))
    reduction = REDUCTIONS[sparsifier] and dict(type=f'mmsparse.{sparsifier}', **REDUCTIONS[sparsifier])
    backbone = build(host, sparsifier=reduction)
    state = backbone.host.state_dict() | dict(pos_embed=torch.zeros(1, 25, WIDTH))
    for index, block in enumerate(backbone.host.blocks):
        own = block.attn
        state[f'blocks.{index}.attn.qkv.bias'] = torch.cat([own.q_bias, own.k_bias, own.v_bias]).detach()
        state[f'blocks.{index}.attn.places'] = own._get_rel_pos_bias()[0].detach()
    sparsifiers = [dict(type=sparsifier, options=REDUCTIONS[sparsifier])] if reduction else []
    for seed in range(20):
        images = pictures(host, seed=seed)
        expected, margin = adapted(state, images, HEADS, [], sparsifiers)
        if margin > 1e-5:
            break
    with torch.no_grad():
        found, wide = backbone(images)[-1], backbone.double()(images.double())[-1]
    for own, exact, rows in zip(found, wide, expected, strict=True):
        assert_near(own.double(), rows, 1e-5)
        torch.testing.assert_close(exact, rows, rtol=0, atol=1e-9)


@pytest.mark.parametrize('size', [1, 2])
@pytest.mark.parametrize('kind', MMPRETRAIN_KINDS)
def test_the_network_equals_mmpretrains_own_forward_pass(kind, size):
    host = MMPRETRAIN_KINDS[kind]
    own = host['img_size']
    host = dict(host, img_size=tuple(size * side for side in own) if isinstance(own, tuple) else size * own)
    backbone = build(host, out_type='pooled')
    with torch.no_grad():
        expected = backbone.host(pictures(host))[-1]
        assert_near(backbone(pictures(host))[-1], expected)
    assert expected.std() > 0.1


@pytest.mark.parametrize('sparsifier', ['EViT', 'ToMe'])
@pytest.mark.parametrize('kind', MMPRETRAIN_KINDS)
def test_adapters_train_under_sparsifiers_on_mmpretrains(kind, sparsifier):
    host = MMPRETRAIN_KINDS[kind]
    adapter = [LORA, dict(type='mmsparse.DenseAdapter', bottleneck=4)]
    reduction = dict(type=f'mmsparse.{sparsifier}', **REDUCTIONS[sparsifier])
    backbone = build(host, adapter, reduction, out_type='pooled').train()
    backbone(pictures(host))[-1].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in backbone.parameters() if p.requires_grad)
    assert backbone.forward_tokens(pictures(host)).patches < backbone.view.patches


@pytest.mark.parametrize('kind', MMPRETRAIN_KINDS)
def test_mmpretrain_loads_what_is_merged_as_an_image_classifier(kind, tmp_path):
    host = dict(MMPRETRAIN_KINDS[kind])
    config, state, model = write_config(tmp_path, host, LORA, out_type='pooled', width=WIDTH)
    assert tool('model_converters/merge_adapter.py', config, state, tmp_path / 'out.pth') == 0
    host.pop('checkpoint')
    head = dict(type='mmpretrain.LinearClsHead', num_classes=CLASSES, in_channels=WIDTH)
    library = MMPRETRAIN.build(dict(type='mmpretrain.ImageClassifier', backbone=host, head=head)).eval()
    library.load_state_dict(torch.load(tmp_path / 'out.pth', weights_only=True))
    with torch.no_grad():
        assert_near(library(pictures(host)), model.eval()(pictures(host)))


@pytest.mark.parametrize('kind', MMPRETRAIN_KINDS)
def test_a_file_of_mmpretrains_loads(kind, tmp_path):
    source, path = build(MMPRETRAIN_KINDS[kind], seed=5).host, str(tmp_path / 'host.pth')
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in source.state_dict().items()}), path)
    grid = (4, 6) if kind == 'learned positions' else None
    host = MMPRETRAIN_KINDS[kind] | dict(checkpoint=path, checkpoint_grid=grid)
    loaded = MODELS.build(dict(type='mmsparse.SparseViT', host=host, out_type='raw')).host.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in source.state_dict().items())


def test_a_file_for_another_size_is_named_by_its_own_tables(tmp_path):
    host = timm_host(name='beit_base_patch16_224')
    source = build(host).host
    torch.save(source.state_dict(), tmp_path / 'host.pth')
    wide = dict(host, img_size=64, checkpoint=str(tmp_path / 'host.pth'))
    loaded = MODELS.build(dict(type='mmsparse.SparseViT', host=wide, out_type='raw'))
    assert loaded.frozen_models['host'].fingerprint() == digest(dict(source.named_parameters()))


@pytest.mark.parametrize('name', ['timm', 'mmpretrain'])
def test_another_image_size_than_the_tables_is_refused(name):
    host = timm_host(name='beit_base_patch16_224') if name == 'timm' else MMPRETRAIN_KINDS['a table for each block']
    backbone = build(host, out_type='pooled')
    with pytest.raises(InputError, match='received images of 48×48 pixels, but the host is built for 32×32'):
        backbone(torch.randn(1, 3, 48, 48))
