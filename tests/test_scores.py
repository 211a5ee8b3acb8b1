"""EViT by scores that need no class token, against the float64 reference, on every host."""

import pytest

from hosts import HOSTS, build, check
from mmsparse.errors import InputError

SCORES = ['received', 'key_norm', 'shift']


def evit(score, layers=(2, 4, 6), **options):
    return dict(type='mmsparse.EViT', layers=layers, keep_rate=0.6, score=score, **options)


@pytest.mark.parametrize('score', SCORES)
@pytest.mark.parametrize('host', HOSTS)
def test_every_host_equals_the_reference(host, score):
    check(host, evit(score, fuse='merge', normalize=True))


@pytest.mark.parametrize(
    'score, fuse, normalize',
    [
        ('class', 'merge', False),
        ('received', 'merge', False),
        *((score, fuse, True) for score in SCORES for fuse in ('argmax', 'drop')),
    ],
)
def test_every_strategy_equals_the_reference(score, fuse, normalize):
    check('timm_registers', evit(score, fuse=fuse, normalize=normalize))


@pytest.mark.parametrize('host', ['timm_layer_scale', 'timm_no_class_token', 'mmpretrain'])
def test_the_shift_does_not_count_what_an_adapter_added(host):
    check(host, evit('shift', layers=(2, 4, 5)), adapter=dict(type='mmsparse.DenseAdapter', bottleneck=8))


@pytest.mark.parametrize('host', ['timm_no_class_token', 'mmpretrain_no_class_token'])
def test_a_host_without_class_token_refuses_its_attention(host):
    with pytest.raises(InputError, match='class token'):
        build(host, sparsifier=evit('class'))


@pytest.mark.parametrize(
    'wrong',
    [
        dict(score='entropy'),
        dict(score='shift', layers=(1, 3)),
        dict(score='shift', normalize=False),
        dict(score='key_norm', normalize=False),
    ],
)
def test_a_score_that_nothing_gives_is_refused(wrong):
    with pytest.raises(InputError, match='score'):
        build('timm', sparsifier=evit('class') | wrong)
