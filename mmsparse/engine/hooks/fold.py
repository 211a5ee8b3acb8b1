"""The form for testing, taken on between loading a checkpoint and the first image of a test."""

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from mmsparse.engine.evolution_search import EvolutionSearchLoop
from mmsparse.errors import InputError
from mmsparse.models.backbones.folding import fold_all
from mmsparse.state.saved_tensors import unwrapped


class FoldHook(Hook):
    """Fold every SparseViT of the model before a test."""

    def before_test(self, runner: Runner) -> None:
        """Fold; the checkpoint has been loaded."""
        runner.logger.info(fold_all(unwrapped(runner.model)))


def fold_before_test(runner: Runner) -> None:
    """Let a runner fold its model once its checkpoint is loaded.

    Raises:
        InputError: the test needs the parameters as they were trained.
    """
    if isinstance(runner.test_loop, EvolutionSearchLoop):
        raise InputError(
            '--fold: the search runs another sub-network for every score, and folding would settle one. Leave out '
            '--fold, and fold the one that is found.'
        )
    if any(isinstance(hook, EMAHook) for hook in runner.hooks):
        raise InputError(
            '--fold: EMAHook exchanges parameters around a test, and folded ones are no longer those. Leave out '
            '--fold, or the hook by --cfg-options custom_hooks=[].'
        )
    runner.register_hook(FoldHook())
