"""The published multiply-adds are the exact integers of the literature's counter; the executed ones are those of what
runs.
"""

import math
import random
from dataclasses import replace

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hosts import DEPTH, HOSTS, WIDTH, build, images_for, timm_host
from mmsparse.evaluation import account, published_macs, rows_per_layer
from mmsparse.evaluation.mac_meter import Meter, Place
from mmsparse.models import BaseAdapter, KeepRateSparsifier
from mmsparse.models.necks.scores import Score
from mmsparse.tokens import Plan
from references import cost as closed
from small_classifier import config, registered

EVIT, DENSE = (
    dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.7),
    dict(type='mmsparse.DenseAdapter', bottleneck=4),
)
META = torch.zeros(1, 3, 224, 224, device='meta')


def on_meta(name='vit_base_patch16_224', width=768, classes=100, size=224, **backbone):
    host = dict(
        type='mmsparse.TimmViT',
        name=name,
        checkpoint=False,
        weight_init='skip',
        img_size=size,
        **backbone.pop('host', {}),
    )
    head = dict(type='mmpretrain.LinearClsHead', num_classes=classes, in_channels=width)
    with torch.device('meta'):
        return MODELS.build(
            dict(
                type='mmpretrain.ImageClassifier',
                backbone=dict(type='mmsparse.SparseViT', host=host, **backbone),
                head=head,
            )
        )


def evit(keep_rate, layers=(4, 7, 10), **options):
    return dict(type='mmsparse.EViT', layers=layers, keep_rate=keep_rate, **options)


def dense_adapter(bottleneck, **options):
    return dict(type='mmsparse.DenseAdapter', bottleneck=bottleneck, **options)


def adaptformer(bottleneck):
    return dense_adapter(bottleneck, inputs=('x',))


def vit_l(first, skip, keep_rate):
    step = {7: 6, 8: 6}[first]
    layers = (first, first + step, first + 2 * step)
    return dict(
        name='vit_large_patch16_224',
        width=1024,
        adapter=dense_adapter(32, skip=skip),
        sparsifier=evit(keep_rate, layers),
    )


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), 17_582_049_024),
        (dict(adapter=adaptformer(8)), 17_611_097_856),
        (dict(adapter=adaptformer(64)), 17_814_439_680),
        (dict(adapter=dense_adapter(32)), 17_795_073_792),
        (dict(sparsifier=evit(0.5)), 8_828_328_192),
        (dict(sparsifier=evit(0.7)), 11_621_777_664),
        (dict(sparsifier=evit(0.9)), 15_411_206_400),
        (dict(sparsifier=evit(0.5), adapter=dense_adapter(8)), 8_851_282_176),
        (dict(sparsifier=evit(0.7), adapter=dense_adapter(8)), 11_654_463_744),
        (dict(sparsifier=evit(0.9), adapter=dense_adapter(8)), 15_457_016_064),
        (dict(sparsifier=evit(0.5), adapter=dense_adapter(32)), 8_920_144_128),
        (dict(sparsifier=evit(0.7), adapter=dense_adapter(32)), 11_752_521_984),
        (dict(sparsifier=evit(0.9), adapter=dense_adapter(32)), 15_594_445_056),
        (dict(sparsifier=evit(0.7, fuse='drop'), adapter=dense_adapter(32)), 11_625_880_320),
        (dict(sparsifier=evit(0.7), adapter=adaptformer(64)), 11_771_887_872),
        (dict(sparsifier=dict(type='mmsparse.DynamicViT', keep_rates=(0.9, 0.7, 0.5))), 14_050_030_464),
        (dict(sparsifier=dict(type='mmsparse.ToMe', r=8)), 13_121_992_448),
        (dict(sparsifier=dict(type='mmsparse.ToMe', r=16)), 8_783_362_304),
        (dict(name='vit_large_patch16_224', width=1024), 61_603_214_336),
        (vit_l(7, 6, 0.5), 30_321_597_440),
        (vit_l(7, 6, 0.7), 40_467_307_520),
        (vit_l(7, 6, 0.9), 54_265_699_328),
        (vit_l(8, 7, 0.5), 32_543_411_200),
        (vit_l(8, 7, 0.7), 42_120_244_224),
        (vit_l(8, 7, 0.9), 54_917_352_448),
    ],
    ids=lambda value: f'{value:,}' if isinstance(value, int) else '',
)
def test_published_counts_are_the_literatures_integers(options, expected):
    assert published_macs(on_meta(**options), META) == expected


