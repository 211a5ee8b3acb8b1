"""Every shipped config can be read, stored and checked, and what it says of classes, pixels and cost is true of the network
that it builds; tools/check_configs.py (make configs) lets them run.
"""

import math
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS
from modelindex.load_model_index import load
from PIL import Image

from each import check_each
from mmsparse.config.check import check_config
from mmsparse.evaluation import published_macs

ROOT = Path(__file__).parents[1]
LEAVES = sorted(path for path in ROOT.glob('configs/**/*.py') if '_base_' not in path.parts)
SMALL = 'tiny'  # how the configs on the small host, of 32 px, are called
RECORDS = {
    m['Config']: m for f in ROOT.glob('configs/**/metafile.yml') for m in yaml.safe_load(f.read_text())['Models']
}


@cache
def read(path: Path) -> Config:
    """The config with random host weights, since the pretrained ones are not here."""
    cfg = Config.fromfile(path)
    init_default_scope('mmpretrain')
    if cfg.model.get('backbone'):
        cfg.model.backbone.host.checkpoint = False
    return cfg


def light(cfg: Config) -> torch.nn.Module:
    """The config's model without memory behind its weights."""
    with torch.device('meta'), DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model).eval()


def images(path: Path) -> torch.Tensor:
    """What the config's network is fed: crops of a segmentor, else the host's own size; clips where it says so."""
    model = read(path).model if path.is_file() else {}
    side = model.get('backbone', {}).get('host', {}).get('img_size') or (32 if path.stem.startswith(SMALL) else 224)
    frames = [model.frames] if 'frames' in model else []
    return torch.zeros(1, *frames, 3, *model.get('data_preprocessor', {}).get('size') or [side] * 2, device='meta')


@pytest.mark.slow
def test_a_config_is_sound_and_survives_being_stored(tmp_path):
    def check(path):
        cfg = Config.fromfile(path)
        check_config(cfg)
        cfg.dump(tmp_path / 'stored.py')
        assert Config.fromfile(tmp_path / 'stored.py').to_dict() == cfg.to_dict()

    check_each(LEAVES, check)


def test_a_config_has_one_number_of_classes():
    def check(path):
        cfg = read(path)
        if 'decode_head' in cfg.model:
            with DefaultScope.overwrite_default_scope(cfg.default_scope):
                classes = DATASETS.build(dict(cfg.val_dataloader.dataset, lazy_init=True)).metainfo['classes']
            assert cfg.model.decode_head.num_classes == len(classes)
            return
        assert (
            cfg.model.get('num_classes', cfg.model.get('head', {}).get('num_classes'))
            == cfg.data_preprocessor.num_classes
        )

    check_each(LEAVES, check)


def decided_by_image(cfg: Config) -> bool:
    return any(kind in str(cfg.model) for kind in ('AdaptiveKeep', 'ATS', 'DyTDispatcher'))


def of_queries(queries: int, rows: int, width: int, last: bool) -> int:
    """SynQT: a layer's queries are made, and run through it; behind the last 37 features become one."""
    made = 4 * queries * width * (48 + 2 * 8) + 2 * queries**2 * width
    run = queries * (10 * width**2 + 2 * rows * width)
    return made + run + 7 * 5 * queries * width + last * (37 * width * (2 * 48 + 5) + 36 * width + 5 * width)


def written_down(cfg: Config) -> int:
    """The cost of EViT and an adapter on a ViT of 224 px and 16 px patches, from the config alone: what a tracer may
    not get wrong unseen.
    """
    width, depth = {'b': (768, 12), 'l': (1024, 24)}[cfg.model.backbone.host.name[4]]
    adapter, evit = (
        dict(cfg.model.backbone.get('adapter') or {}),
        dict(cfg.model.backbone.get('sparsifier') or {}, type=None),
    )
    d, inputs, fusion = (
        adapter.get('bottleneck', 0),
        adapter.get('inputs', ('x', 'prev', 'skip')),
        adapter.get('fusion', 'inner'),
    )
    kind = adapter.get('type', '').split('.')[-1]
    places = adapter.get('places', () if kind == 'RepAdapter' else ('mlp',))
    rank = adapter.get('rank', 0)
    core = rank if kind in ('FacTTT', 'FacTTK') else 0
    thin = (8 * rank if core else 2 * rank * len(adapter.get('targets', ('q', 'v')))) + 2 * d * (
        'attn' in places or kind == 'ResTuningBypass'
    )
    thin += 2 * d * (1 + 1 / adapter['groups']) if kind == 'RepAdapter' else 0
    # In a layer, whatever the rows.
    more = len(places) * (196 * 9 + 1) * d**2 if kind == 'ConvPass' else 12 * core**3 if kind == 'FacTTK' else 0
    more += 2 * rank * width**2 if kind == 'DoRA' else 0  # up·down of q and v
    length = adapter.get('length', 0)  # Res-Tuning: so many keys of the prefix and of prompts, which are projected
    thin, more = thin + 4 * length, more + 2 * length * width**2
    prompts = adapter.get('num_prompts', 0)
    noah = kind == 'NOAH' and (adapter.get('subnet') or {m: [10] * depth for m in ('prompts', 'lora', 'adapter')})
    rows, macs = 197 + prompts, 196 * 16 * 16 * 3 * width + width * cfg.model.head.num_classes
    for layer in range(1, depth + 1):
        if noah:
            prompts, low, narrow = (noah[module][layer - 1] for module in ('prompts', 'lora', 'adapter'))
            rows, thin = 197 + prompts, 4 * low + 2 * narrow
        macs += 4 * rows * width**2 + 2 * rows**2 * width + 5 * rows * width + rows * (width * thin + 4 * core**2)
        if layer in evit.get('layers', ()):
            rows = 1 + math.ceil(evit['keep_rate'] * (rows - 1)) + (evit['fuse'] != 'drop')
        links = (
            1 + ('prev' in inputs and layer > 1) + ('skip' in inputs and layer > adapter.get('skip', 3))
            if kind == 'DenseAdapter'
            else 1
        )
        matrices = {'inner': links + 1, 'early': 2, 'late': 2 * links}[fusion] * ('mlp' in places)
        macs += (
            8 * rows * width**2
            + 5 * rows * width
            + rows * (width * d * matrices + 10 * core * width + 8 * core**2)
            + more
        )
        macs += of_queries(adapter['queries'], rows, width, layer == depth) if kind == 'SynQT' else 0
    return macs + 5 * rows * width


