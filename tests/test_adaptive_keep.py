"""AdaptiveKeep against a float64 loop over single images; what its curve learns, keeps and promises."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from hosts import WITH_CLASS_TOKEN, assert_same, build, by_patch, check, draw, images_for, timm_host, watch
from mmsparse.engine.calibration import calibrate
from mmsparse.engine.hooks.calibration import CalibrationHook
from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from references.adaptive_keep import share_at, smallest
from small_classifier import adapter, batch, classifier, step

ROOT = Path(__file__).parents[1]
DENSE = dict(type='mmsparse.DenseAdapter', bottleneck=8)


def adaptive(layers=(2, 4), keep_rate=0.6, **options):
    return dict(type='mmsparse.AdaptiveKeep', layers=layers, keep_rate=keep_rate, **options)


def learn(backbone, host='timm', steps=8, size=16):
    """Let the curve see so many batches."""
    backbone.train()
    for seed in range(steps):
        backbone(images_for(host, size, 100 + seed))
    backbone.eval()


def trained(host='timm', sparsifier=None, **options):
    backbone = build(host, sparsifier=sparsifier or adaptive(), **options)
    learn(backbone, host)
    return backbone


@pytest.mark.parametrize('host', WITH_CLASS_TOKEN)
def test_every_host_equals_the_reference(host):
    _, tokens, expected = check(host, adaptive(), batch=4, change=lambda own: learn(own, host))
    assert tokens.x_bnc.shape[1] == max(len(rows) for rows in expected.rows)


@pytest.mark.parametrize('score', ['received', 'key_norm', 'shift'])
@pytest.mark.parametrize('host', ['timm_no_class_token', 'timm_registers'])
def test_every_score_equals_the_reference(host, score):
    check(host, adaptive(score=score), batch=4, change=lambda own: learn(own, host))


@pytest.mark.parametrize('keep_rate', [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize('layers', [(1,), (2, 6), (1, 2, 3, 4, 5)])
def test_every_rate_and_place_equals_the_reference(layers, keep_rate):
    sparsifier = adaptive(layers, keep_rate, bounds=(0.1, 0.95) if keep_rate < 1 else (0, 1))
    check('timm_wide_image', sparsifier, DENSE if keep_rate == 0.5 else None, batch=4, change=drawn)


def drawn(backbone):
    """A rising curve from a seed."""
    part = backbone.sparsifiers[0]
    steps_ls = torch.rand(part.kept_ls.shape, generator=torch.Generator().manual_seed(3))
    part.kept_ls.copy_(steps_ls.cumsum(1) / steps_ls.sum(1, keepdim=True))


@pytest.fixture(scope='module')
def part():
    return build(sparsifier=adaptive()).sparsifiers[0]


scores = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=40).filter(lambda values: sum(values) > 0.01)


@given(
    rows=st.lists(scores, min_size=1, max_size=3), share=st.floats(0, 1), low=st.floats(0, 1), high=st.floats(0.01, 1)
)
@settings(deadline=None, max_examples=100)
def test_the_set_is_the_smallest_that_holds_the_share_within_the_bounds(part, rows, share, low, high):
    low = min(low, high)
    part.bounds, length = (low, high), max(map(len, rows))
    score_bm = torch.tensor(
        [sorted(row, reverse=True) + [0] * (length - len(row)) for row in rows], dtype=torch.double
    )
    present_b1 = torch.tensor([[len(row)] for row in rows])
    held_bm = score_bm.cumsum(1) / score_bm.sum(1, keepdim=True)
    found = part._counts(held_bm, present_b1, torch.tensor([share], dtype=torch.double))
    for row, held_m, (count,) in zip(rows, held_bm.tolist(), found.tolist()):
        least, most = max(1, math.ceil(low * len(row))), math.ceil(high * len(row))
        assert least <= count <= most
        holds = held_m[count - 1] >= share
        assert holds or count == most or count == len(row)
        assert count == least or held_m[count - 2] < share, 'one fewer would hold it too'


@given(seed=st.integers(0, 2**16), rate=st.floats(0.02, 1.0))
@settings(deadline=None, max_examples=50)
def test_the_share_lies_where_the_curve_reaches_the_rate(part, seed, rate):
    steps_ls = torch.rand(part.kept_ls.shape, generator=torch.Generator().manual_seed(seed))
    part.kept_ls.copy_(steps_ls.cumsum(1) / steps_ls.sum(1, keepdim=True))
    part.keep_rate = rate
    for layer, kept_s in zip(part.layers, part.kept_ls.tolist()):
        assert float(part.share(layer)) == pytest.approx(share_at(kept_s, rate), abs=1e-4)


def calibrated(**options):
    """A backbone, and how many patches stay of each of the images on which it was calibrated."""
    backbone = build('timm_wide_image', sparsifier=adaptive(**options))
    images = images_for('timm_wide_image', 256, 3)
    calibrate(backbone, *backbone.sparsifiers, images.split(64))

    def counts():
        with torch.no_grad():
            return backbone.sparsifiers[0].report(backbone.encode(images)[-1])

    return backbone, counts


@pytest.mark.parametrize('keep_rate', [0.3, 0.7])
def test_calibrated_images_keep_the_budget_in_the_mean_and_its_powers_behind_later_layers(keep_rate):
    _, counts = calibrated(keep_rate=keep_rate)
    present_b = torch.full((256,), 24.0)
    for layer in (2, 4):
        count_b = counts()[f'kept_{layer}']
        assert count_b.mean() == pytest.approx(keep_rate * present_b.mean().item(), rel=0.02)
        assert len(set(count_b.tolist())) > 3, 'every image has its own number'
        present_b = count_b + (count_b < present_b)  # the fused token


def test_another_rate_needs_no_calibration():
    """The curve that one budget has taken gives the others: exactly at the first layer, which it does not change."""
    backbone, counts = calibrated(layers=(2,), keep_rate=0.7)
    for rate in (0.2, 0.4, 0.9):
        backbone.sparsifiers[0].keep_rate = rate
        assert counts()['kept_2'].mean() == pytest.approx(24 * rate, rel=0.02)


@pytest.mark.parametrize('options', [{}, dict(adapter=DENSE)])
def test_a_batch_is_its_images_one_by_one(options):
    backbone, images = trained(**options), images_for(batch=8, seed=5)
    with torch.no_grad():
        together = by_patch(backbone.forward_tokens(images))
        for item, told in enumerate(together):
            alone = by_patch(backbone.forward_tokens(images[item : item + 1]))[0]
            assert alone[:2] == told[:2]
            torch.testing.assert_close(alone[2], told[2], atol=1e-5, rtol=1e-5)


def test_what_was_learned_is_in_the_state_and_decides_alike():
    model = classifier(adaptive(), adapter())
    for seed in range(3):
        step(model, seed=seed)
    fresh = classifier(adaptive(), adapter())
    state = {key: value.clone() for key, value in model.state_dict().items()}
    assert any(key.endswith('sparsifiers.0.kept_ls') for key in state)
    fresh.load_state_dict(state)
    images = images_for(batch=8, seed=3)
    with torch.no_grad():
        found, expected = (own.eval().backbone.forward_tokens(images) for own in (fresh, model))
    assert_same(found, expected, 0)
    assert len(set((expected.mask_bn > 0).sum(1).tolist())) > 1


def test_evaluation_and_counting_learn_nothing():
    model = classifier(adaptive(), adapter())
    before = model.backbone.sparsifiers[0].kept_ls.clone()
    with torch.no_grad():
        model.backbone(batch()[0])
    model.eval().backbone(batch()[0])
    assert torch.equal(model.backbone.sparsifiers[0].kept_ls, before) and not model.backbone.sparsifiers[0].steps


def test_a_step_is_decided_by_those_before_it_also_where_blocks_run_again():
    gradients = []
    for with_cp in (False, True):
        model = classifier(adaptive(), adapter(), with_cp=with_cp)
        for seed in range(3):
            step(model, seed=seed)
        assert model.backbone.sparsifiers[0].steps == 3
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    for plain, again in zip(*gradients):
        torch.testing.assert_close(again, plain)


def test_the_fused_token_stands_for_all_that_left_and_lies_behind_the_others():
    backbone = trained()
    seen = watch(backbone)
    with torch.no_grad():
        tokens = backbone.forward_tokens(images_for(batch=6, seed=2))
    assert (tokens.source_bm >= 0).all()
    for _, _, before, plan in seen:
        if plan is None:
            continue
        for item, index_n in enumerate(plan.index_bn.tolist()):
            valid = index_n if before.mask_bn is None else [i for i, m in zip(index_n, before.mask_bn[item]) if m > 0]
            last = int(plan.mask_bn[item].sum()) - 1
            assert max(valid) == last and valid.count(last) >= 1
            assert (
                all(i == -1 for i, m in zip(index_n, before.mask_bn[item]) if m <= 0)
                if before.mask_bn is not None
                else True
            )


def digits_runner(**cfg):
    """What the hook asks of a runner: digits, augmented in training, on a small host for them."""
    data = Config.fromfile(ROOT / 'configs/_base_/datasets/digits.py')
    model = classifier(adaptive(keep_rate=0.5), adapter(), host=timm_host(img_size=32, patch_size=4))
    model.data_preprocessor = MODELS.build(dict(data.data_preprocessor, type='mmpretrain.ClsDataPreprocessor'))
    cfg = dict(train_dataloader=data.train_dataloader, val_dataloader=data.val_dataloader) | cfg
    return SimpleNamespace(model=draw(model), cfg=Config(cfg), seed=0, train_dataloader=SimpleNamespace(batch_size=50))


def test_calibration_meets_the_budget_on_images_prepared_as_in_a_test():
    runner, hook = digits_runner(), CalibrationHook(images=150)
    hook.check(runner)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        hook.before_train(runner)
    before, training = torch.get_rng_state(), runner.model.training
    hook.after_train_epoch(runner)
    assert torch.equal(torch.get_rng_state(), before) and runner.model.training == training
    (part,) = runner.model.backbone.sparsifiers
    assert not part.observes and not torch.equal(part.kept_ls, part.learned_ls)
    pictures = [hook.dataset[index] for index in hook.batches[0] + hook.batches[1] + hook.batches[2]]
    counts = []
    runner.model.eval()
    for first in (0, 50, 100):
        batch = runner.model.data_preprocessor(pseudo_collate(pictures[first : first + 50]))
        with torch.no_grad():
            counts += [sample.kept_2 for sample in runner.model.predict(batch['inputs'], batch['data_samples'])]
    assert sum(counts) / 150 == pytest.approx(32, rel=0.02) and len(set(counts)) > 3


def test_calibration_is_refused_where_it_has_nothing_to_do():
    with pytest.raises(InputError, match='CalibrationHook: the config has no val_dataloader'):
        CalibrationHook().check(digits_runner(val_dataloader=None))
    runner = digits_runner()
    runner.model = classifier(None, adapter())
    with pytest.raises(InputError, match='CalibrationHook: the model has no mmsparse.AdaptiveKeep'):
        CalibrationHook().check(runner)
    with pytest.raises(InputError, match='received images=0, expected an integer of at least 1'):
        CalibrationHook(images=0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(keep_rate=0), r'AdaptiveKeep: keep_rate must lie in \(0, 1\], received 0'),
        (dict(keep_rate=1.2), r'must lie in \(0, 1\], received 1.2'),
        (dict(bounds=(0.7, 0.9)), r'received bounds=\(0.7, 0.9\) and keep_rate=0.6.*with the mean between'),
        (dict(bounds=(0.2, 0.5)), r'received bounds=\(0.2, 0.5\)'),
        (dict(bounds=(0.2,)), r'received bounds=\(0.2,\)'),
        (dict(bounds=0.5), 'received bounds=0.5'),
        (dict(bounds=(True, 1)), 'received bounds'),
        (dict(score='depth'), "received score='depth', expected one of"),
        (dict(layers=(1, 3), score='shift'), "score='shift' exists from layer 2 on"),
    ],
)
def test_what_it_cannot_take_is_refused_when_built(options, message):
    with pytest.raises(InputError, match=message):
        build(sparsifier=adaptive() | options)


def test_a_host_without_class_token_must_name_another_score():
    with pytest.raises(InputError, match="AdaptiveKeep: score='class' needs a class token"):
        build('timm_no_class_token', sparsifier=adaptive())


def test_the_reference_takes_the_smallest():
    assert smallest([0.1, 0.5, 0.3, 0.1], 0.75, (0, 1))[0] == [1, 2]
    assert smallest([0.1, 0.5, 0.3, 0.1], 0.75, (0.6, 1))[0] == [0, 1, 2]
    assert smallest([0.1, 0.5, 0.3, 0.1], 0.75, (0, 0.25))[0] == [1]
