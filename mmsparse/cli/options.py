"""The command line of every tool; light, so that --help and a mistake are answered before seconds of imports."""

import argparse
import ast
import os
import re
from collections.abc import Callable

from mmsparse.cli.reporting import reporting
from mmsparse.utils.dependencies import check_installed
from mmsparse.utils.number_formats import FORMATS
from mmsparse.utils.packaged import config_file

NEEDED = {  # what each launcher promises to set
    'none': (),
    'pytorch': ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR'),
}
# Small data by their names in tools and tables, and the configs that have them.
SMALL = dict(digits='mmsparse::sparse_tuning/tiny_digits.py', photos='mmsparse::sparse_tuning/tiny_photos.py')


class Changes(argparse.Action):
    """MMEngine's DictAction, imported when there is something for it: it brings torch along."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Add KEY=VALUE pairs to the dictionary of the option."""
        from mmengine.config import DictAction

        if bare := [pair for pair in values if '=' not in pair]:
            parser.error(f'{option_string} expects KEY=VALUE pairs, received {bare[0]!r}.')
        written = dict(pair.split('=', 1) for pair in values if re.match(r'[^=]+=[\[(\s]*(dict\(|\{)', pair))
        try:
            dicts = {key: literal(ast.parse(text.strip(), mode='eval').body) for key, text in written.items()}
            DictAction(self.option_strings, self.dest)(
                parser, namespace, [pair for pair in values if pair.split('=')[0] not in dicts], option_string
            )
        except (ValueError, SyntaxError, RecursionError) as error:  # MMEngine's words are a traceback
            parser.error(
                f'{option_string} expects KEY=VALUE pairs, such as a.b=1 c="[1,2]" d="dict(type=\'X\')": {error}'
            )
        getattr(namespace, self.dest).update(dicts)


def changes(words: list[str]) -> dict:
    """Return the values by dotted path that ``--cfg-options`` makes of KEY=VALUE texts; a mistake ends the tool."""
    options = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    options.add_argument('--cfg-options', nargs='*', action=Changes, default={})
    return options.parse_args(['--cfg-options', *words]).cfg_options


def literal(node: ast.expr):
    """Return the value of an expression of plain values; dictionaries may be written ``dict(type='X')``.

    Raises:
        ValueError: anything else stands in it.
    """
    if (
        isinstance(node, ast.Call)
        and getattr(node.func, 'id', '') == 'dict'
        and not node.args
        and all(key.arg for key in node.keywords)
    ):
        return {key.arg: literal(key.value) for key in node.keywords}
    if isinstance(node, ast.Dict) and all(node.keys):
        return {ast.literal_eval(key): literal(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return [literal(item) for item in node.elts]
    return ast.literal_eval(node)


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options that tools/train.py and tools/test.py have, named as in mmpretrain."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument('config', help='path of the config file')
    options.add_argument(
        '--work-dir',
        help='where logs and checkpoints go (default: work_dir of the config, else work_dirs/NAME_OF_CONFIG)',
    )
    options.add_argument(
        '--cfg-options',
        nargs='+',
        action=Changes,
        metavar='KEY=VALUE',
        help='change entries of the config: a.b=1 c="[1,2]"',
    )
    options.add_argument('--launcher', choices=list(NEEDED), default='none', help='who started the processes')
    options.add_argument('--seed', type=int, help='seed of the run, instead of randomness.seed')
    options.add_argument('--deterministic', action='store_true', help='let torch refuse operators whose results vary')
    options.add_argument('--no-pin-memory', action='store_true', help='keep batches in pageable memory')
    options.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by old launchers')
    return options


def add_precision(options: argparse.ArgumentParser, usual: str, amp: str = '', **more) -> None:
    """Add ``--precision``, and mmpretrain's ``--amp`` where its help is given: args.precision is then 'half'.

    Args:
        options: of a tool.
        usual: what runs without the option; for the help.
        amp: help of ``--amp``.
        more: for argparse.
    """
    one = options.add_mutually_exclusive_group()
    text = (
        'number format; auto: bfloat16 where it is measured to be faster than float32, else float32 (default: '
        f'{usual})'
    )
    one.add_argument('--precision', choices=list(FORMATS), help=text, **more)
    if amp:
        one.add_argument('--amp', action='store_const', const='half', dest='precision', help=amp)


def parse(options: argparse.ArgumentParser, configs: Callable = lambda args: [args.config]) -> argparse.Namespace:
    """Parse the command line; a config that is not there ends the tool with one line.

    Args:
        options: what the tool takes.
        configs: gives the paths of the config files among the arguments.
    """
    args = options.parse_args()
    if getattr(args, 'launcher', None) == 'pytorch':
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))  # MMEngine looks there
    with reporting(lambda: 'Nothing was begun.'):
        check_installed()
        for path in configs(args):
            config_file(path)
    return args
