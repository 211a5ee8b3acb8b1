"""Measure networks side by side, in turn (A B A B ...): time and memory of testing and of a training step.

    python tools/analysis_tools/benchmark.py dense configs/sparse_tuning/vitb_cifar100.py --table3
    python tools/analysis_tools/benchmark.py configs/sparsify/vitb_dyt_frozen_cifar100.py --vary
    model.backbone.sparsifier.rate=1.0,0.7,0.5,0.3 python tools/analysis_tools/benchmark.py vit_base_patch16_224
    my_module:my_network --phase test --precision fp32 bf16 --mode eager compiled
    python tools/analysis_tools/benchmark.py configs/sparse_tuning/vitb_cifar100.py --phase train --loading

A contender is a config of an image classifier (.py); the word `dense`, the first config's host as its own library runs
it, all of it trainable: full tuning; the name of a network of timm, likewise; or MODULE:FUNCTION, a function without
arguments that returns a torch.nn.Module from B x 3 x H x W images to logits. The first one is the reference: ratios
say how many times as fast the others are, round by round.

Weights are random, from a fixed seed. No time depends on them, except where the data decide how many tokens stay:
DyT's dispatchers are shifted so that they execute exactly their `rate` on the measured images when testing (untrained,
they would not follow it); ATS is measured as its random weights decide. For trained weights write a function that
returns mmsparse.load(ADAPTER).
"""

import argparse
from pathlib import Path

from mmsparse.cli.options import Changes, add_precision, parse
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError
from mmsparse.utils.number_formats import FORMATS


def parse_args():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('contenders', nargs='+', help='CONFIG.py, dense, a name of timm, or MODULE:FUNCTION')
    options.add_argument(
        '--phase',
        nargs='+',
        choices=['test', 'train'],
        default=['test', 'train'],
        help='what to measure (default: both)',
    )
    options.add_argument(
        '--batch', nargs='+', type=int, default=[1, 8, 32], help='images per call when testing (default: 1 8 32)'
    )
    options.add_argument('--train-batch', type=int, default=8, help='images per training step (default: 8)')
    options.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    add_precision(options, 'fp32', nargs='+', default=['fp32'])
    options.add_argument('--mode', nargs='+', choices=['eager', 'compiled'], default=['eager'])
    options.add_argument('--rounds', type=int, default=5, help='samples of each contender, at least 5 (default: 5)')
    options.add_argument('--threads', type=int, help="torch's threads (default: as torch starts)")
    options.add_argument(
        '--clock',
        choices=['wall', 'cpu'],
        default='wall',
        help='cpu: CPU time of one thread, of which other work on the machine takes no part (default: wall)',
    )
    options.add_argument(
        '--fold', action='store_true', help='test every config a second time in its form for testing, folded'
    )
    options.add_argument(
        '--vary',
        nargs=1,
        action=Changes,
        metavar='KEY=A,B,...',
        help='measure every config once with each of these values',
    )
    options.add_argument(
        '--cfg-options', nargs='+', action=Changes, metavar='KEY=VALUE', help='change entries of every config'
    )
    options.add_argument(
        '--table3',
        action='store_true',
        help="print the paper's Table III beside ours, as ratios to the first contender: full tuning",
    )
    options.add_argument(
        '--loading',
        action='store_true',
        help='also how fast one worker prepares training images of 32 and 500 px, beside the step',
    )
    options.add_argument(
        '--out', type=Path, default=Path('work_dirs/benchmark'), help='folder of benchmark.csv, .png and .svg'
    )
    return parse(options, lambda args: [spec for spec in args.contenders if spec.endswith('.py')])


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import torch
from rich.console import Console
from rich.table import Table

from mmsparse.analysis.benchmark import Row, Setting, measure, write_rows
from mmsparse.analysis.contenders import FOLDED, Contender, build_contenders
from mmsparse.analysis.figures import draw_speed
from mmsparse.analysis.loading import measure_loading
from mmsparse.analysis.table3 import Shares, check_full, our_costs, paper_costs
from mmsparse.config.read import read_config
from mmsparse.engine.precision import choose


def contenders_of(args) -> list[Contender]:
    """Build what the command line names; a varied config becomes one contender per value."""
    specs, configs = [], {}
    key, values = next(iter(args.vary.items())) if args.vary else (None, [None])
    for spec in args.contenders:
        if not spec.endswith('.py'):
            specs.append(spec)
            continue
        for value in values if isinstance(values, list) else [values]:
            changes = {} if key is None else {key: value}
            name = Path(spec).stem + ''.join(f', {path.split(".")[-1]}={change}' for path, change in changes.items())
            for form in (name, name + FOLDED) if args.fold else (name,):
                specs.append(form)
                configs[form] = read_config(spec, {**(args.cfg_options or {}), **changes})
    if args.vary and not configs:
        raise InputError('--vary: no config among the contenders, so there is nothing to vary.')
    return build_contenders(specs, configs)


def settings_of(args) -> list[Setting]:
    """Return every combination that is asked for."""
    batches = dict(test=args.batch, train=[args.train_batch])
    names = {name: short for short, name in FORMATS.items()}
    precisions = list(dict.fromkeys(names[choose(precision, args.device).name] for precision in args.precision))
    return [
        Setting(phase, batch, args.device, precision, mode, args.rounds, args.clock)
        for phase in args.phase
        for batch in batches[phase]
        for precision in precisions
        for mode in args.mode
    ]


