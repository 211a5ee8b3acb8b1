"""Proxies that are no plain ViTs: their files as published, their positions, and what a state keeps of them."""

import pytest
import torch
from torch.nn import functional as F

import projects.proxyclip.proxyclip  # noqa: F401  (registers its parts)
from hosts import draw
from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from mmsparse.state.saved_tensors import fingerprints

SMALL = dict(checkpoint=False, patch_size=8, embed_dim=48, depth=2, num_heads=3)
SAM = SMALL | dict(name='samvit_base_patch16', img_size=64, window_size=4, neck_chans=16, use_rel_pos=False)
PLAIN = SMALL | dict(name='vit_tiny_patch16_224', img_size=48)


def proxy(host, **options):
    return MODELS.build(dict(type='mmsparse.TimmFeatures', host=host | options))


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_sam_as_published_is_read_without_its_decoder(tmp_path, prefix):
    source = draw(proxy(SAM).host, seed=3)
    state = {f'image_encoder.{key.replace("mlp.fc", "mlp.lin")}': value for key, value in source.state_dict().items()}
    state |= {'mask_decoder.iou_token.weight': torch.zeros(2), 'prompt_encoder.no_mask_embed.weight': torch.zeros(2)}
    torch.save({prefix + key: value for key, value in state.items()}, tmp_path / 'sam.pth')
    found = proxy(SAM, checkpoint=str(tmp_path / 'sam.pth')).host.state_dict()
    assert all(torch.equal(found[key], value) for key, value in source.state_dict().items())


@pytest.mark.parametrize('prefix', ['', 'backbone.', '_orig_mod.module.', 'teacher.backbone.'])
@pytest.mark.parametrize('nested', [False, True])
def test_a_plain_proxy_is_found_wherever_it_stands(tmp_path, prefix, nested):
    source = draw(proxy(PLAIN).host, seed=3)
    state = {prefix + key: value for key, value in source.state_dict().items()} | {'head.weight': torch.zeros(2, 48)}
    torch.save(dict(teacher=state, student=state) if nested else state, tmp_path / 'proxy.pth')
    found = proxy(PLAIN, checkpoint=str(tmp_path / 'proxy.pth')).host.state_dict()
    assert all(torch.equal(found[key], value) for key, value in source.state_dict().items())


@pytest.mark.parametrize(
    ('host', 'own', 'grid', 'named'),
    [(PLAIN, (6, 6), (4, 9), None), (PLAIN, (4, 9), (6, 6), (4, 9)), (SAM, (8, 8), (4, 16), None)],
)
def test_positions_come_to_the_grid_of_the_proxy_and_a_state_names_the_file(tmp_path, host, own, grid, named):
    source = draw(proxy(host, img_size=tuple(8 * side for side in own)).host, seed=3)
    torch.save(source.state_dict(), tmp_path / 'proxy.pth')
    found = proxy(
        host, img_size=tuple(8 * side for side in grid), checkpoint=str(tmp_path / 'proxy.pth'), checkpoint_grid=named
    )
    prefix = 0 if host is SAM else 1
    plane = source.pos_embed.detach().reshape(1, -1, 48)[:, prefix:].transpose(1, 2).unflatten(2, own)
    wanted = (
        F.interpolate(plane, size=grid, mode='bicubic', antialias=True, align_corners=False).flatten(2).transpose(1, 2)
    )
    torch.testing.assert_close(found.host.pos_embed.detach().reshape(1, -1, 48)[:, prefix:], wanted, atol=1e-6, rtol=0)
    assert torch.equal(found.filed['pos_embed'], source.pos_embed)
    before = fingerprints(found)['host']['fingerprint']
    with torch.no_grad():
        found.host.pos_embed.mul_(1 + 1e-6)  # as another processor would round
    assert fingerprints(found)['host']['fingerprint'] == before


def test_a_rectangle_that_nobody_names_is_refused(tmp_path):
    torch.save(proxy(PLAIN, img_size=(32, 48)).host.state_dict(), tmp_path / 'proxy.pth')
    with pytest.raises(InputError, match='make no square'):
        proxy(PLAIN, img_size=(32, 48), checkpoint=str(tmp_path / 'proxy.pth'))


def test_images_that_a_proxy_was_not_built_for_are_refused():
    with pytest.raises(InputError, match='received images of 32×72 pixels: .* Set vfm_size'):
        proxy(PLAIN)(torch.zeros(1, 3, 32, 72))
