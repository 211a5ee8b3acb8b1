"""Where modules of version 0.1 lie now: their old paths go on working for one release, with a warning."""

import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec

ROOMS = {  # (old folder, new folder): modules that kept their names
    ('', 'utils.'): 'value_checks dependencies packaged imports hints',
    ('', 'structures.'): 'stash',
    ('engine.', 'utils.'): 'terminal',
    ('engine.', 'config.'): 'own_folder',
    ('engine.', 'engine.hooks.'): (
        'checkpoint_hook class_count drawing epoch_seed finite_loss keep_rate keep_rate_warmup patch_drop '
        'random_keep_rate progress'
    ),
    ('engine.', 'cli.'): 'launch options reporting',
    ('models.', 'models.ops.'): 'attention ffn_rows losses',
    ('models.', 'models.necks.'): 'scores reports',
    ('models.', 'models.hosts.'): 'views hubs named_hosts pixels position_tables weight_files',
    ('models.', 'models.backbones.'): 'encoder readout',
    ('models.', 'models.adapters.'): 'folding',
    ('models.', 'engine.'): 'shape_check',
    (
        'evaluation.',
        'analysis.',
    ): 'from_config photos benchmark contenders fixed_rate memory table3 timing trials',
    ('visualization.', 'analysis.'): 'figures',
    ('apis.', 'convert.'): 'merge peft_format',
}
NAMES = {
    'config_check': 'config.check',
    'config_rules': 'config.rules',
    'config_slots': 'config.slots',
    'loss_check': 'models.backbones.uncollected_losses',
    'apis.peers': 'apis.openmmlab',
    'apis.reader': 'apis.picture_reader',
    'evaluation.results': 'visualization.result_file',
    'engine.card': 'engine.hooks.start_card',
    'engine.rates': 'engine.learning_rates',
    'evaluation.account': 'evaluation.cost_by_layer',
    'evaluation.meter': 'evaluation.mac_meter',
    'evaluation.scopes': 'evaluation.mac_scopes',
    'evaluation.watch': 'evaluation.token_watch',
    'models.adapters.adapter': 'models.adapters.houlsby_adapter',
    'models.checkpoints': 'models.hosts.checkpoint_contents',
    'models.host_files': 'models.hosts.load_weights',
    'models.host_weights': 'models.hosts.frozen_model',
    'models.views.base': 'models.hosts.views.view',
    'models.watch': 'evaluation.token_watch',
    'state.kept': 'state.saved_tensors',
}
KEPT = {old + name: new + name for (old, new), names in ROOMS.items() for name in names.split()}
MOVED = {f'mmsparse.{old}': f'mmsparse.{new}' for old, new in (NAMES | KEPT).items()}


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
            warnings.warn(
                f'{name} is {now} now; the old path goes with the next release.', DeprecationWarning, stacklevel=4
            )
            return ModuleSpec(name, Moved(), loader_state=now)
    return None
