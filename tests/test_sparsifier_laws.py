"""What holds for every registered sparsifier; a new file under necks/ is picked up by itself."""

import inspect
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts import DEPTH, HOSTS, assert_near, assert_same, build, by_patch, images_for, watch
from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from small_classifier import registered

# By the name of a constructor's argument; whatever else it has stays at its default.
OPTIONS = dict(layers=(2, 4, 5), layer=3, keep_rate=0.6, keep_rates=(0.8, 0.5, 0.3), r=3, rate=0.5)
OPTIONS |= dict(num_classes=5, pruned=3)
SPARSIFIERS = registered()
MORE = {
    'EViT': [
        dict(fuse='argmax'),
        dict(fuse='drop'),
        dict(normalize=False),
        dict(score='received'),
        dict(score='key_norm'),
        dict(score='shift'),
    ],
    'ToMe': [dict(r=2, inflect=-1), dict(r=100)],
    'ATS': [dict(score='received')],
    'AdaptiveKeep': [dict(score='received'), dict(bounds=(0.3, 0.8)), dict(score='shift')],
}
CASES = [(name, position) for name in SPARSIFIERS for position in range(1 + len(MORE.get(name, [])))]
HOST_NAMES = ['timm', 'timm_registers', 'timm_no_class_token']


def config(name, position=0):
    known = inspect.signature(MODELS.get(name).__init__).parameters
    return (
        dict(type=f'mmsparse.{name}', **{key: value for key, value in OPTIONS.items() if key in known})
        | ([{}] + MORE.get(name, []))[position]
    )


@cache
def built(name, position, host):
    """One backbone per case; None where the method needs a class token and the host has none (refused at build, in
    words).
    """
    try:
        backbone = build(host, sparsifier=config(name, position))
    except InputError as refused:
        assert host == 'timm_no_class_token' and 'class token' in str(refused), refused
        return None
    return backbone


def run(name, position, host, images, training=False):
    """Tokens at the end and every (tokens, plan) on the way; None where the host is refused."""
    backbone = built(name, position, host)
    return None if backbone is None else run_on(backbone, images, training)


def run_on(backbone, images, training=False):
    """Tokens at the end and every (tokens, plan) on the way."""
    backbone.train(training)
    seen = watch(backbone)
    try:
        with torch.no_grad():
            tokens = backbone.forward_tokens(images)
    finally:
        for part in backbone.sparsifiers:
            del part.plan
    return tokens, [(before, plan) for _, _, before, plan in seen if plan is not None]


SCORES = {'EViT': ['class', 'received', 'key_norm', 'shift'], 'ATS': ['class', 'received']}
SCORES['AdaptiveKeep'] = SCORES['EViT']


def test_every_sparsifier_of_the_design_is_registered():
    assert set(SPARSIFIERS) >= {'EViT', 'DynamicViT', 'ToMe', 'DyTDispatcher', 'PYRA', 'ATS', 'RandomDrop'}


@st.composite
def options(draw, name, host):
    """A config with whatever a constructor takes drawn: layers, rates, counts, scores, ways to fuse."""
    known = inspect.signature(MODELS.get(name).__init__).parameters
    scores = [score for score in SCORES.get(name, ()) if score != 'class' or host != 'timm_no_class_token']
    score = draw(st.sampled_from(scores)) if scores else None
    layers = tuple(sorted(draw(st.sets(st.integers(2 if score == 'shift' else 1, DEPTH), min_size=1))))
    rate, counts = st.floats(0.07, 1.0), st.integers(0, 9)
    line = draw(st.booleans())
    values = dict(
        layers=layers,
        keep_rate=draw(rate),
        keep_rates=tuple(sorted((draw(rate) for _ in layers), reverse=True)),
        rate=draw(rate),
        r=draw(counts) if line else [draw(counts) for _ in range(DEPTH)],
        inflect=draw(st.floats(-1, 1)) if line else 0,
        fuse=draw(st.sampled_from(['merge', 'drop', 'argmax'])),
        normalize=score in ('key_norm', 'shift') or draw(st.booleans()),
        score=score,
        num_classes=5,
        pruned=draw(st.integers(1, 9)),
    )
    return dict(type=f'mmsparse.{name}', **{key: value for key, value in values.items() if key in known})


@pytest.mark.parametrize('name', SPARSIFIERS)
@given(
    data=st.data(),
    host=st.sampled_from(HOST_NAMES),
    batch=st.integers(1, 4),
    seed=st.integers(0, 2**16),
    training=st.booleans(),
)
@settings(deadline=None, max_examples=25)
def test_plans(name, data, host, batch, seed, training):
    backbone = build(host, sparsifier=data.draw(options(name, host)))
    tokens, plans = run_on(backbone, images_for(host, batch, seed), training)
    prefix, patches = tokens.prefix, tokens.source_bm.shape[1]
    rows = [list(range(prefix, prefix + patches)) for _ in range(batch)]
    for before, plan in plans:
        assert before.source_bm.tolist() == rows
        index_bn = torch.arange(plan.length).expand(batch, -1) if plan.index_bn is None else plan.index_bn
        assert tuple(index_bn.shape) == tuple(before.x_bnc.shape[:2])
        for own in (plan.mask_bn, plan.ffn_bn):
            assert own is None or tuple(own.shape) == (batch, plan.length)
        for item, index_n in enumerate(index_bn.tolist()):
            assert index_n[:prefix] == list(range(prefix)), 'prefix rows stay'
            assert not set(index_n[prefix:]) & set(range(prefix)), 'nothing is merged into the prefix'
            assert all(-1 <= row < plan.length for row in index_n)
            valid = (
                set(range(plan.length))
                if plan.mask_bn is None
                else set((plan.mask_bn[item] > 0).nonzero().flatten().tolist())
            )
            assert set(range(prefix)) <= valid
            assert valid <= set(index_n), 'a valid row that nothing was sent to'
            rows[item] = [index_n[row] if row >= 0 else -1 for row in rows[item]]
            gone = [patch for patch, row in enumerate(rows[item]) if row < 0] if plan.brings_back else []
            for place, patch in enumerate(gone):  # behind the others, in the order of the image
                rows[item][patch] = plan.length + place
    assert tokens.source_bm.tolist() == rows, 'sources compose'

    sizes = torch.ones(tokens.x_bnc.shape[:2]) if tokens.size_bn is None else tokens.size_bn
    for item in range(batch):
        own = tokens.source_bm[item]
        counts = torch.bincount(own[own >= 0], minlength=sizes.shape[1])
        counts[:prefix] += 1
        assert sizes[item].tolist() == counts.tolist(), 'sizes count the patches behind a row; padding has none'
    assert tokens.x_bnc.isfinite().all()


