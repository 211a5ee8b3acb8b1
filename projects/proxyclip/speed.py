"""Windows per second: dense, sparse, and a plain form with one proxy attention per head, as published.

    python projects/proxyclip/speed.py --window 336 --rounds 5
    python projects/proxyclip/speed.py projects/proxyclip/configs/voc20_{dense,evit,tome}.py --device cuda --batch 8

The first config given, or voc20_dense.py, is the dense one; the plain form has its networks and weights. All
contenders take turns in one process, round by round, so that a busy machine slows all of them; ratios are of one
round, and the median and the range over the rounds are printed.
Weights are random: they do not change the speed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

# the configs import this project by its path from the root
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError
from mmsparse.models.backbones.encoder import exchanged
from mmsparse.registry import MODELS
from mmsparse.tokens import Tokens
from mmsparse.utils.value_checks import check_device

CONFIGS = Path(__file__).parent / 'configs'
DEFAULT = [str(CONFIGS / f'voc20_{form}.py') for form in ('dense', 'evit', 'tome')]


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        'configs', nargs='*', default=DEFAULT, help='configs of this project; the first is compared with'
    )
    options.add_argument('--window', type=int, default=336, help='pixels (default: 336)')
    options.add_argument('--batch', type=int, default=1, help='windows at once (default: 1)')
    options.add_argument(
        '--rounds', type=int, default=5, help='turns of each contender after one to warm up (default: 5)'
    )
    options.add_argument('--device', default='cpu')
    options.add_argument(
        '--part',
        choices=('model', 'readout'),
        default='model',
        help="'readout': the last block alone, without the towers",
    )
    args = options.parse_args()
    if min(args.window, args.batch, args.rounds) < 1:
        options.error('--window, --batch and --rounds must be at least 1.')
    return args


def published_form(readout) -> Callable[[Tokens, Tensor], Tokens]:
    """The readout with the affinity repeated for every head and the values projected on the proxy's grid."""
    view, block = readout.view, readout.block

    def run(tokens: Tokens, context: Tensor) -> Tokens:
        grid = tuple(context.shape[-2:])
        x_bmc = tokens.x_bnc[:, tokens.prefix :]
        v_bchw = view.values(block, view.norm1(block, x_bmc)).transpose(1, 2).unflatten(2, tokens.grid)
        v_bchw = F.interpolate(v_bchw, size=grid, mode='bilinear', align_corners=False)
        v_bhnd = v_bchw.flatten(2).unflatten(1, (view.heads, -1)).transpose(2, 3)
        share_bhnn = readout.attention.logits(context).unsqueeze(1).repeat(1, view.heads, 1, 1).softmax(-1)
        mixed_bnc = (share_bhnn @ v_bhnd).transpose(1, 2).flatten(2)
        return Tokens.start(view.proj(block, mixed_bnc), prefix=0, grid=grid)

    return run


def contenders(args: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Return by name what is to be timed, each on its own model."""
    images = torch.randn(args.batch, 3, args.window, args.window, generator=torch.Generator().manual_seed(0)).to(
        check_device(args.device)
    )
    timed = {}
    for number, path in enumerate([args.configs[0], *args.configs]):
        model = build(path, args.device)
        if number == 0:
            if model.backbone.sparsifiers:
                raise InputError(
                    f'{path}: the first config must be dense, because the published form is made of it. Put '
                    'voc20_dense.py first.'
                )
            published = published_form(model.backbone.readout)
            model.backbone.encoder.register_forward_pre_hook(
                lambda _, args, given, own=published: (args, given | dict(readout=own)), with_kwargs=True
            )
        name = 'per head' if number == 0 else Path(path).stem
        timed[name] = (lambda model=model: model(images)) if args.part == 'model' else last_block(model, images)
    return timed


def last_block(model, images: Tensor) -> Callable[[], object]:
    """Return the readout on what really enters it."""
    readout, taken = model.backbone.readout, []

    def noting(*given):
        taken.append(given)
        return readout(*given)

    with exchanged(model.backbone.encoder, lambda given: given | dict(readout=noting)), torch.no_grad():
        model(images)
    return lambda: readout(*taken[0])


def build(path: str, device: str):
    if not Path(path).is_file():
        raise InputError(f'{path}: no such config file.')
    cfg = Config.fromfile(path)
    cfg.model.backbone.host.checkpoint = cfg.model.vfm.host.checkpoint = False
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(cfg.model).to(device).eval()


def seconds(run: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    run()
    if device.startswith('cuda'):
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.no_grad()
def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was printed.'):
        timed = contenders(args)
        rounds = []
        for _ in track(range(args.rounds + 1), 'timing', transient=True):
            rounds.append({name: seconds(run, args.device) for name, run in timed.items()})
        rounds = rounds[1:]
    dense = list(timed)[1]
    where = (
        torch.cuda.get_device_name() if args.device.startswith('cuda') else f'CPU, {torch.get_num_threads()} threads'
    )
    table = Table(
        'form',
        'windows/s (median)',
        'speed over dense: median (range)',
        title=f'{args.part}, {args.window} px, batch {args.batch}, {where}',
    )
    for name in timed:
        ratios = [one[dense] / one[name] for one in rounds]
        rate = args.batch / statistics.median(one[name] for one in rounds)
        table.add_row(name, f'{rate:.3g}', f'{statistics.median(ratios):.2f} ({min(ratios):.2f} – {max(ratios):.2f})')
    Console().print(table)


if __name__ == '__main__':
    main()
