"""The view and the loop are neutral: without adapter and sparsifier the host's own forward comes out, on every
host.
"""

import pickle
from dataclasses import replace

import pytest
import timm
import torch
from torch import nn

from hosts import HOSTS, assert_near, build, images_for, mmpretrain_host, native, timm_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.views.timm import TimmView
from mmsparse.models.hosts.views.view import mean_of_patches, resolve
from mmsparse.registry import MODELS
from mmsparse.tokens import Tokens, restore


@pytest.mark.parametrize('host', HOSTS)
def test_neutral_loop_equals_the_hosts_own_forward(host):
    backbone, images = build(host), images_for(host)
    with torch.no_grad():
        expected = native(backbone.host, images)
        assert_near(backbone(images)[-1], expected)
    assert expected.std() >= 0.1


@pytest.mark.parametrize('host', HOSTS)
def test_drawn_parameters_move_the_output_of_every_block(host):
    # Guards the parity tests themselves: a part that the output does not depend on could be wrong unseen.
    backbone, images = build(host), images_for(host, batch=2)
    backbone.host.requires_grad_(True)
    backbone(images)[-1].square().sum().backward()
    silent = [name for name, value in backbone.host.named_parameters() if value.grad is None or not value.grad.any()]
    unused = {'timm': ('head', 'fc_norm', 'norm_pre'), 'mmpr': ('ln2',), 'open': ('proj',)}[host[:4]]
    assert [name for name in silent if not name.startswith(unused) and 'pre_norm' not in name] == []


@pytest.mark.parametrize('host', ['timm', 'timm_qk_norm', 'mmpretrain_layer_scale'])
def test_neutral_loop_with_dropout_and_drop_path_equals_the_host_in_training(host):
    options = (
        dict(proj_drop_rate=0.3, attn_drop_rate=0.3, drop_path_rate=0.5)
        if 'timm' in host
        else dict(drop_rate=0.3, drop_path_rate=0.5)
    )
    backbone, images = build(HOSTS[host] | options), images_for(host)
    nn.Module.train(backbone.host, True)
    torch.manual_seed(3)
    expected = native(backbone.host, images)
    torch.manual_seed(3)
    assert_near(backbone(images)[-1], expected)


def test_every_intermediate_block_equals_the_hosts():
    backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(), out_type='featmap', out_indices=(1, -2)))
    images = images_for('timm')
    expected = backbone.host.forward_intermediates(images, indices=[1, 4], intermediates_only=True)
    backbone.view.blocks[-1].norm1.register_forward_hook(
        lambda *args: pytest.fail('a block behind the last wanted one ran')
    )
    for ours, theirs in zip(backbone(images), expected, strict=True):
        assert_near(ours, theirs)


@pytest.mark.parametrize(
    'part', [dict(adapter=dict(type='mmsparse.VPT')), dict(sparsifier=dict(type='mmsparse.PYRA'))], ids=str
)
def test_what_trains_behind_the_last_wanted_block_is_refused(part):
    with pytest.raises(
        InputError,
        match=r'received out_indices=\(2,\); the blocks behind .*would get no gradient. Let the last index be -1',
    ):
        MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(), out_indices=(2,), **part))


@pytest.mark.parametrize(
    'host', [timm_host(width=50), mmpretrain_host() | dict(arch='bb')], ids=['timm', 'mmpretrain']
)
def test_a_size_that_the_library_cannot_build_is_refused_in_one_message(host):
    with pytest.raises(InputError, match='cannot be built'):
        MODELS.build(dict(type='mmsparse.SparseViT', host=host, out_type='raw'))


def test_a_backbone_can_be_pickled():
    backbone = build('timm', dict(type='mmsparse.LoRA', rank=2), dict(type='mmsparse.EViT', layers=(2,)))
    again = pickle.loads(pickle.dumps(backbone))
    assert torch.equal(again(images_for('timm'))[-1], backbone(images_for('timm'))[-1])


def test_a_pooling_that_is_not_known_is_refused_when_it_is_built():
    host = mmpretrain_host() | dict(out_type='raw')
    with pytest.raises(InputError, match="out_type='pooled' needs a host whose own out_type"):
        MODELS.build(dict(type='mmsparse.SparseViT', host=host, out_type='pooled'))


@pytest.mark.parametrize('value', ['mmsparse.ToMe', dict(type='mmsparse.LoRA')], ids=str)
def test_what_is_no_config_of_a_sparsifier_is_refused(value):
    with pytest.raises(
        InputError, match=r"received sparsifier=.*expected the config of one, such as dict\(type='mmsparse.EViT'\)"
    ):
        MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(), sparsifier=value))


def test_heads_are_those_of_the_blocks():
    backbone, images = build(mmpretrain_host(layer_cfgs=dict(num_heads=6))), images_for('mmpretrain')
    assert_near(backbone(images)[-1], native(backbone.host, images))
    with pytest.raises(InputError, match='block 2 .* has 6 heads, block 1 has 3'):
        build(mmpretrain_host(layer_cfgs=[dict(num_heads=3 * (1 + i)) for i in range(6)]))


@pytest.mark.parametrize('value', [None, 'all', (1.5, -1), True, ()])
def test_indices_that_are_no_blocks_are_refused(value):
    with pytest.raises(InputError, match='received out_indices='):
        MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(), out_indices=value))


