"""The PEFT methods: placement against float64 loops, published counts and starts, what they train, and what is
refused.
"""

import inspect
import itertools
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import ImageClassifier

from combinations import ADAPTERS, HOSTS, SPARSIFIERS, adapters, classifier, loss
from hosts import (
    HEADS,
    WIDTH,
    assert_all_fold_and_the_answer_stays,
    assert_near,
    build,
    draw,
    images_for,
    mmpretrain_host,
    timm_host,
)
from hosts import HOSTS as DEEPER
from mmsparse.engine.weight_selection import select_at_random
from mmsparse.errors import InputError
from mmsparse.models.adapters.narrow_branch import NarrowBranch
from mmsparse.registry import MODELS
from mmsparse.tokens import Plan, Tokens, put_prefix, reduce, restore
from references.adapted import adapted

ALL = ('q', 'k', 'v', 'proj', 'fc1', 'fc2')
SUBNET = dict(prompts=[2, 0, 4, 1, 3, 0], lora=[0, 3, 1, 4, 1, 0], adapter=[1, 4, 0, 2, 3, 0])
CIFAR100 = dict(  # as released
    prompts=[10, 5, 10, 1, 5, 1, 10, 1, 10, 5, 1, 10],
    lora=[10, 1, 5, 5, 1, 10, 1, 1, 1, 10, 1, 1],
    adapter=[5, 10, 10, 10, 5, 1, 1, 1, 10, 10, 10, 1],
)
LISTS = {
    'Adapter': [dict(type='Adapter', bottleneck=4)],
    'Adapter, two per block': [dict(type='Adapter', bottleneck=4, places=('attn', 'mlp'))],
    'AdaptFormer': [dict(type='AdaptFormer', bottleneck=4, scale=0.7)],
    'AdapterPlus': [dict(type='AdapterPlus', bottleneck=4)],
    'ConvPass': [dict(type='ConvPass', bottleneck=4, scale=0.7)],
    'ConvPass, attention only': [dict(type='ConvPass', bottleneck=4, scale=0.7, places=('attn',))],
    'DoRA': [dict(type='DoRA', rank=3, alpha=2, targets=ALL)],
    'DoRA on q and v': [dict(type='DoRA', rank=2, alpha=2)],
    'DoRA, LoRA': [dict(type='DoRA', rank=2, alpha=3, targets=ALL), dict(type='LoRA', rank=2, alpha=3, targets=ALL)],
    'DyTAdapter': [dict(type='DyTAdapter', bottleneck=4, scale=0.7)],
    'FacTTT': [dict(type='FacTTT', rank=3, scale=0.7)],
    'FacTTK': [dict(type='FacTTK', rank=3, scale=0.7)],
    'LoRA': [dict(type='LoRA', rank=3, alpha=2, targets=ALL)],
    'LoRA on q and v': [dict(type='LoRA', rank=2, alpha=2)],
    'ResTuning': [dict(type='ResTuning', length=3, bottleneck=4)],
    'ResTuningBypass': [dict(type='ResTuningBypass', bottleneck=4)],
    'LoRA, ResTuningBypass': [dict(type='LoRA', rank=2, alpha=3), dict(type='ResTuningBypass', bottleneck=4)],
    'NOAH': [dict(type='NOAH', sizes=(1, 3, 4))],
    'NOAH, a sub-network': [dict(type='NOAH', sizes=(1, 3, 4), subnet=SUBNET)],
    'VPT, NOAH, VPT': [
        dict(type='VPT', num_prompts=2, deep=False),
        dict(type='NOAH', sizes=(1, 3, 4), subnet=SUBNET),
        dict(type='VPT', num_prompts=1),
    ],
    'RepAdapter': [dict(type='RepAdapter', bottleneck=6, groups=3, scale=0.7)],
    'SelectedWeights': [dict(type='SelectedWeights', per_neuron=2)],
    'SSF': [dict(type='SSF')],
    'SynQT': [dict(type='SynQT', queries=3)],
    'LoRA, SynQT': [dict(type='LoRA', rank=2, alpha=3, targets=ALL), dict(type='SynQT', queries=2)],
    'VPT, deep': [dict(type='VPT', num_prompts=3)],
    'VPT, shallow': [dict(type='VPT', num_prompts=3, deep=False)],
    'LoRA, AdaptFormer': [dict(type='LoRA', rank=2, alpha=3), dict(type='AdaptFormer', bottleneck=4, scale=0.7)],
    'SSF, LoRA': [dict(type='SSF'), dict(type='LoRA', rank=2, alpha=3, targets=ALL)],
    'SSF, RepAdapter': [dict(type='SSF'), dict(type='RepAdapter', bottleneck=4, scale=0.7)],
    'RepAdapter, SSF': [dict(type='RepAdapter', bottleneck=4, scale=0.7), dict(type='SSF')],
    'RepAdapter, LoRA': [dict(type='RepAdapter', bottleneck=4, scale=0.7), dict(type='LoRA', rank=2, alpha=3)],
    'LoRA, SelectedWeights': [dict(type='LoRA', rank=2, alpha=3, targets=ALL), dict(type='SelectedWeights')],
    'SelectedWeights, RepAdapter': [dict(type='SelectedWeights'), dict(type='RepAdapter', bottleneck=4, scale=0.7)],
    'FacTTK, LoRA': [dict(type='FacTTK', rank=2, scale=0.7), dict(type='LoRA', rank=2, alpha=3)],
    'three VPT and LoRA': [
        dict(type='VPT', num_prompts=2, deep=False),
        dict(type='VPT', num_prompts=3),
        dict(type='LoRA', rank=2, alpha=3),
        dict(type='VPT', num_prompts=1),
    ],
}
FOLDING = [name for name in ADAPTERS if MODELS.get(f'mmsparse.{name}').folds]
VITB = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False)


