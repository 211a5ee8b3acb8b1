"""Tiny hosts of every kind, and parameters drawn so that a wrong network shows: with default initialisation it
passes.
"""

import math

import torch
from torch import nn

from mmsparse.engine.weight_selection import select_at_random
from mmsparse.registry import MODELS
from references.names import as_timm
from references.parts import gelu, quick_gelu
from references.vit import vit

HEADS, DEPTH, WIDTH = 3, 6, 48
RESIDUAL_WRITERS = ('proj', 'fc2', 'ffn.layers.1', 'up')  # damped, or the stream grows with depth


def timm_host(width=WIDTH, depth=DEPTH, heads=HEADS, **options):
    tiny = dict(
        name='vit_tiny_patch16_224',
        checkpoint=False,
        img_size=32,
        patch_size=8,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
    )
    return dict(type='mmsparse.TimmViT') | tiny | options


def mmpretrain_vit(width=WIDTH, depth=DEPTH, heads=HEADS, **options):
    """As mmpretrain itself takes it."""
    arch = dict(embed_dims=width, num_layers=depth, num_heads=heads, feedforward_channels=4 * width)
    tiny = dict(arch=arch, img_size=32, patch_size=8, out_type='raw')
    return dict(type='mmpretrain.VisionTransformer') | tiny | options


def mmpretrain_host(**options):
    return dict(checkpoint=False) | mmpretrain_vit(**options)


