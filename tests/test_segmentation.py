"""The same backbone under mmseg's segmentors: losses, maps, restoring, and CamVid as it lies on the disk."""

import re
import shutil
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import TestLoop
from mmseg.structures import SegDataSample

from hosts import HOSTS, WIDTH, assert_near, draw, timm_host
from mmsparse.config.check import check_config
from mmsparse.engine.hooks.class_count import ClassCountHook
from mmsparse.errors import InputError
from mmsparse.models.ops.losses import Run, divergence
from mmsparse.registry import DATASETS
from small_segmentation import CLASSES, batch, segmentor, write_camvid

DYT = dict(type='mmsparse.DyTDispatcher', rate=0.5)
EVIT = dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.7)
DYNAMICVIT = dict(type='mmsparse.DynamicViT', layers=(2, 4), keep_rates=(0.7, 0.4))
ADAPTER = dict(type='mmsparse.DenseAdapter', bottleneck=4)


@pytest.mark.parametrize('sparsifier', [None, EVIT], ids=['dense', 'evit'])
def test_without_losses_of_parts_it_is_mmsegs_own(sparsifier):
    ours, theirs = (
        segmentor(sparsifier, adapter=ADAPTER),
        segmentor(sparsifier, 'mmseg.EncoderDecoder', adapter=ADAPTER),
    )
    theirs.load_state_dict(ours.state_dict())
    found, expected = ours(*batch(), mode='loss'), theirs(*batch(), mode='loss')
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize(
    ('sparsifier', 'names'),
    [(DYT, ('dyt_distill', 'dyt_rate')), (DYNAMICVIT, ('dynamicvit_ratio', 'dynamicvit_tokens'))],
)
def test_the_losses_of_a_part_join_those_of_the_heads(sparsifier, names):
    model = segmentor(sparsifier, adapter=ADAPTER)
    model.decode_head.conv_seg.weight.data.normal_()
    losses = model(*batch(), mode='loss')
    assert {'decode.loss_ce', *(f'loss_{name}' for name in names)} <= losses.keys()
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in model.backbone.sparsifiers.parameters()
    )
    assert all(torch.isfinite(value).all() for value in losses.values())


@pytest.mark.parametrize('sparsifier', [EVIT, DYT, DYNAMICVIT], ids=lambda cfg: cfg['type'])
def test_batch_statistics_of_the_head_are_those_of_the_pass_that_is_trained(sparsifier):
    head = dict(
        type='mmseg.FCNHead',
        in_channels=WIDTH,
        channels=8,
        num_convs=1,
        concat_input=False,
        num_classes=CLASSES,
        norm_cfg=dict(type='BN'),
    )
    model = segmentor(sparsifier, head=head)
    inputs, seen = [], model.decode_head.convs[0].bn
    seen.register_forward_hook(lambda module, args, out: inputs.append(args[0].detach()))
    losses = model(*batch(), mode='loss')
    assert seen.num_batches_tracked == 1 and seen.track_running_stats
    torch.testing.assert_close(seen.running_mean, 0.1 * inputs[0].mean((0, 2, 3)))
    assert (
        len(inputs) == (1 if sparsifier is EVIT else 2)
        and sum(losses[name] for name in losses if 'loss' in name).isfinite()
    )


@pytest.mark.parametrize('shape', [(4, 3), (2, 3, 4, 5)])
def test_the_divergence_of_two_predictions_equals_a_plain_loop(shape):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    rows = [values.movedim(1, -1).reshape(-1, shape[1]).softmax(1).tolist() for values in (student, teacher)]
    expected = sum(t * np.log(t / s) for ours, theirs in zip(*rows) for s, t in zip(ours, theirs)) / len(rows[0])
    found = divergence(Run(None, student, None), Run(None, teacher, None))
    assert float(found) == pytest.approx(expected, abs=1e-12)
    found.backward()
    assert teacher.grad is None and student.grad.any()