def named(configs):
    return [dict(config, type=f'mmsparse.{config["type"]}') for config in configs]


REDUCTIONS = {'alone': None, 'EViT': dict(layers=(2, 4), keep_rate=0.6), 'ToMe': dict(r=2)}


@pytest.mark.parametrize('sparsifier', REDUCTIONS)
@pytest.mark.parametrize('name', LISTS)
def test_the_method_is_where_its_paper_puts_it(name, sparsifier):
    reduction = dict(type=f'mmsparse.{sparsifier}', **REDUCTIONS[sparsifier]) if REDUCTIONS[sparsifier] else None
    backbone = build('timm_wide_image', named(LISTS[name]), reduction)
    methods = [(config['type'], config, part.state_dict()) for config, part in zip(LISTS[name], backbone.adapters)]
    sparsifiers = [dict(type=sparsifier, options=REDUCTIONS[sparsifier])] if reduction else []

    def expect(methods, seed):
        images = images_for('timm_wide_image', batch=2, seed=seed)
        return images, *adapted(backbone.host.state_dict(), images, HEADS, methods, sparsifiers)

    # no row ties for a place
    images, expected, _ = next(case for case in (expect(methods, seed) for seed in range(20)) if case[2] > 1e-5)
    plain = adapted(backbone.host.state_dict(), images, HEADS, [], sparsifiers)[0]
    with torch.no_grad():
        found, wide = backbone(images)[-1], backbone.double()(images.double())[-1]
    for item in range(2):
        assert_near(found[item].double(), expected[item], 2e-5)
        torch.testing.assert_close(wide[item], expected[item], rtol=0, atol=1e-9)
        assert (expected[item][0] - plain[item][0]).abs().max() > 0.05, 'the method changes the answer'


def test_an_image_goes_with_or_without_a_blocks_adapter():
    part = draw(build('timm', dict(type='mmsparse.AdapterPlus', drop_path=0.5)).adapters[0])
    y_bnc = torch.randn(64, 2, WIDTH, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    added, always = (part.train(mode).site('block', 1, y_bnc, y_bnc, None) - y_bnc for mode in (True, False))
    without = (added == 0).flatten(1).all(1)
    assert 16 < without.sum() < 48
    torch.testing.assert_close(added[~without], 2 * always[~without])


@pytest.mark.parametrize('name', ['FacTTT', 'FacTTK'])
def test_a_matrix_that_ends_within_a_slice_is_cut(name):
    backbone = build(timm_host(mlp_ratio=3.5), dict(type=f'mmsparse.{name}', rank=3, scale=0.7))
    images, methods = images_for(batch=2).double(), [(name, dict(scale=0.7), backbone.adapters[0].state_dict())]
    with torch.no_grad():
        found = backbone.double()(images)[-1]
    expected, _ = adapted(backbone.host.state_dict(), images, HEADS, methods)
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-9)
    assert_all_fold_and_the_answer_stays(backbone, images)


def test_a_convolution_sees_zeros_where_a_token_is_masked_as_where_it_has_left():
    generator = torch.Generator().manual_seed(0)
    part = draw(build('timm', dict(type='mmsparse.ConvPass')).adapters[0].eval())
    t = Tokens.start(torch.randn(2, 17, WIDTH, generator=generator), 1, (4, 4))
    plan = Plan.keep(t, torch.tensor([0, 1, 5, 6, 11]))
    rows, left = [0, 1, 2, 6, 7, 12], reduce(t, plan)
    masked = replace(t, mask_bn=(plan.index_bn >= 0).float())
    here, there = (part.site('mlp', 1, own.x_bnc, own.x_bnc, own) for own in (masked, left))
    assert_near(here[:, rows], there)
    assert (part.site('mlp', 1, t.x_bnc, t.x_bnc, t)[:, rows] - there).abs().max() > 0.01


