"""What a run on clips saves, and how it goes on: cards, resumed runs, folded adapters."""

import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample

from hosts import HEADS, WIDTH, assert_near, timm_host
from mmsparse import load
from mmsparse.engine.runner import SparseRunner
from mmsparse.registry import DATASETS
from mmsparse.state.files import read_state
from small_classifier import adapter, config
from small_clips import CLASSES, FRAMES, clips, video
from small_run import ROOT


@DATASETS.register_module()
class NoiseClips(torch.utils.data.Dataset):
    """Clips of noise, of several views."""

    metainfo = dict(classes=tuple('abcde'))

    def __init__(self, views=1):
        self.views = views

    def __len__(self):
        return 2 * CLASSES

    def __getitem__(self, index):
        label = index % CLASSES
        inputs = (clips(1, self.views, seed=index)[0] * 20 + 60 + 30 * label).clamp(0, 255).byte()
        return dict(inputs=inputs, data_samples=DataSample().set_gt_label(label))


def run(folder, resume=None):
    """Train in this process with a part that has losses, and one that draws."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/default_runtime.py')
    loader = dict(batch_size=5, num_workers=0, collate_fn=dict(type='pseudo_collate'))
    cfg.merge_from_dict(
        dict(
            model=dict(
                type='mmsparse.VideoClassifier',
                frames=FRAMES,
                backbone=dict(
                    type='mmsparse.SparseViT',
                    host=timm_host(),
                    adapter=adapter(dropout=0.2, cross_frame=True),
                    sparsifier=config('DynamicViT'),
                    out_type='tokens',
                ),
                neck=dict(type='mmsparse.AttentivePooling', in_channels=WIDTH, num_heads=HEADS),
                head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=WIDTH),
            ),
            data_preprocessor=dict(
                type='mmsparse.VideoDataPreprocessor', mean=[100] * 3, std=[50] * 3, num_classes=CLASSES
            ),
            train_dataloader=dict(
                loader, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(type='mmsparse.NoiseClips')
            ),
            val_dataloader=dict(
                loader,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='mmsparse.NoiseClips', views=3),
            ),
            val_evaluator=dict(type='Accuracy', topk=(1,)),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            val_cfg=dict(),
            work_dir=str(folder),
            resume=resume is not None,
            load_from=resume and str(resume),
            experiment_name=f'{folder.name}_{folder.parent.name}',
        )
    )
    runner = SparseRunner.from_cfg(cfg)
    runner.train()
    return runner


def test_a_run_on_clips_goes_on_where_it_stopped_and_its_state_answers_alike(tmp_path):
    whole = run(tmp_path / 'whole')
    run(tmp_path / 'parts', resume=tmp_path / 'whole/epoch_1')
    states = [read_state(tmp_path / name / 'epoch_2') for name in ('whole', 'parts')]
    assert states[0].card.sha256 == states[1].card.sha256
    names = states[0].tensors
    assert 'neck.query' in names and not any('host' in key for key in names)
    model = load(tmp_path / 'whole/epoch_2')
    batch = whole.model.data_preprocessor(dict(inputs=[NoiseClips(2)[0]['inputs']]))['inputs']
    with torch.no_grad():
        assert_near(model(batch), whole.model.eval()(batch), 1e-6)
        (answer,) = model.predict(batch)
    assert answer.pred_score.shape == (CLASSES,)


def test_lora_merges_and_clips_are_answered_alike():
    model = video(config('EViT'), dict(type='mmsparse.LoRA', rank=4, alpha=4)).double()
    clip = clips(views=2).double()
    with torch.no_grad():
        before = model(clip)
        model.backbone.fold()
        assert not len(model.backbone.adapters)
        assert_near(model(clip), before, 1e-9)
