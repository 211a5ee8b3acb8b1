"""A misspelt config is refused before anything is built, and the right spelling is named."""

import sys

import pytest
from mmengine.config import Config

from mmsparse.config.check import check_config
from mmsparse.config.rules import check_changes
from mmsparse.errors import InputError
from mmsparse.registry import DATASETS, MODELS, import_all

BACKBONE = dict(
    type='mmsparse.SparseViT',
    host=dict(type='mmsparse.TimmViT', name='vit_tiny_patch16_224', checkpoint=False, depth=2, img_size=32),
    adapter=[dict(type='mmsparse.DenseAdapter', bottleneck=8)],
    sparsifier=dict(type='mmsparse.EViT', layers=(1,), keep_rate=0.7),
)


def a_config(**changes) -> Config:
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=dict(type='ImageClassifier', backbone=BACKBONE, head=dict(type='LinearClsHead')),
        )
    )
    cfg.merge_from_dict(changes, allow_list_keys=True)
    return cfg


MISSPELT = {
    'model.type': ('ImageClasifier', 'ImageClassifier'),
    'model.head.type': ('LinearClsHed', 'LinearClsHead'),
    'model.backbone.type': ('mmsparse.SparsViT', 'mmsparse.SparseViT'),
    'model.backbone.host.type': ('mmsparse.TimViT', 'mmsparse.TimmViT'),
    'model.backbone.adapter.0.type': ('mmsparse.DensAdapter', 'mmsparse.DenseAdapter'),
    'model.backbone.sparsifier.type': ('evit', 'mmsparse.EViT'),
    'train_dataloader.dataset.type': ('mmsparse.digits', 'mmsparse.Digits'),
    'test_pipeline.0': (dict(type='mmsparse.LoadImages'), 'mmsparse.LoadImage'),
    'optim_wrapper.optimizer.type': ('AdamWW', 'AdamW'),
    'default_hooks.checkpoint.type': ('CheckpointHok', 'CheckpointHook'),
}


@pytest.mark.parametrize('place', MISSPELT)
def test_a_misspelt_type_is_answered_with_the_right_one(place):
    wrong, right = MISSPELT[place]
    cfg = a_config(**({place: wrong} if place != 'test_pipeline.0' else dict(test_pipeline=[wrong])))
    with pytest.raises(InputError, match=f'received type .*Did you mean {right!r}'):
        check_config(cfg)


@pytest.mark.parametrize(
    ('place', 'right'),
    [
        ('model.backbone.sparsifer', 'sparsifier'),
        ('model.backbone.adapter.0.bottlneck', 'bottleneck'),
        ('model.backbone.sparsifier.keep_rates', 'keep_rate'),
        ('optim_wrapper.dtpye', 'dtype'),
    ],
)
def test_a_misspelt_argument_is_answered_with_the_right_one(place, right):
    wrapper = dict(type='mmsparse.AutocastOptimWrapper', optimizer=dict(type='SGD', lr=1.0))
    with pytest.raises(InputError, match=f'received argument .*expected one of.*Did you mean {right!r}'):
        check_config(a_config(**{'optim_wrapper': wrapper, place: 1}))


def test_gradients_are_clipped_by_norm_or_by_value():
    loader = dict(batch_size=1, dataset=dict(type='mmsparse.Digits', pipeline=[dict(type='PackInputs')]))
    for clip in (dict(max_norm=1.0, norm_type=2), dict(type='value', clip_value=1.0)):
        wrapper = dict(optimizer=dict(type='SGD', lr=1.0), clip_grad=clip)
        check_config(
            a_config(train_cfg=dict(by_epoch=True, max_epochs=1), train_dataloader=loader, optim_wrapper=wrapper)
        )
    with pytest.raises(
        InputError, match=r"clip_grad: received {'type': 'valu'.* expected dict\(max_norm=1.0\), or dict\(type='value'"
    ):
        check_config(a_config(**{'optim_wrapper.clip_grad': dict(type='valu', clip_value=1.0)}))