def test_a_mean_over_nothing_is_zero():
    x_bnc, mask_bn = torch.ones(2, 5, 3), torch.ones(2, 5)
    mask_bn[1, 1:] = 0
    found = mean_of_patches(replace(Tokens.start(x_bnc, 1, (2, 2)), mask_bn=mask_bn))
    assert found.tolist() == [[1] * 3, [0] * 3]


@pytest.mark.parametrize(
    'options', [{}, dict(class_token=False, global_pool='avg'), dict(global_pool='avg', reg_tokens=2)]
)
def test_pooled_output_equals_the_timm_hosts_own(options):
    backbone = build(timm_host(**options), out_type='pooled')
    images = images_for('timm')
    assert_near(backbone(images)[-1], backbone.host(images))


@pytest.mark.parametrize('out_type', ['cls_token', 'avg_featmap'])
def test_pooled_output_equals_the_mmpretrain_hosts_own(out_type):
    backbone = build(mmpretrain_host() | dict(out_type=out_type), out_type='pooled')
    images = images_for('timm')
    assert_near(backbone(images)[-1], backbone.host(images)[-1])


def test_a_host_of_any_size_takes_any_size():
    backbone = build(timm_host(dynamic_img_size=True))
    images = torch.randn(2, 3, 48, 24)
    assert_near(backbone(images)[-1], native(backbone.host, images))
    assert restore(backbone.forward_tokens(images)).shape == (2, 48, 6, 3)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(mlp_layer=timm.layers.GatedMlp), 'mlp of timm.layers.mlp.GatedMlp'),
        (dict(attn_layer=timm.layers.DiffAttention), 'DiffAttention'),
        (dict(block_fn=timm.models.vision_transformer.ParallelScalingBlock), 'ParallelScalingBlock'),
        (dict(patch_drop_rate=0.5), 'patch_drop_rate'),
    ],
)
def test_unknown_parts_are_refused_by_name(options, named):
    with pytest.raises(InputError, match=named):
        MODELS.build(dict(type='mmsparse.SparseViT', host=timm_host(**options)))


def test_unknown_models_are_refused_with_the_list_of_known_ones():
    swin = timm.create_model('swin_tiny_patch4_window7_224', depths=(1, 1, 1, 1))
    with pytest.raises(
        InputError,
        match=r'timm\.models\.swin_transformer\.SwinTransformer.*timm\.models\.vision_transformer\.VisionTransformer',
    ):
        resolve(swin)


class Strict(TimmView):
    """Refuses every host."""

    model_types = ()

    def check_parts(self, index, block):
        raise InputError(f'Strict: block {index} is not to its taste. Use another host.')


class Lenient(Strict):
    """Two classes below a view of the package: runs what that refuses."""

    model_types = ()

    def check_parts(self, index, block):
        pass


@pytest.fixture
def own_views(monkeypatch):
    """Views of a user for a type of model that the package knows; those of projects, imported or not, stand aside."""
    for view in TimmView.__subclasses__():
        monkeypatch.setattr(view, 'model_types', ())
    for view in (Strict, Lenient):
        monkeypatch.setattr(view, 'model_types', TimmView.model_types)


def test_of_several_views_the_first_that_does_not_refuse_runs_the_host(own_views):
    known, unknown = (timm.create_model('vit_tiny_patch16_224', depth=1) for _ in range(2))
    unknown.blocks[0].ls1 = nn.LeakyReLU(1.0)  # a class that TimmView has never heard of
    assert type(resolve(known)) is TimmView and type(resolve(unknown)) is Lenient


def test_where_all_views_refuse_each_says_why_and_nothing_twice(own_views, monkeypatch):
    monkeypatch.setattr(Lenient, 'check_parts', Strict.check_parts)
    host = timm.create_model('vit_tiny_patch16_224', depth=1)
    host.blocks[0].ls1 = nn.LeakyReLU(1.0)
    refused = r'TimmView: block 1 .* has a ls1 of .*LeakyReLU.* Add a host[.] Strict: block 1 is not to its taste[.] Use another host[.]$'
    with pytest.raises(InputError, match=refused):
        resolve(host)


def test_positions_may_lie_deep_in_the_host():
    view = build('timm').view
    view.host.stem = nn.Module()
    view.host.stem.table, view.position_key = nn.Parameter(torch.arange(17.0 * 48).reshape(1, 17, 48)), 'stem.table'
    assert view.operator(1, 'embed').positions.data_ptr() == view.host.stem.table[0, 1:].data_ptr()


@pytest.mark.parametrize(('host', 'size'), [('timm', 40), ('timm', 36), ('mmpretrain', 36)])
def test_images_that_do_not_fit_are_refused(host, size):
    with pytest.raises(InputError, match=f'{size}×{size}'):
        build(host)(torch.randn(1, 3, size, size))


@pytest.mark.parametrize('host', [timm_host(img_size=36), mmpretrain_host() | dict(img_size=36)])
def test_an_input_size_that_patches_do_not_divide_is_refused_at_build(host):
    with pytest.raises(InputError, match='36×36'):
        MODELS.build(dict(type='mmsparse.SparseViT', host=host, out_type='raw'))
