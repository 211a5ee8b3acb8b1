"""Patch dropout for most of a pre-training, all patches at its end (Liu et al., PatchDropout, arXiv 2208.07220)."""

from mmengine.hooks import Hook

from mmsparse.registry import HOOKS


@HOOKS.register_module()
class PatchDropUntilHook(Hook):
    """Switch timm's patch dropout off for the last epochs, so that the network ends as it is used.

    Args:
        last_epochs: epochs at the end that see every patch.
    """

    def __init__(self, last_epochs: int):
        self.last_epochs = last_epochs

    def before_train_epoch(self, runner):
        """Epochs count from 0, so a resumed run switches at the same place."""
        if runner.epoch < runner.max_epochs - self.last_epochs:
            return
        from timm.layers import PatchDropout

        for module in runner.model.modules():
            if isinstance(module, PatchDropout):
                module.prob = 0.0
