"""Dense Adapters that read the frames before and after, against a float64 loop over frames, rows and patches."""

import pytest
import torch

from hosts import apart, assert_near, assert_near_in_half, build, draw, images_for, reference_of
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from small_classifier import adapter, classifier, config
from small_clips import CROSS, FRAMES, clips, samples, video

EVIT = dict(type='mmsparse.EViT', layers=(2, 3, 5), keep_rate=0.7)


SPARSIFIERS = {
    'dense': None,
    'merge': EVIT,
    'drop': dict(EVIT, fuse='drop'),
    'tome': dict(type='mmsparse.ToMe', r=2),
    'dynamicvit': config('DynamicViT'),
}
CASES = [*((name, 'timm') for name in SPARSIFIERS), ('merge', 'timm_registers'), ('tome', 'timm_no_class_token')]


@pytest.mark.parametrize(('name', 'host'), CASES)
def test_each_link_reads_the_neighbours_at_the_same_patch(name, host):
    sparsifier = SPARSIFIERS[name]
    backbone = build(host, CROSS, sparsifier)
    for seed in range(20):
        images = images_for(host, 2 * FRAMES, seed)
        expected = reference_of(backbone, images, sparsifier, CROSS, FRAMES)
        if expected.margin > 1e-5:
            break
    with torch.no_grad():
        found = backbone.double().forward_tokens(images.double().unflatten(0, (2, FRAMES)))
    assert found.source_bm.tolist() == expected.sources
    assert_near(found.x_bnc, expected.features, 1e-9)


def test_the_start_is_the_plain_adapters_function_whatever_that_has_learned():
    plain = video(config('ToMe'), adapter())
    model = video(config('ToMe'), CROSS)
    for part in model.backbone.adapters:
        part.reset_parameters()
    fresh = [name for name, each in model.named_parameters() if '.cross.' in name and each.any()]
    assert not fresh
    missing = model.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing and all('.cross.' in key for key in missing)
    with torch.no_grad():
        assert_near(model(clips()), plain(clips()), 1e-6)


def test_it_costs_its_own_matrices_and_leaves_the_host_alone():
    plain, cross = (account(video(config('EViT'), each), [clips(1)]) for each in (adapter(), CROSS))
    for part in ('embed', 'attention', 'ffn', 'sparsifier', 'head'):
        assert cross.part(part) == plain.part(part)
    rows = [0, *cross.ffn_tokens]
    links = sum(rows[layer] * ((layer > 1) + (layer > 3)) for layer in range(1, len(rows)))
    added = cross.part('adapter').published - plain.part('adapter').published
    assert added == 2 * links * 48 * 8
    assert cross.trainable_backbone - plain.trainable_backbone == 2 * (5 + 3) * 48 * 8


def test_order_of_frames_matters_with_it_alone():
    plain, cross = video(config('EViT'), adapter()), video(config('EViT'), CROSS)
    clip = clips(8, seed=2)
    with torch.no_grad():
        assert_near(plain(clip.flip(2)), plain(clip))
        assert apart(cross(clip.flip(2)), cross(clip)) > 0.05


@pytest.mark.parametrize('name', ['ATS', 'DyTDispatcher', 'DynamicViT', 'Cropr', 'PYRA'])
def test_it_learns_under_any_sparsifier_and_with_checkpointing(name):
    losses = []
    for with_cp in (False, True):
        model = video(config(name), CROSS, with_cp=with_cp).train()
        torch.manual_seed(0)
        told = model(clips(), samples(), mode='loss')
        sum(value for key, value in told.items() if 'loss' in key).backward()
        gradients = {key: each.grad for key, each in model.named_parameters() if '.cross.' in key}
        assert all(grad is not None and grad.any() for grad in gradients.values())
        losses.append((told['loss'], gradients))
    assert_near(losses[1][0], losses[0][0])
    for key, grad in losses[0][1].items():
        assert_near(losses[1][1][key], grad)


def test_half_precision_reads_about_the_same():
    model, clip = video(EVIT, CROSS), clips(8, seed=2)
    with torch.no_grad():
        expected = model(clip)
        with torch.autocast('cpu', torch.bfloat16):
            assert_near_in_half(model(clip).float(), expected)


def test_images_and_forms_without_links_are_refused():
    with pytest.raises(InputError, match='^DenseAdapter: cross_frame=True reads the frames before and after.*images'):
        draw(classifier(None, CROSS))(torch.zeros(1, 3, 32, 32))
    for options in (dict(inputs=('x',)), dict(fusion='late'), dict(fusion='early')):
        with pytest.raises(InputError, match="^DenseAdapter: received cross_frame=True with .*use fusion='inner'"):
            build('timm', dict(CROSS, **options))