def test_what_runs_costs_the_probe_more_and_the_last_blocks_other_rows_less():
    assert account(on_meta(), [META]).total.executed == 16_365_180_672
    found = account(on_meta(sparsifier=evit(0.7)), [META])
    assert found.part('sparsifier').executed == 335_616 and found.part('sparsifier').published == 0
    assert found.tokens == (197,) * 3 + (140,) * 3 + (100,) * 3 + (72,) * 3
    dense = published_macs(on_meta(sparsifier=evit(0.7), adapter=dense_adapter(32)), META, dense=True)
    assert dense == 17_582_049_024
    ours = account(on_meta(sparsifier=evit(0.7), adapter=dense_adapter(32)), [META])
    assert (ours.total.published, ours.total.executed) == (11_752_521_984, 11_318_705_664)


@pytest.mark.parametrize('seed', range(24))
def test_layers_and_parts_are_those_of_the_closed_formula(seed):
    draw = random.Random(seed)
    heads, patch, depth = draw.choice([1, 2, 3]), draw.choice([4, 8]), draw.randint(2, 7)
    width, (height, across) = heads * draw.choice([8, 12, 16]), [patch * draw.randint(2, 9) for _ in range(2)]
    layers = sorted(draw.sample(range(1, depth + 1), draw.randint(0, min(3, depth))))
    keep_rate, fuse, bottleneck, skip = (
        draw.uniform(0.2, 1),
        draw.choice(['merge', 'drop', 'argmax']),
        draw.choice([0, 3, 16]),
        draw.randint(1, 4),
    )
    batch, classes = draw.randint(1, 3), draw.randint(2, 9)
    model = on_meta(
        'vit_tiny_patch16_224',
        width,
        classes,
        (height, across),
        host=dict(embed_dim=width, depth=depth, num_heads=heads, patch_size=patch),
        sparsifier=evit(keep_rate, layers, fuse=fuse) if layers else None,
        adapter=dense_adapter(bottleneck, skip=skip) if bottleneck else None,
    )
    found = account(model, [torch.zeros(batch, 3, height, across, device='meta')])
    shape = (depth, width, 1 + height * across // patch**2, patch, classes, layers, keep_rate, fuse, bottleneck, skip)
    for real, column in ((False, 'published'), (True, 'executed')):
        total, places = closed.evit(*shape, real=real)
        assert getattr(found.total, column) == batch * total
        assert {
            place: cost for place, cost in ((tuple(p), getattr(c, column)) for p, c in found.costs.items()) if cost
        } == {place: batch * cost for place, cost in places.items()}


def attention_macs(inputs, outputs):
    q, k, v = (value.type().sizes() for value in inputs[:3])
    return math.prod(q[:3]) * k[2] * (q[3] + v[3])


@pytest.mark.parametrize(
    'sparsifier',
    [None, *(name for name in registered() if name not in ('AdaptiveKeep', 'EViT', 'ATS', 'DyTDispatcher'))],
)
@pytest.mark.parametrize('host', ['timm', 'timm_qk_norm', 'mmpretrain'])
def test_published_counts_are_fvcores(host, sparsifier):
    backbone = build(host, DENSE, sparsifier and config(sparsifier), out_type='cls_token')
    assert not any(isinstance(module, Score) for module in backbone.modules())
    published = published_macs(backbone, images_for(host, 1))
    backbone.shortcut = False
    count = FlopCountAnalysis(backbone, images_for(host, 1)).set_op_handle(
        'aten::scaled_dot_product_attention', attention_macs
    )
    assert (
        published
        == count.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings('none').total()
    )


@pytest.mark.parametrize('name', registered())
def test_executed_products_are_those_that_torch_counts(name):
    backbone = build('timm', DENSE, config(name), out_type='cls_token')
    images = images_for(batch=2)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        backbone(images)
    found = account(backbone, [images]).total
    assert found.flops == counter.get_total_flops()
    assert found.executed == pytest.approx(found.flops / 2, rel=0.1) and found.executed > found.flops / 2  # the norms


@pytest.mark.parametrize('name', [name for name in registered() if not MODELS.get(f'mmsparse.{name}').by_image])
@pytest.mark.parametrize('host', ['timm', 'mmpretrain', 'timm_registers'])
def test_nothing_needs_to_be_computed_to_be_counted(host, name):
    options = dict(type='mmsparse.SparseViT', host=HOSTS[host], adapter=DENSE, sparsifier=config(name))
    with torch.device('meta'):
        backbone = MODELS.build(options).eval()
    assert account(backbone, [images_for(host).to('meta')]) == account(
        build(host, DENSE, config(name), 'cls_token'), [images_for(host)]
    )


@pytest.mark.parametrize('name', registered())
def test_parts_and_layers_add_up_and_one_more_product_adds_itself(name):
    images = images_for(batch=2)
    backbone = build('timm', DENSE, config(name), out_type='cls_token')
    before = account(backbone, [images])
    assert sum(before.layer(layer).executed for layer in (None, *range(1, DEPTH + 1))) == pytest.approx(
        before.total.executed
    )
    norm = backbone.host.blocks[2].norm1
    backbone.host.blocks[2].norm1 = nn.Sequential(norm, nn.Linear(WIDTH, WIDTH, bias=False))
    nn.init.eye_(backbone.host.blocks[2].norm1[1].weight)
    after, rows = account(backbone, [images]), []
    backbone.host.blocks[2].norm1[1].register_forward_hook(
        lambda module, args, out: rows.append(out.shape[0] * out.shape[1])
    )
    with torch.no_grad():
        backbone(images)
    assert after.total.executed - before.total.executed == pytest.approx(rows[0] * WIDTH**2)
    assert after.layer(3).executed - before.layer(3).executed == pytest.approx(rows[0] * WIDTH**2)


class _Half(KeepRateSparsifier):
    """Every second patch from layer 2 on: leaves, or stays as an invalid row."""

    masks = False

    def __init__(self, view):
        super().__init__(view, (2,), 0.5)

    def plan(self, layer, tokens, probe):
        if layer != 2:
            return None
        gone_m = torch.arange(tokens.patches) % 2 == 1
        if not self.masks:
            return Plan.keep(tokens, (~gone_m).nonzero().squeeze(1))
        mask_bn = torch.ones_like(tokens.x_bnc[..., 0])
        mask_bn[:, tokens.prefix :][:, gone_m] = 0
        return Plan.stay(tokens, mask_bn=mask_bn)


def test_a_mask_in_place_of_a_gather_lowers_nothing():
    costs = {}
    for masks in (None, True, False):
        backbone = build('timm', out_type='cls_token')
        if masks is not None:
            backbone.sparsifiers = nn.ModuleList([half := _Half(backbone.view)])
            half.masks = masks
        costs[masks] = account(backbone, [images_for()]).total
    assert costs[True] == costs[None]
    assert costs[False].executed < 0.8 * costs[None].executed


class _Gain(BaseAdapter):
    """A product at one site and in the rows before every block."""

    def __init__(self, where):
        super().__init__()
        self.sites = () if where == 'tokens' else (where,)
        self.where, self.square = where, nn.Linear(WIDTH, WIDTH, bias=False)

    def tokens(self, layer, t):
        return replace(t, x_bnc=self.square(t.x_bnc)) if self.where == 'tokens' else t

    def site(self, name, layer, x, y, t):
        return self.square(y)


@pytest.mark.parametrize(
    'where, layers', [('tokens', DEPTH), ('v', DEPTH), ('attn', DEPTH), ('mlp', DEPTH), ('block', DEPTH), ('norm', 1)]
)
def test_what_an_adapter_does_is_booked_on_it_wherever_it_acts(where, layers):
    plain, backbone = build(out_type='raw'), build(out_type='raw')
    backbone.adapters = nn.ModuleList([_Gain(where)])
    before, after = (account(one, [images_for(batch=1)]) for one in (plain, backbone))
    assert after.part('adapter').published == layers * 17 * WIDTH**2 == after.total.published - before.total.published
    in_layer = 17 * WIDTH**2 if layers == DEPTH else 0
    assert after.layer(2).published - before.layer(2).published == in_layer


def test_re_activation_is_booked_on_the_sparsifier_that_makes_it():
    tome, pyra = (
        account(build('timm', None, dict(type=f'mmsparse.{name}', r=2)), [images_for(batch=1)])
        for name in ('ToMe', 'PYRA')
    )
    for part in ('attention', 'ffn'):
        assert tome.part(part) == pyra.part(part)
    # per source a norm and a product by a vector
    assert pyra.layer(1).published - tome.layer(1).published == 2 * (5 * WIDTH + WIDTH)


def test_rows_that_skip_the_ffn_cost_nothing_and_rows_that_pad_cost_only_what_runs():
    images = images_for(batch=4)
    backbone = build('timm', None, config('DyTDispatcher'))
    together, alone = (account(backbone, batches) for batches in ([images], images.split(1)))
    assert (
        together.total.published / 4 == pytest.approx(alone.total.published)
        and together.total.executed == together.total.published
    )
    active = sum(together.ffn_tokens) / sum(together.tokens)
    assert (
        together.part('ffn').executed == pytest.approx(active * account(build('timm'), [images]).part('ffn').executed)
        and 0 < active < 1
    )
    backbone = build('timm', None, config('ATS'), out_type='raw')
    together, alone = (account(backbone, batches) for batches in ([images], images.split(1)))
    assert together.tokens == pytest.approx(alone.tokens) and len(set(together.tokens)) == 3
    assert together.total.published / 4 == pytest.approx(alone.total.published)
    padded = [(t.x_bnc.shape[1], (t.mask_bn > 0).sum(1).tolist()) for t in [backbone.forward_tokens(images)]]
    assert max(padded[0][1]) == padded[0][0] > min(padded[0][1])
    # the FFN runs on no padding, where that is worth it; attention does
    assert together.part('ffn').executed == together.part('ffn').published
    assert together.part('attention').executed > together.part('attention').published


def test_an_operator_without_a_formula_is_named():
    meter = Meter(Place(None, 'model'))
    with meter, torch.no_grad():
        torch.cdist(torch.ones(3, 2), torch.ones(4, 2))
    assert meter.uncounted == {'aten::_cdist_forward'}
    assert account(build('timm', DENSE, EVIT), [images_for()]).uncounted == ()


def test_inference_mode_hides_nothing():
    backbone = build('timm', DENSE, EVIT)
    expected = published_macs(backbone, images_for())
    with torch.inference_mode():
        assert published_macs(backbone, images_for()) == expected


@pytest.mark.parametrize(
    ('keep_rate', 'fuse', 'after'),
    [
        (0.5, 'merge', (100, 52, 28)),
        (0.7, 'argmax', (140, 100, 72)),
        (0.9, 'merge', (179, 163, 148)),
        (0.5, 'drop', (99, 50, 26)),
        (0.7, 'drop', (139, 98, 69)),
    ],
)
def test_rows_after_each_stage_are_the_papers(keep_rate, fuse, after):
    backbone = on_meta(
        'vit_tiny_patch16_224', 12, host=dict(embed_dim=12, num_heads=1), sparsifier=evit(keep_rate, fuse=fuse)
    )
    assert rows_per_layer(backbone, META) == [n for n in (197, *after) for _ in range(3)]


def test_counting_leaves_the_model_as_it_was():
    backbone = build(adapter=DENSE, sparsifier=EVIT, out_type='cls_token')
    backbone.train()
    expected, modes = backbone(images_for())[-1], [module.training for module in backbone.modules()]
    hooks = len(backbone.sparsifiers[0].score._forward_hooks)
    published_macs(backbone, images_for())
    rows_per_layer(backbone, images_for())
    account(backbone, [images_for()])
    with pytest.raises(RuntimeError):
        account(backbone, [torch.zeros(1, 4, 32, 32)])
    assert [module.training for module in backbone.modules()] == modes
    assert not backbone.encoder._forward_pre_hooks and not backbone.encoder._forward_hooks
    assert len(backbone.sparsifiers[0].score._forward_hooks) == hooks
    torch.testing.assert_close(backbone(images_for())[-1], expected, rtol=0, atol=0)


def test_a_network_without_a_sparsevit_is_counted_as_a_whole():
    model = timm_classifier()
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(images_for(batch=2))
    found = account(model, [images_for(batch=2)])
    assert (
        found.tokens == () and found.trainable_backbone is None and [place.part for place in found.costs] == ['model']
    )
    assert (
        found.total.flops == counter.get_total_flops()
        and found.total.published == found.total.executed > found.total.flops / 2
    )


def timm_classifier():
    import timm

    options = {key: value for key, value in timm_host().items() if key not in ('type', 'name', 'checkpoint')}
    return timm.create_model('vit_tiny_patch16_224', **options).eval()
