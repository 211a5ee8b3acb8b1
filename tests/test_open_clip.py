"""open_clip's visual towers through the view: encode_image comes out, at any size, and what the view does not know is
refused by name.
"""

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

import mmsparse
from hosts import WIDTH, assert_near, build, draw, images_for, open_clip_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import fingerprint
from mmsparse.registry import MODELS
from small_run import write_run
from small_state import change_card, copy_of, train


def real(name, **options):
    """The real shapes of a model on drawn weights, ready to be compared with the tower's own forward."""
    return build(dict(type='mmsparse.OpenClipViT', name=name, checkpoint=False, **options), out_type='pooled')


@pytest.mark.parametrize(
    ('name', 'layers', 'width'),
    [('ViT-B-16-quickgelu', 12, 512), ('ViT-B-32', 12, 512), ('ViT-L-14-quickgelu', 2, 768), ('ViT-H-14', 1, 1024)],
)
def test_pooled_output_equals_encode_image_on_real_shapes(name, layers, width):
    backbone = real(name, layers=layers)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = backbone.host(images)
        assert_near(backbone(images)[-1], expected)
    assert expected.shape == (1, width) and expected.std() > 0.1


def test_the_tower_is_the_one_that_encode_image_runs():
    torch.manual_seed(0)
    model = draw(
        open_clip.create_model('ViT-B-32-quickgelu', vision_cfg=dict(layers=1, width=64, patch_size=32, image_size=64))
    ).eval()
    view = real('ViT-B-32-quickgelu', layers=1, width=64, img_size=64)
    view.host.load_state_dict(model.visual.state_dict())
    images = torch.randn(2, 3, 64, 64)
    assert_near(view(images)[-1], model.encode_image(images))


@pytest.mark.parametrize(
    'options', [dict(pool_type='avg'), dict(final_ln_after_pool=True), dict(pool_type='avg', final_ln_after_pool=True)]
)
def test_pooled_output_equals_the_towers_own_pooling(options):
    backbone, images = build(open_clip_host(**options), out_type='pooled'), images_for('open_clip')
    assert_near(backbone(images)[-1], backbone.host(images))


# 2 × 8 patches are as many as the host's 4 × 4
@pytest.mark.parametrize(('height', 'width'), [(48, 24), (16, 64), (40, 40)])
def test_images_of_any_size_equal_a_tower_that_open_clip_resized(height, width):
    backbone = build('open_clip', out_type='pooled')
    resized = MODELS.build(open_clip_host(img_size=(height, width))).host
    state = {f'visual.{key}': value for key, value in backbone.host.state_dict().items()}
    # open_clip's own rule, spelt out: it would keep the table where the counts agree
    square = torch.nn.functional.interpolate
    table = state['visual.positional_embedding']
    grid = square(
        table[1:].T.reshape(1, WIDTH, 4, 4),
        size=(height // 8, width // 8),
        mode='bicubic',
        antialias=True,
        align_corners=False,
    )
    state['visual.positional_embedding'] = torch.cat([table[:1], grid[0].flatten(1).T])
    resized.load_state_dict({key.removeprefix('visual.'): value for key, value in state.items()})
    images = torch.randn(2, 3, height, width)
    assert_near(backbone(images)[-1], resized.eval()(images))


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(attentional_pool=True), 'attentional pooling'),
        (dict(patch_dropout=0.5), 'patch_dropout=0.5'),
        (dict(scale_fc=True), 'CustomResidualAttentionBlock'),
        (dict(qk_norm=True), 'CustomResidualAttentionBlock'),
        (dict(layer=3), "'layer'.*Did you mean 'layers'"),
        (dict(name='ViT-B-16-quickgel'), 'Did you mean ViT-B-16-quickgelu'),
        (dict(name='ViT-B-16-SigLIP'), r"timm's vit_base_patch16_siglip_224.*mmsparse\.TimmViT"),
        (dict(checkpoint=None, pretrained='laion1b'), "no weights 'laion1b'.*openai"),
        (dict(checkpoint=None, name='ViT-B-16'), "with QuickGELU. Use name='ViT-B-16-quickgelu'"),
        (dict(name='RN50'), 'ModifiedResNet'),
    ],
)
def test_what_the_view_cannot_run_is_refused_by_name(options, named):
    own = ('RN50', 'ViT-B-16-SigLIP')
    host = (
        open_clip_host() | options
        if options.get('name') not in own
        else dict(type='mmsparse.OpenClipViT', checkpoint=False, **options)
    )
    with pytest.raises(InputError, match=named):
        MODELS.build(dict(type='mmsparse.SparseViT', host=host))


