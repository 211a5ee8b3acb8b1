"""Which adapter meets which sparsifier on which kind of host: builds every combination in the registry and writes the
table.

python tools/analysis_tools/combinations.py --out docs/combinations.md
"""

import argparse
import inspect
from collections import defaultdict
from pathlib import Path

from mmsparse.errors import InputError


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--out', type=Path, help='file to write; without it the page is printed')
    return options.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmsparse.models import BaseAdapter, BaseSparsifier
from mmsparse.models.necks.scores import SCORES
from mmsparse.registry import MODELS

TINY = dict(img_size=32, patch_size=4, embed_dim=48, depth=3, num_heads=3)
CLIP = dict(img_size=32, patch_size=4, width=48, layers=3, head_width=16)
DINOV3 = dict(model_type='dinov3_vit', image_size=32, patch_size=4, num_register_tokens=4, use_gated_mlp=True)
DINOV3 |= dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, intermediate_size=96)
ARCH = dict(embed_dims=48, num_layers=3, num_heads=3, feedforward_channels=192)
HOSTS = {  # one of each family, small
    'timm ViT': dict(type='mmsparse.TimmViT', name='vit_tiny_patch16_224', **TINY),
    'timm ViT (LayerScale, registers)': dict(
        type='mmsparse.TimmViT', name='vit_tiny_patch16_224', reg_tokens=4, init_values=1.0, **TINY
    ),
    'timm ViT (no class token)': dict(
        type='mmsparse.TimmViT', name='vit_tiny_patch16_224', class_token=False, global_pool='avg', **TINY
    ),
    'SigLIP (timm)': dict(type='mmsparse.TimmViT', name='vit_base_patch16_siglip_224', **TINY),
    'DINOv3 (timm)': dict(type='mmsparse.TimmViT', name='vit_small_patch16_dinov3', **TINY),
    'mmpretrain ViT': dict(type='mmpretrain.VisionTransformer', arch=ARCH, img_size=32, patch_size=4),
    'DINOv3 (transformers)': dict(type='mmsparse.TransformersViT', config=DINOV3),
    'open_clip tower': dict(type='mmsparse.OpenClipViT', name='ViT-B-16-quickgelu', **CLIP),
}
# for hosts of three layers; the rest at its default
OPTIONS = dict(bottleneck=8, layers=(2,), keep_rate=0.7, keep_rates=(0.7,), num_classes=10)


def registered(base: type) -> dict[str, dict]:
    """Return the config of every adapter or sparsifier of the package."""
    MODELS.import_from_location()
    kinds = [kind for kind in MODELS.module_dict.values() if isinstance(kind, type) and issubclass(kind, base)]
    return {
        kind.__name__: config(kind)
        for kind in sorted(kinds, key=lambda kind: kind.__name__)
        if kind.__module__.startswith('mmsparse.')
    }


def config(kind: type) -> dict:
    known = inspect.signature(kind).parameters
    return dict(type=f'mmsparse.{kind.__name__}', **{name: value for name, value in OPTIONS.items() if name in known})


def refusal(host: dict, adapter: dict, sparsifier: dict) -> str | None:
    """Return why a combination is refused, or None; a sparsifier that takes a score is asked with each."""
    scores = (
        [dict(score=name) for name in SCORES]
        if 'score' in inspect.signature(MODELS.get(sparsifier['type'])).parameters
        else [{}]
    )
    for score in scores:
        try:
            backbone = dict(
                type='mmsparse.SparseViT', host=dict(host, checkpoint=False), adapter=adapter, out_type='tokens'
            )
            MODELS.build(dict(backbone, sparsifier=dict(sparsifier, **score)))
            return None
        except InputError as error:
            reason = str(error)
    return reason


def page() -> str:
    """Return the table and the refusals as Markdown."""
    adapters, sparsifiers = registered(BaseAdapter), registered(BaseSparsifier)
    reasons, cells = defaultdict(list), {}
    for adapter in adapters:
        for sparsifier in sparsifiers:
            missing = {
                host: why
                for host in HOSTS
                if (why := refusal(HOSTS[host], adapters[adapter], sparsifiers[sparsifier]))
            }
            cells[adapter, sparsifier] = 'all' if not missing else f'{len(HOSTS) - len(missing)} of {len(HOSTS)}'
            for host, why in missing.items():
                reasons[sparsifier, host, why].append(adapter)
    lines = [
        '# Which adapter meets which sparsifier on which host',
        '',
        'Written by `python tools/analysis_tools/combinations.py --out docs/combinations.md` from the registry: every '
        'combination is built on a',
        f'small host of each of {len(HOSTS)} families. `tests/test_matrix.py` also trains, saves, loads and folds '
        'them.',
        '',
        *(f'- {host}' for host in HOSTS),
        '',
        '| adapter | ' + ' | '.join(sparsifiers) + ' |',
        '|---' * (len(sparsifiers) + 1) + '|',
        *(
            '| ' + ' | '.join([adapter, *(cells[adapter, sparsifier] for sparsifier in sparsifiers)]) + ' |'
            for adapter in adapters
        ),
        '',
        f'Refused: {sum(map(len, reasons.values()))} of {len(adapters) * len(sparsifiers) * len(HOSTS)}.',
        '',
    ]
    for (sparsifier, host, why), refused in reasons.items():
        whose = 'every adapter' if len(refused) == len(adapters) else ', '.join(refused)
        lines.append(f'- {sparsifier} on {host}, under {whose}: "{why}"')
    return '\n'.join(lines).rstrip() + '\n'


def main() -> None:
    args = parse_args()
    text = page()
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == '__main__':
    main()
