"""Pixels and activation of the weights: taken from what timm, open_clip and our card say, and compared; another
activation is refused.
"""

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from hosts import HOSTS, mmpretrain_host
from hosts import open_clip_host as tiny_open_clip
from hosts import timm_host as tiny_timm
from mmsparse.engine.hooks.start_card import describe_start
from mmsparse.errors import InputError
from mmsparse.models.hosts.activations import refuse_other_timm_activation
from mmsparse.models.hosts.build import build_view, sketch
from mmsparse.models.hosts.hubs import pretrained_open_clip, pretrained_timm
from mmsparse.registry import MODELS
from weight_files import openai_clip

UNIT, IMAGENET, CLIP = (
    ((127.5,) * 3, (127.5,) * 3),
    ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ((122.7709, 116.746, 104.0937), (68.5005, 66.6322, 70.3232)),
)


def timm_host(name, checkpoint='host.pth'):
    return dict(type='mmsparse.TimmViT', name=name, checkpoint=checkpoint)


def open_clip_host(name, checkpoint=None, pretrained='openai'):
    return dict(type='mmsparse.OpenClipViT', name=name, checkpoint=checkpoint, pretrained=pretrained)


@pytest.mark.parametrize(
    ('host', 'pixels'),
    [
        (timm_host('vit_base_patch16_224.orig_in21k', None), UNIT),
        (timm_host('vit_base_patch16_224.dino', None), IMAGENET),
        (timm_host('vit_base_patch16_224.mae'), IMAGENET),
        (timm_host('vit_base_patch14_dinov2'), IMAGENET),  # one tag only: a file without one is that
        (timm_host('deit3_base_patch16_224'), IMAGENET),  # both tags agree
        (timm_host('vit_base_patch16_224'), None),  # augreg, DINO, MAE...: the file is one of them
        (timm_host('vit_base_patch16_224', 'B_16.npz'), UNIT),
        (timm_host('vit_base_patch16_224', 'vit_base_patch16_224.dino.safetensors'), IMAGENET),
        (timm_host('vit_base_patch16_224', 'models--timm--vit_base_patch16_224.augreg_in21k/snapshots/1/m.bin'), UNIT),
        (timm_host('vit_large_patch14_clip_224', 'models--laion--CLIP-ViT-L-14-laion2B-s32B-b82K/m.bin'), UNIT),
        (timm_host('vit_base_patch16_clip_quickgelu_224.openai'), CLIP),
        (timm_host('vit_small_patch16_dinov3'), IMAGENET),
        (timm_host('vit_base_patch16_siglip_224.webli'), UNIT),
        (timm_host('vit_base_patch16_224.dino', False), None),
        (timm_host('vit_tiny_patch16_224', 'mmsparse://tiny_vit'), UNIT),
        (open_clip_host('ViT-B-16-quickgelu'), CLIP),
        (open_clip_host('ViT-L-14', pretrained='laion2b_s32b_b82k'), UNIT),
        (open_clip_host('ViT-L-14', 'ViT-L-14-laion.pt'), None),  # one of them was trained on ±1
        (
            open_clip_host(
                'ViT-L-14',
                'hub/models--laion--CLIP-ViT-L-14-laion2B-s32B-b82K/snapshots/1/open_clip_pytorch_model.bin',
            ),
            UNIT,
        ),
        (open_clip_host('ViT-L-14-CLIPA', 'file.pt'), IMAGENET),
        (open_clip_host('ViT-B-16', False), None),
    ],
    ids=str,
)
def test_a_host_tells_the_pixels_of_its_weights_before_they_are_read(host, pixels):
    found = sketch(host).pixels
    assert found is None if pixels is None else found.like(type(found)(*pixels))


def test_a_sketch_has_the_sizes_of_its_host():
    view = sketch(timm_host('vit_base_patch16_384'))
    assert (view.width, view.image_size) == (768, (384, 384)) and next(view.host.parameters()).is_meta


def classifier(**preprocessor):
    host = dict(type='mmsparse.TimmViT', name='vit_tiny_patch16_224', checkpoint='mmsparse://tiny_vit')
    host |= dict(img_size=32, patch_size=4, embed_dim=128, num_heads=4)
    return MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='mmsparse.SparseViT', host=host),
            head=dict(type='mmpretrain.LinearClsHead', num_classes=2, in_channels=128),
            data_preprocessor=preprocessor,
        )
    )


def test_the_card_warns_where_pixels_are_not_those_of_the_weights():
    with torch.no_grad():
        assert 'pixels' not in describe_start(classifier(mean=[127.5] * 3, std=[127.5] * 3))
        other = describe_start(classifier(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]))
        none = describe_start(classifier())
    assert 'normalises with mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]' in other['pixels']
    assert 'trained with mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]' in other['pixels']
    assert 'normalises with nothing' in none['pixels']


def test_the_card_of_a_file_that_timm_published_warns_of_other_pixels(tmp_path):
    """A file as timm's hub has it, under a name that has weights with other pixels too."""
    path = tmp_path / 'models--timm--vit_base_patch16_224.dino/snapshots/1/model.safetensors'
    path.parent.mkdir(parents=True)
    host = tiny_timm(name='vit_base_patch16_224', depth=2)
    save_file(build_view(host).host.state_dict(), path)
    model = dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmsparse.SparseViT', host=host | dict(checkpoint=str(path))),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=2, in_channels=48),
    )
    with torch.no_grad():
        same, other = (
            describe_start(MODELS.build(dict(model, data_preprocessor=dict(mean=list(mean), std=list(std)))))
            for mean, std in (IMAGENET, UNIT)
        )
    assert 'pixels' not in same and 'trained with mean=[123.675, 116.28, 103.53]' in other['pixels']


