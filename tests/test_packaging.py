"""What is installed carries the configs and tools and says what it needs; the environment is made from exact pins."""

import os
import re
import shutil
import subprocess
import sys
from distutils.core import run_setup
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
import setuptools  # noqa: F401  (it provides distutils from Python 3.12 on)
from packaging.requirements import Requirement

import mmsparse

ROOT = Path(__file__).parents[1]
SHIPPED = ('configs', 'tools', 'model-index.yml')


def copy_of_the_checkout(folder: Path) -> Path:
    """Copy what is needed to build, so that building leaves nothing behind in the repository."""
    target = folder / 'checkout'
    target.mkdir()
    for name in (*SHIPPED, 'mmsparse', 'requirements'):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            shutil.copy(source, target / name)
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, target / name)
    return target


def distribution(folder: Path) -> Distribution:
    return PathDistribution(next(folder.glob('mmsparse-*.dist-info')))


def found_by_mim(folder: Path, name: str) -> list[str]:
    """What mim does with the name of a config: walk everything below a folder, links too."""
    return [root for root, _, names in os.walk(folder, followlinks=True) if name in names]


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for name in SHIPPED
        for path in ([root / name] if (root / name).is_file() else (root / name).rglob('*'))
        if path.is_file() and path.suffix != '.pyc'
    }


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """What pip makes of the checkout: a folder with the package and its metadata, as in site-packages."""
    folder = tmp_path_factory.mktemp('wheel')
    source = copy_of_the_checkout(folder)
    pip = [sys.executable, '-m', 'pip']
    for command in (
        ['wheel', '--no-deps', '--no-build-isolation', '--no-index', '-w', str(folder), str(source)],
        [
            'install',
            '--no-deps',
            '--no-index',
            '--target',
            str(folder / 'site'),
            '--find-links',
            str(folder),
            'mmsparse',
        ],
    ):
        done = subprocess.run([*pip, *command], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / 'site'


def test_a_wheel_carries_configs_tools_index_and_licence(installed):
    for place in ('mmsparse', '_mmsparse_mim'):
        assert files(installed / place / '.mim') == files(ROOT)
    own = {path.relative_to(ROOT) for path in (ROOT / 'mmsparse').rglob('*.py') if '.mim' not in path.parts}
    assert own == {
        path.relative_to(installed) for path in (installed / 'mmsparse').rglob('*.py') if '.mim' not in path.parts
    }
    assert list(installed.glob('mmsparse-*.dist-info/**/LICENSE'))


def test_the_metadata_tells_ranges_authors_and_an_address(installed):
    meta = distribution(installed).metadata
    assert (meta['Version'], meta['Requires-Python']) == (mmsparse.__version__, '>=3.11')
    assert set(meta.get_all('Provides-Extra')) == {'mim', 'tests', 'transformers', 'sweep', 'video', 'all'}
    assert (
        meta['Author']
        and meta.get_all('Project-URL')
        and 'Programming Language :: Python :: 3' in meta.get_all('Classifier')
    )
    pinned = {line for path in ROOT.glob('requirements/*.txt') for line in path.read_text().split() if '==' in line}
    pins = dict(line.lower().replace('_', '-').split('==') for line in pinned)
    for line in meta.get_all('Requires-Dist'):
        requirement = Requirement(line)
        if requirement.name != 'mmsparse':
            assert requirement.specifier.contains(pins[requirement.name.lower().replace('_', '-')]), (
                f'{line} leaves out what is tested'
            )
            assert '==' not in str(requirement.specifier), f'{line} cannot be installed beside anything else'


def test_mim_finds_tools_and_each_config_once_in_a_wheel(installed):
    """onedl-mim looks beside the first file of the sorted list, openmim and MMEngine beside the package."""
    first = installed / str(distribution(installed).files[0]).split('/')[0]
    for place in (first, installed / 'mmsparse'):
        assert (place / '.mim' / 'tools' / 'train.py').is_file()
        assert len(found_by_mim(place, 'vitb_cifar100.py')) == 1


def test_mim_finds_each_config_once_in_a_checkout(tmp_path, monkeypatch):
    checkout = copy_of_the_checkout(tmp_path)
    for left in ('mmsparse/.mim', 'build/lib/mmsparse/.mim', 'build/lib/_mmsparse_mim/.mim'):  # of older installs
        (checkout / left).mkdir(parents=True)
        (checkout / left / 'configs').symlink_to(checkout / 'configs')
    monkeypatch.chdir(checkout)
    command = run_setup('setup.py', script_args=['--quiet'], stop_after='init').get_command_obj('build_py')
    command.ensure_finalized()
    command.editable_mode = True
    command.run()
    assert len(found_by_mim(checkout, 'vitb_cifar100.py')) == 1


INHERITS = "_base_ = 'mmsparse::sparse_tuning/tiny_digits.py'\nmodel = dict(head=dict(num_classes=5))\n"
READS = """
import mmsparse
from mmengine.config import Config
cfg = Config.fromfile('own.py')
print(mmsparse.__file__, cfg.default_scope, cfg.model.head.num_classes, cfg.model.backbone.sparsifier.type, '_scope_' in str(cfg))
"""


@pytest.mark.parametrize('place', ['a wheel', 'a checkout'])
def test_any_config_inherits_ours_by_the_name_of_the_package(place, installed, tmp_path):
    root = installed if place == 'a wheel' else ROOT
    (tmp_path / 'own.py').write_text(INHERITS)
    env = {**os.environ, 'PYTHONPATH': str(root)}
    done = subprocess.run([sys.executable, '-c', READS], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split() == [str(root / 'mmsparse/__init__.py'), 'mmpretrain', '5', 'mmsparse.EViT', 'False'], (
        done.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize('place', ['a wheel', 'a checkout'])
def test_tools_and_configs_are_reached_without_their_paths(place, installed, tmp_path):
    env = {**os.environ, 'PYTHONPATH': str(installed if place == 'a wheel' else ROOT)}

    def run(*words):
        return subprocess.run(
            [sys.executable, '-m', 'mmsparse', *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )

    counted = run('get_flops', 'mmsparse::sparse_tuning/tiny_digits.py')
    assert counted.returncode == 0 and 'published' in counted.stdout, counted.stderr
    assert run('train', 'mmsparse::sparse_tuning/tiny_digit.py').stderr.endswith('sparse_tuning/tiny_digits.py?\n')
    assert 'train' in run('--help').stdout and run('trian').returncode == 2


@pytest.mark.parametrize(
    ('module', 'config'),
    [
        ('mmengine', 'sparse_tuning/tiny_digits'),
        ('timm', 'sparse_tuning/tiny_digits'),
        ('mmseg', 'segmentation/tiny_tome_fcn_camvid'),
    ],
)
def test_a_missing_dependency_is_one_sentence_with_the_command(module, config, tmp_path):
    arguments = ['train.py', str(ROOT / f'configs/{config}.py'), '--work-dir', str(tmp_path)]
    code = f"import runpy, sys; sys.modules['{module}'] = None; sys.argv = {arguments}; runpy.run_path('{ROOT}/tools/train.py', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert (
        done.stderr.splitlines()[-1].startswith(f'train.py: error: {module}: not installed')
        and "pip install 'mmsparse[all]'" in done.stderr
    )


def test_what_the_package_offers_is_listed():
    assert {'load', 'SparseRunner', '__version__'} <= set(dir(mmsparse))


def test_the_lower_bounds_are_constraints_for_pip():
    done = subprocess.run([sys.executable, ROOT / 'tests/lower_bounds.py'], capture_output=True, text=True, check=True)
    lines = done.stdout.split()
    assert 'pillow==12.2' in lines and all(re.fullmatch(r'[\w-]+==[\w.]+', line) for line in lines)


@pytest.mark.parametrize('path', sorted(ROOT.glob('requirements/*.txt')), ids=lambda path: path.name)
def test_every_requirement_is_one_exact_version(path):
    for line in path.read_text().splitlines():
        assert re.fullmatch(r'-r \w+\.txt|[\w-]+==[\w.]+', line), line


def make(*arguments: str, cwd: Path) -> str:
    # the suite itself may run under make
    env = {key: value for key, value in os.environ.items() if not key.startswith(('MAKE', 'MFLAGS'))}
    return subprocess.run(['make', *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout


def test_make_builds_the_environment_once_and_again_after_new_pins(tmp_path):
    shutil.copy(ROOT / 'Makefile', tmp_path)
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    plan = make('-n', 'test', 'VENV=elsewhere', cwd=tmp_path)
    assert 'python3 -m venv elsewhere' in plan and '-r requirements/dev.txt -e .' in plan
    assert 'OMP_NUM_THREADS=1 elsewhere/bin/python -m pytest -n auto' in plan.splitlines()[-1]
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'installed').touch()
    assert 'venv elsewhere' not in make('-n', 'test', 'VENV=elsewhere', cwd=tmp_path)
    later = (tmp_path / 'elsewhere' / 'installed').stat().st_mtime + 10
    os.utime(tmp_path / 'requirements' / 'runtime.txt', (later, later))
    assert 'venv elsewhere' in make('-n', 'test', 'VENV=elsewhere', cwd=tmp_path)


def test_the_check_can_be_started():
    assert os.access(ROOT / '.ci' / 'run', os.X_OK)
    subprocess.run(['bash', '-n', ROOT / '.ci' / 'run'], check=True)
