"""Tables of positions: grids are compared, when a file is read and when images come, for every library and every kind
of file.
"""

import math

import pytest
import torch
from torch.nn import functional as F

from hosts import HOSTS, build, draw, native, timm_host
from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from weight_files import save

KINDS = [
    *(
        (library, suffix)
        for library in ('timm', 'timm_registers_bare_positions', 'mmpretrain', 'open_clip')
        for suffix in ('.safetensors', '.pth')
    ),
    ('timm', '.npz'),
    ('timm_no_class_token', '.pth'),
]


def sized(library, grid, **options):
    height, width = (8 * side for side in grid)
    return HOSTS[library] | dict(img_size=height if height == width else (height, width)) | options


def host_of(config):
    return MODELS.build(dict(type='mmsparse.SparseViT', host=config, out_type='raw')).host


def table_of(host):
    """Prefix rows and patches of a host's table, N×C."""
    table = host.positional_embedding if hasattr(host, 'conv1') else host.pos_embed[0]
    return table.detach()


def resized(table, own, grid, library, suffix):
    """What the library's own rule gives, from its definition."""
    rule = dict(mode='bicubic', antialias=library != 'mmpretrain')
    if suffix == '.npz':
        rule = dict(mode='bilinear', antialias=False)
    prefix = len(table) - math.prod(own)
    plane = table[prefix:].T.unflatten(1, own).unsqueeze(0)
    return torch.cat([table[:prefix], F.interpolate(plane, size=grid, align_corners=False, **rule)[0].flatten(1).T])


@pytest.mark.parametrize(('library', 'suffix'), KINDS)
@pytest.mark.parametrize(
    ('own', 'grid', 'named'),
    [
        ((6, 6), (4, 9), False),
        ((6, 6), (9, 4), False),
        ((4, 9), (6, 6), True),
        ((4, 6), (6, 4), True),
        ((4, 4), (2, 8), False),
        ((3, 4), (5, 2), True),
    ],
    ids=str,
)
def test_a_table_comes_to_the_grid_of_the_host_also_where_the_numbers_agree(
    tmp_path, library, suffix, own, grid, named
):
    source = draw(host_of(sized(library, own)), seed=5)
    path = save(source, tmp_path / f'host{suffix}')
    found = table_of(host_of(sized(library, grid, checkpoint=path) | (dict(checkpoint_grid=own) if named else {})))
    torch.testing.assert_close(found, resized(table_of(source), own, grid, library, suffix), atol=1e-6, rtol=0)


@pytest.mark.parametrize(('library', 'suffix'), KINDS)
def test_a_rectangle_is_named_or_refused(tmp_path, library, suffix):
    source = draw(host_of(sized(library, (4, 6))), seed=5)
    path = save(source, tmp_path / f'host{suffix}')
    for grid in ((4, 6), (6, 4), (4, 4)):
        with pytest.raises(
            InputError, match=r'positions for 24 patches.*make no square. Set host.checkpoint_grid=\(rows, columns\)'
        ):
            host_of(sized(library, grid, checkpoint=path))
    with pytest.raises(InputError, match=r'positions for 24 patches.*host.checkpoint_grid=\(5, 5\) does not fit'):
        host_of(sized(library, (4, 6), checkpoint=path, checkpoint_grid=(5, 5)))
    again = host_of(sized(library, (4, 6), checkpoint=path, checkpoint_grid=(4, 6)))
    assert torch.equal(table_of(again), table_of(source))


@pytest.mark.parametrize('library', ['timm', 'mmpretrain', 'open_clip'])
def test_a_grid_is_two_numbers_of_a_file(library):
    for wrong in (4, (4,), (4, 6.0), 'ab', (0, 4)):
        with pytest.raises(InputError, match='expected the patches'):
            host_of(sized(library, (4, 6), checkpoint='host.pth', checkpoint_grid=wrong))
    with pytest.raises(InputError, match='without a file that it describes'):
        host_of(sized(library, (4, 6), checkpoint_grid=(4, 6)))


@pytest.mark.parametrize('library', ['timm', 'timm_registers', 'timm_no_class_token', 'mmpretrain', 'open_clip'])
@pytest.mark.parametrize('grid', [(2, 8), (8, 2), (3, 5)], ids=str)
def test_images_of_another_grid_get_its_positions_though_the_numbers_agree(library, grid):
    host = HOSTS[library] | (dict(dynamic_img_size=True) if library.startswith('timm') else {})
    backbone = build(host)
    images = torch.randn(2, 3, *(8 * side for side in grid), generator=torch.Generator().manual_seed(3))
    fixed = build(sized(library, grid))
    state = backbone.host.state_dict()
    table = resized(table_of(backbone.host), (4, 4), grid, library, '.pth')
    key = 'positional_embedding' if library == 'open_clip' else 'pos_embed'
    fixed.host.load_state_dict(state | {key: table if library == 'open_clip' else table[None]})
    with torch.no_grad():
        found = backbone.forward_tokens(images).x_bnc
        torch.testing.assert_close(found, native(fixed.host, images), atol=1e-5, rtol=0)


def test_images_of_another_grid_are_refused_where_the_size_is_fixed():
    with pytest.raises(InputError, match='received images of 16×64 pixels, but the host is built for 32×32'):
        build(timm_host())(torch.zeros(1, 3, 16, 64))
