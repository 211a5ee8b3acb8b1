"""The published multiply-adds are the exact integers of the literature's counter, traced from the network."""

import pytest
import torch
from mmpretrain.registry import MODELS

from hosts import build, images_for
from mmsparse.evaluation import published_macs, rows_per_layer


def classifier(**backbone):
    host = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False)
    head = dict(type='mmpretrain.LinearClsHead', num_classes=100, in_channels=768)
    return MODELS.build(dict(type='mmpretrain.ImageClassifier', backbone=dict(type='mmsparse.SparseViT', host=host, **backbone), head=head))


def test_vit_b_dense_evit_and_sparse_tuning_count_exactly():
    images = torch.zeros(1, 3, 224, 224)
    evit = dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7)
    model = classifier(sparsifier=evit)
    assert published_macs(model, images, dense=True) == 17_582_049_024
    assert published_macs(model, images) == 11_621_777_664
    assert rows_per_layer(model, images) == [197] * 3 + [140] * 3 + [100] * 3 + [72] * 3
    model = classifier(sparsifier=evit, adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32))
    assert published_macs(model, images) == 11_752_521_984


@pytest.mark.parametrize(
    ('keep_rate', 'fuse', 'after'),
    [
        (0.5, 'merge', (100, 52, 28)),
        (0.7, 'argmax', (140, 100, 72)),
        (0.9, 'merge', (179, 163, 148)),
        (0.5, 'drop', (99, 50, 26)),
        (0.7, 'drop', (139, 98, 69)),
    ],
)
def test_rows_after_each_stage_are_the_papers(keep_rate, fuse, after):
    host = dict(type='mmsparse.TimmViT', name='vit_tiny_patch16_224', checkpoint=False, embed_dim=12, num_heads=1)
    backbone = build(host, sparsifier=dict(type='mmsparse.EViT', keep_rate=keep_rate, fuse=fuse))
    assert rows_per_layer(backbone, torch.randn(1, 3, 224, 224)) == [n for n in (197, *after) for _ in range(3)]


def test_counting_leaves_the_model_as_it_was():
    backbone = build(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=4), sparsifier=dict(type='mmsparse.EViT', layers=(2,)), out_type='cls_token'
    )
    backbone.train()
    expected, modes = backbone(images_for())[-1], [module.training for module in backbone.modules()]
    published_macs(backbone, images_for())
    rows_per_layer(backbone, images_for())
    assert [module.training for module in backbone.modules()] == modes
    assert backbone.class_row_only
    torch.testing.assert_close(backbone(images_for())[-1], expected, rtol=0, atol=0)