@pytest.mark.parametrize('sparsifier', SPARSIFIERS)
def test_adaptformer_reads_the_rows_that_are_left(sparsifier):
    """It is the Dense Adapter without its links, whose place under every reduction has a reference of its own."""
    one = classifier('timm', dict(type='mmsparse.AdaptFormer', bottleneck=4, scale=0.7), sparsifier).eval().double()
    other = (
        classifier('timm', dict(type='mmsparse.DenseAdapter', bottleneck=4, scale=0.7, inputs=('x',)), sparsifier)
        .eval()
        .double()
    )
    other.load_state_dict(
        {key: value for key, value in one.state_dict().items() if 'adapters' not in key}, strict=False
    )
    for ours, theirs in zip(one.backbone.adapters[0].layers.values(), other.backbone.adapters[0].layers.values()):
        torch.nn.init.normal_(ours.up.weight, std=0.1)
        for kind in ('down', 'up'):
            target = theirs[kind]['x'] if kind == 'down' else theirs['up']
            target = target['x'] if isinstance(target, torch.nn.ModuleDict) else target
            target.load_state_dict(getattr(ours, kind).state_dict())
    images = images_for(batch=2).double()
    with torch.no_grad():
        torch.testing.assert_close(one.backbone(images)[-1], other.backbone(images)[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ('config', 'count'),
    [
        (dict(type='mmsparse.Adapter', bottleneck=8), 156_768),
        (dict(type='mmsparse.Adapter', bottleneck=64), 1_189_632),
        (dict(type='mmsparse.Adapter', bottleneck=8, places=('attn', 'mlp')), 313_536),
        (dict(type='mmsparse.AdaptFormer', bottleneck=8), 156_768),
        (dict(type='mmsparse.AdaptFormer', bottleneck=64), 1_189_632),
        (dict(type='mmsparse.AdapterPlus', bottleneck=8), 165_984),
        (dict(type='mmsparse.BitFit'), 102_912),
        (dict(type='mmsparse.ConvPass', bottleneck=8), 327_552),
        (dict(type='mmsparse.ConvPass', bottleneck=8, places=('attn',)), 163_776),
        (dict(type='mmsparse.DoRA', rank=8), 313_344),
        (dict(type='mmsparse.FacTTT', rank=16), 61_440),
        (dict(type='mmsparse.FacTTK', rank=32), 86_528),
        (dict(type='mmsparse.LoRA', rank=8), 294_912),
        (dict(type='mmsparse.LoRA', rank=32), 1_179_648),
        (dict(type='mmsparse.ResTuning'), 470_136),
        (dict(type='mmsparse.ResTuningBypass'), 387_312),
        (dict(type='mmsparse.NOAH'), 654_456),
        (dict(type='mmsparse.NOAH', subnet=CIFAR100), 320_330),
        *((dict(type='mmsparse.SynQT', queries=t), 2_613_650 + 9_216 * t) for t in (1, 4, 16)),
        (dict(type='mmsparse.RepAdapter', bottleneck=8), 239_808),
        (dict(type='mmsparse.SelectedWeights'), 82_944),
        (dict(type='mmsparse.VPT', num_prompts=8), 73_728),
        (dict(type='mmsparse.VPT', num_prompts=8, deep=False), 6_144),
        (dict(type='mmsparse.SSF'), 205_824),
        (dict(type='mmsparse.FullTuning'), 85_798_656),
        (dict(type='mmsparse.LinearProbe'), 0),
    ],
)
def test_trainable_parameters_of_vit_b(config, count):
    with torch.device('meta'):
        backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=VITB, adapter=config))
    assert sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad) == count


def test_dyt_has_its_dispatchers_beside_the_adapter():
    parts = dict(
        adapter=dict(type='mmsparse.DyTAdapter', bottleneck=8), sparsifier=dict(type='mmsparse.DyTDispatcher')
    )
    with torch.device('meta'):
        backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=VITB, **parts))
    assert sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad) == 165_996


def drawn_at_start(config):
    torch.manual_seed(0)
    backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(width=192, patch_size=4), adapter=config))
    state = backbone.adapters[0].state_dict()
    return lambda end: torch.cat([value.flatten() for key, value in state.items() if key.endswith(end)])


