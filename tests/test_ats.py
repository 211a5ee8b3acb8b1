"""ATS against a float64 loop that gives each image its own length; padding must not show."""

import pytest
import torch

from hosts import HOSTS, WITH_CLASS_TOKEN, assert_near, build, check, clear_case
from mmsparse.errors import InputError
from mmsparse.tokens import restore


def ats(layers=(2, 4, 6), keep_rate=0.8):
    return dict(type='mmsparse.ATS', layers=layers, keep_rate=keep_rate)


@pytest.mark.parametrize('host', WITH_CLASS_TOKEN)
def test_every_host_equals_the_reference(host):
    check(host, ats(), batch=4)


@pytest.mark.parametrize('host', HOSTS)
def test_by_the_attention_received_every_host_equals_the_reference(host):
    _, tokens, expected = check(host, dict(ats(), score='received'), batch=6)
    assert tokens.x_bnc.shape[1] == max(len(rows) for rows in expected.rows)


def test_rows_that_another_image_padded_with_ask_nothing():
    """Padding of the first reduction would change what the second receives."""
    sparsifier = dict(ats((1, 3, 5), 0.85), score='received')
    _, tokens, expected = check('timm_no_class_token', sparsifier, batch=8)
    assert len({len(rows) for rows in expected.rows}) > 1


@pytest.mark.parametrize('keep_rate', [0.3, 0.6, 1.0])
@pytest.mark.parametrize('layers', [(1,), (3, 4), (1, 2, 3, 4, 5)])
def test_every_rate_and_place_equals_the_reference(layers, keep_rate):
    check('timm_wide_image', ats(layers, keep_rate), batch=4)


def test_lengths_differ_and_padding_is_empty():
    _, tokens, expected = check('timm_registers', ats((2, 4)), batch=8)
    lengths = [len(rows) for rows in expected.rows]
    assert len(set(lengths)) > 1
    assert tokens.x_bnc.shape[1] == max(lengths)
    assert tokens.mask_bn.sum(1).tolist() == lengths
    assert set(tokens.mask_bn.unique().tolist()) == {0.0, 1.0}
    for item, length in enumerate(lengths):
        empty = tokens.mask_bn[item] == 0
        assert not tokens.size_bn[item][empty].any() and tokens.size_bn[item][~empty].all()
        assert not set(empty.nonzero().flatten().tolist()) & set(tokens.source_bm[item].tolist())
        assert tokens.mask_bn[item, : tokens.prefix].all(), length


@pytest.mark.parametrize('out_type', ['cls_token', 'avg_featmap', 'featmap'])
def test_outputs_do_not_see_padding(out_type):
    backbone = build('timm_registers', sparsifier=ats((2, 4)), out_type=out_type)
    images, expected = clear_case(backbone, 'timm_registers', ats((2, 4)), batch=6)
    if out_type == 'cls_token':
        wanted = torch.stack([rows[0] for rows in expected.rows])
    elif out_type == 'avg_featmap':  # nothing is merged: each row counts once
        wanted = torch.stack([rows[expected.prefix :].mean(0) for rows in expected.rows])
    else:
        wanted = expected.restored('gather', (4, 4))
    with torch.no_grad():
        assert_near(backbone(images)[-1].double(), wanted)


def test_restoring_leaves_what_was_dropped_empty():
    backbone, tokens, expected = check('timm_wide_image', ats(), batch=4)
    assert_near(restore(tokens, 'gather').double(), expected.restored('gather', (4, 6)))


@pytest.mark.parametrize('host', ['timm_no_class_token', 'mmpretrain_no_class_token'])
def test_a_host_without_class_token_must_name_the_other_score(host):
    with pytest.raises(InputError, match="score='class' needs a class token.*Use score='received'"):
        build(host, sparsifier=ats())


@pytest.mark.parametrize('score', ['key_norm', None, ['class']])
def test_a_score_that_it_does_not_know_is_refused(score):
    with pytest.raises(InputError, match='received score=.*expected one of'):
        build(sparsifier=dict(ats(), score=score))
