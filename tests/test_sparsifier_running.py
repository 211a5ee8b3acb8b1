"""Every sparsifier in half precision, in training and compiled; what it cannot do is refused when it is built."""

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hosts import DEPTH, assert_near, assert_near_in_half, build, draw, images_for, timm_host, watch
from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from mmsparse.tokens import restore
from small_classifier import adapter, batch, classifier, config, registered, step

NAMES = registered()
TESTS = Path(__file__).parent


def answer(model, half):
    """The class tokens of 32 images, in bfloat16 or not, whatever is drawn the same."""
    torch.manual_seed(0)
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16, enabled=half):
        return model.backbone(batch(32)[0])[-1].float()


@pytest.mark.parametrize('name', NAMES)
def test_half_precision_gives_about_the_same(name):
    model = draw(classifier(config(name), adapter()))
    for mode in (False, True):
        model.train(mode)
        assert_near_in_half(answer(model, True), answer(model, False))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = step(model)
    assert all(value.isfinite() for value in losses.values())
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.requires_grad)


def without_an_adapter(model):
    model.backbone.adapters[0].layers['6'].up.weight.data.zero_()


def with_other_rows(model):
    """The last layer but one at which rows leave lets others go."""
    part = model.backbone.sparsifiers[0]
    plans = watch(model.backbone)
    answer(model, False)
    last, ask = max(layer for _, layer, _, plan in plans if plan is not None and layer < 6), part.plan

    def plan(layer, tokens, *rest):
        made = ask(layer, tokens, *rest)
        if layer != last:
            return made
        index_bn = torch.cat([made.index_bn[:, : tokens.prefix], made.index_bn[:, tokens.prefix :].flip(1)], dim=1)
        return replace(made, index_bn=index_bn)

    part.plan = plan


@pytest.mark.parametrize(
    ('name', 'fault'),
    [
        *((name, without_an_adapter) for name in NAMES),
        *((name, with_other_rows) for name in NAMES if name not in ('NoOp', 'DyTDispatcher')),
    ],
)
def test_half_precision_of_a_wrong_network_is_not_about_the_same(name, fault):
    model = draw(classifier(config(name), adapter())).eval()
    right = answer(model, False)
    fault(model)
    with pytest.raises(AssertionError):
        assert_near_in_half(answer(model, True), right)


@pytest.mark.parametrize('adapted', [False, True], ids=['frozen', 'adapted'])
@pytest.mark.parametrize('name', NAMES)
def test_a_training_step_reaches_everything_that_trains_and_nothing_else(name, adapted):
    model = classifier(config(name), adapter() if adapted else None)
    before = {key: value.clone() for key, value in model.backbone.host.state_dict().items()}
    optimiser = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    for number in range(3):
        step(model, optimiser, seed=number)
        for key, parameter in model.named_parameters():
            # None at all would make distributed training wait for it; zero, for some, only while up-projections still
            # are.
            assert (parameter.grad is not None) == parameter.requires_grad, key
            assert not parameter.requires_grad or parameter.grad.isfinite().all(), key
    silent = [
        key for key, parameter in model.named_parameters() if parameter.requires_grad and not parameter.grad.any()
    ]
    # the class token sees no merge of the last layer
    assert all('sparsifiers.0.layers.6' in key for key in silent) if name == 'PYRA' else not silent
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.host.state_dict().items())


FEW = dict(type='mmsparse.EViT', layers=(1,), keep_rate=0.1)
UNUSED = {  # config of the sparsifiers, of the backbone, and the layers whose re-activations a step does use
    'nothing left to merge': (dict(type='mmsparse.PYRA', r=8), {}, '1234'),
    'hardly anything left by another': ([FEW, dict(type='mmsparse.PYRA', r=[0, 2, 2, 2, 2, 2])], {}, '23'),
    'nothing left by another': (
        [FEW | dict(keep_rate=0.05, fuse='drop'), dict(type='mmsparse.PYRA', r=[0, 2, 2, 2, 2, 2])],
        {},
        '',
    ),
    'the last layer, read': (dict(type='mmsparse.PYRA', r=2), dict(out_type='avg_featmap'), '123456'),
    'the last layer alone': (dict(type='mmsparse.PYRA', r=[0] * 5 + [2]), {}, ''),
    'the last layer alone, read': (dict(type='mmsparse.PYRA', r=[0] * 5 + [2]), dict(out_type='avg_featmap'), '6'),
}