@pytest.mark.parametrize(
    'sparsifier', [DYT, [dict(type='mmsparse.ATS', layers=(2,), keep_rate=0.7), DYT]], ids=['dyt', 'padded']
)
def test_a_prediction_tells_how_many_rows_entered_the_ffn_mean_over_its_windows(sparsifier):
    model = draw(segmentor(sparsifier, adapter=ADAPTER)).eval()
    model.test_cfg = ConfigDict(mode='slide', crop_size=(32, 32), stride=(32, 32))
    images, _ = batch(side=64)
    with torch.no_grad():
        found = [sample.ffn_rate for sample in model(images, mode='predict')]
        dyt = model.backbone.sparsifiers[-1]
        windows = [images[:, :, top : top + 32, left : left + 32] for top in (0, 32) for left in (0, 32)]
        rates = [dyt.report(model.backbone.encode(window)[-1])['ffn_rate'] for window in windows]
        alone = [model(images[[index]], mode='predict')[0].ffn_rate for index in range(3)]
    assert found == pytest.approx((sum(rates) / 4).tolist())
    assert found == pytest.approx(alone)
    assert len(set(found)) == 3


def test_without_anything_to_report_predictions_are_mmsegs_own():
    ours, theirs = segmentor(EVIT).eval(), segmentor(EVIT, 'mmseg.EncoderDecoder').eval()
    with torch.no_grad():
        found, expected = (model(batch()[0], mode='predict')[0] for model in (ours, theirs))
    assert found.keys() == expected.keys() and torch.equal(found.seg_logits.data, expected.seg_logits.data)


def test_the_losses_of_parts_are_not_lost_under_mmsegs_own_segmentor():
    with pytest.raises(InputError, match=r"DyTDispatcher has losses of its own.*type='mmsparse\.SparseSegmentor'"):
        cfg = dict(
            type='mmseg.EncoderDecoder',
            backbone=dict(type='mmsparse.SparseViT', sparsifier=DYT, host=HOSTS['timm']),
            decode_head={},
        )
        check_config(Config(dict(default_scope='mmseg', model=cfg)))


def test_a_head_without_one_logit_per_pixel_is_refused():
    head = dict(type='mmseg.EncHead', in_channels=[WIDTH], in_index=[0], channels=8, num_classes=CLASSES)
    with pytest.raises(InputError, match='EncHead has a loss of its own'):
        segmentor(DYT, head=head)


UPER = dict(
    type='mmseg.UPerHead', in_channels=[16] * 2, in_index=[0, 1], channels=8, pool_scales=(1, 2), num_classes=CLASSES
)
LEVELS = dict(type='mmseg.MultiLevelNeck', in_channels=[WIDTH] * 2, out_channels=16, scales=[2, 1])


@pytest.mark.parametrize('sparsifier', [None, EVIT], ids=['dense', 'evit'])
def test_maps_of_several_layers_equal_tokens_restored_by_gather(sparsifier):
    common = dict(sparsifier=sparsifier, head=UPER, adapter=ADAPTER, out_indices=(2, 5))
    maps = segmentor(neck=LEVELS, **common).eval()
    tokens = segmentor(
        neck=dict(type='mmsparse.Restore', mode='gather', then=LEVELS), out_type='tokens', **common
    ).eval()
    tokens.load_state_dict({re.sub('^neck', 'neck.then', key): value for key, value in maps.state_dict().items()})
    images, _ = batch()
    torch.testing.assert_close(tokens(images), maps(images), atol=1e-6, rtol=0)


@pytest.mark.parametrize('host', ['timm_registers', 'mmpretrain', 'open_clip'])
@pytest.mark.parametrize('mode', ['gather', 'stale', 'delta'])
def test_every_restore_mode_segments_on_every_kind_of_host(host, mode):
    neck = dict(type='mmsparse.Restore', mode=mode)
    model = segmentor(EVIT, 'mmseg.EncoderDecoder', host=HOSTS[host], neck=neck, out_type='tokens', stash=True).eval()
    images, samples = batch()
    with torch.no_grad():
        together = model.inference(images, [dict(img_shape=(32, 32), ori_shape=(32, 32))] * 3)
        alone = model.inference(images[1:2], [dict(img_shape=(32, 32), ori_shape=(32, 32))])
    assert together.shape == (3, CLASSES, 32, 32)
    assert_near(together[1:2], alone)


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    return write_camvid(tmp_path_factory.mktemp('data') / 'camvid')