def test_the_published_starts():
    for config in (
        dict(type='mmsparse.AdaptFormer', bottleneck=16),
        dict(type='mmsparse.LoRA', rank=16),
        dict(type='mmsparse.DoRA', rank=16),
    ):
        draw = drawn_at_start(config)
        bound = 1 / math.sqrt(192)  # Kaiming-uniform with a=√5
        assert 0.98 * bound < draw('down.weight').abs().max() <= bound and not draw('up.weight').any()
    for name in ('AdaptFormer', 'DyTMoEAdapter'):
        assert not drawn_at_start(dict(type=f'mmsparse.{name}'))('bias').any()
    adapter = drawn_at_start(dict(type='mmsparse.Adapter', bottleneck=16))
    for kind in ('down.weight', 'up.weight'):
        assert 0.8e-3 < adapter(kind).std() < 0.95e-3 and adapter(kind).abs().max() <= 2e-3
    assert not adapter('bias').any()
    plus = drawn_at_start(dict(type='mmsparse.AdapterPlus', bottleneck=16))
    for kind in ('down.weight', 'up.weight'):
        assert 0.8e-2 < plus(kind).std() < 0.95e-2 and plus(kind).abs().max() <= 2e-2
    assert not plus('bias').any() and (plus('scale') == 1).all()
    conv = drawn_at_start(dict(type='mmsparse.ConvPass', bottleneck=16))
    bound = math.sqrt(6 / (192 + 16))  # Xavier-uniform
    assert (
        0.98 * bound < conv('down.weight').abs().max() <= bound
        and not conv('up.weight').any()
        and not conv('bias').any()
    )
    kernels = conv('conv.weight').unflatten(0, (-1, 16, 16, 9))
    assert torch.equal(kernels[..., 4], torch.eye(16).expand_as(kernels[..., 4])) and kernels.sum() == 16 * len(
        kernels
    )
    kernels, bound = (
        drawn_at_start(dict(type='mmsparse.ConvPass', bottleneck=16, conv_init='xavier'))('conv.weight'),
        math.sqrt(6 / (9 * 32)),
    )
    assert 0.98 * bound < kernels.abs().max() <= bound
    rep, bound = drawn_at_start(dict(type='mmsparse.RepAdapter', bottleneck=16)), math.sqrt(6 / (192 + 16))
    assert 0.98 * bound < rep('down.weight').abs().max() <= bound and not rep('up.weight').any()
    assert not rep('bias').any()
    for form, rank in (('TT', 16), ('TK', 32)):
        fact, bound = drawn_at_start(dict(type=f'mmsparse.FacT{form}', rank=rank)), 1 / math.sqrt(192)
        assert 0.98 * bound < fact('down.weight').abs().max() <= bound and not fact('up.weight').any()
    bypass, bound = drawn_at_start(dict(type='mmsparse.ResTuningBypass', bottleneck=16)), math.sqrt(6 / (192 + 16))
    for kind in ('down.weight', 'up.weight'):  # Xavier-uniform
        assert 0.98 * bound < bypass(kind).abs().max() <= bound
    assert 0.9e-6 < bypass('bias').std() < 1.1e-6
    queries = drawn_at_start(dict(type='mmsparse.SynQT', queries=16, feature_scale=0.3))
    assert queries('queries').abs().max() <= 1 and abs(queries('queries').std() - 3**-0.5) < 0.01  # U(-1, 1)
    assert (queries('feature_scale') == 0.3).all() and (queries('layers.2.attention_scale') == 1).all()
    assert (queries('ffn_scale') == 0.1).all() and (queries('weights') == 1).all()
    for kind, bound in (('enter.down.weight', 192**-0.5), ('ffn.up.weight', 48**-0.5), ('out.up.weight', 8**-0.5)):
        assert 0.98 * bound < queries(kind).abs().max() <= bound  # as torch draws linears
    train = drawn_at_start(dict(type='mmsparse.FacTTT', rank=16))
    # 1 / √(values that go in)
    for target, bound in (('v.weight', 1 / 4), ('fc1.weight', 1 / 4), ('fc2.weight', 1 / 8)):
        assert 0.98 * bound < train(target).abs().max() <= bound
    for factor, bound in (('C', math.sqrt(6 / (2 * 32 * 32))), ('P', math.sqrt(6 / (32 + 6 * 12)))):  # Xavier-uniform
        assert 0.98 * bound < fact(factor).abs().max() <= bound
    for subnet in (None, {module: [3, 1, 5] * 2 for module in CIFAR100}):  # bounds are the super-network's
        noah = drawn_at_start(dict(type='mmsparse.NOAH', sizes=(1, 16), subnet=subnet))
        assert not noah('lora.up.weight').any() and 0 < noah('adapter.up.bias').abs().max() < 1e-5
        for target, bound in (
            ('prompts', math.sqrt(6 / (16 * 192 + 192))),
            ('adapter.down.weight', math.sqrt(6 / (16 + 192))),
            ('adapter.up.weight', math.sqrt(6 / (16 + 192))),
            ('lora.down.weight', 1 / math.sqrt(192)),
        ):
            assert 0.98 * bound < noah(target).abs().max() <= bound
    ssf = drawn_at_start(dict(type='mmsparse.SSF'))
    for kind, mean in (('weight', 1), ('bias', 0)):
        assert abs(ssf(kind).mean() - mean) < 0.001 and abs(ssf(kind).std() - 0.02) < 0.001
    bound = math.sqrt(6 / (3 * 4 * 4 + 192))
    prompts = drawn_at_start(dict(type='mmsparse.VPT', num_prompts=8))('prompts')
    assert 0.98 * bound < prompts.abs().max() <= bound


