"""What is installed carries the configs and tools, and the environment is made from exact pins."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from distutils.core import run_setup
from email.parser import Parser
from pathlib import Path

import pytest
import setuptools  # noqa: F401  (it provides distutils from Python 3.12 on)

import mmsparse

ROOT = Path(__file__).parents[1]
SHIPPED = ('configs', 'tools', 'model-index.yml')


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of what is needed to build, so that building leaves nothing behind in the repository."""
    target = tmp_path / 'checkout'
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


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for name in SHIPPED
        for path in ([root / name] if (root / name).is_file() else (root / name).rglob('*'))
        if path.is_file() and path.suffix != '.pyc'
    }


def test_a_wheel_carries_configs_tools_index_licence_and_pins(checkout, tmp_path):
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '--no-index', '-w', str(tmp_path), '.']
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    wheel = zipfile.ZipFile(next(tmp_path.glob('mmsparse-*.whl')))
    inside = {name: wheel.read(name) for name in wheel.namelist()}
    mim = {name.removeprefix('mmsparse/.mim/'): data for name, data in inside.items() if name.startswith('mmsparse/.mim/')}
    assert mim == files(checkout)
    modules = {f'mmsparse/{path.relative_to(checkout / "mmsparse")}' for path in (checkout / 'mmsparse').rglob('*.py')}
    assert modules == {name for name in inside if name.endswith('.py') and '.mim' not in name}
    assert any(name.endswith('/LICENSE') for name in inside)
    meta = Parser().parsestr(next(data for name, data in inside.items() if name.endswith('/METADATA')).decode())
    assert (meta['Version'], meta['Requires-Python']) == (mmsparse.__version__, '>=3.11')
    assert set(meta.get_all('Provides-Extra')) == {'mim', 'tests', 'all'}
    needed = [line for line in meta.get_all('Requires-Dist') if 'extra' not in line]
    assert sorted(needed) == sorted((checkout / 'requirements/runtime.txt').read_text().split())


def test_an_editable_install_links_to_the_sources(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    for _ in range(2):  # again over its own links
        command = run_setup('setup.py', script_args=['--quiet'], stop_after='init').get_command_obj('build_py')
        command.ensure_finalized()
        command.editable_mode = True
        command.run()
    for name in SHIPPED:
        link = checkout / 'mmsparse' / '.mim' / name
        assert link.is_symlink() and link.resolve() == checkout / name


@pytest.mark.parametrize('path', sorted(ROOT.glob('requirements/*.txt')), ids=lambda path: path.name)
def test_every_requirement_is_one_exact_version(path):
    for line in path.read_text().splitlines():
        assert re.fullmatch(r'-r \w+\.txt|[\w-]+==[\w.]+', line), line


def make(*arguments: str, cwd: Path) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith(('MAKE', 'MFLAGS'))}  # the suite itself may run under make
    return subprocess.run(['make', *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout


def test_make_builds_the_environment_once_and_again_after_new_pins(tmp_path):
    shutil.copy(ROOT / 'Makefile', tmp_path)
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    plan = make('-n', 'test', 'VENV=elsewhere', cwd=tmp_path)
    assert 'python3 -m venv elsewhere' in plan and '-r requirements/dev.txt -e .' in plan
    assert plan.strip().endswith('OMP_NUM_THREADS=1 elsewhere/bin/python -m pytest')
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'installed').touch()
    assert 'venv elsewhere' not in make('-n', 'test', 'VENV=elsewhere', cwd=tmp_path)
    later = (tmp_path / 'elsewhere' / 'installed').stat().st_mtime + 10
    os.utime(tmp_path / 'requirements' / 'runtime.txt', (later, later))
    assert 'venv elsewhere' in make('-n', 'test', 'VENV=elsewhere', cwd=tmp_path)


def test_the_check_can_be_started():
    assert os.access(ROOT / '.ci' / 'run', os.X_OK)
    subprocess.run(['bash', '-n', ROOT / '.ci' / 'run'], check=True)
