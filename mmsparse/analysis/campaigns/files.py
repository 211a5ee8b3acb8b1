"""States and peft folders whose files were damaged or are hostile, on the three ways that read them.

Left out: other numbers in peft's tensors, whose format has no digest by which they could be known.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from pathlib import Path
from random import Random

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.damage import DAMAGES, blank, flip, link
from mmsparse.analysis.campaigns.forks import Fork, tool
from mmsparse.analysis.campaigns.small_runs import outcome, write_configs
from mmsparse.apis.load import load
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.state.files import read_state

STATE = ('adapter.json', 'adapter.safetensors', 'resume.json', 'resume.safetensors')
WAYS = {  # which files each way reads
    'load': STATE[:2],
    'resume': STATE,
    'peft': ('adapter_config.json', 'adapter_model.safetensors'),
}
LORA = """
_base_ = ['plain.py']
model = dict(backbone=dict(adapter=dict(_delete_=True, type='mmsparse.LoRA', rank=2, alpha=4), sparsifier=None))
train_cfg = dict(max_epochs=1)
"""
SECRET = 'a word of somebody else'
MIDDLE = 'iter_24'  # in the middle of an accumulation
MEMORY = 4 * 2**30  # bytes
FIXED = 10**9  # a time in the past, seconds


class World:
    """What all trials copy, and what lies beside it."""

    def __init__(self, folder: Path):
        self.folder, self.outside = folder, folder / 'outside'
        _, self.config = write_configs(folder)
        self.lora = folder / 'lora.py'
        self.lora.write_text(LORA)
        keep = ('--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=100')
        tool('train.py', self.config, '--work-dir', folder / 'whole', *keep, log=folder / 'whole').fine()
        tool('train.py', self.lora, '--work-dir', folder / 'low_rank', log=folder / 'low_rank').fine()
        state = next(path for path in sorted((folder / 'low_rank').iterdir()) if (path / STATE[0]).is_file())
        args = ('model_converters/lora_to_peft.py', self.lora, state, folder / 'peft')
        tool(*args, log=folder / 'to_peft').fine()
        self.sources = dict.fromkeys(('load', 'resume'), folder / 'whole' / MIDDLE) | dict(peft=folder / 'peft')
        self.outside.mkdir()
        (self.outside / 'secret.json').write_text(json.dumps({SECRET: SECRET}))
        (self.outside / 'secret.py').write_text('import planted\n')
        shutil.copy(folder / 'whole' / MIDDLE / STATE[1], self.outside / 'secret.safetensors')
        self.modules, self.ran = folder / 'modules', folder / 'ran'
        self.modules.mkdir()
        (self.modules / 'planted.py').write_text(f"open({str(self.ran)!r}, 'w').close()\n\n\ndef touch(): ...\n")

    def start(self, way: str, copy: Path, name: str) -> Fork:
        """Read a folder as a user would."""
        log, before = self.folder / name, self._plantable
        if way == 'resume':
            return tool('train.py', self.config, '--work-dir', log, '--resume', copy, log=log, before=before)
        if way == 'peft':
            return tool('model_converters/peft_to_lora.py', self.lora, copy, log, log=log, before=before)
        return Fork(lambda: self._load(copy), log)

    def came(self, way: str, fork: Fork, name: str) -> str:
        """Return what must not depend on the damage."""
        if way == 'resume':
            return json.dumps(outcome(self.folder / name), sort_keys=True)
        return read_state(self.folder / name).card.sha256 if way == 'peft' else fork.out.splitlines()[-1]

    def _load(self, copy: Path) -> None:
        self._plantable()
        try:
            model = load(copy)
        except InputError as error:
            sys.stderr.write(f'load: error: {error}\n')
            sys.exit(error.status)
        print(digest(model.state_dict()))  # noqa: T201

    def _plantable(self) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))  # what reads a device for ever ends here
        sys.path.insert(0, str(self.modules))


def prepare(folder: Path, trials: int) -> Trial:
    """Train what is damaged, and read it undamaged on every way."""
    world = World(folder)
    expected = {}
    for way, source in world.sources.items():
        expected[way] = world.came(way, world.start(way, source, f'undamaged_{way}').fine(), f'undamaged_{way}')

    def trial(number: int, draw: Random) -> str:
        way = list(WAYS)[number % len(WAYS)]
        file = draw.choice(WAYS[way])
        known = DAMAGES if file != WAYS['peft'][1] else [each for each in DAMAGES if each not in (flip, blank)]
        damage = draw.choice(known)
        copy, name = folder / f'copy_{number}' / world.sources[way].name, f'read_{number}'
        shutil.copytree(world.sources[way], copy)
        damage(copy / file, draw, world.outside)
        for each in world.outside.iterdir():
            os.utime(each, (FIXED, each.stat().st_mtime))  # reading moves the first, once
        fork, where = world.start(way, copy, name).wait(), f'{file}: {damage.__name__}, {way}'
        must(not world.ran.exists(), f'{where}: was executed or imported')
        read = [each.name for each in world.outside.iterdir() if each.stat().st_atime > FIXED]
        must(not read or damage is link, f'{where}: read {read} outside')  # a link to a file is followed
        must(SECRET not in fork.out + fork.err, f'{where}: told a stranger what it read')
        must('Traceback' not in fork.err, f'{where}: {fork.err[-1000:]}')
        if fork.status:
            told = [line for line in fork.err.splitlines() if 'error: ' in line]
            must(fork.status == InputError.status and len(told) == 1, f'{where}: {fork.status}, {fork.err[-600:]}')
            shutil.rmtree(copy.parent)
            return 'refused'
        came = world.came(way, fork, name)
        must(came == expected[way], f'{where}: taken, and gave {came[:300]}')
        return 'harmless'

    return trial


CAMPAIGN = Campaign(
    'files',
    'damaged and hostile files of states and peft folders, loaded, resumed and converted: refused with the reason, or '
    'nothing but the true weights come of it; none executed, imported, or read outside',
    300,
    prepare,
)
