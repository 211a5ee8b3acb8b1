"""Every registered adapter and sparsifier on small hosts of every kind: what the tests that cross them share."""

import inspect
from itertools import combinations, product

import torch
from mmpretrain.structures import DataSample

from hosts import tiny_hosts
from mmsparse.engine.weight_selection import select_at_random
from mmsparse.models import BaseAdapter, BaseSparsifier
from mmsparse.registry import MODELS

WIDTH, DEPTH, CLASSES, SIDE = 32, 3, 3, 32
# small, by an argument's name
USUAL = dict(bottleneck=4, rank=2, num_prompts=2, layers=(2,), keep_rate=0.7, keep_rates=(0.7,), rate=0.5, r=2)
USUAL |= dict(num_classes=CLASSES, pruned=3, layer=2, length=2)
MORE = {  # by method, where the usual arguments would leave a part of it untried; a new method needs no entry
    'Adapter': dict(places=('attn', 'mlp')),
    'DoRA': dict(alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2')),
    'DynamicViT': dict(layers=(2, 3), keep_rates=(0.7, 0.4)),
    'LoRA': dict(alpha=3, targets=('q', 'k', 'v', 'proj', 'fc1', 'fc2')),
}

DINOV3 = dict(
    model_type='dinov3_vit',
    hidden_size=WIDTH,
    num_hidden_layers=DEPTH,
    num_attention_heads=2,
    intermediate_size=2 * WIDTH,
)
DINOV3 |= dict(image_size=SIDE, patch_size=8, num_register_tokens=4, use_gated_mlp=True)
HOSTS = tiny_hosts(width=WIDTH, depth=DEPTH, heads=2)
HOSTS |= {'transformers_dinov3': dict(type='mmsparse.TransformersViT', checkpoint=False, config=DINOV3)}
WITHOUT_CLASS_TOKEN = ('timm_no_class_token', 'timm_siglip')


def registered(base: type) -> list[str]:
    """The names of the package's adapters or sparsifiers."""
    MODELS.import_from_location()
    kinds = [kind for kind in MODELS.module_dict.values() if inspect.isclass(kind) and issubclass(kind, base)]
    return sorted(kind.__name__ for kind in kinds if kind.__module__.startswith('mmsparse.'))


def adapters() -> list[str]:
    return registered(BaseAdapter)


def sparsifiers() -> list[str]:
    return registered(BaseSparsifier)


def options(name: str) -> dict:
    """Arguments of a method for small hosts."""
    known = inspect.signature(MODELS.get(f'mmsparse.{name}')).parameters
    return {argument: value for argument, value in USUAL.items() if argument in known} | MORE.get(name, {})


ADAPTERS, SPARSIFIERS = ({name: options(name) for name in names} for names in (adapters(), sparsifiers()))


def pairs(case: tuple) -> set:
    """Every two values of a case, each with its place in it."""
    return set(combinations(enumerate(case), 2))


def pairwise(*choices) -> list[tuple]:
    """Few cases of the product of `choices` in which every two values of different choices meet, always the same
    ones.
    """
    cases = list(product(*choices))
    missing, chosen = set().union(*map(pairs, cases)), []
    while missing:
        chosen.append(max(cases, key=lambda case: len(pairs(case) & missing)))  # of equals the first
        missing -= pairs(chosen[-1])
    return chosen


def classifier(host: str, adapter, sparsifier=None):
    """A classifier in training mode, weights as built, from a fixed seed; `adapter` is a name, or a config or a list
    of them.

    Raises:
        InputError: the combination is refused.
    """
    torch.manual_seed(0)
    bare = host in WITHOUT_CLASS_TOKEN
    scored = sparsifier and 'score' in inspect.signature(MODELS.get(f'mmsparse.{sparsifier}')).parameters
    more = dict(score='received') if bare and scored else {}
    backbone = dict(
        type='mmsparse.SparseViT',
        host=HOSTS[host],
        adapter=dict(type=f'mmsparse.{adapter}', **options(adapter)) if isinstance(adapter, str) else adapter,
        sparsifier=None if sparsifier is None else dict(type=f'mmsparse.{sparsifier}', **options(sparsifier), **more),
        out_type='pooled'
        if bare or host == 'open_clip'
        else 'cls_token',  # both have parameters that only their pooling reads
    )
    width = 512 if host == 'open_clip' else WIDTH
    head = dict(
        type='mmpretrain.LinearClsHead',
        num_classes=CLASSES,
        in_channels=width,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
    )
    model = MODELS.build(dict(type='mmsparse.SparseClassifier', backbone=backbone, head=head))
    model.head._dump_init_info = lambda: None  # MMEngine would log every parameter
    model.head.init_weights()
    select_at_random(model)
    return model


def images(size=4, seed=0):
    return torch.randn(size, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def loss(model, size=4, seed=0) -> torch.Tensor:
    """The sum of the losses of one batch; `model` may be wrapped."""
    torch.manual_seed(seed)
    labels = [DataSample().set_gt_label(index % CLASSES) for index in range(size)]
    return sum(value for name, value in model(images(size, seed), labels, mode='loss').items() if 'loss' in name)