@pytest.mark.parametrize(
    'place', ['env_cfg', 'train_cfg', 'param_scheduler', 'optim_wrapper.paramwise_cfg', 'default_hooks.logger']
)
def test_a_number_is_refused_where_a_dictionary_belongs(place):
    with pytest.raises(InputError, match=f'{place}: received 3, expected .*dict'):
        check_config(a_config(**{place: 3}))


def test_a_new_head_is_asked_for_on_the_command_line_as_its_remedy_says():
    check_changes(a_config(), {'new_head': True, 'load_from': 'work_dirs/run/epoch_3'})
    with pytest.raises(InputError, match="new_head: received 'no', expected True or False"):
        check_config(a_config(new_head='no'))


def test_an_argument_of_a_host_of_another_package_is_checked():
    host = dict(_delete_=True, type='mmpretrain.VisionTransformer', arch='b', patchsize=16, checkpoint=False)
    with pytest.raises(InputError, match="model.backbone.host: .*'patchsize'.*Did you mean 'patch_size'"):
        check_config(a_config(**{'model.backbone.host': host}))


def test_a_missing_argument_is_named_where_it_is_missing():
    with pytest.raises(
        InputError,
        match=r'model\.backbone\.adapter\[0\]: mmsparse\.DenseAdapter needs bottleneck; received no argument',
    ):
        check_config(a_config(**{'model.backbone.adapter': [dict(type='mmsparse.DenseAdapter')]}))


def test_the_view_is_not_asked_for_and_not_taken_from_a_config():
    check_config(a_config())
    with pytest.raises(InputError, match="received argument 'view', expected one of: (?!.*view)"):
        check_config(a_config(**{'model.backbone.sparsifier.view': 1}))


def test_a_typo_in_arguments_that_a_dataset_hands_on_is_found():
    with pytest.raises(InputError, match="Did you mean 'pipeline'"):
        check_config(a_config(train_dataloader=dict(dataset=dict(type='mmsparse.Digits', pipelin=[]))))


def test_other_packages_are_known_by_scope_and_by_path():
    check_config(
        Config(
            dict(
                default_scope='mmengine',
                a=dict(type='mmpretrain.Accuracy'),
                b=dict(type='torch.nn.GELU'),
                c=[dict(type='LinearLR')],
            )
        )
    )


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmengine'])
def test_every_type_of_the_package_is_known_under_every_scope(scope):
    for registry in (MODELS, DATASETS):
        registry.import_from_location()
        for name in registry.module_dict:
            assert registry.get(f'mmsparse.{name}') is registry.module_dict[name]
    with pytest.raises(InputError, match='needs host'):  # and not: unknown type
        check_config(Config(dict(default_scope=scope, model=dict(type='mmsparse.SparseViT'))))


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (dict(type='mmsparse.Digts'), "Did you mean 'mmsparse.Digits'"),
        (dict(type='mmsparse.Digits', splt='test'), "Did you mean 'split'"),
        (dict(split='test'), "expected a dict with a 'type'"),
        ('mmsparse.Digits', "expected a dict with a 'type'"),
    ],
)
def test_building_without_a_check_before_says_the_same(cfg, message):
    with pytest.raises(InputError, match=message):
        DATASETS.build(cfg)


def test_a_new_file_registers_itself(tmp_path, monkeypatch):
    (tmp_path / 'plants' / 'deep').mkdir(parents=True)
    (tmp_path / 'plants' / '__init__.py').touch()
    (tmp_path / 'plants' / 'deep' / '__init__.py').touch()
    (tmp_path / 'plants' / 'deep' / 'moss.py').touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    import_all('plants')
    assert 'plants.deep.moss' in sys.modules


def test_what_a_base_config_left_behind_is_told_with_the_way_to_drop_it():
    with pytest.raises(
        InputError, match="received argument 'layers', expected one of.* put _delete_=True beside type"
    ):
        check_config(a_config(**{'model.backbone.sparsifier.type': 'mmsparse.PYRA'}))
