"""The rooms of the package stand in one order, and an import goes to an earlier room or stays in its own:
docs/rooms.md.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Longest names first where one room lies in another.
ROOMS = (
    'errors',
    'structures',
    'utils',
    'registry',
    'datasets',
    'models.ops',
    'models.hosts',
    'models.part',
    'models.adapters',
    'models.necks',
    'models.backbones',
    'models.classifiers',
    'models.segmentors',
    'state',
    'evaluation',
    'visualization',
    'config',
    'engine',
    'apis',
    'convert',
    'analysis',
    'cli',
)
# lead into rooms; nothing inside goes through them
DOORS = ('mmsparse', 'mmsparse.__main__', 'mmsparse.tokens', 'mmsparse.models')


def modules() -> dict[str, Path]:
    files = sorted((ROOT / 'mmsparse').rglob('*.py'))
    return {'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path for path in files}


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Every module of the package that a file imports, also inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level or node.module and '.' not in node.module, (
                f'{path}: a relative import beyond its folder'
            )
            base = node.module if not node.level else '.'.join([*path.relative_to(ROOT).parent.parts, node.module])
            found |= {f'{base}.{alias.name}' if f'{base}.{alias.name}' in known else base for alias in node.names}
    return found & set(known)


def room(module: str) -> str:
    inside = module.removeprefix('mmsparse.')
    return next((name for name in ROOMS if inside == name or inside.startswith(f'{name}.')), module)


@pytest.fixture(scope='module')
def graph() -> dict[str, set[str]]:
    known = modules()
    return {module: imports(path, known) for module, path in known.items()}


def test_every_module_has_a_room(graph):
    assert {room(module) for module in graph} - set(ROOMS) == set(DOORS)


def test_no_import_goes_up(graph):
    upward = [
        f'{module} -> {other}'
        for module, others in graph.items()
        for other in others
        if module not in DOORS and (other in DOORS or ROOMS.index(room(other)) > ROOMS.index(room(module)))
    ]
    assert not upward, upward


def test_no_circle(graph):
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(' -> '.join(error.args[1]))


def test_nobody_imports_the_rooms_of_commands(graph):
    """What compares finished runs, and the command line, may change without anybody noticing."""
    users = [
        f'{module} -> {other}'
        for module, others in graph.items()
        for other in others
        if room(other) in ('analysis', 'cli') and room(module) != room(other)
    ]
    assert not users, users
