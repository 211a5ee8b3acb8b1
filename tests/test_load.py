"""`mmsparse.load`: every card that this repository writes can be built, and nothing else that a card may ask for
is.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from safetensors.torch import save_file

from each import check_each
from hosts import timm_host
from mmsparse import load
from mmsparse.errors import InputError
from mmsparse.state.card import SCHEMA, Card, plain
from mmsparse.state.pipeline import LOADERS, pipeline_config
from mmsparse.state.trust import model_config, scope_of
from small_run import write_run
from small_state import change_card, copy_of, train

ROOT = Path(__file__).parents[1]
LEAVES = sorted(path for path in ROOT.glob('configs/*/*.py') if path.parent.name != '_base_')
HOST = timm_host(width=32, depth=2, heads=2)


def card_of(config: dict, *frozen: str) -> Card:
    return Card(SCHEMA, '', {path: {} for path in frozen}, {}, None, {}, 0, 0, '', {}, plain(config))


def a_model(**changes) -> dict:
    backbone = dict(type='mmsparse.SparseViT', host=HOST)
    config = Config(
        dict(type='ImageClassifier', backbone=backbone, head=dict(type='LinearClsHead', num_classes=3, in_channels=32))
    )
    config.merge_from_dict(changes)
    return config.to_dict()


def judged(model: dict, host_checkpoint=None, **config) -> dict:
    card = card_of(
        dict(default_scope='mmpretrain', data_preprocessor=dict(mean=[0.0], std=[1.0]), model=model, **config),
        'backbone.host',
    )
    return model_config(card, 'card.json', host_checkpoint)


def test_what_every_shipped_config_writes_on_its_card_may_be_built():
    def check(path):
        config = Config.fromfile(path).to_dict()
        card = card_of(config, *(['backbone.host'] if 'backbone' in config['model'] else []))
        built = model_config(card, 'card.json', 'host.npz')
        assert built['type'] == config['model']['type']
        with DefaultScope.overwrite_default_scope(scope_of(card, 'card.json')):
            steps = [type(TRANSFORMS.build(step)).__name__ for step in pipeline_config(card, 'card.json')]
        names = [step['type'].split('.')[-1] for step in config['test_pipeline'] if step['type'] != 'LoadAnnotations']
        # a data set of arrays has no loader
        assert steps == ([] if names[0] in LOADERS else ['LoadImage']) + names

    check_each(LEAVES, check)


def test_a_segmentor_of_mmseg_may_be_built():
    norm = dict(type='SyncBN', requires_grad=True)
    preprocessor = dict(type='SegDataPreProcessor', mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True, size=(32, 32))
    backbone = dict(type='mmsparse.SparseViT', host=HOST, out_type='featmap')
    loss = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
    head = dict(type='FCNHead', in_channels=32, channels=8, num_classes=3, norm_cfg=norm, loss_decode=loss)
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=preprocessor,
        backbone=backbone,
        decode_head=head,
        test_cfg=dict(mode='whole'),
    )
    built = model_config(card_of(dict(default_scope='mmseg', model=model), 'backbone.host'), 'card.json')
    with DefaultScope.overwrite_default_scope('mmseg'):
        assert type(MODELS.build(built)).__name__ == 'EncoderDecoder'


FORBIDDEN = {
    'a dotted path': ({'head.type': 'os.system'}, "model.head.type is 'os.system'"),
    'a deep dotted path': ({'head.type': 'mmpretrain.models.heads.LinearClsHead'}, 'expected a type registered in'),
    'a function of a package': (
        {'head.type': 'mmengine.load'},
        "'mmengine.load' on the card, which is not registered",
    ),
    'a class of torch by its path': ({'head.type': 'torch.nn.Linear'}, 'expected a type registered in'),
    'another scope': ({'head.type': 'mmdet.BBoxHead'}, 'expected a type registered in'),
    'a registered thing that is no model': (
        {'head.type': 'LoadImageFromFile'},
        'not registered in mmpretrain or mmengine',
    ),
    'a type that is no name': ({'head.type': ['os', 'system']}, 'expected a type registered in'),
    'a nested dotted path': ({'head.loss': dict(type='subprocess.run', args='ls')}, "'subprocess.run'"),
    'a scope switch': ({'head._scope_': 'os'}, r'holds model.head._scope_'),
    'a base file': ({'head._base_': 'x'}, r'holds model.head._base_'),
    'imports': ({'head.custom_imports': dict(imports=['x'])}, 'holds model.head.custom_imports'),
    'pretrained weights': (
        {'head.init_cfg': dict(type='Pretrained', checkpoint='x')},
        "init_cfg has the type 'Pretrained'",
    ),
    'pretrained weights of many': (
        {'head.init_cfg': [dict(type='Normal'), dict(type='PretrainedInit')]},
        "'PretrainedInit'",
    ),
    'a checkpoint': ({'head.checkpoint': 'a'}, 'wants model.head.checkpoint='),
    'a path': ({'head.text_path': 'a'}, 'wants model.head.text_path='),
    'an address': ({'head.url': 'a'}, 'wants model.head.url='),
    'downloads': ({'head.pretrained': True}, 'wants model.head.pretrained='),
    'a file under an innocent key': (
        {'head.loss': dict(type='CrossEntropyLoss', class_weight='weights.pkl')},
        'reads like a file',
    ),
    'an address under an innocent key': ({'head.norm': 'hf-hub:someone/something'}, 'reads like a file'),
    'a folder in a list': ({'head.parts': ['../x']}, 'reads like a file'),
    'keywords for timm': ({'backbone.host.checkpoint_path': 'a'}, 'wants model.backbone.host.checkpoint_path='),
    'a config for timm': ({'backbone.host.pretrained_cfg': dict(a='b')}, 'wants model.backbone.host.pretrained_cfg='),
    'models of the hub': ({'type': 'HuggingFaceClassifier', 'model_name': 'a'}, 'are not built from a card'),
    'models that read prototypes': ({'type': 'ImageToImageRetriever'}, 'are not built from a card'),
    'models that want more packages': ({'type': 'Blip2Caption'}, 'are not built from a card'),
}


@pytest.mark.parametrize(('changes', 'reason'), FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_a_card_must_not_name_is_refused_with_its_place(changes, reason):
    with pytest.raises(InputError, match=reason) as refused:
        judged(a_model(**changes))
    assert str(refused.value).startswith('card.json: ')


def test_a_card_with_another_default_scope_is_refused():
    with pytest.raises(InputError, match="default_scope 'os' .* expected one of mmsparse"):
        model_config(card_of(dict(default_scope='os', model=a_model()), 'backbone.host'), 'card.json')


@pytest.mark.parametrize(
    'step',
    [
        dict(type='os.system', command='ls'),
        dict(type='LoadImageFromFile', file_client_args=dict(backend='x')),
        dict(type='LoadImageFromFile', backend_args=dict(backend='x')),
        dict(type='mmseg.LoadBiomedicalData'),
        dict(type='torchvision/Lambda', lambd='x'),
        dict(type='LinearClsHead'),
        dict(type='RandomApply', transforms=[dict(type='os.system')]),
    ],
)
def test_a_pipeline_may_only_transform(step):
    config = dict(
        default_scope='mmpretrain', test_dataloader=dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'), step]))
    )
    with pytest.raises(InputError, match=r'card.json: .*pipeline\[1\]'):
        pipeline_config(card_of(config), 'card.json')


@pytest.mark.parametrize(
    'weights',
    [
        dict(checkpoint='/a/host.npz'),
        dict(checkpoint='host'),
        dict(checkpoint='https://a/b.pth'),
        dict(init_cfg=dict(a=1)),
    ],
)
def test_host_weights_of_the_cards_choice_are_not_opened(weights):
    model = a_model()
    model['backbone']['host'].pop('checkpoint')
    model['backbone']['host'] |= weights
    with pytest.raises(InputError, match='no file is opened on behalf of a card. Pass host_checkpoint=FILE'):
        judged(model)
    assert judged(model, host_checkpoint='mine.npz')['backbone']['host'] == dict(HOST, checkpoint='mine.npz')
    for harmless in (None, False, 'mmsparse://tiny_vit'):
        assert judged(a_model(**{'backbone.host.checkpoint': harmless}))['backbone']['host']['checkpoint'] == harmless


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A run on a host from a file."""
    folder = tmp_path_factory.mktemp('load')
    config = write_run(folder)
    host = MODELS.build(dict(HOST, depth=4)).host
    for name, shift in (('host', 0.01), ('other', 0.02)):
        save_file({key: value + shift for key, value in host.state_dict().items()}, folder / f'{name}.safetensors')
    checkpoint = {'model.backbone.host.checkpoint': str(folder / 'host.safetensors'), 'train_cfg.max_epochs': 2}
    return SimpleNamespace(folder=folder, runner=train(config, 'run', **checkpoint), state=folder / 'run/epoch_2')


