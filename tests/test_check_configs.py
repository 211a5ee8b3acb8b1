"""tools/check_configs.py: pictures on disk as each data set reads them, the choice of configs, and what it says."""

import re

import pytest
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS

from mmsparse.analysis.covering import cover, uses
from mmsparse.analysis.short_run import narrow_hosts, shorten
from mmsparse.analysis.stand_ins import write_stand_in
from mmsparse.config.read import read_config
from small_run import ROOT, tool

CONFIGS = ROOT / 'configs'
SETS = {  # type, and what its config says besides
    'CIFAR100': dict(split='test'),
    'CIFAR10': dict(split='train'),
    'mmsparse.SVHN': dict(split='train'),
    'Food101': dict(split='train'),
    'mmsparse.VTAB': dict(task='kitti'),
    'CustomDataset': dict(data_prefix='train'),
}
LABELS = {
    'mmsparse.SVHN': [1, 2, 3, 4, 5, 6],
    'mmsparse.VTAB': [0, 1, 2, 3, 0, 1],
    'CustomDataset': [0, 0, 1, 1, 2, 2],
}
PACK = [dict(type='PackInputs')]


@pytest.fixture
def sums(monkeypatch):
    """What a stand-in sets aside in the process of its own: the sums of the published files."""
    from mmpretrain.datasets import CIFAR10, CIFAR100
    from torchvision.datasets import SVHN

    for kind in (CIFAR10, CIFAR100):
        monkeypatch.setattr(kind, '_check_integrity', kind._check_integrity)
    monkeypatch.setattr(SVHN, 'split_list', {name: list(known) for name, known in SVHN.split_list.items()})


@pytest.mark.filterwarnings('ignore:VTAB. .* lists')
@pytest.mark.parametrize('kind', SETS)
def test_a_data_set_reads_its_stand_in_from_disk(tmp_path, sums, kind):
    node = dict(SETS[kind], type=kind)
    assert write_stand_in(node, tmp_path / 'root', 6, 3, 'mmpretrain') == 'stand-in'
    load = [] if kind in ('CIFAR10', 'CIFAR100', 'mmsparse.SVHN') else [dict(type='LoadImageFromFile')]
    data = DATASETS.build(dict(node, pipeline=load + PACK))
    assert list(data.get_gt_labels())[:6] == LABELS.get(kind, [0, 1, 2, 3, 4, 5])
    assert data[0]['inputs'].shape == ((3, 60, 90) if load else (3, 32, 32))


@pytest.mark.parametrize(
    ('kind', 'more', 'classes'),
    [
        ('mmsparse.CamVid', dict(split='val'), range(11)),
        ('ADE20KDataset', dict(data_prefix=dict(img_path='i/val', seg_map_path='a/val')), range(150)),
        (
            'PascalVOCDataset',
            dict(data_prefix=dict(img_path='JPEG', seg_map_path='Seg'), ann_file='sets/val.txt'),
            range(21),
        ),
    ],
)
def test_a_segmentation_set_reads_its_stand_in_with_labels_of_its_classes(tmp_path, kind, more, classes):
    node = dict(more, type=kind)
    assert write_stand_in(node, tmp_path / 'root', 2, 1, 'mmseg') == 'stand-in'
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    with DefaultScope.overwrite_default_scope('mmseg'):
        data = DATASETS.build(dict(node, pipeline=pipeline, _scope_='mmseg'))
        item = data[1]
    labels = set(item['data_samples'].gt_sem_seg.data.unique().tolist())
    assert len(data) == 2 and labels <= set(classes) and len(labels) >= len(classes) / 2


@pytest.mark.parametrize(
    'lists', [dict(ann_file='val.csv', data_prefix='val'), dict(ann_file='a.json', labels='labels.json')]
)
def test_a_list_of_videos_names_all_classes_and_its_videos_open(tmp_path, lists):
    node = dict(lists, type='mmsparse.VideoList')
    assert write_stand_in(node, tmp_path, 2, 7, 'mmpretrain') == 'stand-in'
    data = DATASETS.build(dict(node, pipeline=[dict(type='mmsparse.OpenVideo')]))
    assert len(data.metainfo['classes']) == 7 and list(data.get_gt_labels())[:2] == [0, 1]
    assert data[1]['video_path'].endswith(('.mp4', '.webm'))


def test_what_is_not_known_and_what_lies_elsewhere_is_left_alone(tmp_path):
    for node in (
        dict(type='mmsparse.Digits'),
        dict(type='OxfordIIITPet', split='test'),
        dict(type='CustomDataset', ann_file='/a.txt'),
    ):
        before = dict(node)
        said = write_stand_in(node, tmp_path, 2, 2, 'mmpretrain')
        assert (said == 'shipped') == ('Digits' in node['type']) and node == before
    assert not any(tmp_path.iterdir())


def test_the_covering_set_uses_everything_and_nothing_in_it_is_superfluous():
    used = {
        'a': frozenset('xy'),
        'b': frozenset('yz'),
        'c': frozenset('xyz'),
        'd': frozenset('w'),
        'e': frozenset('y'),
    }
    assert sorted(cover(used, dict.fromkeys(used, 1.0))) == ['c', 'd']
    assert sorted(cover(used, dict.fromkeys(used, 1.0) | dict(c=9.0))) == ['a', 'b', 'd']
    found = uses(read_config(CONFIGS / 'sparse_tuning/vitb_food101.py'))
    assert {'mmsparse.EViT', 'mmsparse.DenseAdapter', 'Food101', 'mmsparse.WarmupLR', 'mmsparse.CardHook'} <= found
    assert {'file datasets/food101.py', 'file schedules/adamw_100e.py', 'file models/vitb_in21k.py'} <= found


def test_a_wide_host_becomes_a_narrow_one_of_its_depth_and_the_head_follows(tmp_path):
    cfg = read_config(CONFIGS / 'peft/vitb_lora_cifar100.py')
    assert narrow_hosts(cfg) == 'vit_base_patch16_224.orig_in21k, 48 channels wide'
    host = cfg.model.backbone.host
    assert (host.embed_dim, host.checkpoint, host.img_size, cfg.model.head.in_channels) == (48, False, 224, 48)
    assert 'depth' not in host
    shipped = read_config(CONFIGS / 'peft/tiny_lora_digits.py')
    before = shipped.model.to_dict()
    assert narrow_hosts(shipped) == '' and shipped.model.to_dict() == before
    shorten(shipped, tmp_path)
    assert (shipped.train_cfg.max_epochs, shipped.train_dataloader.dataset.indices) == (5, 2)


def test_a_broken_config_is_named_with_its_reason_and_the_status_is_1(tmp_path, capfd):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = '{CONFIGS}/peft/tiny_lora_digits.py'\nmodel = dict(backbone=dict(adapter=dict(rnk=3)))\n"
    )
    assert tool('check_configs.py', tmp_path / 'mine.py', '--processes', 1, '--work-dir', tmp_path / 'work') == 1
    out = capfd.readouterr().out
    assert re.search(r"mine\.py: model\.backbone\.adapter: .*'rnk'.*Did you mean", ' '.join(out.split()))