def row_table(rows: list[Row]) -> Table:
    names = (
        'contender',
        'phase',
        'batch',
        'on',
        'threads',
        'MHz',
        'ms',
        'img/s',
        'times as fast',
        'saved MiB',
        'live MiB',
        'peak MiB',
        'trainable',
    )
    table = Table(
        *names,
        title=f'torch {torch.__version__}, {rows[0].clock} time, median of the rounds with lowest and highest',
    )
    first = {}
    for row in rows:
        on = f'{row.device} {row.precision} {row.mode}'
        reference = first.setdefault((row.phase, row.batch, on), row)
        table.add_row(
            row.contender + (f' (FFN rows {row.ffn_rate:.3f})' if row.ffn_rate is not None else ''),
            row.phase,
            str(row.batch),
            on,
            str(row.threads),
            str(row.clock_mhz or 'unknown'),
            f'{row.milliseconds:.4g} ({row.milliseconds_min:.4g} to {row.milliseconds_max:.4g})',
            f'{row.images_per_second:.4g}',
            f'{row.ratio:.3f} ({row.ratio_min:.3f} to {row.ratio_max:.3f})',
            share(row.saved_bytes, reference.saved_bytes),
            share(row.live_bytes, reference.live_bytes),
            share(row.peak_bytes, reference.peak_bytes),
            f'{row.trainable:,}',
        )
    return table


def share(own: int | None, reference: int | None) -> str:
    if own is None:
        return ''
    return f'{own / 2**20:.1f}' + (f' (×{own / reference:.3f})' if reference else '')


def cost_table(costs: list[Shares], settings: tuple[Setting, Setting]) -> Table:
    title = f'Table III as ratios to full tuning. Ours: {settings[0]}; {settings[1]}'
    names = (
        'method',
        'trained, M',
        'memory, tuning',
        'memory, inference',
        'time, tuning',
        'time, inference',
        'GFLOPs',
    )
    table = Table(*names, title=title)
    for cost in costs:
        figures = (cost.tuning_memory, cost.inference_memory, cost.tuning_time, cost.inference_time, cost.gflops)
        table.add_row(cost.method, f'{cost.millions:.2f}', *(f'{figure:.3f}' for figure in figures))
    return table


def table3(contenders: list[Contender], rows: list[Row], settings: list[Setting]) -> Table:
    """Return the paper's rows and ours, from the first training setting and the largest batch of testing in the same
    precision and mode.
    """
    train = next(setting for setting in settings if setting.phase == 'train')
    alike = [
        setting
        for setting in settings
        if setting.phase == 'test' and (setting.precision, setting.mode) == (train.precision, train.mode)
    ]
    test = max(alike, key=lambda setting: setting.batch)
    keys, names = ('phase', 'batch', 'precision', 'mode'), [contender.name for contender in contenders]
    ours = (
        [
            row
            for row in rows
            if row.contender in names and all(getattr(row, key) == getattr(setting, key) for key in keys)
        ]
        for setting in (train, test)
    )
    paper = [Shares(**{**vars(cost), 'method': f'paper: {cost.method}'}) for cost in paper_costs()]
    return cost_table([*paper, *our_costs(contenders, *ours)], (train, test))


def loading_table(args, rows: list[Row]) -> Table:
    """What the loader of each config prepares, beside the fastest training step that was measured of it."""
    names = (
        'config',
        'pictures',
        'img/s of a worker',
        'workers',
        'img/s of the loader',
        'img/s of the step',
        'loader / step',
    )
    table = Table(
        *names,
        title='Loading, on generated pictures, with a core for each worker; twice the step is enough',
    )
    for spec in (spec for spec in args.contenders if spec.endswith('.py')):
        steps = [
            row.images_per_second for row in rows if row.phase == 'train' and row.contender.startswith(Path(spec).stem)
        ]
        for found in measure_loading(read_config(spec, args.cfg_options)):
            whole = found.per_worker * max(1, found.workers)
            table.add_row(
                Path(spec).stem,
                f'{found.source} {found.side} px',
                f'{found.per_worker:.4g}',
                str(found.workers),
                f'{whole:.4g}',
                *((f'{max(steps):.4g}', f'{whole / max(steps):.3g}') if steps else ('not measured', '')),
            )
    return table


def main() -> None:
    args = parse_args()
    with reporting(lambda: f'The rows so far are in {args.out}.'):
        if args.table3 and set(args.phase) != {'test', 'train'}:
            raise InputError(
                f'--table3: received --phase {" ".join(args.phase)}, but the table compares tuning and inference. '
                'Leave out --phase.'
            )
        if args.fold and (args.phase == ['train'] or not any(spec.endswith('.py') for spec in args.contenders)):
            raise InputError(
                f'--fold: received {" ".join(args.contenders)} and --phase {" ".join(args.phase)}; configs have a '
                'form for testing, in which nothing trains. Leave it out, or name a config and --phase test.'
            )
        if args.threads:
            torch.set_num_threads(args.threads)
        settings, contenders = settings_of(args), contenders_of(args)
        if args.table3:
            check_full(contenders[0])
        args.out.mkdir(parents=True, exist_ok=True)
        console = Console(width=None if Console().is_terminal else 200)
        rows = []
        for setting in settings:
            with console.status(f'{setting} ...'):
                rows += measure([own for own in contenders if setting.phase == 'test' or not own.folded], setting)
            write_rows(rows, args.out / 'benchmark.csv')
        console.print(row_table(rows))
        if args.table3:
            console.print(table3([own for own in contenders if not own.folded], rows, settings))
        if args.loading:
            console.print(loading_table(args, rows))
        files = [args.out / 'benchmark.csv', *draw_speed(rows, args.out / 'benchmark')]
        print(f'Written: {", ".join(map(str, files))}.')


if __name__ == '__main__':
    main()
