"""Host weights: every rung of the ladder loads what was saved, everything else is refused, and nothing redraws or
trains a frozen host.
"""

import functools
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from safetensors.torch import save_file

from hosts import HOSTS, draw, images_for, mmpretrain_host, timm_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import fingerprint
from mmsparse.models.hosts.load_weights import _jax_geometry
from mmsparse.models.hosts.weight_files import read_weights
from mmsparse.registry import MODELS
from weight_files import jax_arrays, save


def backbone(host, **options):
    return MODELS.build(dict(type='mmsparse.SparseViT', host=host, **options))


def drawn(host, seed=5):
    return draw(backbone(host, out_type='raw').host, seed)


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth', '.npz'])
def test_a_timm_host_loads_what_was_saved(tmp_path, suffix):
    source = drawn(timm_host())
    loaded = backbone(timm_host(checkpoint=save(source, tmp_path / f'host{suffix}'))).host
    assert fingerprint(loaded) == fingerprint(source)


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_an_mmpretrain_host_loads_a_backbone_or_a_classifier(tmp_path, suffix, prefix):
    source = drawn(mmpretrain_host())
    state = {prefix + key: value for key, value in source.state_dict().items()} | (
        {'head.fc.weight': torch.zeros(2, 48)} if prefix else {}
    )
    path = tmp_path / f'host{suffix}'
    save_file(state, path) if suffix == '.safetensors' else torch.save(
        dict(state_dict=state, meta=dict(epoch=1)), path
    )
    for named in (
        dict(checkpoint=str(path)),
        dict(init_cfg=dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')),
    ):
        host = {key: value for key, value in mmpretrain_host().items() if key != 'checkpoint'} | named
        assert fingerprint(backbone(host, out_type='raw').host) == fingerprint(source)


@pytest.mark.parametrize('host', ['timm', 'mmpretrain'])
def test_position_embeddings_of_another_size_are_resized(tmp_path, host):
    path = save(drawn(HOSTS[host]), tmp_path / 'host.pth')
    loaded = backbone(HOSTS[host] | dict(img_size=48, checkpoint=path), out_type='raw')
    assert loaded.host.pos_embed.shape[1] == 1 + 36
    assert loaded(torch.randn(1, 3, 48, 48))[-1].shape == (1, 37, 48)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ('pwned',)


def damage(kind, path):
    data = path.read_bytes()
    if kind == 'truncated':
        path.write_bytes(data[: len(data) // 2])
    elif kind == 'empty':
        path.write_bytes(b'')
    else:
        path.write_bytes(pickle.dumps(Hostile()))
    return str(path)


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth', '.npz'])
@pytest.mark.parametrize('kind', ['truncated', 'empty', 'hostile'])
def test_damaged_files_are_refused_by_name_and_nothing_runs(tmp_path, monkeypatch, suffix, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f'host{suffix}'
    save(drawn(timm_host()), path)
    with pytest.raises(InputError, match=f'host{suffix}'):
        backbone(timm_host(checkpoint=damage(kind, path)))
    assert not (tmp_path / 'pwned').exists()


@pytest.mark.parametrize(
    ('ours', 'suffix', 'message'),
    [
        (dict(depth=3), '.npz', '6 blocks with patches of .*, for 3'),
        (dict(depth=3), '.pth', 'unexpected: blocks.3'),
        (dict(init_values=0.5), '.npz', r'missing: blocks.0.ls1.gamma'),
        (dict(patch_size=16), '.npz', 'patches of'),
        (dict(patch_size=16), '.safetensors', r'patch projection is \(48, 3, 8, 8\), that of .* \(48, 3, 16, 16\)'),
        (dict(reg_tokens=4), '.pth', r'positions for 12 patches \(and 5 other rows\).* or name the host of this file'),
        (
            dict(name='eva02_tiny_patch14_224'),
            '.npz',
            'received a .npz file, expected .safetensors or .pth, or for a VisionTransformer of timm .npz',
        ),
    ],
    ids=str,
)
def test_a_file_of_another_architecture_is_refused_whatever_its_kind(tmp_path, ours, suffix, message):
    path = save(drawn(timm_host()), tmp_path / f'host{suffix}')
    with pytest.raises(InputError, match=message):
        backbone(timm_host(**ours, checkpoint=path))


def test_an_npz_of_two_towers_and_one_with_stacked_blocks_load_as_the_plain_one(tmp_path):
    source = drawn(timm_host())
    plain = jax_arrays(source)
    other = {f'params/txt/Transformer/encoderblock_{layer}/LayerNorm_0/scale': np.ones(3) for layer in range(12)}
    renamed = {
        'Transformer/posembed_input/pos_embedding': 'pos_embedding',
        'Attention_1': 'Attention_0',
        'MlpBlock_3': 'MlpBlock_0',
        'Norm_2': 'Norm_1',
    }
    # big_vision's
    theirs = {
        functools.reduce(lambda name, pair: name.replace(*pair), renamed.items(), key): value
        for key, value in plain.items()
    }
    np.savez(tmp_path / 'two.npz', **{f'params/img/{key}': value for key, value in theirs.items()}, **other)
    np.savez(tmp_path / 'opt.npz', **{f'opt/target/{key}': value for key, value in plain.items()})
    for file in ('two.npz', 'opt.npz'):
        assert fingerprint(backbone(timm_host(checkpoint=str(tmp_path / file))).host) == fingerprint(source)
    stacked = {key: value for key, value in plain.items() if 'encoderblock' not in key}
    for key in [key for key in plain if 'encoderblock_0/' in key]:
        stacked[key.replace('_0/', '/', 1)] = np.stack(
            [plain[key.replace('_0/', f'_{layer}/', 1)] for layer in range(6)]
        )
    assert _jax_geometry(stacked) == _jax_geometry(plain) == (6, (8, 8), '')


@pytest.mark.parametrize('host', ['timm', 'mmpretrain', 'open_clip'])
def test_a_path_is_a_file_and_true_is_nothing(tmp_path, host):
    source = drawn(HOSTS[host])
    path = tmp_path / 'host.safetensors'
    save_file(source.state_dict(), path)
    loaded = backbone(HOSTS[host] | dict(checkpoint=path), out_type='raw')
    assert fingerprint(loaded.host) == fingerprint(source) and loaded.view.source == str(path)
    with pytest.raises(
        InputError, match='received checkpoint=True. Expected a file, False for random weights, or None'
    ):
        backbone(HOSTS[host] | dict(checkpoint=True), out_type='raw')


def test_weights_have_one_name(tmp_path):
    with pytest.raises(InputError, match='received checkpoint_path. Weights are named by checkpoint'):
        backbone(timm_host(checkpoint_path=save(drawn(timm_host()), tmp_path / 'host.pth')))


def test_files_of_one_name_from_two_places_are_two_files(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    fetched = []

    def fetch(url, file, progress):
        fetched.append(url)
        save_file({'value': torch.tensor(float(len(fetched)))}, file)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', fetch)
    # a date is no digest
    first, second = (f'https://hub/{name}/resolve/main/model-20240101.safetensors' for name in 'AB')
    values = [
        read_weights(url)['value'].item()
        for url in (first, second, f'{first}?download=true', first, 'https://hub/vit-0123abcd.safetensors')
    ]
    assert values == [1, 2, 3, 1, 4] and (tmp_path / 'checkpoints/vit-0123abcd.safetensors').is_file()
    with pytest.raises(InputError, match='received the address of model.onnx'):
        read_weights('https://hub/model.onnx')


@pytest.mark.parametrize('host', ['timm', 'mmpretrain'])
def test_a_file_of_another_network_is_refused(tmp_path, host):
    shallow = dict(timm=timm_host, mmpretrain=mmpretrain_host)[host](depth=2)
    path = save(drawn(shallow), tmp_path / 'host.pth')
    with pytest.raises(InputError, match=r'missing: .* and \d+ more\. Name'):
        backbone(HOSTS[host] | dict(checkpoint=path), out_type='raw')


@pytest.mark.parametrize(
    ('host', 'message'),
    [
        (timm_host(checkpoint='nowhere.pth'), 'nowhere.pth: no such file'),
        (timm_host(checkpoint='nowhere.npz'), 'nowhere.npz: no such file'),
        (timm_host(checkpoint=None, name='vit_tiny_patch16_18x2_224'), 'no model'),
        (timm_host(checkpoint=None, name='vit_tiny_patch16_224.nonsense'), 'nonsense'),
        (timm_host(checkpoint=None), r'--cfg-options model\.backbone\.host\.checkpoint'),
        ({key: value for key, value in mmpretrain_host().items() if key != 'checkpoint'}, 'promises no weights'),
    ],
)
def test_weights_that_cannot_be_had_are_named_with_the_way_out(monkeypatch, tmp_path, host, message):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
    with pytest.raises(InputError, match=message):
        backbone(host, out_type='raw')


@pytest.mark.parametrize('host', ['timm', 'mmpretrain'])
def test_random_hosts_are_the_same_whatever_the_run_drew_before(host):
    torch.manual_seed(1)
    first = fingerprint(backbone(HOSTS[host], out_type='raw').host)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = fingerprint(backbone(HOSTS[host], out_type='raw').host)
    assert first == second
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize('host', ['timm', 'mmpretrain'])
def test_one_training_step_through_the_runner_leaves_the_frozen_host_as_loaded(tmp_path, host):
    source = drawn(HOSTS[host])
    parts = dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=4),
        sparsifier=dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.7),
        host=HOSTS[host] | dict(checkpoint=save(source, tmp_path / 'host.pth')),
    )
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='mmsparse.SparseViT', **parts),
        head=dict(
            type='LinearClsHead',
            num_classes=3,
            in_channels=48,
            init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
        ),
    )
    runner = Runner(
        model=model,
        work_dir=str(tmp_path / 'run'),
        train_dataloader=dict(
            dataset=ThreeClasses(),
            batch_size=4,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        default_scope='mmpretrain',
        experiment_name=f'fingerprint_{host}',
    )
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    ours = runner.model.backbone
    assert fingerprint(ours.host) == fingerprint(source)
    assert not ours.host.training and ours.adapters.training
    moved = {key for key, value in runner.model.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith('backbone.adapters') for key in moved) and 'head.fc.weight' in moved
    assert not any(key.startswith('backbone.host') for key in moved)


class ThreeClasses(torch.utils.data.Dataset):
    metainfo = dict(classes=('a', 'b', 'c'))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        from mmpretrain.structures import DataSample

        return dict(inputs=images_for(seed=index, batch=1)[0], data_samples=DataSample().set_gt_label(index % 3))