def test_the_words_of_a_file_weigh_more_than_the_tag_of_a_name():
    name = 'vit_base_patch16_clip_quickgelu_224.openai'
    with pytest.raises(InputError, match="trained without QuickGELU. Use name='vit_base_patch16_clip_224'[.]"):
        refuse_other_timm_activation(name, 'vit_base_patch16_clip_224.laion2b.safetensors')
    for base in ('vit_base_patch16_clip_224', 'vit_base_patch16_clip_quickgelu_224'):
        refuse_other_timm_activation(base)  # its own first tag


TWINS = [name for base in timm.list_models('*_clip_quickgelu_*') for name in timm.list_pretrained(f'{base}.*')]


@pytest.mark.parametrize('twin', TWINS)
def test_a_name_of_timm_with_the_wrong_activation_is_refused_naming_its_twin(twin):
    plain = twin.replace('_quickgelu', '')
    for ask in (lambda: pretrained_timm(plain), lambda: refuse_other_timm_activation(plain, 'host.pth')):
        with pytest.raises(InputError, match=f"trained with QuickGELU. Use name='{twin}'"):
            ask()
    refuse_other_timm_activation(twin, 'host.pth')


def test_the_names_that_timm_has_for_both_activations_are_known():
    assert len(TWINS) == 17
    for name in (
        'vit_base_patch16_clip_224.laion2b',
        'vit_base_patch16_clip_224.openai_ft_in1k',
        'vit_base_patch16_224.dino',
    ):
        refuse_other_timm_activation(name, 'openai.pth')


OPEN_CLIP = [
    (name, tag)
    for name, tag in open_clip.list_pretrained()
    if name.startswith('ViT-') and open_clip.get_model_config(name)
]


def test_every_tag_of_open_clip_under_the_other_activation_names_a_model_that_has_it():
    refused = 0
    for name, tag in OPEN_CLIP:
        quick = open_clip.get_model_config(name).get('quick_gelu', False)
        if open_clip.get_pretrained_cfg(name, tag).get('quick_gelu', False) == quick:
            continue
        with pytest.raises(InputError, match='QuickGELU. Use name=') as refusal:
            pretrained_open_clip(name, tag, quick)
        twin = str(refusal.value).split("name='")[1].split("'")[0]
        assert (twin, tag) in OPEN_CLIP
        refused += 1
    assert refused >= 7


GELU, QUICK = ('ViT-B-16', 'vit_base_patch16_clip_224'), ('ViT-B-16-quickgelu', 'vit_base_patch16_clip_quickgelu_224')


@pytest.mark.parametrize(
    ('path', 'ours', 'refused'),
    [
        ('ViT-B-16.pt', GELU, True),
        ('b16_400m.pt', GELU, True),  # MetaCLIP's
        ('vit_b16_openai.pt', GELU, True),
        ('models--timm--vit_base_patch16_clip_224.openai/snapshots/1/open_clip_model.pt', GELU, True),
        ('models--laion--CLIP-ViT-B-16-laion2B-s34B-b88K/snapshots/1/open_clip_pytorch_model.bin', QUICK, True),
        ('vit_b_16-laion400m_e32-55e67d44.pt', QUICK, True),
        ('vit_base_patch16_clip_quickgelu_224.metaclip_2pt5b.pt', GELU, True),
        ('vit_base_patch16_clip_224.laion2b.pt', QUICK, True),
        ('vit_b_16-laion400m_e32-55e67d44.pt', GELU, False),
        ('mine.pt', GELU, False),
        ('mine.pt', QUICK, False),
    ],
)
@pytest.mark.parametrize('library', [0, 1], ids=['open_clip', 'timm'])
def test_a_file_known_by_its_name_is_refused_under_the_other_activation(tmp_path, library, path, ours, refused):
    host = build_view(HOSTS['open_clip']).host
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    torch.save({f'visual.{key}': value for key, value in host.state_dict().items()}, tmp_path / path)
    config = (tiny_open_clip, tiny_timm)[library](name=ours[library], checkpoint=str(tmp_path / path))
    if not refused:
        assert build_view(config).width == 48
        return
    other = (GELU if ours is QUICK else QUICK)[library]
    with pytest.raises(InputError, match=f"QuickGELU. Use name='{other}'"):
        build_view(config)


def test_openais_archive_is_refused_under_gelu_whatever_it_is_called(tmp_path):
    openai_clip(tmp_path / 'host.pt', build_view(HOSTS['open_clip']).host)
    with pytest.raises(InputError, match="trained with QuickGELU. Use name='ViT-B-16-quickgelu'"):
        build_view(tiny_open_clip('ViT-B-16', checkpoint=str(tmp_path / 'host.pt')))
    for name in ('vit_base_patch16_clip_224', 'vit_base_patch16_clip_224.laion2b'):
        with pytest.raises(InputError, match="trained with QuickGELU. Use name='vit_base_patch16_clip_quickgelu_224'"):
            build_view(tiny_timm(name=name, checkpoint=str(tmp_path / 'host.pt')))


def test_mmpretrains_clip_needs_its_activation(tmp_path):
    host = build_view(mmpretrain_host(pre_norm=True)).host
    state = {f'visual.{key}': value for key, value in host.state_dict().items()} | {
        'token_embedding.weight': torch.zeros(3, 4)
    }
    save_file(state, tmp_path / 'clip.safetensors')
    config = mmpretrain_host(pre_norm=True) | dict(checkpoint=str(tmp_path / 'clip.safetensors'))
    with pytest.raises(InputError, match='mmpretrain.QuickGELU'):
        build_view(config)
    assert build_view(config | dict(layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU')))).width == 48
