"""A state whose parts lie outside the package: it loads once its caller has imported them, and nothing is imported for
it.
"""

import sys
from importlib import import_module

import pytest
import torch
from mmengine.config import Config

import mmsparse
from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from mmsparse.state.card import plain
from small_run import write_run
from small_state import change_card, copy_of, train

PLUG_IN = """
import torch
from torch import nn
from mmsparse.models import BaseAdapter, BaseSparsifier
from mmsparse.registry import MODELS
from mmsparse.tokens import Plan

@MODELS.register_module()
class Gain(BaseAdapter):
    sites = ('proj',)

    def __init__(self, view):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(view.depth, view.width))

    def site(self, name, layer, x, y, t):
        return y * self.gain[layer - 1]

@MODELS.register_module()
class FirstHalf(BaseSparsifier):
    def plan(self, layer, tokens, probe):
        half = torch.arange(tokens.patches // 2).expand(len(tokens.x_bnc), -1)
        return Plan.keep(tokens, half) if layer == 2 else None
"""


def forget() -> None:
    """Be a process in which nobody has imported the plug-in."""
    sys.modules.pop('gains', None)
    for name in ('Gain', 'FirstHalf'):
        MODELS.module_dict.pop(name, None)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('plug_ins')
    (folder / 'gains.py').write_text(PLUG_IN)
    sys.path.insert(0, str(folder))
    config = write_run(folder)
    cfg = Config.fromfile(config)
    cfg.custom_imports = dict(imports=['gains'])
    cfg.model.backbone.adapter = dict(type='mmsparse.Gain')
    cfg.model.backbone.sparsifier = dict(type='mmsparse.FirstHalf')
    cfg.dump(str(config))
    runner = train(config, 'run', **{'train_cfg.max_epochs': 1, 'param_scheduler': None})
    runner.model.eval()
    yield folder / 'run/epoch_1', runner.model
    forget()
    sys.path.remove(str(folder))


def test_a_state_loads_once_its_types_are_registered(trained):
    """Fault 5 of the contract: it was refused for its custom_imports, even after the caller had imported them."""
    state, model = trained
    with torch.no_grad():
        expected = model(torch.ones(1, 3, 32, 32))
    forget()
    with pytest.raises(
        InputError, match=r"adapter.type is 'mmsparse.Gain' .* not registered .*of 'gains'.* import it"
    ):
        mmsparse.load(state)
    assert 'gains' not in sys.modules
    import_module('gains')
    loaded = mmsparse.load(state)
    assert torch.equal(loaded(torch.ones(1, 3, 32, 32)), expected)
    assert plain(type(loaded.backbone.adapters[0])) == 'mmsparse.Gain'  # a config may name the class itself


@pytest.mark.parametrize(
    'asked', ['antigravity', dict(imports='antigravity'), dict(imports=['antigravity', 3]), ['antigravity'], [[]], 7]
)
def test_whatever_a_card_asks_to_be_imported_is_only_said(trained, tmp_path, asked):
    forget()
    state = copy_of(trained[0], tmp_path / 'state')
    change_card(state, lambda card: card['config'].update(custom_imports=asked))
    with pytest.raises(InputError, match='not registered .* nothing is imported on behalf of a card'):
        mmsparse.load(state)
    assert not {'gains', 'antigravity'} & sys.modules.keys()


def test_a_view_that_is_not_imported_is_asked_for_too(trained, tmp_path):
    def known_types(card):
        backbone = card['config']['model']['backbone']
        backbone['host']['name'] = 'vit_dlittle_patch16_reg1_gap_256'
        backbone.update(adapter=None, sparsifier=None)

    state = copy_of(trained[0], tmp_path / 'state')
    change_card(state, known_types)
    with pytest.raises(InputError, match="needs a view of its own.* of 'gains'.* import it before you load"):
        mmsparse.load(state)
