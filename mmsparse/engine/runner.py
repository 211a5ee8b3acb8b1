"""MMEngine's runner with states that survive a kill, hold no pickle, and are checked before they are used."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

from mmengine.device import get_device
from mmengine.dist import barrier, is_main_process
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmsparse.config.check import check_config
from mmsparse.config.subnets import read_subnets
from mmsparse.engine.checkpoint_dict import of_run, of_state, write_run
from mmsparse.engine.data_check import readable
from mmsparse.engine.exact_data import seeded
from mmsparse.engine.gradients import pending, restore, wrappers
from mmsparse.engine.hooks.interrupt import signals_kept
from mmsparse.engine.hooks.model_hook import ModelHook
from mmsparse.engine.loops import exact, go_on, position
from mmsparse.engine.precision import check_wrapper
from mmsparse.engine.random_state import set_random_state
from mmsparse.engine.recipe import load_optimizer, load_schedules
from mmsparse.engine.shape_check import check_shapes
from mmsparse.errors import InputError
from mmsparse.models.hosts.weight_files import read_weights
from mmsparse.registry import RUNNERS
from mmsparse.state.files import is_state, newest
from mmsparse.state.folder import alone_in, tidy, writing_to
from mmsparse.state.plain_weights import whole_model
from mmsparse.state.saved_tensors import unwrapped
from mmsparse.utils.terminal import quieten


@RUNNERS.register_module()
class SparseRunner(Runner):
    """Writes and reads states as folders (`mmsparse.state`); hooks see MMEngine's checkpoint dictionaries.

    Attributes:
        score: iteration and metrics of the last validation; `mmsparse.CheckpointHook` sets it.
        provisional: whether the model now runs at a keep rate that is not the one it will be used at; no score is
            ranked then.
    """

    score: tuple[int, dict] = (-1, {})
    provisional = False

    @classmethod
    def from_cfg(cls, cfg) -> SparseRunner:
        """Check a config and build its runner.

        Raises:
            InputError: a misspelt type or argument, or losses that would get lost.
        """
        check_config(cfg)
        read_subnets(cfg)
        with writing_to(cfg.get('work_dir')):
            runner = super().from_cfg(cfg)
        check_shapes(runner.model)
        return runner

    def dump_config(self) -> None:
        """Write the config into the work folder, but not over its own file: the options of one call would stay in
        it.
        """
        source = Path(self.cfg.filename or '')
        if source.absolute().parent != Path(self.work_dir).absolute():
            super().dump_config()

    def train(self) -> nn.Module:
        """Let the precision and the hooks that need a certain model refuse before data is loaded, then train."""
        check_wrapper(self.optim_wrapper)
        for hook in self.hooks:
            if isinstance(hook, ModelHook):
                hook.check(self)
        alone = alone_in(self.work_dir) if is_main_process() else nullcontext()
        with signals_kept(), writing_to(self.work_dir), alone:
            return super().train()

    def build_logger(self, *args, **settings):
        """Return MMEngine's logger; what it says before the start card goes to the log file only."""
        logger = super().build_logger(*args, **settings)
        quieten(logger)
        return logger

    def build_train_loop(self, loop) -> BaseLoop:
        """Build a loop that goes on anywhere, on data that are drawn by sample; data that make no batch are refused:
        the schedules would fail in their own words.
        """
        if not isinstance(loop, BaseLoop):
            other = self._randomness_cfg.get('diff_rank_seed', False)
            loader = self.build_dataloader(self._train_dataloader, self.seed, other)
            self._train_dataloader = seeded(loader, self.seed)
            loop = exact(loop)
        built = super().build_train_loop(loop)
        if len(built.dataloader) == 0:
            loader = built.dataloader
            raise InputError(
                f'train_dataloader: {len(loader.dataset)} images make no batch of {loader.batch_size} with '
                'drop_last=True. Set a smaller batch_size, or drop_last=False.'
            )
        return built

    @staticmethod
    def build_dataloader(dataloader, seed=None, diff_rank_seed=False):
        """Build a loader; data that are not where the config says end in one sentence."""
        with readable(dataloader):
            return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def scale_lr(self, optim_wrapper, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rates with the images per optimiser step; MMEngine leaves accumulated batches out."""
        if not (auto_scale_lr or {}).get('enable'):
            return
        for wrapper in wrappers(optim_wrapper):
            images = self.world_size * self.train_dataloader.batch_size * wrapper._accumulative_counts
            ratio = images / (usual := auto_scale_lr['base_batch_size'])
            self.logger.info(f'{images} images per step, the learning rate is for {usual}: scaled by {ratio:g}.')
            for group in wrapper.optimizer.param_groups:
                group['lr'] *= ratio

    def build_param_scheduler(self, scheduler):
        """Let a schedule that the run has no room for be named."""
        try:
            return super().build_param_scheduler(scheduler)
        except (ValueError, AssertionError) as error:
            raise InputError(
                f'param_scheduler: {error}, in a run of {self.max_epochs} epochs, {self.max_iters} iterations. Set it '
                'for this length, or take mmsparse.WarmupLR and mmsparse.CosineLR, which follow the run '
                '(configs/_base_/schedules).'
            ) from error

    def wrap_model(self, model_wrapper_cfg, model: nn.Module) -> nn.Module:
        """Wrap a model for several processes, unless nothing in it trains: torch's wrapper refuses such a model."""
        if self.distributed and not any(parameter.requires_grad for parameter in model.parameters()):
            return model.to(get_device())
        return super().wrap_model(model_wrapper_cfg, model)

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
    ) -> None:
        """Write a state at once; what resume needs goes in where optimiser or schedule are asked for. All processes
        call it: between two steps of an accumulation each has gradients of its own.

        Args:
            out_dir: an existing or new local folder.
            filename: the state's folder in it.
            meta: epoch and iter of the state, by default those after the present one.

        Raises:
            InputError: out_dir is not on this machine.
        """
        if '://' in str(out_dir) or file_client_args or backend_args:
            raise InputError(
                f'out_dir {out_dir}: states are written to local folders only, with no backend. Copy them from there.'
            )
        epoch, iteration = (self.epoch + 1, self.iter) if by_epoch else (self.epoch, self.iter + 1)
        meta = dict(epoch=epoch, iter=iteration) | (meta or {}) | position(self.train_loop)
        meta |= dict(seed=self.seed, experiment_name=self.experiment_name)
        gradients = pending(self) if save_optimizer else []
        if not is_main_process():
            return
        meta |= dict(dataset_meta=getattr(self.train_dataloader.dataset, 'metainfo', {}))
        checkpoint = of_run(self, meta, gradients, save_optimizer, save_param_scheduler)
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        write_run(self, Path(out_dir) / filename, checkpoint, save_optimizer or save_param_scheduler)

    def load_checkpoint(
        self, filename: str, map_location='cpu', strict: bool = False, revise_keys=((r'^module.', ''),)
    ) -> dict:
        """Load a state strictly, or a file of a whole model's weights (safetensors, or .pth without code).

        Args:
            filename: folder of a state, the adapter.safetensors in it, a file of weights, or an address of one.
            map_location, strict: not used; tensors go where the model is, and whatever trains has to be in the file.
            revise_keys: for plain weights, as in MMEngine.

        Raises:
            InputError: damaged, or not this model's; the text says what differs.
        """
        model = unwrapped(self.model)
        if not is_state(filename):
            checkpoint = dict(state_dict=read_weights(str(filename)))
            self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
            for pattern, word in revise_keys:
                checkpoint['state_dict'] = {
                    re.sub(pattern, word, name): value for name, value in checkpoint['state_dict'].items()
                }
            full, stripped = whole_model(model, checkpoint['state_dict'], str(filename))
            if stripped:
                self.logger.warning(f'{filename}: every name in it begins with {stripped!r}, which was left out.')
            model.load_state_dict(full)
        else:
            checkpoint = of_state(self, filename)
            self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
            model.load_state_dict(checkpoint['state_dict'])
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def load_or_resume(self) -> None:
        """Load or resume once; without a path resume from the newest complete state, whatever last_checkpoint says."""
        if self._resume and self._load_from is None and not self._has_loaded:
            if is_main_process() and Path(self.work_dir).is_dir():
                tidy(Path(self.work_dir))
            barrier()
            found = newest(Path(self.work_dir), self.logger.warning)
            if found is None:
                self.logger.info(f'No state in {self.work_dir} to resume from: training starts from the beginning.')
                return
            self._load_from = str(found)
        super().load_or_resume()

    def resume(
        self, filename: str, resume_optimizer: bool = True, resume_param_scheduler: bool = True, map_location='default'
    ) -> None:
        """Go on from a state, generators included (of the first process; the others' follow from seed and position).

        Raises:
            InputError: not a state, saved without what resume needs, damaged, or another model's.
        """
        if not is_state(filename):
            raise InputError(
                f'{filename}: resume expects the folder of a state, such as epoch_20. To start from plain weights set '
                'load_from.'
            )
        self._resume = True
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        checkpoint = self.load_checkpoint(str(filename))
        # Not MMEngine's own method: it runs the text of a config that it finds in a state.
        go_on(self.train_loop, checkpoint['meta'], filename)
        if (seed := checkpoint['meta'].get('seed')) is not None and seed != self.seed:
            self.logger.warning(f'{filename}: goes on with its seed {seed}; randomness.seed={self.seed} is ignored.')
            self._randomness_cfg.update(seed=seed)
            self.set_randomness(**self._randomness_cfg)
        self.message_hub.load_state_dict(checkpoint['message_hub'])
        if resume_optimizer:
            load_optimizer(checkpoint['optimizer'], self.optim_wrapper)
        if resume_param_scheduler:
            load_schedules(checkpoint.get('param_schedulers'), self.param_schedulers)
        for sampler in (self.train_dataloader.sampler, self.train_dataloader.batch_sampler):
            # built before the state was read, which names the seed that the run began with
            if hasattr(sampler, 'seed'):
                sampler.seed = self.seed
        restore(self, checkpoint.get('gradients') or [], filename)
        if is_main_process():
            set_random_state(checkpoint['random'])
        self.logger.info(f'resumed epoch: {self.epoch}, iter: {self.iter}')
