"""Let MMEngine's `load_checkpoint`, and what of mmpretrain and mmseg calls it, read a state as a checkpoint.

A state holds no frozen weights. So its tensors travel with the fingerprints of the models that they belong to, in the
metadata of a torch state dict; `SparseViT` compares these and takes the frozen weights from itself. The registry of
models imports this module with them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader, load_from_local

from mmsparse.datasets.palette import dataset_meta
from mmsparse.models.hosts.frozen_model import KEY
from mmsparse.state.files import is_state, read_state


@CheckpointLoader.register_scheme(prefixes='', force=True)  # '' is what has no other scheme: a local path
def load_from_local_or_state(filename: str, map_location: Any) -> dict:
    """Return a checkpoint as MMEngine's own loader does, or the same form for a state.

    Raises:
        InputError: a damaged state, or a folder that is none.
    """
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
