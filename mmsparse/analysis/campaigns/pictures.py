"""Files that are no pictures, or odd ones, among good ones: in training, testing and ``infer``, with two loaders."""

from __future__ import annotations

import os
import pickle
from itertools import product
from pathlib import Path
from random import Random

from mmpretrain.datasets import BaseDataset

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import Fork, tool
from mmsparse.analysis.campaigns.picture_kinds import BROKEN, CLOSED, FINE, IRREGULAR, write_kind
from mmsparse.analysis.campaigns.small_runs import logged, write_configs
from mmsparse.registry import DATASETS
from mmsparse.state.files import newest

LOADERS = ('LoadImageFromFile', 'mmsparse.LoadImage')
USES = ('train', 'test', 'infer')
KINDS = (*BROKEN, *IRREGULAR, CLOSED, *FINE)
BAD = {*BROKEN, *IRREGULAR, *([CLOSED] if os.geteuid() else [])}  # root reads what is closed
UNLISTED = ('folder.jpg', 'missing.jpg')  # of a folder's listing
CONFIG = """
_base_ = ['plain.py']
data = dict(
    _delete_=True, type='mmsparse.EveryKind', data_root='{data}',
    pipeline=[dict(type='{loader}'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')])
train_dataloader = dict(num_workers=2, dataset=data)
val_dataloader = test_dataloader = dict(dataset=data)
train_cfg = dict(max_epochs=1)
default_hooks = dict(bad_samples=dict(max_bad=0.9))
"""


@DATASETS.register_module()
class EveryKind(BaseDataset):
    """Each kind between pictures that can be read; three labels in turn."""

    METAINFO = dict(classes=('class_0', 'class_1', 'class_2'))

    def __init__(self, data_root: str, **kwargs):
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List them, whatever a folder's listing shows."""
        names = [name for kind in KINDS for name in ('../good.png', kind, '../good.png', '../good.png')]
        return [dict(img_path=os.path.join(self.data_root, name), gt_label=n % 3) for n, name in enumerate(names)]


class Seen:
    """What one loader has made of all kinds: three commands, each run once, when it is first asked for."""

    def __init__(self, folder: Path, loader: str):
        self.folder, self.loader, self.runs = folder / loader, loader, {}
        write_configs(self.folder)
        for kind in KINDS:
            write_kind(self.folder / 'kinds', kind)
        (self.folder / 'good.png').write_bytes(FINE['really_png.jpg'])
        self.config = self.folder / 'kinds.py'
        self.config.write_text(CONFIG.format(data=self.folder / 'kinds', loader=loader))

    def start(self, use: str) -> Fork:
        """Run a command, if it has not been run."""
        if use in self.runs:
            return self.runs[use]
        options = ('--work-dir', self.folder / use)
        if use == 'train':
            fork = tool('train.py', self.config, *options, '--no-validate', log=self.folder / use)
        elif use == 'test':
            out = ('--out', self.folder / 'answers.pkl')
            fork = tool('test.py', self.config, self.state(), *options, *out, log=self.folder / use)
        else:
            fork = tool('infer.py', self.state(), self.folder / 'kinds', log=self.folder / use)
        self.runs[use] = fork.wait()
        must('Traceback' not in fork.err, f'{use}: {fork.err[-1500:]}')
        must(fork.status == int(use == 'infer'), f'{use}: ended with {fork.status}: {fork.err[-800:]}')
        return fork

    def state(self) -> Path:
        """Return what training has saved."""
        self.start('train')
        return newest(self.folder / 'train')

    def named(self, use: str, kind: str) -> int:
        """Return how often a command has named a file as bad."""
        fork, lead = self.start(use), f'{os.sep}{_told(kind)}: '
        if use == 'infer':
            return sum(line.startswith('infer.py: ') and lead in line for line in fork.err.splitlines())
        lines = logged(self.folder / use).splitlines()
        return sum(f'of the {use} data: ' in line and lead in line for line in lines)

    def answered(self, kind: str) -> bool:
        """Return whether ``infer`` has answered for a file."""
        return any(_told(kind) in line and '%' in line for line in self.start('infer').out.splitlines())

    def right(self, kind: str) -> bool:
        """Return whether the answer of a test to a file was right."""
        self.start('test')
        answers = pickle.loads((self.folder / 'answers.pkl').read_bytes())
        must(len(answers) == 4 * len(KINDS), f'{len(answers)} answers to {4 * len(KINDS)} files')
        own = answers[4 * KINDS.index(kind) + 1]
        return int(own['pred_label']) == int(own['gt_label'])


def prepare(folder: Path, trials: int) -> Trial:
    """Write all kinds; commands run when the first kind asks for them."""
    seen = {loader: Seen(folder, loader) for loader in LOADERS}
    cells = list(product(KINDS, LOADERS, USES))
    Random(0).shuffle(cells)

    def trial(number: int, draw: Random) -> str:
        kind, loader, use = cells[number % len(cells)]
        one, bad, where = seen[loader], kind in BAD, f'{kind!r}, {loader}, {use}'
        if use == 'infer' and kind in UNLISTED:
            fork = tool('infer.py', one.state(), one.folder / 'kinds' / kind, log=one.folder / f'one_{kind}').wait()
            must(fork.status == 2 and 'Traceback' not in fork.err and kind in fork.err, f'{where}: {fork.err[-800:]}')
            return 'bad'
        count = one.named(use, kind)
        must(count == int(bad), f'{where}: named {count} times')
        must(use != 'infer' or one.answered(kind) is not bad, f'{where}: {"an" if bad else "no"} answer')
        must(use != 'test' or not bad or not one.right(kind), f'{where}: not scored as wrong')
        return 'bad' if bad else 'odd and fine'

    return trial


def _told(kind: str) -> str:
    """How a name is printed that need not be UTF-8."""
    return kind.encode(errors='backslashreplace').decode()


CAMPAIGN = Campaign(
    'pictures',
    f'{len(KINDS)} kinds of bad and odd pictures, two loaders, train, test and infer: no traceback, no hang, each bad '
    'one named once and replaced or wrong, each odd one read',
    len(KINDS) * len(LOADERS) * len(USES),
    prepare,
)
