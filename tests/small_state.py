"""What the tests of the adapter file share: one small trained run, and cards changed after the fact."""

import json
import shutil
from pathlib import Path

from mmengine.config import Config
from safetensors.torch import load_file, save_file

from mmsparse.engine.runner import SparseRunner
from mmsparse.models.hosts.frozen_model import digest


def train(config: Path, name: str, **entries) -> SparseRunner:
    """Train in this process with some entries changed, in a folder of that name beside the config."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(
        {'work_dir': str(config.parent / name), 'experiment_name': f'{config.parent.name}_{name}', **entries}
    )
    runner = SparseRunner.from_cfg(cfg)
    runner.train()
    return runner


def copy_of(state: Path, target: Path) -> Path:
    """Copy a state; return the new folder."""
    return Path(shutil.copytree(state, target))


def change_card(state: Path, change) -> None:
    """Let `change` edit the content of the card."""
    content = json.loads((state / 'adapter.json').read_text())
    change(content)
    (state / 'adapter.json').write_text(json.dumps(content))


def change_tensors(state: Path, change) -> None:
    """Let `change` edit the tensors, and sign the card for the result: whoever forges a file can do that too."""
    tensors = load_file(state / 'adapter.safetensors')
    change(tensors)
    save_file(tensors, state / 'adapter.safetensors')
    change_card(state, lambda card: card.update(sha256=digest(tensors)))
