"""What comes after the network, for every image of a batch; and what a model refuses to be built of."""

import pytest
import torch
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from small_proxyclip import build, clip_host, config, dino_host, images


def samples(*shapes, **metas):
    return [SegDataSample(metainfo=dict(ori_shape=shape, img_shape=(64, 96), **metas)) for shape in shapes]


def by_hand(model, cosine_qhw, size):
    """Words to classes, step by step: resize, scale 40, softmax over words, best word, threshold."""
    cosine = F.interpolate(cosine_qhw[None], size=size, mode='bilinear', align_corners=False)[0]
    p = (40 * cosine).exp()
    p = p / p.sum(0)
    classes = torch.stack([torch.maximum(p[0], p[1]), p[2], p[3]])  # 'cat, kitten'; 'sofa'; 'plant pot'
    best, label = classes.max(0)
    return classes, torch.where(best < model.prob_thd, torch.zeros_like(label), label)


@pytest.mark.parametrize('prob_thd', [0.0, 0.6])
def test_every_image_of_a_batch_gets_its_own_size_classes_and_threshold(prob_thd):
    model, x = build(window=64, stride=32, prob_thd=prob_thd), images(64, 96, batch=2)
    with torch.no_grad():
        cosine = model.encode_decode(x)
        found = model.predict(x, samples((50, 70), (128, 192)))
    for sample, said, size in zip(found, cosine, ((50, 70), (128, 192))):
        classes, label = by_hand(model, said, size)
        torch.testing.assert_close(sample.seg_logits.data, classes)
        assert (sample.pred_sem_seg.data[0] == label).float().mean() > 0.999
    assert not torch.equal(found[0].pred_sem_seg.data, found[1].pred_sem_seg.data[:, :50, :70])
    if prob_thd:
        # the threshold acts
        assert any((sample.seg_logits.data.argmax(0) != sample.pred_sem_seg.data[0]).any() for sample in found)


def test_padding_and_flips_are_taken_back():
    model, x = build(window=64, stride=32), images(64, 96)
    padded = F.pad(x, (0, 0, 0, 32))
    with torch.no_grad():
        cosine = model.encode_decode(padded)
        whole = model.predict(padded, samples((64, 96), img_padding_size=(0, 0, 0, 32)))[0]
        flipped = model.predict(x.flip(-1), samples((64, 96), flip=True, flip_direction='horizontal'))[0]
        straight = model.encode_decode(x.flip(-1)).flip(-1)
    torch.testing.assert_close(whole.seg_logits.data, model.texts.probabilities(cosine[0, :, :64]))
    torch.testing.assert_close(flipped.seg_logits.data, model.texts.probabilities(straight[0]))


def test_without_samples_the_answer_has_the_size_of_the_input():
    with torch.no_grad():
        found = build(window=64, stride=32).predict(images(70, 90))[0]
    assert found.pred_sem_seg.data.shape == (1, 70, 90)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(window=112, stride=0), 'stride=0; expected 0 < stride ≤ window'),
        (dict(window=112, stride=113), 'stride=113'),
        (dict(prob_thd=1.0), 'prob_thd=1.0'),
        (dict(classes=[]), 'no classes'),
        (dict(classes=['cat, kitten']), "single class 'cat'"),
        (dict(readout=dict(restore='copy')), "restore='copy'"),
        (dict(readout=dict(restore='delta', fold=True)), 'fold=True is exact'),
        (dict(backbone=dict(sparsifier=dict(type='mmsparse.ToMe', metric='value'))), "metric='value'"),
        (dict(vfm=dict(out_type='cls_token')), "vfm.out_type='cls_token'"),
        (dict(backbone=dict(host=dino_host())), 'has no space of texts'),
        (dict(vfm=dict(host=dino_host(reg_tokens=4))), 'DinoViT: .* has registers'),
        (
            dict(vfm=dict(type='mmsparse.TimmFeatures', host=dict(name='samvit_huge', checkpoint=False))),
            "no model 'samvit_huge'",
        ),
        (
            dict(
                vfm=dict(type='mmsparse.TimmFeatures', host=dict(name='samvit_base_patch16', checkpoint='nowhere.pth'))
            ),
            'nowhere.pth: no such file',
        ),
        (dict(backbone=dict(host=clip_host(checkpoint='nowhere.pth'))), 'nowhere.pth: no such file'),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_what_cannot_work_is_refused_at_build_time(options, words):
    options = dict(config(**options))
    if options['vfm']['type'] == 'mmsparse.TimmFeatures':
        options['vfm'].pop('out_type')
    with pytest.raises(InputError, match=words):
        MODELS.build(options)


@pytest.mark.parametrize('restore', ['stale', 'delta'])
def test_restoring_what_nobody_kept_is_refused(restore):
    model = build(backbone=dict(sparsifier=dict(type='mmsparse.EViT', layers=(2,))), readout=dict(restore=restore))
    with pytest.raises(InputError, match='stash=True'), torch.no_grad():
        model(images(64, 64))


def test_a_tower_that_gets_no_features_says_so():
    for sparsifier, words in (
        (None, 'received no features'),
        (dict(type='mmsparse.ToMe', metric='context'), "metric='context' needs"),
    ):
        with pytest.raises(InputError, match=words), torch.no_grad():
            build(backbone=dict(sparsifier=sparsifier)).backbone(images(64, 64))


def test_a_window_that_the_patches_do_not_divide_is_refused_where_nobody_pads_it():
    with pytest.raises(InputError, match='60×64 pixels, which its patches of 16×16 do not divide'), torch.no_grad():
        build()(images(60, 64))
