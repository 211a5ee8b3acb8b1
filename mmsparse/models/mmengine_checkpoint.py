"""Let MMEngine's `load_checkpoint`, and with it mmpretrain's and mmseg's functions, read a state where a checkpoint is expected.

A state holds no frozen weights. So its tensors travel with the fingerprints of what they belong to, as the metadata of a torch state dict, and
`SparseViT` compares them and takes the frozen weights from itself.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader, load_from_local
from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.host_weights import fingerprint

KEY = 'mmsparse_frozen'


@CheckpointLoader.register_scheme(prefixes='', force=True)  # '' is what has no other scheme: a local path
def load_from_local_or_state(filename: str, map_location: Any) -> dict:
    """Return a checkpoint as MMEngine's own loader does, or the same form for a state.

    Raises:
        InputError: a damaged state, or a folder that is none.
    """
    from mmsparse.state.files import is_state, read_state  # these import this package
    from mmsparse.visualization.label_map import dataset_meta

    if not is_state(filename):
        return load_from_local(filename, map_location)
    state = read_state(filename)
    state.verify()
    tensors = OrderedDict(state.tensors)
    tensors._metadata = OrderedDict()
    for path, frozen in state.card.frozen.items():
        owner, _, name = path.rpartition('.')
        tensors._metadata.setdefault(owner, {KEY: {}})[KEY][name] = (frozen, str(state.path))
    meta = dict(epoch=state.card.epoch, iter=state.card.iter, dataset_meta=dataset_meta(state.card.classes))
    return dict(meta=meta, state_dict=tensors)


def fill_frozen(part: nn.Module, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    """Complete the tensors of a state with the frozen weights of the part that is about to load them; other state dicts stay as they are.

    Args:
        part: with `frozen_models`.
        state_dict, prefix, local_metadata: as torch hands them to a module.

    Raises:
        InputError: another host, or tensors of the part that are missing or of another shape.
    """
    for name, (theirs, file) in local_metadata.get(KEY, {}).items():
        ours, host = part.frozen_models[name], part.frozen_models[name].module
        trains = frozenset(key for key, parameter in host.named_parameters() if parameter.requires_grad)
        if theirs['fingerprint'] not in (ours.fingerprint(trains), fingerprint(host, trains)):
            raise InputError(
                f'{file}: this adapter belongs to another host: its card says {theirs["name"]} ({theirs["fingerprint"][:12]}), not the '
                f'{ours.name} of this config. Use the config that trained it, or load the weights that the card names.'
            )
        frozen = {key: value for key, value in host.state_dict().items() if key not in trains}
        state_dict.update({f'{prefix}{name}.{key}': value for key, value in frozen.items() if f'{prefix}{name}.{key}' not in state_dict})
        needed = part.state_dict(prefix=prefix)
        wrong = [key for key, value in needed.items() if key not in state_dict or state_dict[key].shape != value.shape]
        wrong += [key for key in state_dict if key.startswith(prefix) and key not in needed]
        if wrong:
            raise InputError(f'{file}: these are not the tensors of this model, see {", ".join(sorted(wrong)[:3])}. Use the config that trained it.')
