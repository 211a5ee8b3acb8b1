"""Which tensors of a model a state holds: all but the weights of frozen models, such as the host's."""

from __future__ import annotations

from torch import Tensor, nn

from mmsparse.models.hosts.frozen_model import FrozenModel


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside wrappers for several processes and for test-time augmentation."""
    while isinstance(getattr(model, 'module', None), nn.Module):
        model = model.module
    return model


def frozen_models(model: nn.Module) -> dict[str, FrozenModel]:
    """Return the frozen models that parts name in their property `frozen_models`, by path, such as backbone.host."""
    paths = {id(module): path for path, module in model.named_modules()}
    named = [frozen for module in model.modules() for frozen in getattr(module, 'frozen_models', {}).values()]
    return {paths[id(frozen.module)]: frozen for frozen in named}


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model that a state has to hold, by name.

    These are parameters and persistent buffers outside frozen models, and parameters that train inside one; such a
    model is no longer run as it was loaded, so its buffers are among them.
    """
    state = model.state_dict()
    for path, frozen in frozen_models(model).items():
        trains = frozen.trains
        names = (
            {name for name, _ in frozen.module.named_parameters()} - trains if trains else frozen.module.state_dict()
        )
        left_out = {f'{path}.{name}' for name in names}
        state = {key: value for key, value in state.items() if key not in left_out}
    return dict(state)


def fingerprints(model: nn.Module) -> dict[str, dict[str, str]]:
    """Return name, source and fingerprint of every frozen model, by its path."""
    return {
        path: dict(name=frozen.name, source=str(frozen.source), fingerprint=frozen.fingerprint())
        for path, frozen in frozen_models(model).items()
    }


def normalisation(model: nn.Module) -> dict:
    """Return the data preprocessor's mean and deviation per channel (pixel values, 0 to 255) and its to_rgb."""
    found = getattr(model, 'data_preprocessor', None)
    mean, std = (getattr(found, name, None) for name in ('mean', 'std'))
    to_rgb = getattr(found, 'to_rgb', getattr(found, '_channel_conversion', False))
    return dict(mean=_floats(mean), std=_floats(std), to_rgb=bool(to_rgb))


def _floats(values: Tensor | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values.flatten().tolist()]
