"""What a user puts around the host's modules acts: other libraries' adapters, quantised linears, parametrizations,
hooks.
"""

import copy

import peft
import pytest
import torch
from mmpretrain.models.peft.lora import LoRALinear
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from hosts import HOSTS, assert_near, build, draw, images_for, mmpretrain_host, native, open_clip_host, timm_host
from mmsparse.errors import InputError
from mmsparse.registry import MODELS

EVA_FUSED = timm_host(name='vit_small_patch16_dinov3', qkv_fused=True)  # keeps q_bias and v_bias apart
LORA = dict(type='mmsparse.LoRA', rank=4)


def add_lora(linear, seed=0):
    """mmpretrain's own module, its pair drawn."""
    wrapped = LoRALinear(linear, alpha=1, rank=2)
    for part in (wrapped.lora_down, wrapped.lora_up):
        draw(part, seed)
    return wrapped


def by_name(host):
    """The module of the fused q, k and v of every block, with the module that holds it and its name there."""
    return [
        (module, name, part)
        for module in host.modules()
        for name, part in module.named_children()
        if name == 'qkv' and part is not None
    ]


def both(backbone, images):
    """The class token by the shortened last block and with all rows."""
    assert backbone.class_row_only
    with torch.no_grad():
        return backbone(images)[-1], backbone.forward_tokens(images).x_bnc[:, 0]


@pytest.mark.parametrize('host', ['timm', 'mmpretrain', EVA_FUSED], ids=['timm', 'mmpretrain', 'eva'])
def test_an_adapter_around_q_k_and_v_equals_its_weights_merged_into_them(host):
    backbone, merged = build(host, out_type='cls_token'), build(host, out_type='cls_token')
    before = both(backbone, images_for())[0]
    for number, ((owner, name, linear), (_, _, into)) in enumerate(
        zip(by_name(backbone.host), by_name(merged.host), strict=True)
    ):
        wrapped = add_lora(linear, number)
        setattr(owner, name, wrapped)
        with torch.no_grad():
            into.weight.add_(wrapped.scaling * wrapped.lora_up.weight @ wrapped.lora_down.weight)
    short, full = both(backbone, images_for())
    assert (full - before).abs().max() > 0.05
    for found in (short, full, backbone.view.values(backbone.view.blocks[0], torch.ones(1, 2, 48))):
        expected = (
            both(merged, images_for())[1]
            if found.ndim == 2
            else merged.view.values(merged.view.blocks[0], torch.ones(1, 2, 48))
        )
        assert_near(found, expected, 2e-5)


def test_mmpretrains_lora_around_the_backbone_trains_all_of_its_pairs():
    cfg = dict(type='mmsparse.SparseViT', host=HOSTS['timm'])
    model = MODELS.build(
        dict(type='mmpretrain.LoRAModel', module=cfg, rank=2, targets=[dict(type='.*qkv'), dict(type='.*proj')])
    )
    draw(model)
    model(images_for())[-1].square().sum().backward()
    pairs = {name: own.grad for name, own in model.named_parameters() if '.lora_' in name}
    assert len(pairs) == 24 and all(grad is not None and grad.any() for grad in pairs.values())


def test_pefts_pairs_inside_the_host_act_as_they_do_in_its_own_forward():
    backbone = build('timm', out_type='cls_token')
    config = peft.LoraConfig(r=2, target_modules=['qkv', 'proj', 'fc1', 'fc2'], exclude_modules=['patch_embed.proj'])
    draw(peft.inject_adapter_in_model(config, backbone.host))
    for found in both(backbone, images_for()):
        assert_near(found, native(backbone.host, images_for())[:, 0])


@pytest.mark.filterwarnings('ignore')
def test_quantised_linears_run():
    backbone = build('timm', out_type='cls_token')
    expected = both(backbone, images_for())[1]
    torch.ao.quantization.quantize_dynamic(backbone.host, {nn.Linear}, dtype=torch.qint8, inplace=True)
    assert all(not isinstance(linear, nn.Linear) for _, _, linear in by_name(backbone.host))
    short, full = both(backbone, images_for())
    assert_near(full, native(backbone.host, images_for())[:, 0])
    # Its activations are rounded by their range, that of one row or of all.
    torch.testing.assert_close(short, full, atol=0.1, rtol=0)
    assert 0 < (full - expected).abs().max() < 0.3