@pytest.mark.parametrize('name', adapters())
def test_the_class_row_alone_is_that_of_the_full_last_block(name):
    config = dict(type=f'mmsparse.{name}', **ADAPTERS[name])
    images = images_for().double()
    with torch.no_grad():
        short, full = (build('timm', config, None, out_type).double()(images)[-1] for out_type in ('cls_token', 'raw'))
    torch.testing.assert_close(short, full[:, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize('sparsifier', SPARSIFIERS)
def test_prompts_stay_in_the_prefix_and_patches_keep_their_source(sparsifier):
    lists = [dict(type='mmsparse.VPT', num_prompts=3), dict(type='mmsparse.DenseAdapter', bottleneck=4)]
    model = classifier('timm_registers', lists, sparsifier).eval()
    t = model.backbone.forward_tokens(images_for(batch=2))
    assert t.prefix == 5 + 3
    assert ((t.source_bm >= t.prefix) | (t.source_bm < 0)).all() and (t.source_bm < t.x_bnc.shape[1]).all()
    assert restore(t).isfinite().all()
    if sparsifier == 'NoOp':
        assert t.source_bm[0].tolist() == list(range(8, 24))


def test_rows_of_the_prefix_come_and_go_with_every_field():
    generator = torch.Generator().manual_seed(0)
    x_bnc, carry, size_bn, mask_bn = (torch.rand(2, 7, *more, generator=generator) for more in ((4,), (3,), (), ()))
    source_bm = torch.tensor([[2, 3, -1, 5], [6, 4, 3, 2]])
    t = Tokens(x_bnc, 2, (2, 2), source_bm, size_bn=size_bn, mask_bn=mask_bn, carry=dict(history=carry))
    rows_bpc = torch.rand(2, 3, 4, generator=generator)
    more = put_prefix(t, 'prompts', rows_bpc)
    assert more.prefix == 5 and more.source_bm.tolist() == [[5, 6, -1, 8], [9, 7, 6, 5]]
    for found, before, new in (
        (more.x_bnc, x_bnc, rows_bpc),
        (more.size_bn, size_bn, torch.ones(2, 3)),
        (more.mask_bn, mask_bn, torch.ones(2, 3)),
        (more.carry['history'], carry, torch.zeros(2, 3, 3)),
    ):
        assert torch.equal(found, torch.cat([before[:, :2], new, before[:, 2:]], dim=1))
    back = put_prefix(more, 'prompts', rows_bpc[:, :0])
    assert back.prefix == 2 and torch.equal(back.source_bm, t.source_bm)
    for name in ('x_bnc', 'size_bn', 'mask_bn'):
        assert torch.equal(getattr(back, name), getattr(t, name))
    assert torch.equal(back.carry['history'], carry)


@pytest.mark.parametrize('host', DEEPER)
def test_bitfit_trains_every_bias_and_nothing_else(host):
    pooling = dict(out_type='avg_featmap') if 'mmpretrain' in host else {}
    adapter = dict(type='mmsparse.BitFit')
    backbone = MODELS.build(
        dict(type='mmsparse.SparseViT', host=DEEPER[host] | pooling, adapter=adapter, out_type='pooled')
    )
    trains = {key for key, parameter in backbone.host.named_parameters() if parameter.requires_grad}
    assert trains == {key for key, _ in backbone.host.named_parameters() if key.endswith('bias')}
    assert len(trains) >= 11 * 6 / 2


@pytest.mark.parametrize(
    ('name', 'trains'), [('FullTuning', True), ('BitFit', True), ('LoRA', False), ('LinearProbe', False)]
)
def test_a_host_of_which_something_trains_is_in_training_mode(name, trains):
    config = dict(type=f'mmsparse.{name}', **ADAPTERS[name])
    backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(drop_path_rate=0.9), adapter=config))
    torch.manual_seed(0)
    assert backbone.host.training == trains
    one, two = (backbone(images_for())[-1] for _ in range(2))
    assert torch.equal(one, two) != trains
    backbone.eval()
    assert not backbone.host.training and torch.equal(backbone(images_for())[-1], backbone(images_for())[-1])


@pytest.mark.parametrize('host', ['timm_no_class_token', 'mmpretrain_no_class_token', 'open_clip'])
def test_what_only_the_hosts_own_pooling_reads_trains_with_that_output_alone(host):
    sets = []
    for out_type in ('pooled', 'avg_featmap'):
        config = DEEPER[host] | (dict(out_type='avg_featmap') if host.startswith('mmpretrain') else {})
        backbone = MODELS.build(
            dict(type='mmsparse.SparseViT', host=config, adapter=dict(type='mmsparse.FullTuning'), out_type=out_type)
        )
        backbone(images_for(host))[-1].square().sum().backward()
        trains = {key for key, parameter in backbone.host.named_parameters() if parameter.requires_grad}
        assert trains == {key for key, parameter in backbone.host.named_parameters() if parameter.grad is not None}
        sets.append(trains)
    assert sets[0] - sets[1] and not sets[1] - sets[0]


def test_layer_decay_counts_as_mmpretrain_does():
    backbone = MODELS.build(
        dict(type='mmsparse.SparseViT', host=mmpretrain_host(), adapter=dict(type='mmsparse.FullTuning'))
    )
    for key, _ in backbone.host.named_parameters():
        assert backbone.get_layer_depth(f'backbone.host.{key}', 'backbone.') == backbone.host.get_layer_depth(
            f'backbone.{key}', 'backbone.'
        )


@pytest.mark.parametrize('host', HOSTS)
def test_layer_decay_lowers_the_rate_from_head_to_patches(host):
    model = classifier(host, [dict(type='mmsparse.FullTuning'), dict(type='mmsparse.AdaptFormer', bottleneck=4)])
    assert isinstance(model, ImageClassifier)
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
            constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5),
        ),
    )
    rates = {name: group['lr'] for group in wrapper.optimizer.param_groups for name in [group['param_name']]}
    view = model.backbone.view
    stem = next(name for name, module in view.host.named_modules() if module is view.blocks[0])[:-1]
    first, last = (
        next(rate for name, rate in rates.items() if f'host.{stem}{index}.' in name) for index in (0, view.depth - 1)
    )
    assert (first, last) == (0.5**view.depth, 0.5)
    assert min(rates.values()) == 0.5 ** (view.depth + 1) == rates[f'backbone.host.{view.parts["embed"]}.weight']
    assert rates['head.fc.weight'] == rates['backbone.adapters.1.layers.1.down.weight'] == 1.0


