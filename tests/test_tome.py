"""ToMe against a float64 loop over rows: which patches share a row, their mean, and attention that knows how many they
are.
"""

import pytest
import torch

from hosts import DEPTH, HOSTS, assert_near, build, check, images_for, native, timm_host, watch
from mmsparse.errors import InputError

MIXED = [0, 3, 2, 0, 3, 1]


def tome(r, **options):
    return dict(type='mmsparse.ToMe', r=r, **options)


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_equals_the_reference(host):
    check(host, tome(MIXED))


@pytest.mark.parametrize(
    'options', [dict(r=1), dict(r=2), dict(r=2, inflect=-1), dict(r=2, inflect=1.0), dict(r=2, inflect=0.5)]
)
def test_every_schedule_equals_the_reference(options):
    _, tokens, _ = check('timm', tome(**options))
    assert tokens.x_bnc.shape[1] < 17


@pytest.mark.parametrize('host', ['timm', 'timm_registers', 'timm_no_class_token'])
def test_counts_above_half_of_the_patches_are_capped(host):
    """16, 8, 4, 2 and 1: the last patch has nothing to merge with."""
    backbone, tokens, _ = check(host, tome(100))
    assert tokens.patches == 1
    assert tokens.size_bn[:, -1].tolist() == [16.0] * 3


def test_half_the_tokens_leave_at_once_in_the_middle():
    _, tokens, _ = check('timm_wide_image', tome([0, 0, 12, 0, 0, 0]))
    assert tokens.patches == 12


@pytest.mark.parametrize(
    'inflect, expected',
    [
        (0.0, [8] * 12),
        (-1, [16, 14, 13, 11, 10, 8, 7, 5, 4, 2, 1, 0]),
        (1, [0, 1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16]),
    ],
)
def test_counts_per_layer_are_truncated_from_a_line(inflect, expected):
    backbone = build(timm_host(img_size=112, depth=12), sparsifier=tome(8, inflect=inflect))
    seen = watch(backbone)
    with torch.no_grad():
        backbone.forward_tokens(torch.randn(1, 3, 112, 112))
    removed = {layer: tokens.x_bnc.shape[1] - plan.length for _, layer, tokens, plan in seen if plan is not None}
    assert [removed.get(layer, 0) for layer in range(1, 13)] == expected


def test_the_prefix_neither_merges_nor_is_merged_into():
    backbone = build('timm_registers', sparsifier=tome(4))
    seen = watch(backbone)
    with torch.no_grad():
        backbone.forward_tokens(images_for('timm_registers'))
    plans = [plan for *_, plan in seen if plan is not None]
    assert plans
    for plan in plans:
        for index_n in plan.index_bn.tolist():
            assert [index_n.count(row) for row in range(5)] == [1] * 5
            assert sorted(index_n[:5]) == list(range(5))


@pytest.mark.parametrize('r', [0, [0] * DEPTH])
@pytest.mark.parametrize('host', HOSTS)
def test_no_merge_equals_the_dense_host(host, r):
    backbone, images = build(host, sparsifier=tome(r)), images_for(host)
    with torch.no_grad():
        assert_near(backbone(images)[-1], native(backbone.host, images))


@pytest.mark.parametrize('r', [-1, [1, 1], [2] * (DEPTH + 1), [0, 0, -2, 0, 0, 0]])
def test_counts_that_make_no_sense_are_refused(r):
    with pytest.raises(InputError, match='ToMe'):
        build('timm', sparsifier=tome(r))
