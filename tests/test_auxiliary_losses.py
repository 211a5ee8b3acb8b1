"""A part with a head of its own learns from the batch's samples by the loss of the model's head."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hosts import timm_host
from mmsparse.errors import InputError
from mmsparse.models import BaseAdapter, SiteOutput
from mmsparse.registry import MODELS
from small_classifier import CLASSES, batch, classifier
from small_segmentation import batch as scene
from small_segmentation import segmentor


def plug_in(kind):
    MODELS.register_module(module=kind, force=True)
    return dict(type=f'mmsparse.{kind.__name__}')


class EarlyExit(BaseAdapter):
    """A linear head on the class token, or on every patch, of the third layer."""

    sites = ('block',)

    def __init__(self, view, num_classes, per_patch=False):
        super().__init__()
        self.head, self.per_patch = nn.Linear(view.width, num_classes), per_patch
        self.num_classes = None if per_patch else num_classes

    def site(self, name, layer, x, y, t):
        if layer != 3:
            return y
        logits = self.head(y[:, t.prefix :].transpose(1, 2).unflatten(2, t.grid).movedim(1, -1)).movedim(-1, 1)
        return SiteOutput(y, notes=dict(early=logits if self.per_patch else self.head(y[:, 0])))

    def losses(self, ctx):
        early = ctx.sparse.tokens.notes['early']
        return dict(loss_early=ctx.task_loss(early), seen=torch.tensor(float(len(ctx.samples))))


def early_exit(**options):
    return plug_in(EarlyExit) | dict(num_classes=CLASSES) | options


def test_labels_and_mixed_labels_reach_an_auxiliary_loss():
    """Mixup replaces labels by scores: who asks the samples for `gt_label` alone stops there."""
    model, (images, samples) = classifier(None, early_exit()), batch()
    losses = model(images, samples, mode='loss')
    labels = torch.cat([sample.gt_label for sample in samples])
    early = model.backbone.encode(images)[-1].notes['early']
    torch.testing.assert_close(losses['loss_early'], F.cross_entropy(early, labels))
    assert losses['seen'] == len(images)
    torch.manual_seed(0)
    mixup = dict(augments=dict(type='Mixup', alpha=0.8))
    mixed = MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor', num_classes=CLASSES, batch_augments=mixup))
    images, samples = mixed(dict(inputs=list(images), data_samples=samples), training=True).values()
    for sample in samples:
        del sample.gt_label
    losses = model(images, samples, mode='loss')
    scores = torch.stack([sample.gt_score for sample in samples])
    early = model.backbone.encode(images)[-1].notes['early']
    torch.testing.assert_close(losses['loss_early'], F.cross_entropy(early, scores))
    assert ((scores > 0) & (scores < 1)).any()


def test_maps_of_labels_reach_one_in_segmentation():
    part = early_exit(num_classes=11, per_patch=True)
    model, (images, samples) = segmentor(adapter=part), scene()
    losses = model.loss(images, samples)
    early = F.interpolate(model.backbone.encode(images)[-1].notes['early'], size=(32, 32), mode='bilinear')
    truth = torch.cat([sample.gt_sem_seg.data for sample in samples])
    per_pixel = F.cross_entropy(early, truth, ignore_index=255, reduction='sum') / truth.numel()
    torch.testing.assert_close(losses['loss_early'], per_pixel)


def test_a_head_of_several_losses_gives_their_sum_without_its_accuracy():
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), adapter=early_exit())
    head = dict(type='mmpretrain.LinearClsHead', num_classes=CLASSES, in_channels=48, cal_acc=True)
    model, (images, samples) = (
        MODELS.build(dict(type='mmsparse.SparseClassifier', backbone=backbone, head=head)),
        batch(),
    )
    losses = model(images, samples, mode='loss')
    labels = torch.cat([sample.gt_label for sample in samples])
    early = model.backbone.encode(images)[-1].notes['early']
    torch.testing.assert_close(losses['loss_early'], F.cross_entropy(early, labels))


def test_auxiliary_heads_for_other_classes_are_refused_when_built():
    with pytest.raises(InputError, match='EarlyExit: received num_classes=7.*LinearClsHead tells 5 apart'):
        classifier(None, early_exit(num_classes=7))
    with pytest.raises(InputError, match='EarlyExit: received num_classes=5.*no head of it tells those apart'):
        segmentor(adapter=early_exit())
    task = dict(type='mmpretrain.LinearClsHead', num_classes=5)
    head = dict(type='mmpretrain.MultiTaskHead', task_heads=dict(a=task, b=task), in_channels=48)
    backbone = dict(type='mmsparse.SparseViT', host=timm_host(), adapter=early_exit())
    with pytest.raises(InputError, match='no head of it tells those apart'):
        MODELS.build(dict(type='mmsparse.SparseClassifier', backbone=backbone, head=head))
