"""DyT's dispatcher: evaluation against a float64 loop, rows that really skip the FFN, training that learns."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from hosts import HOSTS, WIDTH, assert_near, build, check, draw, images_for, native, reference_of, watch
from mmsparse.errors import InputError

DYT = dict(type='mmsparse.DyTDispatcher', rate=0.5)


def lean(towards):
    """Let every dispatcher say the same of all rows."""

    def change(backbone):
        with torch.no_grad():
            for name, parameter in backbone.sparsifiers.named_parameters():
                if name.endswith('bias'):
                    parameter.fill_(towards)

    return change


def first_linear(host, layer):
    return host.blocks[layer].mlp.fc1 if hasattr(host, 'blocks') else host.layers[layer].ffn.layers[0][0]


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_equals_the_reference(host):
    backbone, tokens, expected = check(host, DYT)
    full = tokens.x_bnc.shape[1]
    assert tokens.patches == tokens.source_bm.shape[1], 'nothing leaves the stream'
    assert any(0 < count < full for sequence in expected.sequences for count in sequence.entered)


@pytest.mark.parametrize('host', ['timm_registers', 'timm_no_class_token', 'mmpretrain'])
def test_the_ffn_runs_on_active_rows_alone(host):
    backbone, rows = build(host, sparsifier=DYT), []
    handles = [
        first_linear(backbone.host, layer).register_forward_hook(
            lambda _, given, __: rows.append(given[0].numel() // WIDTH)
        )
        for layer in range(6)
    ]
    images = images_for(host, batch=8)
    with torch.no_grad():
        backbone.forward_tokens(images)
    expected = reference_of(backbone, images, DYT)
    assert rows == [sum(sequence.entered[layer] for sequence in expected.sequences) for layer in range(6)]
    assert len({tuple(sequence.entered) for sequence in expected.sequences}) > 1, (
        'images differ in how many rows they run'
    )
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize('host', HOSTS)
def test_all_rows_active_equals_the_dense_host(host):
    backbone, images = build(host, sparsifier=DYT), images_for(host)
    lean(1e3)(backbone)
    with torch.no_grad():
        assert_near(backbone(images)[-1], native(backbone.host, images))


@pytest.mark.parametrize('host', ['timm', 'timm_registers', 'timm_no_class_token'])
def test_no_row_active_leaves_the_ffn_to_the_prefix(host):
    _, tokens, expected = check(host, DYT, change=lean(-1e3))
    assert {count for sequence in expected.sequences for count in sequence.entered} == {tokens.prefix}


@pytest.mark.parametrize('host', ['timm', 'timm_no_class_token', 'mmpretrain_layer_scale'])
def test_adapters_see_every_row(host):
    check(host, DYT, adapter=dict(type='mmsparse.DenseAdapter', bottleneck=8))


@pytest.mark.parametrize('host', ['timm', 'timm_registers', 'mmpretrain'])
def test_it_follows_a_merge_in_the_same_layer(host):
    check(
        host,
        [dict(type='mmsparse.ToMe', r=[0, 3, 0, 2, 2, 0]), DYT],
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=8),
    )


def train_once(host='timm', batch=6):
    torch.manual_seed(0)  # the Gumbel noise
    backbone = build(host, sparsifier=DYT)
    backbone.train()
    images, seen = images_for(host, batch), watch(backbone)
    return backbone, images, seen, backbone.forward_tokens(images)


@pytest.mark.parametrize('host', ['timm', 'timm_registers', 'timm_no_class_token'])
def test_training_adds_the_ffn_of_the_rows_drawn(host):
    backbone, images, seen, tokens = train_once(host)
    active = {
        layer: plan.ffn_bn[:, tokens.prefix :].detach().round() for _, layer, _, plan in seen if plan is not None
    }
    assert sorted(active) == [1, 2, 3, 4, 5, 6]
    expected = reference_of(backbone, images, dict(type='active', active=active))
    assert_near(tokens.x_bnc.double(), expected.features)


def test_cross_entropy_alone_teaches_every_dispatcher():
    backbone, *_, tokens = train_once()
    head = draw(torch.nn.Linear(WIDTH, 5), seed=3)
    cross_entropy(head(tokens.x_bnc.mean(1)), torch.arange(6) % 5).backward()
    for name, parameter in backbone.sparsifiers.named_parameters():
        assert parameter.grad is not None and (parameter.grad != 0).all(), name


@pytest.mark.parametrize('rate', [-0.1, 1.5])
def test_a_rate_outside_zero_to_one_is_refused(rate):
    with pytest.raises(InputError, match='rate'):
        build('timm', sparsifier=DYT | dict(rate=rate))