@pytest.mark.parametrize('adapted', [False, True], ids=['frozen', 'adapted'])
@pytest.mark.parametrize('name', UNUSED)
def test_every_reactivation_has_a_gradient_and_those_that_ran_have_one_that_is_not_zero(name, adapted):
    parts, options, used = UNUSED[name]
    model = draw(classifier(parts, adapter() if adapted else None, **options))
    step(model)
    assert all(value.grad is not None for value in model.parameters() if value.requires_grad)
    module = next(part for part in model.backbone.sparsifiers if type(part).__name__ == 'PYRA')
    assert [key for key, own in module.layers.items() if any(value.grad.any() for value in own.parameters())] == list(
        used
    )


@pytest.mark.parametrize('name', ['EViT', 'ToMe'])
def test_one_graph_without_breaks_gives_the_same(name):
    backbone, images = build('timm', adapter(), config(name), 'cls_token'), images_for('timm')
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(backbone, fullgraph=True, backend='eager')(images)[-1]
        torch.testing.assert_close(compiled, backbone(images)[-1])


@pytest.mark.parametrize('name', NAMES)
def test_two_dense_adapters_in_a_list_do_not_disturb_each_other(name):
    """The second, still at zero, changes nothing; on its own weights it does, and none of both histories is left at
    the end.
    """
    one = build('timm', [adapter()], config(name))
    two = build('timm', [adapter(), adapter()], config(name))
    two.host.load_state_dict(one.host.state_dict())
    two.adapters[0].load_state_dict(one.adapters[0].state_dict())
    two.sparsifiers.load_state_dict(one.sparsifiers.state_dict())
    images = images_for('timm')
    with torch.no_grad():
        assert not torch.allclose(
            one.forward_tokens(images).x_bnc[:, 0], two.forward_tokens(images).x_bnc[:, 0], atol=1e-3
        )
        two.adapters[1].reset_parameters()
        tokens = two.forward_tokens(images)
        assert_near(tokens.x_bnc, one.forward_tokens(images).x_bnc)
    assert not [key for key in tokens.carry if 'dense_adapter' in key]
    assert restore(tokens).isfinite().all()


