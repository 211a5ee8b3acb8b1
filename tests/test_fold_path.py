"""The form for testing, `backbone.fold()`, against the unfolded network with every parameter drawn: same answers, fewer
and narrower operators, and nothing that trains.
"""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from combinations import pairwise
from hosts import HOSTS, WITH_CLASS_TOKEN, assert_near, build, images_for, watch
from mmsparse.errors import InputError
from mmsparse.models.adapters.narrow_branch import NarrowBranch
from mmsparse.state.agreement import adapter_tensors
from mmsparse.tokens import merge
from small_classifier import batch, classifier, registered
from small_classifier import config as usual
from small_clips import CROSS, clips, video

EVIT = dict(type='mmsparse.EViT', layers=(2, 4, 5), keep_rate=0.7)
SPARSIFIERS = {name: usual(name) for name in registered()} | {
    'none': None,
    'raw': EVIT | dict(normalize=False),  # shares that do not sum to one
    'drop': EVIT | dict(fuse='drop'),
    'argmax': EVIT | dict(fuse='argmax'),
    'list': [dict(type='mmsparse.ToMe', r=[1, 2, 0, 2, 0, 0]), usual('DyTDispatcher')],
}
OPTIONS = dict(
    fusion=('inner', 'early', 'late'),
    norm=(None, 'in'),
    up_bias=(True, False),
    inputs=(('x', 'prev', 'skip'), ('x', 'skip'), ('prev', 'x'), ('x',)),
    skip=(3, 2),
    prompts=(False, True),
)
CASES = pairwise(SPARSIFIERS, *OPTIONS.values())


def dense_adapter(**options):
    return dict(type='mmsparse.DenseAdapter', bottleneck=8, scale=0.7) | options


def check(backbone, images):
    """In float64 the answers are the same within 1e-9, in single precision within 1e-5 of the largest."""
    with torch.no_grad():
        before, exact = backbone(images)[-1], backbone.double()(images.double())[-1]
        assert before.dtype == torch.float32
        backbone.fold()
        torch.testing.assert_close(backbone(images.double())[-1], exact, rtol=0, atol=1e-9)
        assert_near(backbone.float()(images)[-1], before)


@pytest.mark.parametrize('case', CASES, ids=str)
def test_every_dense_adapter_under_every_sparsifier_answers_the_same(case):
    name, options = case[0], dict(zip(OPTIONS, case[1:]))
    prompts = [dict(type='mmsparse.VPT', num_prompts=2)] if options.pop('prompts') else []
    backbone = build('timm', [*prompts, dense_adapter(**options)], SPARSIFIERS[name])
    check(backbone, images_for(batch=2))
    assert [type(each) for each in backbone.adapters][-1] is NarrowBranch


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_answers_the_same(host):
    score = 'class' if host in WITH_CLASS_TOKEN else 'received'
    adapters = [dict(type='mmsparse.LoRA', rank=2), dict(type='mmsparse.AdaptFormer', bottleneck=4), dense_adapter()]
    check(build(host, adapters, EVIT | dict(score=score)), images_for(host, batch=2))


def test_the_class_token_alone_of_the_last_block_and_the_stash_answer_the_same():
    check(build('timm', dense_adapter(), EVIT, 'cls_token'), images_for())
    check(build('timm', dense_adapter(), EVIT, 'featmap', stash=True), images_for())


def test_what_reads_the_frames_before_and_after_answers_the_same():
    model = video(EVIT, CROSS).double()
    with torch.no_grad():
        before = model(clips(2).double())
        model.backbone.fold()
        assert_near(model(clips(2).double()), before, 1e-9)
        with pytest.raises(InputError, match='frames before and after'):
            model.backbone(images_for().double())


@pytest.mark.parametrize(('fusion', 'width'), [('inner', 8 + 1), ('early', 8 + 1), ('late', 3 * 8 + 1)])
def test_what_is_carried_is_as_wide_as_the_hidden_layer(fusion, width, monkeypatch):
    backbone, carried = build('timm', dense_adapter(fusion=fusion), EVIT), {}
    backbone.fold()
    site = NarrowBranch.site
    monkeypatch.setattr(NarrowBranch, 'site', lambda *args: carried.update(args[-1].carry) or site(*args))
    with torch.no_grad():
        last = backbone.forward_tokens(images_for())
    assert len(carried) == 5 and max(value.shape[2] for value in carried.values()) == width
    assert not last.carry  # nobody reads it any more


class Names(TorchDispatchMode):
    """Notes which operators run on tensors of floats."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.is_floating_point():
            self.seen.append(func.overloadpacket.__name__)
        return out


@pytest.mark.parametrize('name', [name for name in SPARSIFIERS if name not in ('none', 'NoOp')])
def test_a_plan_that_knows_its_moves_is_the_same_map_by_one_gather(name):
    backbone = build('timm', sparsifier=SPARSIFIERS[name]).double()
    seen = watch(backbone)
    with torch.no_grad():
        backbone.forward_tokens(images_for().double())
    moving = [(tokens, plan) for *_, tokens, plan in seen if plan is not None and plan.index_bn is not None]
    plans = [(tokens, plan) for tokens, plan in moving if plan.moves is not None]
    # where every image keeps another number there is no such gather
    assert len(plans) == len(moving) or any(part.by_image for part in backbone.sparsifiers)
    for tokens, plan in plans:
        with Names() as operators:
            found = merge(tokens.x_bnc, plan)
        torch.testing.assert_close(found, merge(tokens.x_bnc, replace(plan, moves=None)), rtol=0, atol=1e-12)
        joins = 0 if plan.moves.joins_br is None else 1
        assert operators.seen.count('index_select') == 1 + joins and operators.seen.count('scatter_add') == joins


def test_a_training_step_after_fold_is_one_clear_error():
    model = classifier(EVIT, dense_adapter())
    images, samples = batch()
    model(images, samples, mode='loss')
    model.backbone.fold()
    with pytest.raises(InputError, match=r'a training step after fold\(\)'):
        model(images, samples, mode='loss')
    with pytest.raises(InputError, match=r'Save before fold\(\)'):
        adapter_tensors(model)
    with torch.no_grad():  # validation in training mode, as some loops do
        model(images, samples, mode='loss')
    assert model.eval()(images, mode='tensor').isfinite().all()
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_folding_twice_is_folding_once():
    backbone, images = build('timm', [dict(type='mmsparse.LoRA', rank=2), dense_adapter()], EVIT), images_for()
    with torch.no_grad():
        backbone.fold()
        once = backbone(images)[-1]
        backbone.fold()
        assert torch.equal(backbone(images)[-1], once)