def dataset_of(camvid, **options):
    pipeline = [dict(type='mmseg.LoadAnnotations')]
    return DATASETS.build(
        dict(type='mmsparse.CamVid', split='val', data_root=str(camvid), pipeline=pipeline, **options)
    )


def labels_of(camvid, **options):
    return dataset_of(camvid, **options)[0]['gt_seg_map']


def test_void_is_ignored_and_the_other_ids_stay(camvid):
    assert np.unique(labels_of(camvid)).tolist() == [0, 3, 8, 255]
    assert (labels_of(camvid)[:40, :40] == 255).all()


def test_classes_may_be_chosen(camvid):
    label = labels_of(camvid, metainfo=dict(classes=('car', 'road')))
    assert np.unique(label).tolist() == [0, 1, 255]
    assert (label[200:300, 100:220] == 0).all() and (label[:100] == 255).all()


def test_data_that_is_not_there_is_named(camvid, tmp_path):
    with pytest.raises(InputError, match=r'images/val: no such folder.*images/\{train,val\}'):
        labels_of(tmp_path)
    broken = shutil.copytree(camvid, tmp_path / 'camvid')
    (broken / 'annotations/val/1.png').unlink()
    with pytest.raises(InputError, match=r'3 pictures \(\*\.jpg\), 1 of them without a label map, such as .*1\.png'):
        labels_of(broken)


def test_heavy_libraries_are_imported_only_when_they_are_asked_for():
    code = (
        "import sys, mmsparse.models, mmsparse.datasets; assert not {'mmseg', 'timm', 'open_clip'} & "
        'sys.modules.keys()'
    )
    subprocess.run([sys.executable, '-c', code], check=True, capture_output=True)


def test_an_auxiliary_head_for_other_classes_is_refused(camvid):
    head = dict(
        type='mmseg.FCNHead', in_channels=WIDTH, channels=8, num_convs=1, concat_input=False, num_classes=CLASSES
    )
    model = segmentor(extra=[head, dict(head, num_classes=CLASSES + 1)])
    loop = object.__new__(TestLoop)
    loop.dataloader = SimpleNamespace(dataset=dataset_of(camvid))
    with pytest.raises(InputError, match=r'model.auxiliary_head\[1\].num_classes is 12, but the test data .* has 11'):
        ClassCountHook().before_run(SimpleNamespace(model=model, _train_loop=None, _val_loop=None, _test_loop=loop))


@pytest.mark.parametrize(('label', 'refused'), [(10, False), (11, True), (254, True), (255, False)])
def test_a_label_that_is_no_class_is_refused_with_its_file(label, refused):
    samples = batch(1)[1]
    samples[0].gt_sem_seg.data[:] = label
    samples[0].set_metainfo(dict(seg_map_path='maps/a.png'))
    runner = SimpleNamespace(model=torch.nn.ModuleDict(dict(module=torch.nn.ModuleDict(dict(module=segmentor())))))
    look = partial(ClassCountHook().before_train_iter, runner, 0, dict(data_samples=samples))
    if refused:
        with pytest.raises(
            InputError, match=f'maps/a.png: received the label {label}, expected 0 to 10 for 11 classes'
        ):
            look()
    else:
        look()


@pytest.mark.parametrize('flip', [False, True])
def test_sides_that_patches_do_not_divide_are_padded_and_predictions_cut_back(flip):
    pixels = dict(type='mmseg.SegDataPreProcessor', mean=[127.5] * 3, std=[64.0] * 3, pad_val=0)
    model = draw(segmentor(EVIT, host=timm_host(dynamic_img_size=True), data_preprocessor=pixels)).eval()
    image = torch.randint(0, 256, (3, 30, 41), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    sample = SegDataSample(
        metainfo=dict(ori_shape=(30, 41), img_shape=(30, 41), flip=flip, flip_direction='horizontal')
    )
    with torch.no_grad():
        found = model.test_step(dict(inputs=[image], data_samples=[sample]))[0].seg_logits.data
        padded = torch.nn.functional.pad((image.float() - 127.5) / 64, (0, 7, 0, 2))[None]
        expected = model.encode_decode(padded, [dict(img_shape=(32, 48))])[0, :, :30, :41]
    torch.testing.assert_close(found, expected.flip(-1) if flip else expected)
