"""Plain files of weights, without a card: loaded where they hold all that trains, else refused by what they are."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import tensor_differences
from mmsparse.state.saved_tensors import adapter_tensors

# wrappers for several processes, compiled models, Lightning's modules
PREFIXES = ('module.', '_orig_mod.', 'model.', 'state_dict.')
HOST = (
    'perhaps with an adapter merged into it (merge_adapter.py). Its own library loads it; here it can be '
    'model.backbone.host.checkpoint'
)
SIGNS = {  # what a file is whose names begin so
    f'a classifier of mmpretrain, {HOST}': (
        'backbone.layers.',
        'backbone.patch_embed.',
        'backbone.cls_token',
        'backbone.ln1.',
    ),
    f'a host alone, {HOST}': (
        'blocks.',
        'patch_embed.',
        'cls_token',
        'pos_embed',
        'trunk.',
        'visual.',
        'transformer.resblocks.',
        'class_embedding',
    ),
    'what a run needs to go on (resume.safetensors); name the folder that it lies in': (
        'optimizer.',
        'random.',
        'ema_state_dict.',
    ),
    'an adapter of the peft library; tools/model_converters/peft_to_lora.py makes a state of it': (
        'base_model.model.',
    ),
}


def whole_model(model: nn.Module, tensors: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], str]:
    """Return the model's whole state dict with a file's tensors in it, and the prefix that all their names had.

    Frozen weights that the file lacks are the model's own. The model is not changed.

    Args:
        model: without wrappers.
        tensors: by name.
        source: the file, named in errors.

    Raises:
        InputError: something that trains is missing or of another shape, or the model has no place for something in
            the file.
    """
    own, needed = model.state_dict(), adapter_tensors(model)
    names, prefix = dict(tensors), ''
    while not own.keys() & names.keys() and (
        found := next((one for one in PREFIXES if names and all(n.startswith(one) for n in names)), '')
    ):
        names, prefix = {name.removeprefix(found): value for name, value in names.items()}, prefix + found
    if wrong := tensor_differences(names, own, needed):
        raise InputError(
            f'{source}: holds {_kind(names, own.keys(), needed.keys())}. Expected every weight of this model that '
            f'trains, and nothing that it has no place for; {wrong}.'
        )
    return {**own, **names}, prefix


def _kind(names, own, needed) -> str:
    if names and names.keys() <= own - needed:
        return 'frozen weights alone, which the config has loaded already'
    found = next((words for words, signs in SIGNS.items() if any(name.startswith(signs) for name in names)), None)
    return found or (
        'a model that is built otherwise; use the config that trained it'
        if needed & names.keys()
        else 'the weights of another network'
    )
