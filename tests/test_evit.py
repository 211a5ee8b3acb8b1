"""EViT against a float64 reference that applies each reduction as an explicit matrix, and the cases in which nothing
may change.
"""

import pytest
import torch

from hosts import HOSTS, WITH_CLASS_TOKEN, assert_near, build, clear_case, images_for, native, reference_of

FUSES = [('merge', True), ('merge', False), ('argmax', True), ('argmax', False), ('drop', True), ('drop', False)]
ONCE, TWICE, THRICE = (3,), (2, 5), (2, 4, 6)


def evit(layers, keep_rate=0.6, fuse='merge', normalize=True):
    return dict(type='mmsparse.EViT', layers=layers, keep_rate=keep_rate, fuse=fuse, normalize=normalize)


def compare(host, sparsifier):
    """Single precision within 1e-5, double precision within 1e-10, the rows' history exactly."""
    backbone = build(host, sparsifier=sparsifier)
    images, expected = clear_case(backbone, host, sparsifier)
    with torch.no_grad():
        tokens, raw = backbone.forward_tokens(images), backbone(images)[-1]
        exact = backbone.double()(images.double())[-1]
    assert tokens.source_bm.tolist() == expected.sources
    assert tokens.size_bn is None or tokens.size_bn.tolist() == expected.sizes
    for features in (tokens.x_bnc, raw):
        assert_near(features.double(), expected.features)
    torch.testing.assert_close(exact, expected.features, atol=1e-10, rtol=0)
    return tokens


@pytest.mark.parametrize('layers', [ONCE, TWICE, THRICE], ids=['once', 'twice', 'thrice'])
@pytest.mark.parametrize('fuse, normalize', FUSES)
def test_every_strategy_and_weighting_equals_the_reference(fuse, normalize, layers):
    compare('timm', evit(layers, fuse=fuse, normalize=normalize))


@pytest.mark.parametrize('fuse', ['merge', 'argmax', 'drop'])
@pytest.mark.parametrize('host', [name for name in WITH_CLASS_TOKEN if name != 'timm'])
def test_every_host_equals_the_reference(host, fuse):
    compare(host, evit(TWICE, fuse=fuse, normalize=False))


@pytest.mark.parametrize('keep_rate', [0.05, 0.3, 0.55, 0.7, 0.95])
def test_every_keep_rate_equals_the_reference(keep_rate):
    compare('timm_wide_image', evit(THRICE, keep_rate, normalize=False))


def test_an_earlier_fused_row_can_leave_like_any_other():
    """The law is only tested where it happens: here a fused row is merged again for at least one image, and survives
    for another.
    """
    sparsifier = evit((2, 4), 0.5, normalize=False)
    backbone = build(sparsifier=sparsifier)
    images, twice = clear_case(backbone, 'timm', sparsifier, batch=12)
    once = reference_of(backbone, images, evit((2,), 0.5, normalize=False))
    last = twice.features.shape[1] - 1
    merged_again = []
    for before, after in zip(once.sources, twice.sources):
        fused = max(before)
        merged_again.append(after[before.index(fused)] == last)
    assert any(merged_again) and not all(merged_again)
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
    assert tokens.source_bm.tolist() == twice.sources
    assert tokens.size_bn.tolist() == twice.sizes


def test_images_of_a_batch_do_not_mix():
    backbone, images = build('timm_registers', sparsifier=evit(THRICE)), images_for('timm_registers', batch=4)
    with torch.no_grad():
        together = backbone(images)[-1]
        alone = torch.cat([backbone(image[None])[-1] for image in images])
    assert_near(together, alone)
    assert (together[0] - together[1]).abs().max() > 0.1


@pytest.mark.parametrize('fuse', ['merge', 'argmax', 'drop'])
def test_survivors_keep_image_order_behind_the_prefix(fuse):
    backbone, images = build('timm_registers', sparsifier=evit(ONCE, fuse=fuse)), images_for('timm_registers')
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
    assert tokens.prefix == 5
    kept = 10  # ceil(.6 · 16)
    assert tokens.x_bnc.shape[1] == 5 + kept + (fuse != 'drop')
    for sources in tokens.source_bm.tolist():
        stayed = [row for row in sources if 5 <= row < 5 + kept]
        assert stayed == list(range(5, 5 + kept))


@pytest.mark.parametrize('fuse', ['merge', 'argmax', 'drop'])
@pytest.mark.parametrize('host', HOSTS)
def test_keep_rate_one_equals_the_dense_host(host, fuse):
    sparsifier = evit(THRICE, 1.0, fuse) | ({} if host in WITH_CLASS_TOKEN else dict(score='received'))
    backbone, images = build(host, sparsifier=sparsifier), images_for(host)
    with torch.no_grad():
        expected, found = native(backbone.host, images), backbone(images)[-1]
    assert expected.std() > 0.1
    assert_near(found, expected)


@pytest.mark.parametrize('side, keep_rate, kept', [(40, 0.6, 15), (80, 0.55, 56)])
def test_counts_are_taken_in_python_floats(side, keep_rate, kept):
    """In float32 .6 · 25 exceeds 15 and would keep 16; in Python .55 · 100 exceeds 55, and rounding first would keep
    55.
    """
    backbone = build(dict(HOSTS['timm'], img_size=side), sparsifier=evit(ONCE, keep_rate, 'drop'))
    with torch.no_grad():
        assert backbone.forward_tokens(torch.randn(1, 3, side, side)).x_bnc.shape[1] == 1 + kept
