"""Train a model from a config.

python tools/train.py configs/sparse_tuning/tiny_digits.py
"""

import shlex
import sys
from pathlib import Path

from mmsparse.cli.options import add_precision, parse, parser
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError


def parse_args():
    options = parser('Train a model.')
    options.add_argument(
        '--data', metavar='FOLDER', help='your own pictures, a folder of them per class (for configs with own_folder)'
    )
    options.add_argument(
        '--host',
        help='pretrained host for --data: a name of timm, open_clip or the hub of transformers, or a file '
        '(default: that of the config)',
    )
    options.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from a checkpoint; without a path: from the last one in the work dir',
    )
    add_precision(
        options,
        'as the config says; the shipped ones say auto',
        'half precision, fast or not: bfloat16, on a GPU without it float16',
    )
    options.add_argument('--no-validate', action='store_true', help='do not evaluate while training')
    options.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size (auto_scale_lr.base_batch_size)',
    )
    options.add_argument(
        '--no-persistent-workers', action='store_true', help='start the loading workers anew each epoch'
    )
    return parse(options)


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmengine.config import Config

from mmsparse.cli.launch import build_runner, existing, goes_on, load_config
from mmsparse.engine.precision import set_precision
from mmsparse.state.folder import states


def build_config(args) -> Config:
    """Return the config with all options applied."""
    cfg = load_config(args, ('train_dataloader', 'val_dataloader'))
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.precision:
        set_precision(cfg, args.precision)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise InputError(
                f'--auto-scale-lr: {args.config} does not say for which batch size its learning rate is. Add '
                'auto_scale_lr=dict(base_batch_size=N).'
            )
        cfg.auto_scale_lr.enable = True
    if goes_on(cfg.work_dir, bool(args.resume)):
        args.resume = 'auto'
    if args.resume:
        cfg.resume, cfg.load_from = True, None if args.resume == 'auto' else args.resume
        if args.resume == 'auto' and not states(Path(cfg.work_dir)):
            print(f'--resume: no checkpoint in {cfg.work_dir} yet, training starts from the beginning.')
    if cfg.get('load_from'):
        cfg.load_from = existing(cfg.load_from)
    return cfg


def how_to_go_on(args) -> str:
    if not (args.work_dir and states(Path(args.work_dir))):
        return 'There is no checkpoint yet.'
    if args.launcher != 'none':
        return 'Go on with the same command and --resume.'
    words = sys.argv[1:]
    if '--resume' in words:
        at = words.index('--resume')
        words[at : at + 1 + (words[at + 1 : at + 2] == [args.resume])] = []
    words = [word for word in words if not word.startswith('--resume=')]
    return f'Go on with: python tools/train.py {shlex.join(words)} --resume'


def main() -> None:
    args = parse_args()
    with reporting(lambda: how_to_go_on(args)):
        build_runner(build_config(args)).train()


if __name__ == '__main__':
    main()
