"""Where modules of version 0.1 lie now: their old paths go on working for one release, with a warning."""

import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec

MOVED = {
    'mmsparse.value_checks': 'mmsparse.utils.value_checks',
    'mmsparse.dependencies': 'mmsparse.utils.dependencies',
    'mmsparse.packaged': 'mmsparse.utils.packaged',
    'mmsparse.imports': 'mmsparse.utils.imports',
    'mmsparse.hints': 'mmsparse.utils.hints',
    'mmsparse.engine.terminal': 'mmsparse.utils.terminal',
    'mmsparse.stash': 'mmsparse.structures.stash',
    'mmsparse.models.attention': 'mmsparse.models.ops.attention',
    'mmsparse.models.ffn_rows': 'mmsparse.models.ops.ffn_rows',
    'mmsparse.models.losses': 'mmsparse.models.ops.losses',
    'mmsparse.models.scores': 'mmsparse.models.necks.scores',
    'mmsparse.models.reports': 'mmsparse.models.necks.reports',
    'mmsparse.models.views': 'mmsparse.models.hosts.views',
    'mmsparse.models.host_files': 'mmsparse.models.hosts.load_weights',
    'mmsparse.models.host_weights': 'mmsparse.models.hosts.frozen_model',
    'mmsparse.models.hubs': 'mmsparse.models.hosts.hubs',
    'mmsparse.models.named_hosts': 'mmsparse.models.hosts.named_hosts',
    'mmsparse.models.pixels': 'mmsparse.models.hosts.pixels',
    'mmsparse.models.position_tables': 'mmsparse.models.hosts.position_tables',
    'mmsparse.models.weight_files': 'mmsparse.models.hosts.weight_files',
    'mmsparse.models.checkpoints': 'mmsparse.models.hosts.checkpoint_contents',
    'mmsparse.loss_check': 'mmsparse.models.backbones.uncollected_losses',
    'mmsparse.models.encoder': 'mmsparse.models.backbones.encoder',
    'mmsparse.models.readout': 'mmsparse.models.backbones.readout',
    'mmsparse.models.folding': 'mmsparse.models.adapters.folding',
    'mmsparse.models.shape_check': 'mmsparse.engine.shape_check',
    'mmsparse.models.watch': 'mmsparse.evaluation.token_watch',
    'mmsparse.evaluation.from_config': 'mmsparse.analysis.from_config',
    'mmsparse.evaluation.photos': 'mmsparse.analysis.photos',
    'mmsparse.evaluation.benchmark': 'mmsparse.analysis.benchmark',
    'mmsparse.evaluation.contenders': 'mmsparse.analysis.contenders',
    'mmsparse.evaluation.fixed_rate': 'mmsparse.analysis.fixed_rate',
    'mmsparse.evaluation.memory': 'mmsparse.analysis.memory',
    'mmsparse.evaluation.results': 'mmsparse.analysis.results',
    'mmsparse.evaluation.table3': 'mmsparse.analysis.table3',
    'mmsparse.evaluation.timing': 'mmsparse.analysis.timing',
    'mmsparse.evaluation.trials': 'mmsparse.analysis.trials',
    'mmsparse.visualization.figures': 'mmsparse.analysis.figures',
    'mmsparse.config_check': 'mmsparse.config.check',
    'mmsparse.config_rules': 'mmsparse.config.rules',
    'mmsparse.config_slots': 'mmsparse.config.slots',
    'mmsparse.engine.own_folder': 'mmsparse.config.own_folder',
    'mmsparse.engine.card': 'mmsparse.engine.hooks.start_card',
    'mmsparse.engine.checkpoint_hook': 'mmsparse.engine.hooks.checkpoint_hook',
    'mmsparse.engine.class_count': 'mmsparse.engine.hooks.class_count',
    'mmsparse.engine.drawing': 'mmsparse.engine.hooks.drawing',
    'mmsparse.engine.epoch_seed': 'mmsparse.engine.hooks.epoch_seed',
    'mmsparse.engine.finite_loss': 'mmsparse.engine.hooks.finite_loss',
    'mmsparse.engine.keep_rate': 'mmsparse.engine.hooks.keep_rate',
    'mmsparse.engine.keep_rate_warmup': 'mmsparse.engine.hooks.keep_rate_warmup',
    'mmsparse.engine.patch_drop': 'mmsparse.engine.hooks.patch_drop',
    'mmsparse.engine.random_keep_rate': 'mmsparse.engine.hooks.random_keep_rate',
    'mmsparse.engine.progress': 'mmsparse.engine.hooks.progress',
    'mmsparse.engine.launch': 'mmsparse.cli.launch',
    'mmsparse.engine.options': 'mmsparse.cli.options',
    'mmsparse.engine.reporting': 'mmsparse.cli.reporting',
    'mmsparse.engine.rates': 'mmsparse.engine.learning_rates',
    'mmsparse.evaluation.account': 'mmsparse.evaluation.cost_by_layer',
    'mmsparse.evaluation.meter': 'mmsparse.evaluation.mac_meter',
    'mmsparse.evaluation.watch': 'mmsparse.evaluation.token_watch',
    'mmsparse.evaluation.scopes': 'mmsparse.evaluation.mac_scopes',
    'mmsparse.apis.peers': 'mmsparse.apis.openmmlab',
    'mmsparse.apis.reader': 'mmsparse.apis.picture_reader',
    'mmsparse.state.kept': 'mmsparse.state.saved_tensors',
    'mmsparse.models.adapters.adapter': 'mmsparse.models.adapters.houlsby_adapter',
    'mmsparse.apis.merge': 'mmsparse.convert.merge',
    'mmsparse.apis.peft_format': 'mmsparse.convert.peft_format',
}


class Moved:
    """Loads nothing: hands out the module that has another path now."""

    def create_module(self, spec: ModuleSpec):
        """Return it."""
        module = import_module(spec.loader_state)
        self.spec = module.__spec__
        return module

    def exec_module(self, module) -> None:
        """Leave it the description that Python has just replaced by that of the old path."""
        module.__spec__ = self.spec


def moved(name: str) -> ModuleSpec | None:
    """Return what finds a module by its old path, or None."""
    for old, new in MOVED.items():
        if name == old or name.startswith(f'{old}.'):
            now = new + name.removeprefix(old)
            warnings.warn(f'{name} is {now} now; the old path goes with the next release.', DeprecationWarning, stacklevel=4)
            return ModuleSpec(name, Moved(), loader_state=now)
    return None