@pytest.mark.parametrize(
    ('host', 'names', 'left'),
    [
        (timm_host(), ['LoRA', 'SSF', 'AdaptFormer', 'VPT'], ['AdaptFormer', 'VPT']),
        (timm_host(), ['LoRA', 'AdaptFormer', 'SSF'], ['AdaptFormer', 'SSF']),
        # no bias takes SSF's shift; LoRA's product would be scaled by it
        (timm_host(qkv_bias=False), ['SSF', 'LoRA'], ['SSF', 'LoRA']),
        (timm_host(qkv_bias=False), ['LoRA', 'SSF'], ['SSF']),
        (timm_host(), ['DoRA', 'LoRA', 'AdaptFormer'], ['AdaptFormer']),
        # DoRA measures the rows of the host's weight, to which LoRA's product would come
        (timm_host(), ['LoRA', 'DoRA'], ['LoRA', 'DoRA']),
        (timm_host(), ['LoRA', 'AdaptFormer', 'DoRA'], ['LoRA', 'AdaptFormer', 'DoRA']),
        (timm_host(), ['DoRA', 'DoRA'], ['DoRA', 'DoRA']),
        # it writes to what reads the norms, where who stands behind it acts too
        (timm_host(), ['RepAdapter', 'LoRA'], ['RepAdapter', 'LoRA']),
        (timm_host(), ['RepAdapter', 'SSF'], ['RepAdapter', 'SSF']),
        (timm_host(), ['LoRA', 'SSF', 'RepAdapter', 'VPT'], ['VPT']),
        (timm_host(qkv_bias=False), ['LoRA', 'RepAdapter'], ['RepAdapter']),
        # operators run with the chosen numbers before any site is asked
        (timm_host(), ['AdaptFormer', 'SelectedWeights', 'LoRA'], ['AdaptFormer', 'LoRA']),
        (timm_host(), ['DoRA', 'SelectedWeights'], ['DoRA', 'SelectedWeights']),
    ],
    ids=lambda value: '-'.join(value) if isinstance(value, list) else '',
)
def test_folding_stops_at_the_first_that_cannot_fold_and_the_answers_stay(host, names, left):
    adapters = [dict(type=f'mmsparse.{name}', **({'rank': 4} if name == 'LoRA' else {})) for name in names]
    backbone = MODELS.build(
        dict(
            type='mmsparse.SparseViT',
            host=host,
            adapter=adapters,
            sparsifier=dict(type='mmsparse.EViT', layers=(2, 4)),
            out_type='raw',
        )
    )
    select_at_random(backbone)
    backbone, images = draw(backbone).double().eval(), images_for().double()
    with torch.no_grad():
        before = backbone(images)[-1]
        for _ in range(2):
            backbone.fold()
            forms = [NarrowBranch.__name__ if name == 'AdaptFormer' else name for name in left]
            assert [type(adapter).__name__ for adapter in backbone.adapters] == forms
            torch.testing.assert_close(backbone(images)[-1], before, rtol=0, atol=1e-9)
    said = 'their form for testing' if names == left else 'merged (LoRA|DoRA|SelectedWeights)'
    with pytest.raises(InputError, match=rf'fold\(\) has .*{said}'):
        backbone.frozen_models  # noqa: B018


@pytest.mark.parametrize('names', itertools.product(FOLDING, repeat=2), ids='-'.join)
def test_every_pair_folds_or_stays_and_answers_the_same(names):
    pair = [dict(type=f'mmsparse.{name}', **ADAPTERS[name]) for name in names]
    # two that train the same parameters are refused
    claim = set(names) <= {'FullTuning', 'BitFit', 'SelectedWeights'} and set(names) != {'BitFit', 'SelectedWeights'}
    pair = pair[: 1 if claim else 2]
    backbone, images = build('timm', pair).double(), images_for().double()
    with torch.no_grad():
        before = backbone(images)[-1]
        backbone.fold()
        torch.testing.assert_close(backbone(images)[-1], before, rtol=0, atol=1e-9)


def test_doras_lengths_are_constants_to_the_gradient():
    backbone = build('timm', dict(type='mmsparse.DoRA', rank=2, alpha=3))
    part, pair = backbone.adapters[0], backbone.adapters[0].layers['1']['q']
    x_bnc = torch.randn(1, 5, WIDTH, generator=torch.Generator().manual_seed(0))
    part.site('q', 1, x_bnc, torch.zeros(1, 5, WIDTH), None).sum().backward()
    with torch.no_grad():
        direction = backbone.view.operator(1, 'q').weight + 1.5 * pair['up'].weight @ pair['down'].weight
        expected = 1.5 * torch.outer(pair.magnitude / direction.norm(dim=1), pair['down'](x_bnc).sum((0, 1)))
    torch.testing.assert_close(pair['up'].weight.grad, expected)
    start = MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(), adapter=dict(type='mmsparse.DoRA')))
    assert torch.equal(start.adapters[0].layers['2']['v'].magnitude, start.view.operator(2, 'v').weight.norm(dim=1))