@pytest.mark.parametrize('host', HOST_NAMES)
@pytest.mark.parametrize('name, position', CASES)
def test_a_batch_is_its_images_one_by_one_in_any_order(name, position, host):
    images = images_for(host, batch=8, seed=11)
    found = run(name, position, host, images)
    if found is None:
        return
    together = found[0]
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1)).tolist()
    told = by_patch(together)
    for item in range(8):
        alone, _ = run(name, position, host, images[item : item + 1])
        same(by_patch(alone)[0], told[item])
    shuffled, _ = run(name, position, host, images[order])
    for place, item in enumerate(order):
        same(by_patch(shuffled)[place], told[item])
    again, _ = run(name, position, host, images)
    assert_same(again, together, 0)
    assert (told[0][2][:1] - told[1][2][:1]).abs().max() > 0.01, 'two images give two answers'


def same(found, expected):
    assert found[:2] == expected[:2]
    assert_near(found[2], expected[2])


@pytest.mark.parametrize('name, position', CASES)
def test_asking_for_the_complete_model_reduces_nothing(name, position):
    backbone, images = built(name, position, 'timm'), images_for(batch=2)
    dense = build('timm')
    dense.host.load_state_dict(backbone.host.state_dict())
    with torch.no_grad():
        complete = backbone.forward_tokens(images, sparsify=False)
        assert_near(complete.x_bnc, dense.forward_tokens(images).x_bnc)
    assert torch.equal(complete.source_bm, dense.forward_tokens(images).source_bm)


TIES = [
    dict(type='mmsparse.EViT', layers=(3,), keep_rate=0.5, fuse='drop'),
    dict(type='mmsparse.DynamicViT', layers=(3,), keep_rates=(0.5,)),
    dict(type='mmsparse.ToMe', r=[0, 0, 7, 0, 0, 0]),
]


@pytest.mark.parametrize('side', [4, 20])
@pytest.mark.parametrize('part', TIES, ids=[own['type'] for own in TIES])
def test_of_equal_scores_the_first_count_on_every_device(part, side):
    """topk leaves it to the device, and to the number of rows, which of them those are."""
    backbone = build(dict(HOSTS['timm'], img_size=8 * side), sparsifier=part)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            # keys of zero: every row is as similar, and as much attended to, as any other
            if 'predictors' in name or 'qkv' in name:
                parameter.zero_()
        seen = watch(backbone)
        backbone.forward_tokens(torch.randn(2, 3, 8 * side, 8 * side, generator=torch.Generator().manual_seed(0)))
    (plan,) = [plan for *_, plan in seen if plan is not None]
    for index_n in plan.index_bn.tolist():
        if 'ToMe' in part['type']:
            evens = [index_n[row] for row in range(2, len(index_n), 2)]
            assert [index_n.count(target) > 1 for target in evens] == [place < 7 for place in range(len(evens))]
        else:
            assert index_n == [*range(1 + side**2 // 2), *[-1] * (side**2 // 2)]


AFTER_PADDING = [
    dict(type='mmsparse.EViT', layers=(4,), keep_rate=0.6),
    dict(type='mmsparse.ToMe', r=[0, 0, 0, 3, 0, 0]),
    dict(type='mmsparse.PYRA', r=[0, 0, 0, 3, 0, 0]),
    dict(type='mmsparse.DynamicViT', layers=(4,), keep_rates=(0.3,)),
    dict(type='mmsparse.RandomDrop', layers=(4,), keep_rate=0.6),
    dict(type='mmsparse.DyTDispatcher', rate=0.5),
]


@pytest.mark.parametrize('other', AFTER_PADDING, ids=[own['type'] for own in AFTER_PADDING])
def test_what_follows_a_padded_batch_does_not_see_the_padding(other):
    """Or it is refused at build: the padding of an image depends on its neighbours in the batch."""
    ats = dict(type='mmsparse.ATS', layers=(2,), keep_rate=0.7)
    try:
        backbone = build('timm', sparsifier=[ats, other])
    except InputError as refused:
        assert 'ATS' in str(refused) and other['type'] != 'mmsparse.DyTDispatcher'
        return
    images = images_for(batch=8, seed=11)
    with torch.no_grad():
        together = backbone.forward_tokens(images)
        assert together.x_bnc.isfinite().all()
        for item, told in enumerate(by_patch(together)):
            same(by_patch(backbone.forward_tokens(images[item : item + 1]))[0], told)
