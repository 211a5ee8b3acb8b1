"""The house rules that a tool can hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from each import check_each

ROOT = Path(__file__).parents[1]
PACKAGE = sorted(path for path in ROOT.glob('mmsparse/**/*.py') if '.mim' not in path.parts)
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md')]
PAGES += [page for folder in ('docs', 'configs', 'projects') for page in sorted(ROOT.glob(f'{folder}/**/*.md'))]
LEAVES = sorted(path for path in ROOT.glob('configs/**/*.py') if '_base_' not in path.parts)


def by_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


def ruff(*arguments: str, text: str | None = None) -> str:
    command = [sys.executable, '-m', 'ruff', 'check', '--no-cache', '--output-format', 'concise', *arguments]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True).stdout


def test_the_linter_is_content():
    assert 'All checks passed' in (found := ruff()), found


@pytest.mark.parametrize(
    ('code', 'text'),
    [
        ('TID251', '"""A."""\n\nimport mmengine.hub\n\nmmengine.hub\n'),
        ('TID251', '"""A."""\n\nfrom mmcv.ops import nms\n\nnms\n'),
        ('TID251', '"""A."""\n\nimport pkg_resources\n\npkg_resources\n'),
        ('T201', '"""A."""\n\nprint(1)\n'),
        ('D100', 'a = 1\n'),
        ('D101', '"""A."""\n\n\nclass Public:\n    pass\n'),
        ('D103', '"""A."""\n\n\ndef public():\n    pass\n'),
    ],
)
def test_the_linter_knows_the_house_rules(code, text):
    assert code in ruff('--stdin-filename', 'mmsparse/new.py', '-', text=text)


def test_a_leaf_config_is_a_paragraph_that_says_what_to_expect_and_how_to_run_it():
    def check(path):
        text = path.read_text()
        assert len(text.splitlines()) <= 25
        head = ast.get_docstring(ast.parse(text))
        assert 'Expected: ' in head
        assert 'Run: ' in head and re.search(rf'python tools/(train|test)\.py {path.relative_to(ROOT)}', head)

    check_each(LEAVES, check)


def test_a_file_is_readable_in_one_sitting():
    assert [by_path(path) for path in PACKAGE if len(path.read_text().splitlines()) > 260] == []


def runs_blocks(tree: ast.AST) -> list[int]:
    """Lines where a value is handed from block to block: a loop over blocks that updates a name, or a call of the
    container itself.
    """
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and any(map(names_blocks, ast.walk(node.iter))):
            updates = [
                inner for inner in ast.walk(node) if isinstance(inner, ast.Assign | ast.AugAssign) and carries(inner)
            ]
            lines += [node.lineno] if updates else []
        if isinstance(node, ast.Call) and names_blocks(node.func):
            lines.append(node.lineno)
    return lines


def names_blocks(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and (
        node.attr in ('blocks', 'resblocks') or ast.unparse(node).endswith('host.layers')
    )


def carries(node: ast.Assign | ast.AugAssign) -> bool:
    if isinstance(node, ast.AugAssign):
        return True
    written = {inner.id for target in node.targets for inner in ast.walk(target) if isinstance(inner, ast.Name)}
    return any(isinstance(inner, ast.Name) and inner.id in written for inner in ast.walk(node.value))


def test_there_is_exactly_one_block_loop():
    assert {by_path(path) for path in PACKAGE if runs_blocks(ast.parse(path.read_text()))} == {
        'mmsparse/models/backbones/encoder.py'
    }


@pytest.mark.parametrize(
    'second_loop',
    [
        'for block in self.host.blocks:\n    x = block(x)',
        'for i, layer in enumerate(self.view.host.layers):\n    x += layer(x)',
        'x = self.host.blocks(x)',
        'for b in model.visual.transformer.resblocks[:3]:\n    if a:\n        x, y = f(b, x)',
    ],
)
def test_a_second_block_loop_would_be_seen(second_loop):
    assert runs_blocks(ast.parse(second_loop))
    assert not runs_blocks(ast.parse('for block in host.blocks:\n    check(block)'))


def test_no_test_imports_another():
    """What tests share stands in a file of its own beside them; a test whose own process imports it again (in a text)
    may.
    """
    files = [path for folder in ('tests', 'projects') for path in ROOT.glob(f'{folder}/**/test_*.py')]
    imported = {
        by_path(path): set(re.findall(r'^\s*(?:from|import) (test_\w+)', path.read_text(), re.M)) - {path.stem}
        for path in files
    }
    assert len(files) > 80 and {path: names for path, names in imported.items() if names} == {}


def test_links_lead_somewhere():
    links = [(page, link) for page in PAGES for link in re.findall(r'\]\(([^)#\s]+)', page.read_text())]
    assert [
        (by_path(page), link) for page, link in links if '://' not in link and not (page.parent / link).exists()
    ] == []


def test_tests_that_a_page_names_are_there():
    named = {page.name: re.findall(r'`((?:tests|projects)/\S+?\.py)::(test_\w+)`', page.read_text()) for page in PAGES}
    assert named['laws.md']
    gone = [
        f'{page}: {file}::{test}'
        for page, found in named.items()
        for file, test in found
        if f'\ndef {test}(' not in (ROOT / file).read_text()
    ]
    assert gone == []
