"""Nothing that a state or a peft file says is executed or imported, on any path: a text that would leave a trace
stands in every field in turn.
"""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import mmsparse
from mmsparse.apis.adapted import adapted, build_classifier
from mmsparse.convert.peft_format import from_peft, to_peft
from mmsparse.errors import InputError
from mmsparse.state.files import newest
from small_run import ROOT, write_run
from small_state import copy_of, train

TEXTS = {
    'statement': 'import planted\nplanted.touch()',
    'expression': "__import__('planted').touch()",
    'type': 'planted.touch',
    'yaml': '!!python/object/apply:planted.touch []',
}
ADDED = {  # what MMEngine's own checkpoints have, or its config language knows
    'adapter.json': [
        ('config', 'custom_imports', 'imports'),
        ('config', '_base_'),
        ('config', 'model', '_delete_'),
        ('config', 'model', '_scope_'),
    ],
    'resume.json': [
        ('state', 'meta', 'config'),
        ('state', 'meta', 'cfg'),
        ('state', 'message_hub', 'runtime_info', 'cfg'),
    ],
}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('untrusted')
    (folder / 'planted.py').write_text(f"def touch(*args):\n    open({str(folder / 'ran')!r}, 'w').close()\ntouch()\n")
    sys.path.insert(0, str(folder))
    config = write_run(folder)
    runner = train(config, 'run', **{'train_cfg.max_epochs': 1, 'param_scheduler': None})
    yield SimpleNamespace(
        folder=folder, config=config, runner=runner, state=folder / 'run/epoch_1', ran=folder / 'ran'
    )
    sys.path.remove(str(folder))


def fields(node, place=()):
    """Yield the place of every text."""
    if isinstance(node, str):
        yield place
    for key, item in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from fields(item, (*place, key))


def plant(file: Path, places, text: str) -> None:
    content = json.loads(file.read_text())
    for place in places:
        node = content
        for key in place[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
        node[place[-1]] = text
    file.write_text(json.dumps(content))


def planted_states(world):
    """Yield states with the text in one field of the model, in one group of other fields, as a key, and in the headers
    of the tensors.
    """
    for name, added in ADDED.items():
        content = json.loads((world.state / name).read_text())
        groups = {}
        for place in [*fields(content), *added]:
            alone = place[:2] == ('config', 'model') or place in added or len(place) < 2
            groups.setdefault(place if alone else place[:3], []).append(place)
        assert len(groups) > 8
        for places in groups.values():
            yield (
                f'{name} {places[0]}',
                lambda state, text, name=name, places=places: plant(state / name, places, text),
            )
    for name in ('adapter.safetensors', 'resume.safetensors'):
        yield name, lambda state, text, name=name: sign(state / name, text)


def sign(file: Path, text: str) -> None:
    save_file(load_file(file), file, metadata={'format': text, text: text})
    with safe_open(file, 'pt') as opened:
        assert opened.metadata()[text] == text


PATHS = {
    'load': lambda world, state: mmsparse.load(state),  # also tools/infer.py
    'load_from': lambda world, state: world.runner.load_checkpoint(str(state)),  # also tools/test.py
    'resume': lambda world, state: world.runner.resume(str(state)),
    'newest': lambda world, state: newest(state.parent),
    # merge_adapter.py and lora_to_peft.py
    'adapted': lambda world, state: adapted(Config.fromfile(world.config), state),
}


@pytest.mark.parametrize(
    'path', [path if path == 'load' else pytest.param(path, marks=pytest.mark.slow) for path in PATHS]
)
def test_nothing_in_a_state_is_executed(world, path):
    went_through = 0
    for number, (where, change) in enumerate(planted_states(world)):
        text = list(TEXTS.values())[number % len(TEXTS)] if path == 'adapted' else None  # it builds a model each time
        for one in [text] if text else TEXTS.values():
            state = copy_of(world.state, world.folder / 'copies' / 'epoch_1')
            change(state, one)
            world.runner._resume = False
            try:
                PATHS[path](world, state)
                went_through += 1
            except InputError:
                pass
            shutil.rmtree(state.parent)
            assert not world.ran.exists() and 'planted' not in sys.modules, f'{where} was executed by {path}: {one}'
    # else the plants would all have been stopped at one gate, and what lies behind it not tried
    assert went_through > 5


@pytest.mark.slow
def test_the_command_goes_on_from_a_state_without_running_its_texts(world):
    """MMEngine's own resume executes meta.config as a config file."""
    state = copy_of(world.state, world.folder / 'whole' / 'epoch_1')
    plant(state / 'resume.json', [('state', 'meta', 'config'), ('state', 'meta', 'cfg')], TEXTS['statement'])
    command = [ROOT / 'tools/train.py', world.config, '--work-dir', world.folder / 'again', '--resume', state]
    options = ['--cfg-options', 'train_cfg.max_epochs=1', 'param_scheduler=None']
    env = {
        'PYTHONPATH': f'{ROOT}:{world.folder}',
        'PATH': '/usr/bin:/bin',
        'CUDA_VISIBLE_DEVICES': '',
        'HOME': str(world.folder),
    }
    done = subprocess.run(
        [sys.executable, *map(str, command), *options], cwd=world.folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not world.ran.exists()


def test_nothing_in_a_peft_file_is_executed_and_no_pattern_takes_for_ever(world):
    cfg = Config.fromfile(world.config)
    cfg.model.backbone.adapter = dict(type='mmsparse.LoRA', rank=2, alpha=4)
    model = build_classifier(cfg)
    content, tensors = to_peft(model)
    content = json.loads(
        json.dumps(
            {
                **content,
                'alpha_pattern': {'attn.qkv': 4},
                'auto_mapping': {'base_model_class': 'x', 'parent_library': 'y'},
            }
        )
    )
    from_peft(content, tensors, model, 'peft')
    for place in [*fields(content), ('alpha_pattern', 'attn.qkv'), ('r',)]:
        for text in TEXTS.values():
            changed = json.loads(json.dumps(content))
            node = changed
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = text
            with suppress(InputError):
                from_peft(changed, tensors, model, 'peft')
            assert not world.ran.exists() and 'planted' not in sys.modules, place
    for pattern in ('(a+)+b' * 9, '(([a-z])+.)+Z', 'attn.*'):
        with pytest.raises(InputError, match='alpha_pattern.*string should match pattern'):
            from_peft({**content, 'alpha_pattern': {pattern: 4}}, tensors, model, 'peft')


def test_a_card_that_is_nested_without_end_is_damaged(world, tmp_path):
    state = copy_of(world.state, tmp_path / 'epoch_1')
    content = json.loads((state / 'adapter.json').read_text())
    content['config']['model']['backbone'] = json.loads('[' * 300 + ']' * 300)
    (state / 'adapter.json').write_text(json.dumps(content))
    with pytest.raises(InputError, match='the card cannot be read, it is damaged'):
        mmsparse.load(state)
