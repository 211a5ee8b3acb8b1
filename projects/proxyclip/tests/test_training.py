"""Adapters in the CLIP tower train, are kept, and are tested on other words."""

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from safetensors.torch import load_file

from mmsparse.cli.launch import build_runner
from mmsparse.state.saved_tensors import adapter_tensors
from small_proxyclip import build, config, images
from stand_ins import CONFIGS, stand_in

ADAPTER = dict(type='mmsparse.DenseAdapter', bottleneck=4)


def samples(labels):
    return [SegDataSample(gt_sem_seg=PixelData(data=torch.as_tensor(label)[None])) for label in labels]


def test_the_loss_is_the_cross_entropy_of_each_class_with_its_best_word():
    model, x = build(), images(32, 48, batch=2)
    labels = torch.randint(0, 3, (2, 32, 48), generator=torch.Generator().manual_seed(0))
    labels[0, :5] = 255
    with torch.no_grad():
        cosine = torch.nn.functional.interpolate(model(x), size=(32, 48), mode='bilinear', align_corners=False)
    best = 40 * torch.stack([cosine[:, :2].amax(1), cosine[:, 2], cosine[:, 3]], dim=1)  # 'cat, kitten' are one class
    expected = torch.nn.functional.cross_entropy(best, labels, ignore_index=255)
    torch.testing.assert_close(model.loss(x, samples(labels))['loss_ce'], expected)


def test_a_batch_without_a_labelled_pixel_has_loss_0_and_a_gradient_of_0():
    model = build(backbone=dict(adapter=ADAPTER)).train()
    loss = model.loss(images(32, 48), samples(torch.full((1, 32, 48), 255)))['loss_ce']
    loss.backward()
    trains = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert (
        loss == 0 and trains and all(parameter.grad is not None and not parameter.grad.any() for parameter in trains)
    )


@pytest.mark.parametrize(
    'sparsifier', [None, dict(type='mmsparse.EViT', layers=(2,)), dict(type='mmsparse.DyTDispatcher')], ids=str
)
def test_adapters_and_dispatchers_alone_get_gradients(sparsifier):
    model = build(backbone=dict(adapter=ADAPTER, sparsifier=sparsifier)).train()
    losses = model.loss(images(32, 48), samples(torch.zeros(1, 32, 48, dtype=torch.long)))
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert (
        with_gradient
        == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        == set(adapter_tensors(model))
    )
    assert with_gradient and all(
        name.startswith(('backbone.adapters', 'backbone.sparsifiers')) for name in with_gradient
    )
    assert not model.vfm.training and not model.backbone.host.training


@pytest.mark.parametrize('adapter', ['FullTuning', 'BitFit'])
def test_of_a_tower_that_trains_whatever_trains_gets_a_gradient(adapter):
    """The last block's FFN and the class token's way out have no influence: they stay frozen, and DDP waits for
    nobody.
    """
    model = build(backbone=dict(adapter=dict(type=f'mmsparse.{adapter}'))).train()
    model.loss(images(32, 48), samples(torch.zeros(1, 32, 48, dtype=torch.long)))['loss_ce'].backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        name for name, p in model.named_parameters() if p.requires_grad
    }


def test_adapters_trained_on_one_benchmark_are_tested_on_another(tmp_path):
    """From the shipped configs: two steps on COCO-Stuff, saved, loaded for VOC's words."""
    stand_in(tmp_path / 'coco', 'coco_stuff')
    for kind in ('images', 'annotations'):
        (tmp_path / 'coco' / kind / 'train2017').symlink_to(tmp_path / 'coco' / kind / 'val2017')
    stand_in(tmp_path / 'voc', 'voc20')
    small = config()

    def read(name, root):
        cfg = Config.fromfile(CONFIGS / f'{name}_sparse_tuning.py')
        for part in ('backbone', 'vfm'):
            cfg.model[part].host = small[part]['host']
        cfg.model.update(window=64, stride=64)
        cfg.model.data_preprocessor.size = (64, 64)
        cfg.model.backbone.sparsifier.layers = (2, 3)
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if loader in cfg:
                cfg[loader].update(num_workers=0)
                cfg[loader].dataset.data_root = str(root)
        cfg.test_dataloader.dataset.pipeline[1].scale = (200, 64)
        cfg.launcher, cfg.work_dir = 'none', str(tmp_path / 'work')
        return cfg

    cfg = read('coco_stuff', tmp_path / 'coco')
    cfg.train_dataloader.update(batch_size=2)
    cfg.train_dataloader.dataset.pipeline[2].scale = (200, 96)
    cfg.train_dataloader.dataset.pipeline[3].crop_size = (64, 64)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.val_dataloader = cfg.test_dataloader
    cfg.default_hooks.checkpoint.update(interval=2)
    build_runner(cfg).train()
    state = tmp_path / 'work' / 'iter_2'
    assert all(key.startswith('backbone.adapters') for key in load_file(state / 'adapter.safetensors'))
    cfg = read('voc20', tmp_path / 'voc')
    cfg.load_from = str(state)
    runner = build_runner(cfg)
    before = {name: value.clone() for name, value in adapter_tensors(runner.model).items()}
    assert 0 <= runner.test()['mIoU'] <= 100
    after = adapter_tensors(runner.model)
    assert before.keys() == after.keys() and any(not torch.equal(before[name], after[name]) for name in before)


def test_nothing_in_the_proxy_trains_not_even_a_part_of_its_own():
    model = build(vfm=dict(sparsifier=dict(type='mmsparse.DyTDispatcher')))
    assert list(model.vfm.sparsifiers.parameters()) and not any(
        parameter.requires_grad for parameter in model.vfm.parameters()
    )
