"""What a command imports before it answers: seconds that a user waits for --help, and for the word that a file is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = sorted(
    str(path.relative_to(ROOT))
    for folder in ('.', 'analysis_tools', 'model_converters')
    for path in (ROOT / 'tools' / folder).glob('*.py')
)
NEEDS_CONFIG = [
    tool
    for tool in TOOLS
    if not tool.endswith(
        (
            'infer.py',
            'demo.py',
            'claim.py',
            'combinations.py',
            'paper_tables.py',
            'timm_hosts.py',
            'collect_results.py',
            'small_vtab.py',
            'sweep.py',
        )
    )
]
REPORT = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
finally:
    print('imported:', *(name for name in ('torch', 'mmengine', 'numpy') if name in sys.modules), file=sys.stderr)
"""


def answer(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', REPORT, *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize('tool', TOOLS)
def test_help_is_answered_before_anything_slow_is_imported(tool):
    result = answer(tool, '--help')
    assert result.returncode == 0 and result.stdout.startswith('usage: ')
    assert result.stderr == 'imported:\n'


@pytest.mark.parametrize('tool', NEEDS_CONFIG)
def test_a_config_that_is_not_there_is_named_before_anything_slow_is_imported(tool):
    option = ['--tokens'] if tool.endswith('plot_results.py') else []
    result = answer(
        tool,
        *option,
        'configs/sparse_tuning/tiny_digit.py',
        *(['a', 'b'] if 'converters' in tool else ['a'] if Path(tool).stem in ('test', 'random_subnets') else []),
    )
    told, imported = result.stderr.splitlines()
    assert result.returncode == 2 and imported == 'imported:'
    name = Path(tool).name
    assert (
        told
        == f'{name}: error: configs/sparse_tuning/tiny_digit.py: no such config file. Did you mean configs/sparse_tuning/tiny_digits.py?'
    )


BUILD = """
import sys
from mmsparse.cli.launch import build_runner, load_config
from mmsparse.cli.options import parse, parser
sys.argv = ['train.py', 'configs/sparse_tuning/tiny_digits.py', '--work-dir', sys.argv[1], '--cfg-options', 'log_level=ERROR']
build_runner(load_config(parse(parser("")), ()))
print('imported:', *(name for name in ('transformers', 'peft', 'sklearn', 'open_clip', 'mmseg', 'tensorboard') if name in sys.modules))

import mmseg.datasets, torch
from mmengine.registry import OPTIMIZERS
weight = torch.nn.Parameter(torch.zeros(2, 2))
print(type(OPTIMIZERS.build(dict(type='Adafactor', params=[weight], lr=1e-3, relative_step=False))).__module__)
"""


def test_a_run_imports_no_library_that_its_config_does_not_name(tmp_path):
    result = subprocess.run(
        [sys.executable, '-c', BUILD, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, *_, last = result.stdout.splitlines()
    assert first == 'imported:' and last == 'transformers.optimization' and 'OneDL' not in result.stdout
    assert 'mmcv-lite' not in result.stderr