@pytest.mark.slow
def test_the_metafile_tells_parameters_and_cost_of_what_is_built():
    def check(path):
        cfg, record = read(path), RECORDS[str(path.relative_to(ROOT))]['Metadata']
        model = light(cfg)
        assert record['Parameters'] == sum(p.numel() for p in model.parameters())
        if 'backbone' not in cfg.model:
            return
        assert ('FLOPs' in record) != decided_by_image(cfg)
        if decided_by_image(cfg):
            return
        assert record['FLOPs'] == published_macs(model, images(path))
        by_hand = cfg.model.backbone.get('out_type') == 'cls_token' and not path.stem.startswith(SMALL)
        if by_hand and (cfg.model.backbone.get('sparsifier') or {}).get('type', 'mmsparse.EViT') == 'mmsparse.EViT':
            assert record['FLOPs'] == written_down(cfg)

    check_each(LEAVES, check)


def test_the_small_host_costs_in_its_metafile_what_it_costs_under_the_digits():
    digits = light(read(ROOT / 'configs/sparse_tuning/tiny_digits.py'))
    three_classes_less = 3 * digits.backbone.view.width
    dense = published_macs(digits, images(Path('tiny')), dense=True)
    assert RECORDS['configs/pretraining/tiny_cifar10.py']['Metadata']['FLOPs'] == dense - three_classes_less


def test_every_config_is_in_the_model_index_and_every_folder_is_explained():
    index = load(str(ROOT / 'model-index.yml'))
    index.build_models_with_collections()
    assert sorted(ROOT / model.config for model in index.models) == LEAVES
    for folder in {path.parent for path in LEAVES}:
        text = (folder / 'README.md').read_text()
        assert all(f'({path.name})' in text for path in LEAVES if path.parent == folder)


@pytest.mark.parametrize('name', ['cifar100', 'svhn', 'food101'])
def test_pipelines_of_the_large_recipes_end_in_224_pixels(name, tmp_path):
    Image.effect_noise((150, 90), 80).convert('RGB').save(tmp_path / 'a.jpg')
    cfg = read(ROOT / f'configs/sparse_tuning/vitb_{name}.py')
    for pipeline in (cfg.train_pipeline, cfg.test_pipeline, cfg.tta_pipeline):
        item = dict(img_path=str(tmp_path / 'a.jpg'), gt_label=0)
        if pipeline[0].type != 'mmsparse.LoadImage':
            item = TRANSFORMS.build(dict(type='mmsparse.LoadImage'))(item)
        for step in pipeline:
            item = TRANSFORMS.build(step)(item)
        views = item['inputs'] if isinstance(item['inputs'], list) else [item['inputs']]
        assert {tuple(view.shape) for view in views} == {(3, 224, 224)}
        assert len(views) == (2 if pipeline is cfg.tta_pipeline else 1)
    torch.testing.assert_close(views[0].flip(-1), views[1])


@pytest.mark.parametrize('name', ['vitb_cifar100', 'vitb_svhn', 'vitb_food101', 'tiny_digits'])
def test_channels_arrive_in_the_order_that_the_host_expects(name):
    """CIFAR-100 is the one set that mmpretrain hands out as RGB; swapping it would be silent."""
    cfg = read(ROOT / f'configs/sparse_tuning/{name}.py')
    preprocessor = MODELS.build(dict(cfg.data_preprocessor, type='ClsDataPreprocessor'))
    red_first = torch.tensor([255, 51, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    arrives = red_first if cfg.train_dataloader.dataset.type == 'CIFAR100' else red_first.flip(1)
    torch.testing.assert_close(preprocessor(dict(inputs=arrives))['inputs'].flatten(), torch.tensor([1.0, -0.6, -1.0]))


def test_the_digits_run_from_config_to_loss_and_prediction():
    cfg = read(ROOT / 'configs/sparse_tuning/tiny_digits.py')
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    data = DATASETS.build(dict(cfg.train_dataloader.dataset, indices=4))
    batch = dict(
        inputs=[data[i]['inputs'] for i in range(4)], data_samples=[data[i]['data_samples'] for i in range(4)]
    )
    losses = model.train_step(batch, optim_wrapper=_NoStep())
    assert 0 < losses['loss'] < 10
    model.eval()
    assert {s.pred_score.shape for s in model.test_step(batch)} == {(10,)}
    twice = MODELS.build(dict(cfg.tta_model, module=model))
    views = DATASETS.build(dict(cfg.test_dataloader.dataset, indices=1, pipeline=cfg.tta_pipeline))[0]
    assert twice.test_step({key: [[value] for value in views[key]] for key in views})[0].pred_score.shape == (10,)


class _NoStep:
    """An optimiser that only lets the loss be computed."""

    def optim_context(self, _):
        """The same context as without mixed precision."""
        return torch.enable_grad()

    def update_params(self, loss):
        """Prove that a gradient exists, and change nothing."""
        loss.backward()
