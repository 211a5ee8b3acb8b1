"""PYRA against a float64 loop: ToMe whose sources are re-activated before they are merged."""

import pytest
import torch

from hosts import assert_near, build, check, images_for
from mmsparse.models.necks.pyra import Reactivation

HOST_NAMES = ['timm', 'timm_layer_scale', 'timm_registers', 'timm_no_class_token', 'timm_qk_norm', 'mmpretrain']


def pyra(r):
    return dict(type='mmsparse.PYRA', r=r)


@pytest.mark.parametrize('host', HOST_NAMES)
def test_every_host_equals_the_reference(host):
    check(host, pyra([0, 3, 2, 0, 3, 1]))


def test_a_constant_count_equals_the_reference():
    check('timm', pyra(2))


def test_with_its_token_vector_at_zero_it_is_tome():
    backbone, images = build('timm', sparsifier=pyra(2)), images_for()
    plain = build('timm', sparsifier=dict(type='mmsparse.ToMe', r=2))
    plain.host.load_state_dict(backbone.host.state_dict())
    with torch.no_grad():
        for name, parameter in backbone.sparsifiers.named_parameters():
            parameter.mul_(0.0 if name.endswith('channels') else 1.0)
        assert_near(backbone(images)[-1], plain(images)[-1])


def test_it_starts_as_published():
    """The published code draws a column r×1 by `kaiming_uniform_(a=√5)`, whose inputs are its columns."""
    torch.manual_seed(0)
    part = Reactivation(8, 500)
    expected = torch.nn.init.kaiming_uniform_(torch.empty(500, 1), a=5**0.5)
    assert part.tokens.std().item() == pytest.approx(expected.std().item(), rel=0.1)
    assert part.tokens.abs().max().item() == pytest.approx(1, abs=0.05)
    assert not part.channels.any()