@pytest.mark.parametrize('whole', [True, False])
def test_weights_of_the_whole_model_and_of_the_tower_load(whole, tmp_path):
    drawn = build('open_clip').host
    state = {f'visual.{key}' if whole else key: value for key, value in drawn.state_dict().items()}
    save_file(state | (dict(logit_scale=torch.ones(())) if whole else {}), tmp_path / 'clip.safetensors')
    loaded = MODELS.build(open_clip_host(checkpoint=str(tmp_path / 'clip.safetensors')))
    assert fingerprint(loaded.host) == fingerprint(drawn)
    wider = MODELS.build(open_clip_host(checkpoint=str(tmp_path / 'clip.safetensors'), img_size=48))
    assert wider.host.positional_embedding.shape == (37, WIDTH)


def test_weights_of_another_tower_are_refused(tmp_path):
    save_file(build(open_clip_host(depth=5)).host.state_dict(), tmp_path / 'clip.safetensors')
    with pytest.raises(InputError, match=r'not the weights of this host.*resblocks\.5'):
        MODELS.build(open_clip_host(checkpoint=str(tmp_path / 'clip.safetensors')))


def test_unreachable_weights_are_one_message_with_the_ways_to_provide_them(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
    with pytest.raises(InputError, match=r'ViT-B-16-quickgelu.*host\.checkpoint=FILE.*host\.checkpoint=False'):
        MODELS.build(open_clip_host(checkpoint=None))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run on an open_clip host, kept as an adapter."""
    config = write_run(tmp_path_factory.mktemp('open_clip'))
    host = dict(open_clip_host(width=32, depth=4, heads=2), _delete_=True)
    return train(config, 'run', **{'model.backbone.host': host})


def test_an_adapter_on_a_clip_tower_is_kept_without_the_tower_and_loads_from_its_card(trained):
    state = f'{trained.work_dir}/epoch_3'
    assert not [key for key in load_file(f'{state}/adapter.safetensors') if 'host' in key]
    loaded, images = mmsparse.load(state), torch.randn(2, 3, 32, 32)
    trained.model.eval()
    assert torch.equal(loaded(images), trained.model(images))
    assert loaded.card.frozen['backbone.host']['name'] == 'ViT-B-16-quickgelu'


def test_an_adapter_of_another_tower_is_refused(trained, tmp_path):
    state = copy_of(Path(f'{trained.work_dir}/epoch_3'), tmp_path / 'epoch_3')
    change_card(state, lambda card: card['config']['model']['backbone']['host'].update(mlp_ratio=2.0))
    with pytest.raises(InputError, match='belongs to another host'):
        mmsparse.load(state)


def test_a_card_may_name_open_clips_tag_of_the_weights_but_no_other(trained, tmp_path):
    state = copy_of(Path(f'{trained.work_dir}/epoch_3'), tmp_path / 'epoch_3')
    change_card(state, lambda card: card['config']['model']['backbone']['host'].update(pretrained='dfn2b'))
    assert mmsparse.load(state).backbone.view.name == 'ViT-B-16-quickgelu'
    change_card(
        state,
        lambda card: card['config']['model']['backbone']['host'].update(pretrained='/tmp/own.pth', checkpoint=None),
    )
    with pytest.raises(InputError, match="has no weights '/tmp/own.pth'"):
        mmsparse.load(state)