def test_a_host_from_a_file_is_given_by_the_caller_and_compared(small):
    with pytest.raises(InputError, match='adapter.json: its host was loaded from .*host.safetensors'):
        load(small.state)
    with pytest.raises(InputError, match='belongs to another host'):
        load(small.state, host_checkpoint=small.folder / 'other.safetensors')
    model = load(small.state, host_checkpoint=small.folder / 'host.safetensors')
    small.runner.model.eval()
    assert torch.equal(model(torch.ones(1, 3, 32, 32)), small.runner.model(torch.ones(1, 3, 32, 32)))
    assert [part.training for part in (model, model.backbone.host, model.backbone.adapters)] == [False] * 3


def test_arguments_that_a_class_refuses_are_the_cards_fault(small, tmp_path):
    state = copy_of(small.state, tmp_path / 'state')
    change_card(state, lambda card: card['config']['model']['head'].update(colour='blue'))
    with pytest.raises(InputError, match='adapter.json: the model on this card cannot be built .*colour'):
        load(state, host_checkpoint=small.folder / 'host.safetensors')


@pytest.mark.parametrize(
    ('entries', 'reason'),
    [({}, 'wants model.backbone.host.checkpoint='), (dict(checkpoint=False), 'frozen parts .*backbone.other')],
)
def test_a_card_cannot_hide_its_host_behind_another_path(small, tmp_path, entries, reason):
    def hide(card):
        card['frozen'] = {'backbone.other': card['frozen']['backbone.host']}
        card['config']['model']['backbone']['host'].update(entries)

    state = copy_of(small.state, tmp_path / 'state')
    change_card(state, hide)
    with pytest.raises(InputError, match=reason):
        load(state, host_checkpoint=small.folder / 'host.safetensors')


def test_a_missing_adapter_is_named(tmp_path):
    with pytest.raises(InputError, match='nowhere: no such file, expected the folder of a state'):
        load(tmp_path / 'nowhere')
