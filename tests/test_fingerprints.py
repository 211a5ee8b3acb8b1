"""A fingerprint is that of the file: equal on every processor, whatever the grid; of a drawn host that of seed and
architecture.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from hosts import HOSTS, draw, mmpretrain_host, timm_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import digest, fingerprint
from mmsparse.registry import MODELS
from mmsparse.state.agreement import full_state_dict
from mmsparse.state.card import describe
from mmsparse.state.files import State
from mmsparse.state.saved_tensors import adapter_tensors, fingerprints
from weight_files import jax_arrays

LIBRARIES = ('timm', 'mmpretrain', 'open_clip')


def model_of(host, adapter='mmsparse.LinearProbe'):
    return MODELS.build(dict(type='mmsparse.SparseViT', host=host, adapter=dict(type=adapter), out_type='raw'))


def named(host, adapter='mmsparse.LinearProbe'):
    return fingerprints(model_of(host, adapter))['host']['fingerprint']


def files(folder):
    """One file of each library, at 4×4 patches."""
    for library in LIBRARIES:
        host = draw(model_of(HOSTS[library]).host, seed=5)
        save_file(host.state_dict(), folder / f'{library}.safetensors')
        if library == 'timm':
            np.savez(folder / 'timm.npz', **jax_arrays(host))
    return [(file.stem, str(file)) for file in sorted(folder.iterdir())]


def resized(library, path):
    return HOSTS[library] | dict(img_size=56, checkpoint=path)


def all_of(folder):
    drawn = {name: named(HOSTS[name]) for name in LIBRARIES}
    return drawn | {
        Path(path).name: named(resized(library, path))
        for library, path in [(Path(p).stem, str(p)) for p in sorted(folder.iterdir())]
    }


def on(processor, folder):
    """What a process finds that may use these kernels only."""
    program = (
        'import json; from pathlib import Path; from test_fingerprints import all_of; '
        f'print(json.dumps(all_of(Path({str(folder)!r}))))'
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        env=os.environ | dict(ATEN_CPU_CAPABILITY=processor, PYTHONPATH=path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_another_processor_has_the_same_fingerprints(tmp_path):
    files(tmp_path)
    here = all_of(tmp_path)
    assert on('default', tmp_path) == here
    assert here['timm.npz'] == here['timm.safetensors']  # one network, two kinds of file
    assert len(set(here.values())) == len(here) - 1


@pytest.mark.parametrize(
    'size', [dict(img_size=64), dict(patch_size=8), dict(img_size=(32, 64), patch_size=16), dict()], ids=str
)
def test_what_timm_resizes_of_promised_weights_is_named_as_promised(tmp_path, monkeypatch, size):
    tiny = timm_host(depth=1, img_size=224, patch_size=16)
    save_file(draw(model_of(tiny).host, seed=5).state_dict(), tmp_path / 'hub.safetensors')

    def downloaded(name, **options):
        return timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay=dict(file=str(tmp_path / 'hub.safetensors')), **options
        )

    for module in ('hubs', 'views.timm'):
        monkeypatch.setattr(f'mmsparse.models.hosts.{module}.pretrained_timm', downloaded)
    model = model_of(tiny | dict(checkpoint=None) | size)
    assert fingerprints(model)['host']['fingerprint'] == digest(load_file(tmp_path / 'hub.safetensors'))
    assert (fingerprint(model.host) == digest(load_file(tmp_path / 'hub.safetensors'))) == (not size)


@pytest.mark.parametrize('library', LIBRARIES)
def test_without_resizing_a_fingerprint_is_what_it_was(tmp_path, library):
    path = dict(files(tmp_path))[library]
    model = model_of(HOSTS[library] | dict(checkpoint=path))
    assert fingerprints(model)['host']['fingerprint'] == fingerprint(model.host)


@pytest.mark.parametrize('library', LIBRARIES)
def test_other_positions_in_the_file_are_another_host(tmp_path, library):
    path = dict(files(tmp_path))[library]
    before = named(resized(library, path))
    state = load_file(path)
    key = 'positional_embedding' if library == 'open_clip' else 'pos_embed'
    state[key] = state[key] + 1e-6
    save_file(state, path)
    assert named(resized(library, path)) != before


def test_drawn_hosts_differ_by_architecture_alone():
    same, deeper, wider = named(timm_host()), named(timm_host(depth=5)), named(timm_host(img_size=48))
    assert same == named(timm_host()) and len({same, deeper, wider, named(mmpretrain_host())}) == 4


def state_of(model, **frozen):
    card = describe(model, digest(adapter_tensors(model)), {}, None, {}, 1, 1)
    card.frozen['host'].update(frozen)
    return State(
        Path('adapter.safetensors'), card, {name: value.clone() for name, value in adapter_tensors(model).items()}
    )


@pytest.mark.parametrize('adapter', ['mmsparse.BitFit', 'mmsparse.LinearProbe'])
@pytest.mark.parametrize('library', LIBRARIES)
def test_states_of_before_still_load(tmp_path, library, adapter):
    for host in (HOSTS[library], resized(library, dict(files(tmp_path))[library])):
        model = model_of(host, adapter)
        trains = frozenset(name for name, parameter in model.host.named_parameters() if parameter.requires_grad)
        full_state_dict(model, state_of(model, fingerprint=fingerprint(model.host, trains)))
        full_state_dict(model, state_of(model))
        with pytest.raises(InputError, match='belongs to another host'):
            full_state_dict(model, state_of(model, fingerprint='0' * 64))


@pytest.mark.parametrize('library', LIBRARIES)
def test_full_tuning_asks_for_no_host(tmp_path, library):
    path = dict(files(tmp_path))[library]
    model = model_of(resized(library, path), 'mmsparse.FullTuning')
    assert 'pos_embed' not in {name for name, value in model.host.named_parameters() if not value.requires_grad}
    full_state_dict(model, state_of(model))


def test_a_shallow_copy_of_the_view_keeps_what_the_file_said(tmp_path):
    path = dict(files(tmp_path))['open_clip']
    view = model_of(resized('open_clip', path)).view
    assert torch.equal(view.without_last().filed['positional_embedding'], view.filed['positional_embedding'])