@pytest.mark.parametrize(
    ('sparsifier', 'message'),
    [
        (
            dict(type='mmsparse.ToMe', r=-1),
            'ToMe: received r=-1, expected an integer of at least 0.*leave out the sparsifier',
        ),
        (dict(type='mmsparse.ToMe', r=8.0), 'received r=8.0, expected an integer'),
        (dict(type='mmsparse.ToMe', r=None), 'received r=None, expected an integer'),
        (dict(type='mmsparse.ToMe', r=True), 'received r=True, expected an integer'),
        (dict(type='mmsparse.PYRA', r='8'), "PYRA: received r='8', expected an integer"),
        (dict(type='mmsparse.ToMe', r=8, inflect='-1'), r"inflect must lie in \[-1, 1\], received '-1'"),
        (dict(type='mmsparse.ToMe', r=8, inflect=True), 'received True'),
        (
            dict(type='mmsparse.ToMe', r=[2, 2, -1, 0, 0, 0]),
            'expected integers of at least 0. Use 0 where nothing shall merge',
        ),
        (dict(type='mmsparse.ToMe', r=[2, 2, 1.0, 0, 0, 0]), 'expected integers of at least 0'),
        (dict(type='mmsparse.ToMe', r=[2] * 6, inflect=1), 'received a list of counts and inflect=1'),
        (
            dict(type='mmsparse.ToMe', r=[2, 2]),
            r'ToMe: received 2 counts, r=\[2, 2\], expected one for each of the 6 layers',
        ),
        (
            dict(type='mmsparse.ToMe', r=[8, -1]),
            r'received 2 counts, r=\[8, -1\], expected one.*such as r=8, inflect=-1',
        ),
        (dict(type='mmsparse.PYRA', r=[2] * 7), 'PYRA: received 7 counts, .* expected one for each of the 6 layers'),
        (dict(type='mmsparse.ToMe', r=8, inflect=2), r'inflect must lie in \[-1, 1\], received 2'),
        (
            dict(type='mmsparse.DynamicViT', layers=(2, 4), keep_rates=(0.5, 0.7)),
            r'received keep_rates=\(0.5, 0.7\), which rise.*Put the higher',
        ),
        (
            dict(type='mmsparse.DynamicViT', layers=(2, 4), keep_rates=(0.5,)),
            'received 1 keep_rates for 2 layers, expected one for each',
        ),
        (dict(type='mmsparse.DynamicViT', layers=(2,), keep_rates=(0.01,)), 'leave none of 16 patches'),
        (dict(type='mmsparse.DynamicViT', layers=(2,), keep_rates=0.5), 'received keep_rates=0.5, expected a list'),
        (
            dict(type='mmsparse.DynamicViT', layers=(), keep_rates=()),
            r'DynamicViT: received layers=\(\), expected a list of layers',
        ),
        (
            dict(config('DynamicViT'), ratio_weight=-2),
            'DynamicViT: ratio_weight must be a number of at least 0, received -2',
        ),
        (dict(type='mmsparse.DynamicViT', layers=(2,), keep_rates=('0.5',)), "received '0.5'"),
        (
            dict(type='mmsparse.DyTDispatcher', rate_weight=-1),
            'DyTDispatcher: rate_weight must be a number of at least 0, received -1',
        ),
        (dict(type='mmsparse.DyTDispatcher', rate_weight=float('nan')), 'received nan'),
        (
            dict(type='mmsparse.EViT', layers=()),
            r'EViT: received layers=\(\), expected a list of layers such as.*leave out the sparsifier',
        ),
        (dict(type='mmsparse.EViT', layers=4), 'EViT: received layers=4, expected a list of layers'),
        (dict(type='mmsparse.ATS', layers='4'), "ATS: received layers='4', expected a list of layers"),
        (dict(type='mmsparse.EViT', layers=(2,), normalize='no'), "received normalize='no', expected True or False"),
        (dict(type='mmsparse.EViT', score=['x'], layers=(2,)), r"received score=\['x'\], expected one of"),
        (dict(type='mmsparse.EViT', fuse=['x'], layers=(2,)), r"received fuse=\['x'\], expected one of"),
        (dict(type='mmsparse.EViT', keep_rate=True, layers=(2,)), 'received True'),
        (dict(type='mmsparse.DyTDispatcher', rate=0), r'rate must lie in \(0, 1\], received 0'),
        (dict(type='mmsparse.EViT', layers=(2, 2)), r'EViT: received layers=\(2, 2\), expected each layer once'),
        (
            dict(type='mmsparse.ATS', layers=(4, 2)),
            r'ATS: received layers=\(4, 2\), expected each layer once, in rising order',
        ),
        (
            dict(type='mmsparse.RandomDrop', layers=(2, 9), keep_rate=0.5),
            r'\[9\] are not layers of this host. Layers count from 1 to 6',
        ),
        (dict(type='mmsparse.EViT', layers=(1, 3), score='shift'), "score='shift' exists from layer 2 on"),
        (dict(type='mmsparse.EViT', score='sum', layers=(2,)), "received score='sum', expected one of"),
    ],
)
def test_what_a_sparsifier_cannot_do_is_refused_when_it_is_built(sparsifier, message):
    with pytest.raises(InputError, match=message):
        MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(), sparsifier=sparsifier))


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('EViT', "score='class' needs a class token.*'key_norm'"),
        ('ATS', "score='class' needs a class token.*Use score='received'"),
    ],
)
def test_a_score_that_the_host_cannot_give_is_refused_when_it_is_built(name, message):
    host = timm_host(class_token=False, global_pool='avg')
    with pytest.raises(InputError, match=message):
        MODELS.build(dict(type='mmsparse.SparseViT', host=host, sparsifier=config(name), out_type='pooled'))


def test_more_pairs_than_half_of_the_patches_are_cut_to_half():
    tokens = build('timm', sparsifier=dict(type='mmsparse.ToMe', r=[99, 0, 0, 0, 0, 3])).forward_tokens(
        images_for('timm')
    )
    assert tokens.x_bnc.shape[1] == 1 + 8 - 3
    assert len(tokens.source_bm[0].unique()) == 5 and DEPTH == 6


@pytest.mark.parametrize('name', NAMES)
def test_the_screen_of_sparsifiers_names_each_with_its_arguments(name):
    found = re.search(rf'^\| `{name}\(([^)]*)\)` \|', (TESTS.parent / 'docs/sparsifiers.md').read_text(), re.MULTILINE)
    taken = [
        argument for argument in inspect.signature(MODELS.get(f'mmsparse.{name}')).parameters if argument != 'view'
    ]
    named = found[1].split(', ') if found[1] else []
    assert named == taken[: len(named)] and bool(named) == bool(taken)
