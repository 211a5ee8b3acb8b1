"""A ProxyCLIP of the right shape and the wrong size: small towers with drawn parameters, and a text tower that encodes
in milliseconds.
"""

import json
import tempfile
from functools import cache
from pathlib import Path

import open_clip
import torch

import projects.proxyclip.proxyclip  # noqa: F401  (registers its parts)
from hosts import draw
from mmsparse.registry import MODELS

NAME = 'small-clip-quickgelu'
VISION = dict(image_size=224, patch_size=16, width=48, layers=5, head_width=16)
TEXT = dict(context_length=77, vocab_size=49408, width=32, heads=2, layers=2)


@cache
def small_clip() -> str:
    """Register the model with open_clip; return its name."""
    folder = Path(tempfile.mkdtemp())
    (folder / f'{NAME}.json').write_text(
        json.dumps(dict(embed_dim=24, quick_gelu=True, vision_cfg=VISION, text_cfg=TEXT))
    )
    open_clip.add_model_config(folder)
    return NAME


def clip_host(**options) -> dict:
    return dict(type='mmsparse.ProxyClipViT', name=small_clip(), checkpoint=False) | options


def dino_host(patch=16, **options) -> dict:
    small = dict(name='vit_tiny_patch16_224', checkpoint=False, patch_size=patch, embed_dim=48, depth=3, num_heads=3)
    return dict(type='mmsparse.DinoViT') | small | options


def config(patch=16, backbone=(), readout=(), vfm=(), **options) -> dict:
    """A model config; `backbone`, `readout` and `vfm` are added to those parts."""
    readout = dict(type='mmsparse.ProxyReadout') | dict(readout)
    parts = dict(
        backbone=dict(type='mmsparse.SparseViT', host=clip_host(), readout=readout) | dict(backbone),
        vfm=dict(type='mmsparse.SparseViT', host=dino_host(patch), out_type='featmap') | dict(vfm),
        classes=['cat, kitten', 'sofa', 'plant pot'],
    )
    return dict(type='mmsparse.ProxyCLIP') | parts | options


def build(seed=0, **options):
    """The model with all parameters drawn, in evaluation mode; equal hosts get equal parameters whatever parts come
    with them.
    """
    model = MODELS.build(config(**options))
    for number, part in enumerate(
        (model.backbone.host, model.vfm, *model.backbone.adapters, *model.backbone.sparsifiers)
    ):
        draw(part, seed + 100 * number)
    return model.eval()


def images(*size, batch=1, seed=1):
    """Different images, B×3×H×W: noise on slow waves, so that the proxy finds regions."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode='bilinear', align_corners=False)
    return smooth + 0.3 * torch.randn(batch, 3, *size, generator=generator)
