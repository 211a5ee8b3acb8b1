"""FPET against a float64 loop over rows, and the gradient of its matching against that of the whole matching matrix."""

import pytest
import torch
from torch.nn import functional as F

from hosts import HOSTS, build, check, images_for, timm_host, watch
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from mmsparse.models.necks.fpet import straight_through
from mmsparse.tokens import Tokens, reduce
from references.fpet import fields
from small_classifier import classifier, step

TOME = dict(type='mmsparse.ToMe', r=[2, 0, 0, 0, 0, 0])


def fpet(**options):
    return dict(type='mmsparse.FPET', **options)


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_equals_the_reference(host):
    check(host, fpet(bottleneck=8))


@pytest.mark.parametrize('layer', [1, 5])
def test_any_layer_equals_the_reference(layer):
    _, tokens, _ = check('timm', fpet(layer=layer))
    assert tokens.patches == 8


def test_behind_other_merges_it_equals_the_reference():
    _, tokens, _ = check('timm', [TOME, fpet(layer=4)])
    assert tokens.patches == 7


def test_white_fields_of_the_checkerboard_leave():
    backbone = build('timm', sparsifier=fpet())
    seen = watch(backbone)
    backbone.forward_tokens(images_for())
    ((before, plan),) = [(before, plan) for *_, before, plan in seen if plan is not None]
    whites, blacks = ([1 + row for row in side] for side in fields(16, (4, 4)))
    assert plan.index_bn[:, blacks].tolist() == [list(range(1, 9))] * 3
    assert whites[:4] == [1, 3, 6, 8] and (plan.index_bn[:, whites] >= 1).all()


def drawn(grid=(2, 3), prefix=1, sizes=True):
    """A part in training, tokens of two images, and what it may ask about their keys."""
    backbone = build(timm_host(depth=3), sparsifier=fpet(bottleneck=8))
    part = backbone.sparsifiers[0].double().train()
    part.match.dropout.p = 0.0
    generator = torch.Generator().manual_seed(0)
    rows = prefix + grid[0] * grid[1]
    x_bnc = torch.randn(2, rows, 5, generator=generator, dtype=torch.float64).requires_grad_()
    t = Tokens.start(x_bnc, prefix, grid)
    size_bn = torch.randint(1, 4, (2, rows), generator=generator).double()
    key_bhnd = torch.randn(2, 3, rows, 16, generator=generator, dtype=torch.float64)

    class Asked:
        k_bhnd = key_bhnd

    return part, t if not sizes else Tokens(x_bnc, prefix, grid, t.source_bm, size_bn), Asked


def test_the_gradient_is_that_of_the_whole_matching_matrix():
    """x' = (s_b·x_b + Mᵀ s_a·x_a) / (s_b + Mᵀ s_a), M hard with the gradient of sigmoid(cos − mean of the two best)."""
    part, t, probe = drawn()
    told = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    merged = reduce(t, part.plan(2, t, probe)).x_bnc
    found = torch.autograd.grad((merged * told).sum(), [*part.parameters(), t.x_bnc])

    whites, blacks = ([1 + row for row in side] for side in fields(6, (2, 3)))
    key = probe.k_bhnd.mean(1)
    key = key + F.relu(key @ part.match.down.weight.T) @ part.match.up.weight.T
    key = key / key.norm(dim=-1, keepdim=True)
    alike = key[:, whites] @ key[:, blacks].transpose(1, 2)
    two = alike.sort(-1, descending=True).values[..., :2]
    soft = torch.sigmoid(alike - two.mean(-1, keepdim=True))
    matching = soft + ((soft > 0.5).double() - soft).detach()
    x, s = t.x_bnc * t.size_bn[..., None], t.size_bn[..., None]
    into = matching.transpose(1, 2)
    joined = (x[:, blacks] + into @ x[:, whites]) / (s[:, blacks] + into @ s[:, whites])
    expected = torch.cat([t.x_bnc[:, :1], joined], dim=1)
    torch.testing.assert_close(merged, expected)
    wanted = torch.autograd.grad((expected * told).sum(), [*part.parameters(), t.x_bnc])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
        assert one.any()


def test_of_equal_choices_the_first_counts_and_there_is_always_one():
    matching = straight_through(torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.long))
    assert matching.sum(-1).tolist() == [[1, 1, 1]] and matching[..., 0].all()


def test_it_starts_on_the_keys_as_they_are_and_trains():
    model = classifier(fpet(layer=3))
    part = model.backbone.sparsifiers[0]
    assert not part.match.up.weight.any() and part.match.down.weight.any()
    step(model)
    assert part.match.up.weight.grad.any()


@pytest.mark.parametrize('parts', [fpet(layer=6), [dict(TOME, r=[8, 4, 2, 1, 0, 0]), fpet(layer=5)]], ids=str)
def test_where_nothing_merges_or_nothing_is_read_every_parameter_has_a_gradient(parts):
    model = classifier(parts)
    step(model)
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_the_cost_on_vit_b_is_that_of_98_patches_from_layer_7_on_and_one_product():
    host = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False, img_size=224)
    backbone = build(host, sparsifier=fpet(), out_type='cls_token').to('meta')
    assert sum(p.numel() for p in backbone.parameters() if p.requires_grad) == 2 * 64 * 32
    cost = account(backbone, [torch.empty(1, 3, 224, 224, device='meta')])
    c, own = 768, 2 * 196 * 64 * 32 + 98 * 98 * 64
    attention = lambda n: 4 * n * c * c + 2 * n * n * c + 5 * n * c  # noqa: E731
    ffn = lambda n: 8 * n * c * c + 5 * n * c  # noqa: E731
    blocks = 7 * attention(197) + 6 * ffn(197) + 5 * attention(99) + 6 * ffn(99)
    assert cost.part('sparsifier').published == own
    assert cost.total.published == 196 * c * c + blocks + own + 5 * 99 * c


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layer=9), r'FPET: received layers=\(9,\); \[9\] are not layers of this host'),
        (dict(layer='7'), 'are not layers of this host'),
        (dict(bottleneck=0), 'FPET: received bottleneck=0, expected an integer of at least 1'),
    ],
)
def test_what_it_cannot_do_is_refused_when_it_is_built(options, message):
    with pytest.raises(InputError, match=message):
        build('timm', sparsifier=fpet(**options))