def open_clip_host(name='ViT-B-16-quickgelu', width=WIDTH, depth=DEPTH, heads=HEADS, **options):
    tiny = dict(checkpoint=False, img_size=32, patch_size=8, width=width, layers=depth, head_width=width // heads)
    return dict(type='mmsparse.OpenClipViT', name=name) | tiny | options


def tiny_hosts(**size):
    """A config of every kind of host that is crossed with methods: `width`, `depth`, `heads`, `img_size` and
    `patch_size` of all of them.
    """
    return {
        'timm': timm_host(**size),
        'timm_layer_scale': timm_host(init_values=1.0, **size),
        'timm_registers': timm_host(reg_tokens=4, **size),
        'timm_no_class_token': timm_host(class_token=False, global_pool='avg', **size),
        'timm_siglip': timm_host(name='vit_base_patch16_siglip_224', **size),
        # as built 1e-5, and no adapter would show
        'timm_dinov3': timm_host(name='vit_small_patch16_dinov3', init_values=0.5, **size),
        'mmpretrain': mmpretrain_host(**size),
        'mmpretrain_pre_norm': mmpretrain_host(pre_norm=True, patch_cfg=dict(bias=False), **size),
        'open_clip': open_clip_host(**size),
    }


# the float64 reference has neither attention pooling nor rotary positions
BEYOND_THE_REFERENCE = ('timm_siglip', 'timm_dinov3')
HOSTS = {name: host for name, host in tiny_hosts().items() if name not in BEYOND_THE_REFERENCE} | {
    'timm_registers_bare_positions': timm_host(reg_tokens=4, no_embed_class=True),
    'timm_qk_norm': timm_host(qk_norm=True),
    'timm_pre_norm': timm_host(pre_norm=True),
    'timm_wide_image': timm_host(img_size=(32, 48)),
    'mmpretrain_layer_scale': mmpretrain_host(layer_scale_init_value=1.0),
    'mmpretrain_no_class_token': mmpretrain_host(with_cls_token=False),
    'open_clip_gelu_layer_scale': open_clip_host('ViT-B-16', ls_init_value=1.0),
}
WITH_CLASS_TOKEN = [name for name in HOSTS if 'no_class_token' not in name]


def draw(module, seed=0):
    """Draw every parameter: activations of std about 1, peaked attention, nothing zero, nothing neutral. Returns the
    module.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high, like):
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for path, part in module.named_modules():
            for name, parameter in part.named_parameters(recurse=False):
                if isinstance(part, nn.LayerNorm) and name == 'weight':
                    value = uniform(0.5, 1.5, parameter)
                    value *= 1.6 if path.endswith(('q_norm', 'k_norm')) else 1.0
                elif type(part).__name__ in ('LayerScale', 'ScaleShift') and name != 'bias':
                    value = uniform(0.3, 1.7, parameter)
                elif name == 'magnitude':  # DoRA's lengths of rows, as the weights' own below
                    value = uniform(0.3, 1.7, parameter) * (0.5 if path.endswith(RESIDUAL_WRITERS) else 1.0)
                elif name.endswith('bias'):
                    value = uniform(-0.3, 0.3, parameter)
                elif name.endswith('weight'):
                    value = torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter[0].numel())
                    value *= 0.5 if path.endswith(RESIDUAL_WRITERS) or '.up.' in path else 1.0
                    if path.endswith('qkv') or name == 'in_proj_weight':
                        value[: 2 * len(value) // 3] *= 1.6
                elif name == 'proj':  # open_clip's, used as x @ proj
                    value = torch.randn(parameter.shape, generator=generator) / math.sqrt(len(parameter))
                else:  # class token, registers, positions
                    value = 0.7 * torch.randn(parameter.shape, generator=generator)
                parameter.copy_(value)
    return module


def build(host='timm', adapter=None, sparsifier=None, out_type='raw', seed=0, **options):
    """A SparseViT on a named host with all parameters drawn, in evaluation mode."""
    host = HOSTS[host] if isinstance(host, str) else host
    backbone = MODELS.build(
        dict(
            type='mmsparse.SparseViT', host=host, adapter=adapter, sparsifier=sparsifier, out_type=out_type, **options
        )
    )
    select_at_random(backbone)
    draw(backbone, seed)
    backbone.eval()
    return backbone


def images_for(host='timm', batch=3, seed=1):
    """Different images, B×3×H×W, about standard normal."""
    size = HOSTS[host]['img_size']
    height, width = size if isinstance(size, tuple) else (size, size)
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def native(host, images):
    """The host's own forward, all rows after its final norm."""
    if hasattr(host, 'conv1'):  # open_clip
        own = host.forward_intermediates(
            images, 1, normalize_intermediates=True, output_fmt='NLC', output_extra_tokens=True
        )
        return torch.cat([own['image_intermediates_prefix'][-1], own['image_intermediates'][-1]], dim=1)
    return host.forward_features(images) if hasattr(host, 'forward_features') else host(images)[-1]


def listed(config):
    """A config, a list of them or None, as a list."""
    return [] if config is None else config if isinstance(config, list) else [config]


def reference_of(backbone, images, sparsifier=None, adapter=None, frames=1):
    """The float64 reference on the parameters of `backbone`; `sparsifier` and `adapter` are the configs it was built
    from.
    """
    methods = []
    for config, part in zip(listed(sparsifier), backbone.sparsifiers):
        options = {key: value for key, value in config.items() if key != 'type'}
        state = part.state_dict(keep_vars=True)
        methods.append(dict(type=config['type'].split('.')[-1], options=options, state=state))
    if adapter:
        options = {
            key: value
            for key, value in adapter.items()
            if key in ('fusion', 'inputs', 'skip', 'norm', 'scale', 'cross_frame')
        }
        adapter = dict(state=backbone.adapters[0].state_dict(keep_vars=True), options=options)
    flavour = {}
    if hasattr(backbone.host, 'conv1'):  # open_clip
        flavour = dict(eps=1e-5, activation=quick_gelu if 'quickgelu' in backbone.view.name else gelu)
    return vit(
        as_timm(backbone.host.state_dict(keep_vars=True)), images, HEADS, methods, adapter, frames=frames, **flavour
    )


def clear_case(backbone, host, sparsifier=None, adapter=None, batch=3, seed=1):
    """Images on which no two rows tie for a place (rounding would then decide), and the reference's answer on them."""
    for attempt in range(seed, seed + 20):
        images = images_for(host, batch, attempt)
        expected = reference_of(backbone, images, sparsifier, adapter)
        if expected.margin > 1e-5:
            return images, expected
    raise AssertionError('every draw ties')


def by_patch(answer):
    """What does not depend on the order of rows: per image the prefix rows; per patch its group (its first patch, -1:
    gone), size and row.
    """
    rows = answer.rows if hasattr(answer, 'rows') else answer.x_bnc
    sources = answer.sources if hasattr(answer, 'sources') else answer.source_bm.tolist()
    sizes = answer.sizes if hasattr(answer, 'sizes') else None if answer.size_bn is None else answer.size_bn.tolist()
    told = []
    for item, own in enumerate(sources):
        groups = [own.index(row) if row >= 0 else -1 for row in own]
        counts = [0 if row < 0 else sizes[item][row] if sizes else 1 for row in own]
        kept = [row for row in own if row >= 0]
        told.append((groups, counts, torch.cat([rows[item][: answer.prefix], rows[item][kept]])))
    return told


def assert_all_fold_and_the_answer_stays(backbone, images):
    """In float64."""
    backbone, images = backbone.double(), images.double()
    with torch.no_grad():
        before = backbone(images)[-1]
        backbone.fold()
        assert len(backbone.adapters) == 0
        torch.testing.assert_close(backbone(images)[-1], before, rtol=0, atol=1e-9)


def assert_near(found, expected, bound=1e-5):
    """Equal within `bound` of the largest value expected (of 1 at least): float32 rounds what it adds, and kernels add
    in an order of their own.
    """
    torch.testing.assert_close(found, expected, rtol=0, atol=bound * max(1.0, expected.abs().max().item()))


def apart(found, expected) -> float:
    """How far half of the images, B×…, lie apart at most, in units of the images' own spread.

    Not all of them: in single images rounding exchanges two rows of nearly equal rank. Over patches or pixels instead
        of images it is the same.
    """
    found, expected = found.flatten(1).double(), expected.flatten(1).double()
    return float((found - expected).norm(dim=1).median() / (expected - expected.mean(0)).norm(dim=1).median())


def assert_near_in_half(found, expected):
    """Parameters drawn, bfloat16 is 0.02 to 0.04 apart from float32; one adapter left out or one layer's rows
    exchanged 0.2 to 1.5.
    """
    assert found.isfinite().all()
    assert apart(found, expected) < 0.08


def assert_same(found, expected, bound=1e-5):
    """Equal groups and sizes, rows as `assert_near` has it; both are Tokens or a reference's Answer."""
    for (groups, counts, rows), (wanted_groups, wanted_counts, wanted) in zip(
        by_patch(found), by_patch(expected), strict=True
    ):
        assert groups == wanted_groups
        assert counts == wanted_counts
        assert_near(rows.double(), wanted.double(), bound)


def check(host, sparsifier, adapter=None, batch=3, change=None, **options):
    """A backbone on drawn weights equals the reference: 1e-5 in single precision, 1e-9 in double, same groups and
    sizes. Returns all three.

    Args:
        change: called with the backbone before it runs, to set parameters.
    """
    backbone = build(host, adapter, sparsifier, **options)
    if change:
        change(backbone)
    images, expected = clear_case(backbone, host, sparsifier, adapter, batch)
    with torch.no_grad():
        tokens = backbone.forward_tokens(images)
        assert_same(tokens, expected)
        assert_same(backbone.double().forward_tokens(images.double()), expected, 1e-9)
    backbone.float()
    return backbone, tokens, expected


def watch(backbone):
    """Note every plan of the backbone's sparsifiers: a list of (sparsifier, layer, tokens, plan), filled by each
    forward pass.
    """
    seen = []

    def noting(part, ask):
        def plan(layer, tokens, *rest):
            made = ask(layer, tokens, *rest)
            seen.append((part, layer, tokens, made))
            return made

        return plan

    for part in backbone.sparsifiers:
        part.plan = noting(part, part.plan)  # on the instance: the class stays as it is
    return seen
