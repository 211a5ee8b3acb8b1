"""PiToMe against a float64 loop over rows: energies, what is protected, the pairs, and the margin of every layer."""

import pytest
import torch

from hosts import HOSTS, assert_near, build, check, images_for, native, timm_host, watch
from mmsparse.evaluation import account
from mmsparse.models.necks.pitome import EnergyMatching


def pitome(keep_rate):
    return dict(type='mmsparse.PiToMe', keep_rate=keep_rate)


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_equals_the_reference(host):
    check(host, pitome(0.8))


@pytest.mark.parametrize('keep_rate', [0.95, 0.9, 0.6, 0.3])
def test_every_rate_equals_the_reference(keep_rate):
    check('timm', pitome(keep_rate))


def test_with_a_rate_of_one_it_is_the_host():
    backbone, images = build('timm', sparsifier=pitome(1.0)), images_for()
    with torch.no_grad():
        assert_near(backbone(images)[-1], native(backbone.host, images))


def test_rows_alone_are_protected_and_a_crowd_merges():
    """Eight rows: six alike, two unlike all others. Two pairs: four of the crowd take part, by rank."""
    alike = torch.tensor([1.0, 0.0, 0.0]) + 0.01 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([torch.tensor([[0.0, 1.0, 0.0]]), alike, torch.tensor([[0.0, 0.0, 1.0]])])
    edges = EnergyMatching()(rows[None], 0.9, 3)
    assert sorted([*edges.source_br[0].tolist(), *edges.target_br[0].tolist()])[0] >= 1
    assert not {0, 7} & {*edges.source_br[0].tolist(), *edges.target_br[0].tolist()}


def test_of_equal_energies_the_first_merge():
    edges = EnergyMatching()(torch.ones(2, 9, 4), 0.5, 2)
    assert edges.source_br.tolist() == [[0, 2]] * 2
    assert edges.target_br.tolist() == [[1, 1]] * 2


def test_the_margin_falls_from_nine_tenths():
    backbone, seen = build(timm_host(depth=4), sparsifier=pitome(0.9)), []
    match = backbone.sparsifiers[0].match
    match.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    backbone.forward_tokens(images_for())
    assert seen == pytest.approx([0.9, 0.675, 0.45, 0.225])


def test_survivors_keep_their_order_and_a_prefix_takes_no_part():
    backbone = build('timm_registers', sparsifier=pitome(0.8))
    seen = watch(backbone)
    backbone.forward_tokens(images_for('timm_registers'))
    for plan in (plan for *_, plan in seen if plan is not None):
        for index_n in plan.index_bn.tolist():
            first = [index_n.index(place) for place in range(plan.length)]
            assert index_n[:5] == list(range(5)) and index_n.count(4) == 1
            assert len(first) == plan.length


def test_the_cost_on_vit_b_is_that_of_fewer_rows_and_one_product_of_keys_per_layer():
    """196 patches, 5 % of them gone behind every attention: 186, 176, … 103 in the end."""
    host = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False, img_size=224)
    cost = account(
        build(host, sparsifier=pitome(0.95), out_type='cls_token').to('meta'),
        [torch.empty(1, 3, 224, 224, device='meta')],
    )
    patches, products, total, c = 196, 0, 196 * 768 * 768, 768
    for _ in range(12):
        rows = patches + 1
        total += 4 * rows * c * c + 2 * rows * rows * c + 5 * rows * c
        products += 64 * patches**2
        patches -= int(patches - 0.95 * patches)
        total += (8 * c * c + 5 * c) * (patches + 1)
    assert cost.part('sparsifier').published == products
    assert cost.total.published == total + products + 5 * (patches + 1) * c