def test_folding_is_as_exact_under_autocast():
    backbone = build('timm', dict(type='mmsparse.LoRA', rank=4))
    with torch.no_grad():
        before = backbone(images_for())[-1]
        with torch.autocast('cpu', torch.bfloat16):
            backbone.fold()
        torch.testing.assert_close(backbone(images_for())[-1], before, rtol=0, atol=1e-4)


@pytest.mark.parametrize('mode', ['stale', 'delta'])
def test_rows_that_left_get_the_final_scale_and_shift_too(mode):
    sparsifier = dict(type='mmsparse.RandomDrop', layers=(2, 4), keep_rate=0.6)
    with torch.no_grad():
        dense = build('timm', dict(type='mmsparse.SSF'), stash=True).forward_tokens(images_for())
        torch.testing.assert_close(restore(dense, mode), restore(dense, 'gather'), rtol=0, atol=1e-6)
        backbone, images = (
            build('timm', dict(type='mmsparse.SSF'), sparsifier, stash=True).double(),
            images_for().double(),
        )
        before = restore(backbone.forward_tokens(images), mode)
        backbone.fold()
        torch.testing.assert_close(restore(backbone.forward_tokens(images), mode), before, rtol=0, atol=1e-9)


def test_what_norms_the_patches_takes_their_scale_and_shift():
    config = mmpretrain_host(patch_cfg=dict(norm_cfg=dict(type='LN')))
    assert_all_fold_and_the_answer_stays(build(config, dict(type='mmsparse.SSF')), images_for('mmpretrain'))


def test_a_list_trains_all_its_parts():
    model = classifier(
        'mmpretrain', [dict(type='mmsparse.LoRA', rank=2), dict(type='mmsparse.AdaptFormer', bottleneck=4)], 'ToMe'
    )
    loss(model).backward()
    for adapter in model.backbone.adapters:
        assert all(parameter.grad is not None for parameter in adapter.parameters())


@pytest.mark.parametrize(
    ('adapter', 'message'),
    [
        (
            dict(type='LoRA', targets=('q', 'value')),
            r"LoRA: received targets=\('q', 'value'\), expected some of \('q', 'k', 'v', 'proj', 'fc1', 'fc2'\)",
        ),
        (dict(type='LoRA', targets=('q', 'q')), 'each once'),
        (dict(type='LoRA', targets=()), 'expected some of'),
        (
            dict(type='LoRA', rank=49),
            'rank=49, but q in layer 1 of vit_tiny_patch16_224 is a matrix of 48×48, of rank 48 at most. Choose a '
            'smaller',
        ),
        (dict(type='LoRA', rank=0), 'LoRA: received rank=0, expected an integer of at least 1'),
        (dict(type='LoRA', dropout=1.0), r'LoRA: dropout must lie in \[0, 1\), received 1.0'),
        (
            dict(type='Adapter', places=('norm1',)),
            r"Adapter: received places=\('norm1',\), expected some of \('attn', 'mlp'\), each once",
        ),
        (dict(type='Adapter', bottleneck=0), 'Adapter: received bottleneck=0'),
        (dict(type='AdaptFormer', bottleneck=True), 'AdaptFormer: received bottleneck=True'),
        (dict(type='AdapterPlus', bottleneck=0), 'AdapterPlus: received bottleneck=0'),
        (dict(type='AdapterPlus', drop_path=1), r'AdapterPlus: drop_path: dropout must lie in \[0, 1\), received 1'),
        (
            dict(type='ConvPass', places=('mlp', 'ffn')),
            r"ConvPass: received places=\('mlp', 'ffn'\), expected some of \('attn', 'mlp'\)",
        ),
        (
            dict(type='ConvPass', conv_init='zero'),
            r"ConvPass: received conv_init='zero', expected one of \('identity', 'xavier'\)",
        ),
        (dict(type='ConvPass', bottleneck=0), 'ConvPass: received bottleneck=0'),
        (dict(type='ConvPass', dropout=1.0), r'ConvPass: dropout must lie in \[0, 1\)'),
        (
            dict(type='DoRA', rank=49),
            'DoRA: received rank=49, but q in layer 1 of vit_tiny_patch16_224 is a matrix of 48×48, of rank 48 at '
            'most.',
        ),
        (dict(type='DoRA', targets=('qkv',)), r"DoRA: received targets=\('qkv',\), expected some of"),
        (
            dict(type='FacTTT', rank=49),
            'FacTTT: received rank=49, but the slices of vit_tiny_patch16_224 are 48×48, of rank 48 at most. Choose a '
            'sm',
        ),
        (dict(type='FacTTK', rank=0), 'FacTTK: received rank=0'),
        (dict(type='FacTTK', dropout=1), r'FacTTK: dropout must lie in \[0, 1\)'),
        (dict(type='DyTAdapter', dropout='x'), r'DyTAdapter: dropout must lie in \[0, 1\)'),
        (dict(type='ResTuningBypass', bottleneck=0), 'ResTuningBypass: received bottleneck=0'),
        (dict(type='SynQT', queries=0), 'SynQT: received queries=0'),
        (dict(type='SynQT', ffn_scale=0), 'SynQT: received ffn_scale=0'),
        (dict(type='SynQT', dropout=1), r'SynQT: dropout must lie in \[0, 1\)'),
        (dict(type='RepAdapter', groups=0), 'RepAdapter: received groups=0'),
        (
            dict(type='RepAdapter', groups=5, bottleneck=10),
            'RepAdapter: received groups=5, expected a divisor of bottleneck=10 and of the 48 channels of vit_tiny',
        ),
        (dict(type='SelectedWeights', per_neuron=0), 'SelectedWeights: received per_neuron=0, expected an integer'),
        (
            dict(type='SelectedWeights', per_neuron=49),
            'SelectedWeights: received per_neuron=49, but q in layer 1 of vit_tiny_patch16_224 has 48 inputs.',
        ),
        (
            [dict(type='SelectedWeights'), dict(type='SelectedWeights', per_neuron=2)],
            'SelectedWeights and SelectedWeights both change the weight of q. Leave one of them out',
        ),
        (dict(type='VPT', num_prompts=0), 'VPT: received num_prompts=0'),
        (
            dict(type='NoOp'),
            r"received adapter=\{'type': 'mmsparse.NoOp'\}, expected the config of one, such as dict\(type='mmsparse.LoRA'\)",
        ),
        (dict(type='VPT', deep='no'), "VPT: received deep='no', expected True or False"),
        (
            dict(type='DenseAdapter', bottleneck=4, up_bias='no'),
            "DenseAdapter: received up_bias='no', expected True or False",
        ),
        (dict(type='DenseAdapter', bottleneck=4, inputs=('prev',)), "expected 'x' and any of 'prev' and 'skip'"),
        (
            dict(type='DenseAdapter', bottleneck=4, skip=0),
            'DenseAdapter: received skip=0, expected an integer of at least 1',
        ),
        (
            [dict(type='FullTuning'), dict(type='BitFit')],
            "FullTuning and BitFit both train the host parameter '.*bias'. Leave one of them out",
        ),
    ],
)
def test_bad_input_is_refused_when_it_is_built(adapter, message):
    with pytest.raises(InputError, match=message):
        MODELS.build(
            dict(
                type='mmsparse.SparseViT',
                host=timm_host(),
                adapter=named(adapter if isinstance(adapter, list) else [adapter]),
            )
        )


