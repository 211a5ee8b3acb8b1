"""Cropr against a float64 loop over rows: who leaves, who comes back with what, what its heads learn from, what is left of
them in evaluation.
"""

import pytest
import torch
from torch.nn import functional as F

from hosts import HOSTS, WIDTH, assert_near, build, check, draw, images_for, timm_host, watch
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from mmsparse.registry import MODELS
from references.parts import gelu, linear, normalise
from small_classifier import CLASSES, adapter, batch, classifier, step
from small_segmentation import segmentor


def cropr(pruned=3, **options):
    return dict(type='mmsparse.Cropr', num_classes=CLASSES, pruned=pruned, **options)


@pytest.mark.parametrize('host', HOSTS)
def test_every_host_equals_the_reference(host):
    check(host, cropr())


@pytest.mark.parametrize('fusion', ['inner', 'early', 'late'])
@pytest.mark.parametrize('host', ['timm', 'timm_registers', 'mmpretrain_no_class_token'])
def test_the_history_of_a_dense_adapter_comes_back_with_its_rows(host, fusion):
    check(host, cropr(), adapter(fusion=fusion), batch=2)


@pytest.mark.parametrize(
    ('pruned', 'left'), [(1, [16, 14, 13, 12, 11, 16]), (3, [16, 12, 9, 6, 3, 16]), (9, [16, 6, 1, 1, 1, 16])]
)
def test_counts_fall_by_the_rate_and_all_are_there_at_the_end(pruned, left):
    backbone, tokens, _ = check('timm', cropr(pruned))
    seen = watch(backbone)
    backbone.forward_tokens(images_for())
    counts = [before.patches for _, layer, before, _ in seen] + [tokens.patches]
    assert counts == left
    assert (tokens.source_bm >= 0).all()


def told_by(router, rows):
    """The auxiliary logits of one image: softmax(q·x/√C) x, an MLP beside it, a norm and a linear."""
    state = {key: value.detach().double() for key, value in router.state_dict().items()}
    rows = rows.double()
    weights = torch.softmax((rows @ state['query'][0]) / WIDTH**0.5, dim=0)
    told = (weights[:, None] * rows).sum(0)
    hidden = gelu(linear(normalise(told, state['norm.weight'], state['norm.bias'], 1e-6), state, 'mlp.0'))
    told = told + linear(hidden, state, 'mlp.2')
    return linear(normalise(told, state['head.0.weight'], state['head.0.bias'], 1e-5), state, 'head.1')


@pytest.mark.parametrize('mixed', [False, True])
def test_every_auxiliary_head_learns_by_the_loss_of_the_head(mixed):
    model = draw(classifier(cropr(), adapter()))
    images, samples = batch()
    truth = torch.eye(CLASSES)[[int(sample.gt_label) for sample in samples]]
    if mixed:
        truth = 0.7 * truth + 0.3 * truth.flip(0)
        for sample, score in zip(samples, truth):
            sample.set_gt_score(score)
            del sample.gt_label
    seen = watch(model.backbone)
    losses = model(images, samples, mode='loss')
    wanted = 0.0
    for part, layer, before, plan in seen:
        if plan is not None and not plan.brings_back:
            logits = torch.stack([told_by(part.routers[str(layer)], rows) for rows in before.x_bnc.detach()])
            assert_near(plan.notes[f'cropr.{layer}'].double(), logits)
            wanted += F.cross_entropy(logits, truth.double())
    assert float(losses['loss_cropr']) == pytest.approx(float(wanted), rel=1e-4)
    assert len([plan for *_, plan in seen if plan is not None]) == 5


def test_its_losses_reach_its_routers_and_nothing_of_the_network():
    model = draw(classifier(cropr(), adapter()))
    model(*batch(), mode='loss')['loss_cropr'].backward()
    parameters = dict(model.named_parameters())
    assert all(parameters[key].grad.any() for key in parameters if 'routers' in key)
    assert not [key for key in parameters if 'routers' not in key and parameters[key].grad is not None]


def test_it_starts_as_published():
    torch.manual_seed(0)
    part = MODELS.build(cropr() | dict(view=build(timm_host(depth=3, embed_dim=768, num_heads=3)).view))
    router = part.routers['2']
    for tensor, spread in ((router.query, 768**-0.5), (router.mlp[0].weight, 0.02), (router.mlp[2].weight, 0.02)):
        assert tensor.std().item() == pytest.approx(spread * (0.88 if tensor is router.query else 1), rel=0.06)
    assert router.query.abs().max() <= 2 * 768**-0.5
    assert not any(router.get_submodule(name).bias.any() for name in ('mlp.0', 'mlp.2', 'head.1'))


VIT_B = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False, img_size=224)


def test_on_vit_b_its_heads_train_and_only_its_queries_cost_in_evaluation():
    """196 patches; 17 leave behind the first block, 16 behind each of the next nine, and all are back for the last."""
    part = dict(type='mmsparse.Cropr', num_classes=100, pruned=16)
    backbone = build(VIT_B, sparsifier=part, out_type='cls_token').to('meta')
    c, head = 768, 768 * 100 + 100
    router = c + 2 * c + (8 * c * c + 5 * c) + 2 * c + head
    assert sum(p.numel() for p in backbone.parameters() if p.requires_grad) == 10 * router == 48_031_720
    cost = account(backbone, [torch.empty(1, 3, 224, 224, device='meta')])
    rows = [197, *(180 - 16 * layer for layer in range(10)), 197]
    blocks = sum(12 * n * c * c + 2 * n * n * c + 10 * n * c for n in rows)
    assert list(cost.tokens) == rows
    assert cost.part('sparsifier').published == c * sum([197, *rows[1:10]])
    assert cost.total.published == 196 * c * c + blocks + c * sum([197, *rows[1:10]]) + 5 * 197 * c


def test_what_it_cannot_do_is_refused_when_it_is_built():
    with pytest.raises(InputError, match='Cropr: received num_classes=7.*LinearClsHead tells 5 apart'):
        classifier(cropr() | dict(num_classes=7))
    with pytest.raises(InputError, match='Cropr: received num_classes=5.*no head of it tells those apart'):
        segmentor(cropr())
    with pytest.raises(InputError, match='Cropr: received pruned=0, expected an integer of at least 1'):
        classifier(cropr(0))
    with pytest.raises(InputError, match='of 2 layers.*Use a host of three layers at least'):
        classifier(cropr(), host=timm_host(depth=2))
    tome = dict(type='mmsparse.ToMe', r=2)
    with pytest.raises(InputError, match='ToMe moves tokens at layer 6, where Cropr has brought back.*before layer 6'):
        build(sparsifier=[cropr(), tome])


def test_behind_merges_what_comes_back_is_padded_and_an_image_does_not_see_the_others():
    tome = dict(type='mmsparse.ToMe', r=[3, 0, 0, 0, 0, 0])
    backbone, images = build('timm', sparsifier=[tome, cropr(2)]), images_for(batch=6)
    with torch.no_grad():
        together = backbone.forward_tokens(images)
        alone = [backbone.forward_tokens(image[None]).x_bnc[0, 0] for image in images]
    assert (together.source_bm >= 0).all() and (together.mask_bn == 0).any()
    assert_near(together.x_bnc[:, 0], torch.stack(alone))


def test_a_step_trains_everything_it_has():
    model = classifier(cropr(), adapter())
    losses = step(model)
    assert set(losses) == {'loss', 'loss_cropr'}
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
