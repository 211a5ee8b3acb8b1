"""Pixels and activation of the weights: taken from what timm, open_clip and our card say, and compared."""

import pytest
import torch

from mmsparse.engine.card import describe
from mmsparse.models.hosts import sketch
from mmsparse.registry import MODELS

UNIT, IMAGENET, CLIP = (
    ((127.5,) * 3, (127.5,) * 3),
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ((122.7709, 116.746, 104.0937), (68.5005, 66.6322, 70.3232)),
)


def timm_host(name, checkpoint='host.pth'):
    return dict(type='mmsparse.TimmViT', name=name, checkpoint=checkpoint)


def open_clip_host(name, checkpoint=None, pretrained='openai'):
    return dict(type='mmsparse.OpenClipViT', name=name, checkpoint=checkpoint, pretrained=pretrained)


@pytest.mark.parametrize(
    ('host', 'pixels'),
    [
        (timm_host('vit_base_patch16_224.orig_in21k', None), UNIT),
        (timm_host('vit_base_patch16_224.dino', None), IMAGENET),
        (timm_host('vit_base_patch16_224.mae'), IMAGENET),
        (timm_host('vit_base_patch14_dinov2'), IMAGENET),  # one tag only: a file without one is that
        (timm_host('deit3_base_patch16_224'), IMAGENET),  # both tags agree
        (timm_host('vit_base_patch16_224'), None),  # augreg, DINO, MAE...: the file is one of them
        (timm_host('vit_base_patch16_224', 'B_16.npz'), UNIT),
        (timm_host('vit_base_patch16_clip_quickgelu_224.openai'), CLIP),
        (timm_host('vit_small_patch16_dinov3'), IMAGENET),
        (timm_host('vit_base_patch16_siglip_224.webli'), UNIT),
        (timm_host('vit_base_patch16_224.dino', False), None),
        (timm_host('vit_tiny_patch16_224', 'mmsparse://tiny_vit'), UNIT),
        (open_clip_host('ViT-B-16-quickgelu'), CLIP),
        (open_clip_host('ViT-L-14', pretrained='laion2b_s32b_b82k'), UNIT),
        (open_clip_host('ViT-L-14', 'ViT-L-14-laion.pt'), None),  # one of them was trained on ±1
        (open_clip_host('ViT-L-14', 'hub/models--laion--CLIP-ViT-L-14-laion2B-s32B-b82K/snapshots/1/open_clip_pytorch_model.bin'), UNIT),
        (open_clip_host('ViT-L-14-CLIPA', 'file.pt'), IMAGENET),
        (open_clip_host('ViT-B-16', False), None),
    ],
    ids=str,
)
def test_a_host_tells_the_pixels_of_its_weights_before_they_are_read(host, pixels):
    found = sketch(host).pixels
    assert found is None if pixels is None else found.like(type(found)(*pixels))


def test_a_sketch_has_the_sizes_of_its_host():
    view = sketch(timm_host('vit_base_patch16_384'))
    assert (view.width, view.image_size) == (768, (384, 384)) and next(view.host.parameters()).is_meta


def classifier(**preprocessor):
    host = dict(type='mmsparse.TimmViT', name='vit_tiny_patch16_224', checkpoint='mmsparse://tiny_vit')
    host |= dict(img_size=32, patch_size=4, embed_dim=128, num_heads=4)
    return MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='mmsparse.SparseViT', host=host),
            head=dict(type='mmpretrain.LinearClsHead', num_classes=2, in_channels=128),
            data_preprocessor=preprocessor,
        )
    )


def test_the_card_warns_where_pixels_are_not_those_of_the_weights():
    with torch.no_grad():
        assert 'pixels' not in describe(classifier(mean=[127.5] * 3, std=[127.5] * 3))
        other = describe(classifier(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]))
        none = describe(classifier())
    assert 'normalises with mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]' in other['pixels']
    assert 'trained with mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]' in other['pixels']
    assert 'normalises with nothing' in none['pixels']
