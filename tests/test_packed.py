"""Without its padding a batch gives what it gives with it, under every adapter that says so, forward and backward."""

import inspect

import pytest
import torch

from combinations import ADAPTERS
from hosts import HOSTS, assert_near, assert_same, build, draw, images_for, timm_host
from mmsparse.engine.calibration import calibrate
from mmsparse.evaluation.cost_by_layer import account
from mmsparse.models.backbones import acting_parts
from mmsparse.registry import MODELS
from mmsparse.structures import packed
from mmsparse.tokens import Tokens
from small_classifier import adapter, classifier, step

KEEP = dict(type='mmsparse.AdaptiveKeep', layers=(2, 4), keep_rate=0.5)
ATS = dict(type='mmsparse.ATS', layers=(2, 4), keep_rate=0.8)
TOKEN_WISE = [name for name in ADAPTERS if MODELS.get(f'mmsparse.{name}').token_wise]
ROTARY = timm_host(name='vit_small_patch16_dinov3', init_values=0.5)


@pytest.fixture
def packing(monkeypatch):
    """Say from which share of padding on it pays; returns how often batches have been packed since."""
    done = []
    monkeypatch.setattr(acting_parts, 'pack', lambda t: done.append(t) or packed.pack(t))

    def pays(share):
        done.clear()
        monkeypatch.setattr(packed, 'PAYS', share)
        return done

    return pays


def both(packing, backbone, images):
    """The tokens without and with padding, for those that never pack the latter twice."""
    with torch.no_grad():
        done = packing(0.0)
        without = backbone.forward_tokens(images)
        times = len(done)
        packing(1.0)
        return without, backbone.forward_tokens(images), times


@pytest.mark.parametrize('sparsifier', [KEEP, ATS], ids=['adaptive', 'ats'])
@pytest.mark.parametrize('name', TOKEN_WISE)
def test_under_every_adapter_that_says_so_padding_may_go(packing, name, sparsifier):
    backbone = build('timm_registers', dict(type=f'mmsparse.{name}', **ADAPTERS[name]), sparsifier)
    without, padded, times = both(packing, backbone, images_for('timm_registers', 8))
    assert times
    assert_same(without, padded)


@pytest.mark.parametrize('host', [*HOSTS, 'rotary'])
def test_on_every_host(packing, host):
    sparsifier = KEEP | ({} if 'no_class' not in host else dict(score='received', keep_rate=0.8))
    backbone = build(HOSTS.get(host, ROTARY), adapter(), sparsifier)
    without, padded, times = both(packing, backbone, images_for(host if host in HOSTS else 'timm', 8))
    assert times
    assert_same(without, padded)


def test_parts_that_look_beyond_a_token_keep_the_padding(packing):
    for parts in (
        dict(adapter=dict(type='mmsparse.VPT', num_prompts=2)),
        dict(adapter=[adapter(), dict(type='mmsparse.ConvPass', bottleneck=4)]),
        dict(sparsifier=[KEEP, dict(type='mmsparse.DyTDispatcher', rate=0.5)]),
    ):
        backbone = build('timm', **(dict(sparsifier=KEEP) | parts))
        assert not both(packing, backbone, images_for(batch=6))[2]
    done = packing(0.0)
    with torch.no_grad():
        build('timm', adapter(), KEEP, out_type='raw')(images_for(batch=6).unflatten(0, (3, 2)))
        build('timm', adapter(), KEEP).forward_tokens(images_for(batch=6), context=object())
    assert len(done) == 2, 'frames of a clip stay together; a context is for the parts'


@pytest.mark.parametrize('options', [{}, dict(with_cp=True), dict(memory='fast'), dict(memory='lean')], ids=str)
def test_losses_and_gradients_are_the_same(packing, options):
    found = []
    for share in (0.0, 1.0):
        model = draw(classifier(KEEP | dict(keep_rate=0.6), adapter(), **options))
        done = packing(share)
        losses = step(model)
        assert bool(done) == (share == 0)
        found.append([losses['loss'], *(p.grad for p in model.parameters() if p.requires_grad)])
    for without, padded in zip(*found, strict=True):
        assert_near(without, padded)


def test_what_is_not_run_is_not_counted(packing):
    backbone, images = build('timm', adapter(), KEEP, 'raw'), images_for(batch=8)
    calibrate(backbone, *backbone.sparsifiers, [images])
    packing(0.0)
    without = account(backbone, [images]).total
    packing(1.0)
    padded = account(backbone, [images]).total
    assert without.executed < padded.executed and without.published == padded.published


def test_all_that_a_batch_is_comes_back(packing):
    images = images_for('timm_registers', 6)
    backbone = build('timm_registers', adapter(), KEEP, stash=True, out_type='tokens')
    with torch.no_grad():
        packing(0.0)
        without = backbone(images)[-1]
        packing(1.0)
        padded = backbone(images)[-1]
    assert type(without) is Tokens
    known = [name for name in inspect.signature(Tokens).parameters if name not in ('x_bnc', 'carry', 'stash', 'notes')]
    for name in known:
        one, other = getattr(without, name), getattr(padded, name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, name
    assert without.notes.keys() == padded.notes.keys() and without.carry.keys() == padded.carry.keys()
    assert_near(without.stash.delta_bmc, padded.stash.delta_bmc)
