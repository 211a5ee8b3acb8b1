"""The patch grid from reduced tokens, against one-hot matrices over one, two and three reductions."""

import pytest
import torch

from hosts import assert_near, build, clear_case, images_for, reference_of, watch
from mmsparse.registry import MODELS
from mmsparse.tokens import restore
from small_classifier import untried

MODES = ['gather', 'stale', 'delta']
TOME = dict(type='mmsparse.ToMe', r=[0, 4, 0, 3, 3, 0])
DYT = dict(type='mmsparse.DyTDispatcher', rate=0.5)
DROP = dict(type='mmsparse.RandomDrop', layers=(2, 4), keep_rate=0.7)


def evit(fuse='merge', layers=(2, 4, 5), normalize=True, keep_rate=0.6):
    return dict(type='mmsparse.EViT', layers=layers, keep_rate=keep_rate, fuse=fuse, normalize=normalize)


CASES = {
    'dense': None,
    'once': evit(layers=(3,)),
    'merge_twice': evit(layers=(2, 4)),
    'merge_thrice': evit(),
    'raw_merge_thrice': evit(normalize=False),
    'raw_merge_of_one': evit(layers=(2, 4), normalize=False, keep_rate=0.95),
    'drop_thrice': evit('drop'),
    'argmax_twice': evit('argmax', (2, 4)),
    'last_layer': evit('drop', (4, 6)),
    'tome': TOME,
    'pyra': dict(type='mmsparse.PYRA', r=[0, 4, 0, 3, 3, 0]),
    'dynamicvit': dict(type='mmsparse.DynamicViT', layers=(2, 4, 6), keep_rates=(0.7, 0.5, 0.3)),
    'ats': dict(type='mmsparse.ATS', layers=(2, 4, 5), keep_rate=0.8),
    'adaptive': dict(type='mmsparse.AdaptiveKeep', layers=(2, 4, 5), keep_rate=0.8),
    'pitome': dict(type='mmsparse.PiToMe', keep_rate=0.8),
    'fpet': dict(type='mmsparse.FPET', layer=3),
    'merge_then_drop': [TOME | dict(r=[0, 3, 0, 0, 3, 0]), evit('drop', (3, 6))],
    'drop_then_merge': [evit('merge', (2, 4)), TOME | dict(r=[0, 0, 3, 0, 2, 0])],
    'merge_and_skip': [TOME, DYT],
    'sample_and_skip': [dict(type='mmsparse.ATS', layers=(2, 4), keep_rate=0.8), DYT],
    'before_and_after': [
        dict(type='mmsparse.DynamicViT', layers=(3, 5), keep_rates=(0.7, 0.4)),
        TOME | dict(r=[1, 3, 0, 0, 0, 0]),
    ],
}


def compare(case, host, mode, adapter=None):
    backbone = build(host, adapter, CASES[case], stash=True)
    images, expected = clear_case(backbone, host, CASES[case], adapter)
    grid = backbone.view.grid
    with torch.no_grad():
        found = restore(backbone.forward_tokens(images), mode)
        exact = restore(backbone.double().forward_tokens(images.double()), mode)
    wanted = expected.restored(mode, grid)
    assert found.shape[2:] == tuple(grid)
    assert_near(found.double(), wanted)
    torch.testing.assert_close(exact, wanted, atol=1e-9, rtol=0)
    return wanted


def test_every_sparsifier_has_its_grid_given_back():
    assert not untried(CASES.values())


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('case', CASES)
def test_every_mode_equals_the_matrices(case, mode):
    compare(case, 'timm_wide_image', mode)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('case', ['merge_thrice', 'drop_thrice', 'tome', 'merge_then_drop'])
@pytest.mark.parametrize('host', ['timm_registers', 'mmpretrain_layer_scale'])
def test_every_mode_equals_the_matrices_on_other_hosts(host, case, mode):
    compare(case, host, mode)


@pytest.mark.parametrize('mode', MODES)
def test_rows_drawn_at_random_come_back(mode):
    """The choice is the sparsifier's; what is given back is the reference's."""
    backbone, images = build('timm_wide_image', sparsifier=DROP, stash=True), images_for('timm_wide_image')
    seen = watch(backbone)
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
    rows = {
        layer: [
            [row for row in range(before.patches) if index_n[before.prefix + row] >= 0] for index_n in plan.index_bn
        ]
        for _, layer, before, plan in seen
        if plan is not None
    }
    wanted = reference_of(backbone, images, dict(type='late_rows', rows=rows)).restored(mode, backbone.view.grid)
    assert_near(restore(tokens, mode).double(), wanted)
    assert sorted(rows) == [2, 4]


@pytest.mark.parametrize('mode', MODES)
def test_a_host_without_class_token_has_its_grid_too(mode):
    compare('tome', 'timm_no_class_token', mode)


@pytest.mark.parametrize('mode', MODES)
def test_adapters_count_as_what_a_row_gains(mode):
    compare('merge_thrice', 'timm', mode, dict(type='mmsparse.DenseAdapter', bottleneck=8))


def test_the_modes_differ_where_rows_left_or_were_merged():
    grids = [compare('merge_then_drop', 'timm', mode) for mode in MODES]
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert (grids[i] - grids[j]).abs().max() > 0.1


def test_without_reduction_all_modes_are_the_last_rows():
    grids = [compare('dense', 'timm', mode) for mode in MODES]
    assert torch.equal(grids[0], grids[1]) and torch.equal(grids[0], grids[2])


@pytest.mark.parametrize('mode', ['stale', 'delta'])
def test_without_a_stash_only_gathering_is_possible(mode):
    backbone = build(sparsifier=evit())
    tokens = backbone.forward_tokens(torch.randn(1, 3, 32, 32))
    assert restore(tokens, 'gather').shape == (1, 48, 4, 4)
    with pytest.raises(ValueError, match='stash'):
        restore(tokens, mode)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match='gather'):
        restore(build(sparsifier=evit()).forward_tokens(torch.randn(1, 3, 32, 32)), 'nearest')


@pytest.mark.parametrize('mode', MODES)
def test_the_neck_hands_on_the_grid(mode):
    backbone = build(sparsifier=CASES['merge_then_drop'], out_type='tokens', stash=True)
    images, expected = clear_case(backbone, 'timm', CASES['merge_then_drop'])
    with torch.no_grad():
        found = MODELS.build(dict(type='mmsparse.Restore', mode=mode))(backbone(images))
        pooled = MODELS.build(
            dict(type='mmsparse.Restore', mode=mode, then=dict(type='mmpretrain.GlobalAveragePooling'))
        )(backbone(images))
    wanted = expected.restored(mode, (4, 4))
    assert_near(found[-1].double(), wanted)
    assert_near(pooled[-1].double(), wanted.mean((2, 3)))


@pytest.mark.parametrize('host', ['timm', 'timm_wide_image'])
def test_featmap_is_the_gathered_grid(host):
    backbone = build(host, sparsifier=TOME, out_type='featmap')
    images, expected = clear_case(backbone, host, TOME)
    with torch.no_grad():
        assert_near(backbone(images)[-1].double(), expected.restored('gather', backbone.view.grid))
