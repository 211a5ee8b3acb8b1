"""The visual path equals a plain re-computation, whatever the window, the batch and the reduction."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import plain
from hosts import apart, assert_near_in_half, timm_host
from mmsparse.errors import InputError
from mmsparse.evaluation.token_watch import tokens_per_layer
from mmsparse.models.backbones.encoder import exchanged
from mmsparse.registry import MODELS
from small_proxyclip import build, dino_host, images

NEUTRAL = [
    dict(type='mmsparse.EViT', layers=(2, 3), keep_rate=1.0),
    dict(type='mmsparse.ToMe', r=0),
    dict(type='mmsparse.RandomDrop', layers=(2,), keep_rate=1.0),
    dict(type='mmsparse.ATS', layers=(2,), keep_rate=1.0),
    dict(type='mmsparse.DynamicViT', layers=(2,), keep_rates=(1.0,)),
]
EVIT = dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.5)
TOME = dict(type='mmsparse.ToMe', r=20)


def by_place(score_bkhw):
    """The scores of one image, (h·w)×K."""
    return score_bkhw[0].flatten(1).T


def unit(model, x):
    with torch.no_grad():
        return model.texts.unit(model.extract_feat(x))


@pytest.mark.parametrize(
    ('size', 'patch'), [((224, 224), 16), ((336, 336), 16), ((224, 336), 16), ((336, 112), 8), ((112, 448), 16)]
)
def test_the_visual_path_equals_a_plain_recomputation(size, patch):
    model, x = build(patch=patch), images(*size)
    with torch.no_grad():
        expected, doubtful = plain.features(model.backbone.host, model.vfm.host, x[0])
    found = unit(model, x)[0]
    assert found.shape == (size[0] // patch, size[1] // patch, 24)
    assert doubtful.float().mean() < 0.05
    torch.testing.assert_close(found[~doubtful], expected[~doubtful], atol=1e-5, rtol=0)
    assert F.cosine_similarity(expected[0, 0], expected[-1, -1], dim=0) < 0.999  # not one feature everywhere


def test_in_double_precision_nothing_is_left_to_rounding():
    model, x = build(patch=8).double(), images(112, 224).double()
    with torch.no_grad():
        expected, _ = plain.features(model.backbone.host, model.vfm.host, x[0])
    # pixels change hands by factors in single precision
    torch.testing.assert_close(unit(model, x)[0], expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize('sparsifier', NEUTRAL, ids=lambda cfg: cfg['type'])
def test_keeping_everything_equals_dense(sparsifier):
    x = images(224, 224, batch=2)
    dense = unit(build(), x)
    torch.testing.assert_close(unit(build(backbone=dict(sparsifier=sparsifier)), x), dense, atol=1e-5, rtol=0)


def test_a_dispatcher_that_lets_all_patches_pass_equals_dense():
    x = images(224, 224)
    model = build(backbone=dict(sparsifier=dict(type='mmsparse.DyTDispatcher')))
    for dispatcher in model.backbone.sparsifiers[0].dispatchers.values():
        dispatcher.bias.data.fill_(1e4)
    torch.testing.assert_close(unit(model, x), unit(build(), x), atol=1e-5, rtol=0)


@pytest.mark.parametrize('sparsifier', [None, EVIT, TOME], ids=['dense', 'evit', 'tome'])
def test_a_batch_of_three_equals_three_single_runs(sparsifier):
    model, x = build(backbone=dict(sparsifier=sparsifier)).double(), images(224, 224, batch=3).double()
    together = unit(model, x)
    torch.testing.assert_close(together, torch.cat([unit(model, one[None]) for one in x]), atol=1e-9, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.1


@pytest.mark.parametrize('level', [0.0, 1.0])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_a_window_of_one_colour_is_finite(level, dtype):
    assert unit(build().to(dtype), torch.full((1, 3, 224, 224), level)).isfinite().all()


def test_equal_features_share_their_values_evenly_and_a_mixed_batch_does_not_spread_it():
    attention = build().backbone.readout.attention
    flat, busy = torch.ones(1, 8, 4, 4), torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    share = attention.logits(torch.cat([flat, busy])).softmax(-1)
    torch.testing.assert_close(share[0], torch.full((16, 16), 1 / 16))
    torch.testing.assert_close(share[1], plain.affinity(busy[0].flatten(1).T)[0].softmax(-1))
    assert (share[1].diagonal() > 0).all() and (share[1] == 0).any()


def test_a_position_without_a_direction_keeps_to_itself():
    features = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    features[..., 1, 2] = 0  # its cosines are 0, and with the mean above 0 all of them would be closed
    features += 0.5 * (features.abs().sum(1, keepdim=True) > 0)
    share = build().backbone.readout.attention.logits(features).softmax(-1)[0]
    assert share.isfinite().all() and share[6, 6] == 1


@pytest.mark.parametrize('patch', [8, 16, 32])
@pytest.mark.parametrize('sparsifier', [EVIT, TOME, dict(EVIT, fuse='drop')], ids=['evit', 'tome', 'drop'])
def test_folding_into_the_proxy_product_changes_nothing(patch, sparsifier):
    x = images(224, 160, batch=2).double()
    gathered, folded = (
        build(patch=patch, backbone=dict(sparsifier=sparsifier), readout=dict(fold=fold)).double()
        for fold in (False, True)
    )
    torch.testing.assert_close(unit(folded, x), unit(gathered, x), atol=1e-9, rtol=0)
    assert (unit(folded, x) - unit(build(patch=patch).double(), x)).abs().max() > 1e-3  # the reduction is felt


def explicit(model, x, mode):
    """Restore patch by patch from the streams that single passes show, then mix as published; one image, EViT at layer
    2 alone.
    """
    backbone = model.backbone
    readout, taken = backbone.readout, []

    def noting(tokens, context):
        taken.append(tokens)
        return readout(tokens, context)

    with exchanged(backbone.encoder, lambda given: given | dict(readout=noting)), torch.no_grad():
        model.extract_feat(x)
    last, source = taken[0].x_bnc[0], taken[0].source_bm[0]
    backbone.sparsifiers[0].layers = ()
    with torch.no_grad():
        whole = tokens_per_layer(model.backbone, x, model)[1].x_bnc[0]  # before layer 2's FFN, nothing has left yet
    backbone.sparsifiers[0].layers = (2,)
    counts = torch.bincount(source, minlength=len(last))
    rows = []
    for patch, row in enumerate(source.tolist()):
        if counts[row] == 1:
            rows.append(last[row])
            continue
        own = whole[1 + patch]
        if mode == 'stale':
            rows.append(own)
        else:
            fused_then = tokens_per_layer(model.backbone, x, model)[1].x_bnc[0, row]
            rows.append(own + last[row] - fused_then)
    return torch.stack(rows)


@pytest.mark.parametrize('mode', ['stale', 'delta'])
def test_what_left_comes_back_as_stale_or_delta_says(mode):
    evit = dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.5)
    model = build(backbone=dict(sparsifier=evit, stash=True), readout=dict(restore=mode)).double()
    x = images(112, 112).double()
    rows = explicit(model, x, mode)
    visual, vit = model.backbone.host, model.vfm.host
    block = visual.transformer.resblocks[-1]
    with torch.no_grad():
        proxy, grid = plain.dino(vit, x[0])
        z = plain.affinity(proxy)[0].softmax(-1) @ plain.values(block, rows)
        z = visual.ln_post(F.linear(z, block.attn.out_proj.weight, block.attn.out_proj.bias)) @ visual.proj
    expected = F.normalize(z, dim=-1).unflatten(0, grid)
    torch.testing.assert_close(unit(model, x)[0], expected, atol=1e-7, rtol=0)


def test_merging_by_the_proxy_merges_what_the_proxy_finds_alike():
    model, x = (
        build(patch=8, backbone=dict(sparsifier=dict(type='mmsparse.ToMe', r=[30, 0, 0, 0], metric='context'))),
        images(112, 112),
    )
    seen = []
    tome, plan = model.backbone.sparsifiers[0], model.backbone.sparsifiers[0].plan
    tome.plan = lambda *given: seen.append((given[1], plan(*given))) or seen[-1][1]
    unit(model, x)
    tokens, made = seen[0]
    with torch.no_grad():
        proxy, grid = plain.dino(model.vfm.host, x[0])
    pooled = F.avg_pool2d(proxy.T.unflatten(1, grid), 2).flatten(1).T
    pooled = pooled / pooled.norm(dim=-1, keepdim=True)
    rows = torch.arange(1, 50)
    even, odd = rows[rows % 2 == 0], rows[rows % 2 == 1]
    best, choice = (pooled[even - 1] @ pooled[odd - 1].T).max(-1)
    count = min(30, len(even))
    expected = {(int(even[a]), int(odd[choice[a]])) for a in best.topk(count).indices}
    place = made.index_bn[0].tolist()
    found = {(int(a), next(int(b) for b in odd if place[b] == place[a])) for a in even if place.count(place[a]) > 1}
    assert found == expected
    assert tokens.x_bnc.shape[1] - made.length == count


def test_the_proxy_itself_may_be_sparsified():
    model, x = build(vfm=dict(sparsifier=dict(type='mmsparse.ToMe', r=20))), images(224, 224)
    dense = build()
    assert unit(model, x).isfinite().all()
    assert (unit(model, x) - unit(dense, x)).abs().max() > 1e-3
    assert [t.x_bnc.shape[1] for t in tokens_per_layer(model.vfm, x)] == [177, 157, 137]


def test_bfloat16_and_autocast_stay_near_single_precision():
    model, x = build(), images(224, 224)
    with torch.no_grad():
        expected = model(x)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            under_autocast = model(x)
        in_bfloat16 = build().bfloat16()(x)
        wrong = build()
        wrong.backbone.host.transformer.resblocks[3].mlp.c_proj.weight.zero_()  # a cosine of .992 over the whole map
        wrong = wrong(x)
    for found in (under_autocast, in_bfloat16):
        assert found.dtype == torch.float32
        assert_near_in_half(by_place(found), by_place(expected))
    assert apart(by_place(wrong), by_place(expected)) > 0.3


def test_nothing_is_hooked_and_nothing_grows():
    model, x = build(), images(112, 112)

    def state():
        hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()]
        return hooks, len(list(model.buffers())), sorted(vars(model.backbone.readout))

    before = state()
    for _ in range(3):
        unit(model, x)
    assert state() == before


@pytest.mark.parametrize(
    ('tag', 'mean', 'std'),
    [('augreg_in21k', 127.5, 127.5), (None, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))],
)
def test_the_proxy_gets_the_pixels_that_its_weights_were_trained_on(tmp_path, tag, mean, std):
    save_file(build().vfm.host.state_dict(), tmp_path / 'proxy.safetensors')
    host = dino_host(
        name='vit_tiny_patch16_224' + (f'.{tag}' if tag else ''),
        checkpoint=str(tmp_path / 'proxy.safetensors') if tag else False,
    )
    preprocessor = dict(
        type='mmseg.SegDataPreProcessor', mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0], bgr_to_rgb=True
    )
    model, seen = build(vfm=dict(host=host), data_preprocessor=preprocessor), []
    model.vfm.host.patch_embed.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    picture_bgr = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.extract_feat(model.data_preprocessor(dict(inputs=[picture_bgr]))['inputs'])
    wanted = (picture_bgr.flip(0).float() - torch.tensor(mean).expand(3).view(3, 1, 1)) / torch.tensor(std).expand(
        3
    ).view(3, 1, 1)
    torch.testing.assert_close(seen[0][0], wanted, atol=1e-4, rtol=0)


def test_transposed_images_give_transposed_features():
    """With symmetric kernels and positions no place in the code may take height for width."""
    model = build(patch=8).double()
    visual, vit = model.backbone.host, model.vfm.host
    with torch.no_grad():
        for weight in (visual.conv1.weight, vit.patch_embed.proj.weight):
            weight.copy_((weight + weight.transpose(2, 3)) / 2)
        for table, side in ((visual.positional_embedding, 14), (vit.pos_embed[0], 28)):
            plane = table[1:].unflatten(0, (side, side))
            table[1:] = ((plane + plane.transpose(0, 1)) / 2).flatten(0, 1)
    x = images(112, 224).double()
    torch.testing.assert_close(unit(model, x.transpose(2, 3)), unit(model, x).transpose(1, 2), atol=1e-9, rtol=0)


def test_the_state_of_a_training_free_model_is_empty():
    from mmsparse.state.saved_tensors import adapter_tensors, frozen_models

    model = build()
    assert not adapter_tensors(model)
    assert frozen_models(model).keys() == {'backbone.host', 'vfm.host'}
    model.init_weights()
    again = build()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))


def test_the_replaced_block_is_no_place_for_parts():
    from mmsparse.errors import InputError

    with pytest.raises(InputError, match='Layers count from 1 to 4'):
        build(backbone=dict(sparsifier=dict(type='mmsparse.EViT', layers=(5,))))
    adapter = build(backbone=dict(adapter=dict(type='mmsparse.DenseAdapter', bottleneck=4))).backbone.adapters[0]
    assert sorted(adapter.layers) == ['1', '2', '3', '4']


def test_a_host_whose_values_cannot_be_projected_first_is_refused():
    host = timm_host(name='beit3_base_patch16_224', depth=2)
    with pytest.raises(InputError, match='has a norm between attention and projection'):
        MODELS.build(
            dict(type='mmsparse.SparseViT', host=host, readout=dict(type='mmsparse.ProxyReadout'), out_type='tokens')
        )
