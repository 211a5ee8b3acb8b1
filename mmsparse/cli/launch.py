"""What tools/train.py and tools/test.py share: config and processes."""

import argparse
import os
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from mmsparse.cli.options import NEEDED
from mmsparse.config.check import check_config
from mmsparse.config.read import read_config
from mmsparse.errors import InputError
from mmsparse.models.hosts.weight_files import read_weights
from mmsparse.state.files import is_state, read_state
from mmsparse.state.folder import BEGUN, CARD, states, write_whole
from mmsparse.utils.value_checks import writable_folder

MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


def load_config(args: argparse.Namespace, loaders: tuple[str, ...]) -> Config:
    """Read the config and apply the shared options, ``--cfg-options`` first; `args.work_dir` is then set.

    Args:
        args: the parsed options.
        loaders: names of the data loaders that the tool uses.

    Raises:
        InputError: no such file, or it cannot be read; the text gives file and line.
    """
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    own = getattr(args, 'data', None)
    name = Path(args.config).stem + (f'_{Path(own).resolve().name}' if own else '')
    args.work_dir = cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'./work_dirs/{name}'
    if own or 'own_folder' in cfg or getattr(args, 'host', None):
        from mmsparse.config.own_folder import fill_in

        fill_in(cfg, args)
    randomness = cfg.setdefault('randomness', ConfigDict())
    if args.seed is not None:
        randomness.seed = args.seed
    if args.deterministic:
        randomness.deterministic = True
        # without it deterministic matrix products are refused on a GPU
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    for name in loaders:
        _complete(cfg.get(name), args, cfg.get('default_scope'))
    return cfg


def _complete(loader: ConfigDict | None, args: argparse.Namespace, scope: str | None) -> None:
    """Fill in mmpretrain's loader defaults; mmseg's inferencers want no collate_fn."""
    if loader is None:
        return
    loader.setdefault('pin_memory', torch.cuda.is_available())
    loader.setdefault('persistent_workers', True)
    if scope != 'mmseg':
        loader.setdefault('collate_fn', dict(type='default_collate'))
    if args.no_pin_memory:
        loader.pin_memory = False
    if not loader.get('num_workers') or getattr(args, 'no_persistent_workers', False):
        loader.persistent_workers = False


def restarts() -> int:
    """Return how often torchrun has started this job again (--max-restarts)."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0))


def goes_on(work_dir: str, resumes: bool) -> bool:
    """Whether torchrun has started a job again that has saved a state: it goes on there, whatever it began with.

    Args:
        work_dir: of the run; what lies in it from runs before this job is no state of it.
        resumes: whether the job itself goes on with such a run.
    """
    begun = Path(work_dir) / BEGUN
    if restarts():
        since = 0 if resumes or not begun.is_file() else begun.stat().st_mtime_ns
        return any((state / CARD).stat().st_mtime_ns >= since for state in states(Path(work_dir)))
    if int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', 0)) and os.environ.get('RANK') == '0':
        write_whole(Path(writable_folder(work_dir, '--work-dir')) / BEGUN, '')
    return False


def existing(path: str) -> str:
    """Return the path of a state or file of weights after a cheap look at it; an address is downloaded.

    Raises:
        InputError: nothing there, or a damaged state.
    """
    if '://' in path:
        read_weights(path)  # downloads it, or says that it cannot be reached, before data is loaded
        return path
    if Path(path).suffix == '.py':
        raise InputError(
            f'{path}: a config, expected a checkpoint: the folder of a state such as work_dirs/tiny_digits/epoch_10, '
            'or a file of weights.'
        )
    if not Path(path).exists():
        others = sorted(str(card.parent) for card in Path(path).parent.glob(f'*/{CARD}'))
        raise InputError(f'{path}: no such checkpoint. Checkpoints in this folder: {", ".join(others) or "none"}.')
    if is_state(path):
        read_state(path).verify()
    return path


def build_runner(cfg: Config) -> Runner:
    """Set the processes up and build the runner.

    Raises:
        InputError: a misspelt config; the launcher did not start this process, or needs a GPU that is not there.
    """
    # MMEngine lets a config drop only those hooks by None that it would have added itself.
    for name in [
        name for name, hook in cfg.get('default_hooks', {}).items() if hook is None and name not in MMENGINE_HOOKS
    ]:
        cfg.default_hooks.pop(name)
    check_config(cfg)
    writable_folder(cfg.work_dir, '--work-dir')
    missing = [name for name in NEEDED[cfg.launcher] if name not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {cfg.launcher}: {", ".join(missing)} not set, so this process was not started by it. '
            'Use tools/dist_train.sh, tools/dist_test.sh or the slurm scripts, or leave out --launcher for one '
            'process.'
        )
    if cfg.launcher != 'none' and not torch.cuda.is_available():
        if cfg.launcher != 'pytorch':
            raise InputError(
                f'--launcher {cfg.launcher}: no GPU found. Several processes on a CPU go through torchrun: '
                'tools/dist_train.sh, tools/dist_test.sh.'
            )
        # MMEngine would choose a GPU first and hand its number to DistributedDataParallel.
        store, rank, processes = next(rendezvous('env://'))
        # torchrun's store outlives a start that failed, with the addresses of processes that are gone
        store = distributed.PrefixStore(f'start {restarts()}', store)
        distributed.init_process_group('gloo', store=store, rank=rank, world_size=processes)
        given = cfg.get('model_wrapper_cfg') or dict(find_unused_parameters=cfg.get('find_unused_parameters', False))
        cfg.model_wrapper_cfg = dict(
            dict(type='MMDistributedDataParallel', broadcast_buffers=False), **given, device_ids=None
        )
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