@pytest.mark.parametrize('host', ['timm', EVA_FUSED], ids=['timm', 'eva'])
def test_hooks_on_the_linears_act_in_every_block(host):
    backbone = build(host, out_type='cls_token')
    before = both(backbone, images_for())[0]
    for _, _, linear in by_name(backbone.host):
        linear.register_forward_hook(lambda module, args, out: 0.5 * out)
    halved = copy.deepcopy(backbone)
    for _, _, linear in by_name(halved.host):
        linear._forward_hooks.clear()
        with torch.no_grad():
            for parameter in linear.parameters():  # biases that Eva keeps apart are added behind the hook
                parameter.mul_(0.5)
    short, full = both(backbone, images_for())
    assert (full - before).abs().max() > 0.05
    for found in (short, full):
        assert_near(found, both(halved, images_for())[1], 2e-5)


def test_what_a_hook_on_the_host_sees_is_what_the_page_says():
    """docs/adapters.md: operators are called, what only groups them is not; the sites take its place."""
    backbone, fired = build('timm', out_type='cls_token'), {}
    for name, module in backbone.host.named_modules():
        module.register_forward_hook(lambda module, args, out, name=name: fired.update({name: 1 + fired.get(name, 0)}))
    both(backbone, images_for())
    operators = {'norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.act', 'mlp.fc2', 'ls1', 'drop_path1'}
    for block in range(6):
        assert all(f'blocks.{block}.{name}' in fired for name in operators)
        assert not {f'blocks.{block}', f'blocks.{block}.attn', f'blocks.{block}.mlp'} & fired.keys()
    assert {'patch_embed', 'norm'} <= fired.keys() and '' not in fired


def wrap_by_peft(backbone):
    peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=['qkv']), backbone.host)


def parametrize_qkv(backbone):
    for _, _, linear in by_name(backbone.host):
        parametrizations.weight_norm(linear)


def hook(backbone):
    by_name(backbone.host)[-1][2].register_forward_hook(lambda module, args, out: 2 * out)


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (wrap_by_peft, r'q of layer 1 is a peft\.tuners.*whose weight is no plain parameter'),
        (parametrize_qkv, r'q of layer 1 is a .*ParametrizedLinear, whose weight'),
        (hook, 'a Linear of the host has hooks or a forward of its own'),
        (
            lambda backbone: torch.ao.quantization.quantize_dynamic(backbone.host, {nn.Linear}, inplace=True),
            r'q of layer 1 is a torch\.ao.*no plain',
        ),
    ],
    ids=['peft', 'parametrized', 'hooked', 'quantised'],
)
def test_what_has_been_put_around_an_operator_is_not_merged_past(change, message):
    backbone = build('timm', LORA)
    change(backbone)
    before = backbone(images_for())[-1]
    with pytest.raises(InputError, match=message):
        backbone.fold()
    # not one layer has been merged
    assert len(backbone.adapters) == 1 and torch.equal(backbone(images_for())[-1], before)


def test_parametrized_weights_are_those_that_run():
    for host in ('timm', 'open_clip'):
        backbone = build(host, out_type='cls_token')
        expected = both(backbone, images_for(host))[1]
        for block in backbone.view.blocks:
            module, name = (block.attn.qkv, 'weight') if host == 'timm' else (block.attn, 'in_proj_weight')
            parametrize.register_parametrization(module, name, nn.Identity())
        for found in both(backbone, images_for(host)):
            assert_near(found, expected)


def test_a_wrapper_around_a_whole_attention_is_refused_where_it_would_not_run():
    backbone = build(open_clip_host(), out_type='cls_token')
    peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=['attn']), backbone.host)
    with pytest.raises(
        InputError, match=r'received a peft\.tuners\.lora\.layer\.MultiheadAttention around the attention of a block'
    ):
        backbone(images_for('open_clip'))


def test_an_mmpretrain_host_takes_them_too():
    backbone = build(mmpretrain_host(), out_type='cls_token')
    peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=['qkv', 'proj']), backbone.host)
    draw(backbone.host)
    for found in both(backbone, images_for()):
        assert_near(found, native(backbone.host, images_for())[:, 0])
