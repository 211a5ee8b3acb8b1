"""One option puts a config on another image set: what the set's own config says, what the method changes, and names."""

import re
import warnings

import pytest
from mmengine.config import Config

from each import check_each
from mmsparse.config.read import read_config
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.errors import InputError
from small_run import ROOT

CONFIGS = ROOT / 'configs'
LORA = CONFIGS / 'peft/vitb_lora_cifar100.py'
CELLS = re.findall(
    r'`([\w/]+\.py)([^`]*)`', (CONFIGS / 'README.md').read_text().split('| table |')[1].split('\n\n')[0]
)


@pytest.mark.parametrize('to', ['cifar100', 'svhn', 'food101'])
@pytest.mark.parametrize('start', ['cifar100', 'svhn', 'food101'])
def test_sparse_tuning_moved_to_a_set_is_its_config_for_that_set(start, to):
    moved = read_config(CONFIGS / f'sparse_tuning/vitb_{start}.py', dict(data=to)).to_dict()
    assert moved.pop('work_dir') == f'./work_dirs/vitb_{to}'
    assert moved == read_config(CONFIGS / f'sparse_tuning/vitb_{to}.py').to_dict()


@pytest.mark.parametrize('method', ['linear_probe', 'full_tuning'])  # the second has a rate of its own
def test_a_method_moved_to_vtab_is_its_config_for_vtab(method):
    options = dict(data='vtab', task='kitti')
    moved = read_config(CONFIGS / f'peft/vitb_{method}_cifar100.py', options).to_dict()
    written = read_config(CONFIGS / f'vtab/vitb_{method}.py', dict(task='kitti')).to_dict()
    assert moved.pop('work_dir') == f'./work_dirs/vitb_{method}_vtab_kitti' and written.pop('work_dir')
    assert moved == written


def test_what_a_config_changes_of_its_data_stays(tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(
        f"_base_ = '{LORA}'\ndata = 'svhn'\ntrain_dataloader = dict(batch_size=7, dataset=dict(data_root='here'))\n"
        "work_dir = 'there'\ntta_pipeline = None\n"
    )
    cfg = read_config(own)
    assert (cfg.train_dataloader.batch_size, cfg.train_dataloader.dataset.data_root) == (7, 'here')
    assert (cfg.train_dataloader.dataset.type, cfg.val_dataloader.dataset.data_root) == ('mmsparse.SVHN', 'data/svhn')
    assert (cfg.model.head.num_classes, cfg.work_dir, cfg.tta_pipeline) == (10, 'there', None)
    cfg.dump(tmp_path / 'written.py')  # what a run writes is a config like any other
    assert read_config(tmp_path / 'written.py').to_dict() == cfg.to_dict() and 'data' not in cfg


def test_classifiers_inside_the_network_follow():
    cropr = CONFIGS / 'sparsify/vitb_cropr_dense_adapter_cifar100.py'
    for options, classes in ((dict(data='food101'), 101), (dict(data='vtab', task='kitti'), 4)):
        cfg = read_config(cropr, options)
        assert cfg.model.backbone.sparsifier.num_classes == cfg.model.head.num_classes == classes
        assert cfg.data_preprocessor.num_classes == classes


@pytest.mark.parametrize(
    ('config', 'options', 'words'),
    [
        (
            'peft/vitb_lora_cifar100.py',
            dict(data='shvn'),
            "data: received 'shvn', expected one of .* Did you mean svhn",
        ),
        (
            'peft/vitb_lora_cifar100.py',
            dict(data='/my/pictures'),
            'A folder of your own: .*vitb_custom.py --data FOLDER',
        ),
        ('peft/tiny_lora_digits.py', dict(data='svhn'), 'tiny_lora_digits.py is for data of its own'),
        ('vtab/vitb_lora.py', dict(data='svhn'), 'vitb_lora.py is for data of its own'),
        ('peft/vitb_noah_supernet_cifar100.py', dict(data='food101'), 'trains on some images of cifar100 alone'),
        ('peft/vitb_lora_cifar100.py', dict(data='svhn', task='kitti'), 'no task of VTAB-1K open.*data=vtab'),
    ],
)
def test_sets_that_cannot_be_are_refused(config, options, words):
    with pytest.raises(InputError, match=words):
        read_config(CONFIGS / config, options)


def test_another_variable_of_that_name_is_left_alone(tmp_path):
    (tmp_path / 'own.py').write_text(f"_base_ = '{LORA}'\ndata = dict(a=1)\n")
    assert read_config(tmp_path / 'own.py').data == dict(a=1)


def test_every_cell_of_the_tables_is_a_config():
    """Tables I, II, IV and XIII, as configs/README.md has them."""
    assert len(CELLS) == 2 * 38

    def check(cell):
        path, text = cell
        if not text:  # tests/test_configs.py reads it
            assert (CONFIGS / path).is_file()
            return
        given = dict(word.split('=') for word in text.split())
        cfg = read_config(CONFIGS / path, given | dict(task='kitti') if 'data' in given else given | dict(data='svhn'))
        assert cfg.model.head.num_classes == (TASKS['kitti'].classes if 'data' in given else 10)

    check_each(CELLS, check)


def test_the_old_name_of_a_config_goes_on_for_a_release():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        cfg = read_config(CONFIGS / 'sparse_tuning/custom.py')
    assert any('tiny_custom.py now' in str(warning.message) for warning in said)
    assert cfg.to_dict() == Config.fromfile(CONFIGS / 'sparse_tuning/tiny_custom.py').to_dict()