OPTIONS = [
    ('LoRA', 'targets'),
    ('DoRA', 'targets'),
    ('Adapter', 'places'),
    ('ConvPass', 'places'),
    ('DenseAdapter', 'inputs'),
]
FACTORS = [
    ('LoRA', 'alpha'),
    ('AdaptFormer', 'scale'),
    ('DyTAdapter', 'scale'),
    ('DenseAdapter', 'scale'),
    ('ConvPass', 'scale'),
    ('DyTMoEAdapter', 'scale'),
    ('FacTTT', 'scale'),
    ('FacTTK', 'scale'),
    ('RepAdapter', 'scale'),
]


@pytest.mark.parametrize(
    ('name', 'option', 'value', 'expected'),
    [
        *((*option, value, 'some of') for option in OPTIONS for value in (None, 3, 'qv', 'x', [], [['q']], {'q': 1})),
        *(
            (*factor, value, 'a finite number above 0')
            for factor in FACTORS
            for value in ('16', 0, -1.0, math.nan, math.inf, True, [1])
        ),
        # there the rank is meant
        *((*factor, None, 'a finite number above 0') for factor in FACTORS if factor != ('LoRA', 'alpha')),
    ],
)
def test_an_option_of_another_kind_is_refused_with_what_was_received(name, option, value, expected):
    with pytest.raises(InputError) as refused:
        adapter = {'type': f'mmsparse.{name}', **ADAPTERS[name], option: value}
        MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(depth=2), adapter=adapter))
    assert f'{name}: received {option}={value!r}, expected {expected}' in str(refused.value)


def test_a_host_that_has_no_place_for_prompts_is_no_host():
    """Windows fix the tokens of a sequence."""
    with torch.device('meta'), pytest.raises(InputError, match='a host of type timm.models.*which no view knows'):
        host = dict(type='mmsparse.TimmViT', name='swin_tiny_patch4_window7_224', checkpoint=False)
        MODELS.build(dict(type='mmsparse.SparseViT', host=host, adapter=dict(type='mmsparse.VPT'), out_type='pooled'))


@pytest.mark.parametrize('name', adapters())
def test_the_screen_of_adapters_names_each_with_its_arguments_and_whether_it_merges(name):
    text = (Path(__file__).parents[1] / 'docs/adapters.md').read_text()
    found = re.search(rf'^\| `{name}\(([^)]*)\)` \|.*?\|.*?\| (.*?) \| (.*?) \|', text, re.MULTILINE)
    assert found, f'docs/adapters.md has no row for {name}'
    kind = MODELS.get(f'mmsparse.{name}')
    assert re.findall(r'\w+', found[1]) == [
        argument for argument in inspect.signature(kind).parameters if argument != 'view'
    ]
    assert (found[2] == 'same') == kind.identity_at_start
    assert (found[3] != 'no') == (kind.folds or name == 'SSF')  # SSF knows it by host
