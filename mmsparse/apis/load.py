"""From an adapter's folder to a model, without a config file."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmsparse.apis.openmmlab import equip
from mmsparse.apis.predict import Predictor
from mmsparse.errors import InputError, in_words
from mmsparse.models.backbones.folding import fold_all
from mmsparse.state.agreement import full_state_dict
from mmsparse.state.files import read_state
from mmsparse.state.folder import CARD
from mmsparse.state.trust import model_config, plug_ins, scope_of
from mmsparse.utils.value_checks import check_device, check_flag


def load(
    path: str | Path,
    device: str | torch.device = 'cpu',
    host_checkpoint: str | Path | None = None,
    fold: bool = False,
) -> nn.Module:
    """Build the model of an adapter and load it. Nothing that the files say is executed, see SECURITY.md.

    Modules that the run named in `custom_imports` are imported by who trusts them, before the call.

    Args:
        path: the folder of a state, or the adapter.safetensors in it.
        device: of the model, such as cuda:0.
        host_checkpoint: file of the host's weights, needed where the card names a file; compared with the card by
            fingerprint.
        fold: bring the network into its form for testing (`backbone.fold()`): the same answers by fewer operators;
            nothing trains or is saved any more. `model.backbone.form` says what became of each adapter.

    Returns:
        The model (mmpretrain's or mmseg's) in evaluation mode, on the device. Its `predict` takes files, PIL images
        and arrays (`mmsparse.apis.predict.Predictor`, docs/python_api.md); its `card` (`mmsparse.state.card.Card`) has
        class names, normalisation, config and score.

    Raises:
        InputError: damaged files, another host, no such device, or a card that asks for what may not be built; a type
            that is not registered is named, with the modules that its run imported.
    """
    check_device(str(device))
    check_flag('mmsparse.load: fold', fold)
    state = read_state(path)
    file = str(state.path.with_name(CARD))
    state.verify()
    config = model_config(state.card, file, host_checkpoint)
    remedy = (
        f'It was written with {state.card.versions}; use these versions, or tools/test.py with a config of your own.'
    )
    # A card may hold any argument, and each class has its own words for a wrong one; a plug-in may also be a view,
    # which no type names.
    try:
        with (
            DefaultScope.overwrite_default_scope(scope_of(state.card, file)),
            in_words(f'{file}: the model on this card cannot be built', remedy),
        ):
            model = MODELS.build(ConfigDict(config))  # mmseg's models read their test_cfg by attributes
    except InputError as error:
        raise InputError(f'{error}{plug_ins(state.card)}') from error
    model.load_state_dict(full_state_dict(model, state))
    if fold:
        fold_all(model)
    model.to(device)
    model.eval()
    model.card = state.card
    model.predict = Predictor(model, file)
    equip(model, file)
    return model
