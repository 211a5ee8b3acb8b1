"""Clips: frames run as images through the same SparseViT, one query asks the tokens of all, views are averaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hosts import HEADS, WIDTH, assert_near, build
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens, join_frames
from small_classifier import CLASSES, OPTIONS, adapter, config
from small_clips import FRAMES, HOSTS, clips, samples, video


@pytest.mark.parametrize('name', [name for name in OPTIONS if name != 'NoOp'])
def test_every_sparsifier_learns_from_clips_and_predicts_the_mean_of_its_views(name):
    model = video(config(name), adapter())
    losses = model.train()(clips(), samples(), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    idle = [key for key, each in model.named_parameters() if each.requires_grad and each.grad is None]
    assert not idle
    three = clips(views=3)
    with torch.no_grad():
        singles = torch.stack([model.eval()(three[:, view : view + 1]) for view in range(3)])
        assert_near(model(three), singles.mean(0), 1e-6)
        assert_near(model(three[:, 0]), singles[0], 1e-6)
        answers = model(three, samples(), mode='predict')
    assert_near(torch.stack([each.pred_score for each in answers]), singles.mean(0).softmax(1), 1e-6)
    assert name != 'DyTDispatcher' or all(0 <= each.ffn_rate <= 1 for each in answers)


@pytest.mark.parametrize(('host', 'name'), [*((host, 'ToMe') for host in HOSTS), ('timm', 'EViT')])
def test_every_frame_has_the_image_models_tokens_whatever_its_place(host, name):
    backbone = build(HOSTS[host], adapter(), config(name))
    frames = clips(1)[0, 0]
    order = [2, 0, 1]
    with torch.no_grad():
        alone = torch.cat([backbone.forward_tokens(frame[None]).x_bnc for frame in frames])
        clip, moved = (backbone.forward_tokens(each[None]) for each in (frames, frames[order]))
    assert clip.frames == FRAMES
    assert_near(clip.x_bnc, alone)
    assert_near(moved.x_bnc, alone[order])


@pytest.mark.parametrize('name', ['EViT', 'ToMe', 'ATS', 'DynamicViT'])
def test_the_attentive_head_asks_the_tokens_of_all_frames_and_not_their_order(name):
    """ATS pads frames of other lengths, and what lies in the padding is read by none."""
    model = video(config(name), adapter()).double()
    clip = clips().double()
    with torch.no_grad():
        layers = model.backbone.encode(clip[:, 0])
        t = layers[-1]
        neck, rows = model.neck, []
        x = t.x_bnc.unflatten(0, (-1, FRAMES))
        mask = torch.ones_like(x[..., 0]) if t.mask_bn is None else t.mask_bn.unflatten(0, (-1, FRAMES))
        size = torch.ones_like(mask) if not t.proportional else t.sizes_bn.unflatten(0, (-1, FRAMES)).double()
        for tokens, valid, counts in zip(x, mask > 0, size):
            own, counts = tokens[valid], counts[valid]
            q = neck.q(neck.norm_q(neck.query[0])).view(HEADS, 1, -1)
            k, v = (
                each(norm(own)).view(len(own), HEADS, -1).transpose(0, 1)
                for each, norm in ((neck.k, neck.norm_k), (neck.v, neck.norm_v))
            )
            weight = (q @ k.mT * (WIDTH // HEADS) ** -0.5).exp() * counts.clamp(min=1)
            rows.append(neck.proj((weight @ v / weight.sum(-1, keepdim=True)).flatten()))
        found = model(clip)
        assert_near(found, model.head.fc(torch.stack(rows)), 1e-9)
        assert_near(model(clip[:, :, [1, 2, 0]]), found, 1e-9)


def test_joined_frames_keep_what_stands_for_every_patch():
    backbone = build('timm', None, config('ToMe'))
    with torch.no_grad():
        t = backbone.forward_tokens(clips()[:, 0])
    joined, patches = join_frames(t), t.source_bm.shape[1]
    assert joined.x_bnc.shape == (2, FRAMES * t.x_bnc.shape[1], WIDTH) and joined.prefix == FRAMES * t.prefix
    for clip in range(2):
        for frame in range(FRAMES):
            row = clip * FRAMES + frame
            own = joined.source_bm[clip, frame * patches : (frame + 1) * patches]
            assert torch.equal(joined.x_bnc[clip, own], t.x_bnc[row, t.source_bm[row]])
            assert torch.equal(joined.size_bn[clip, own], t.size_bn[row, t.source_bm[row]])
    assert join_frames(joined) is joined


def test_frames_may_be_classified_one_by_one():
    model = video(config('DyTDispatcher'), adapter(), out_type='cls_token')
    clip = clips(views=2)
    with torch.no_grad():
        logits = [model(clip[:, view : view + 1]) for view in range(2)]
        rows = model.head(model.backbone(clip.flatten(0, 2)))
        assert_near(model(clip), sum(logits) / 2, 1e-6)
        assert_near(model(clip), rows.unflatten(0, (2, -1)).mean(1), 1e-6)
    assert model.train()(clip, samples(), mode='loss')['loss'].isfinite()


def test_a_batch_of_clips_is_normalised_and_mixed_as_one_picture():
    cutmix = dict(augments=dict(type='mmpretrain.CutMix', alpha=1.0))
    options = dict(type='mmsparse.VideoDataPreprocessor', mean=[10, 20, 30], std=[2, 4, 8], num_classes=CLASSES)
    inputs = list(torch.arange(4 * 2 * FRAMES * 3).view(4, 2, FRAMES, 3, 1, 1).byte().expand(-1, -1, -1, -1, 32, 32))
    out = MODELS.build(options)(dict(inputs=inputs, data_samples=samples(4)))
    assert out['inputs'].shape == (4, 2, FRAMES, 3, 32, 32)
    assert_near(out['inputs'][1, 1, 2, 1], (inputs[1][1, 2, 1].float() - 20) / 4, 1e-6)
    torch.manual_seed(1)
    np.random.seed(0)
    mixed = MODELS.build(dict(options, batch_augments=cutmix))(dict(inputs=inputs, data_samples=samples(4)), True)
    other = (mixed['inputs'] != out['inputs']).any(3)
    assert other.any() and not other.all()
    cut = other.any(0).any(0).any(0)
    assert all(torch.equal(frame, cut) or not frame.any() for frame in other.flatten(0, 2)), 'frames are cut alike'
    assert torch.equal(other.flatten(3).any(3), other[:, :1, :1].flatten(3).any(3).expand(-1, 2, FRAMES))
    assert mixed['data_samples'][0].gt_score.max() < 1
    with pytest.raises(InputError, match=r'^VideoDataPreprocessor: received inputs of \(3, 32, 32\), expected clips'):
        MODELS.build(options)(dict(inputs=[torch.zeros(3, 32, 32)]))


def test_dense_vit_b_on_8_frames_costs_what_papers_print():
    with torch.device('meta'):
        host = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False, img_size=224)
        model = MODELS.build(
            dict(
                type='mmsparse.VideoClassifier',
                backbone=dict(type='mmsparse.SparseViT', host=host, out_type='tokens'),
                neck=dict(type='mmsparse.AttentivePooling', in_channels=768),
                head=dict(type='mmpretrain.LinearClsHead', num_classes=400, in_channels=768),
            )
        )
        cost = account(model, [torch.zeros(1, 1, 8, 3, 224, 224)])
    assert cost.total.published == 142_530_918_144
    assert cost.part('head').published == 1_875_140_352 + 8 * 5 * 197 * 768
    assert cost.trainable_backbone == 0 and cost.trainable > 4 * 768**2


def test_what_is_no_clip_is_refused():
    model = video()
    with pytest.raises(InputError, match='received inputs of .2, 1, 4, 3, 32, 32., expected clips of frames=3'):
        model(clips(frames=4))
    with pytest.raises(InputError, match="^AttentivePooling: received feature tensors.*out_type='tokens'"):
        model.neck((torch.zeros(2, WIDTH),))
    with pytest.raises(InputError, match='received num_heads=5, which does not divide in_channels=48'):
        MODELS.build(dict(type='mmsparse.AttentivePooling', in_channels=WIDTH, num_heads=5))


def test_prompts_work_in_the_host_and_are_not_asked():
    model = video(None, dict(type='mmsparse.VPT', num_prompts=5))
    with torch.no_grad():
        (t,) = model.backbone.encode(clips()[:, 0])
        own = torch.cat([t.x_bnc[:, :1], t.x_bnc[:, 6:]], 1)
        assert t.prefix == 6
        (expected,) = model.neck((Tokens.start(own, 1, t.grid),))
        assert_near(model.neck((replace(t, frames=1),))[0], expected, 1e-6)
