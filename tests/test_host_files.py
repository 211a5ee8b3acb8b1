"""Files of weights as people have them: under prefixes, nested, beside heads, decoders and options, as TorchScript:
read, and told, or refused.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hosts import HOSTS, draw, open_clip_host, timm_host
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import fingerprint
from mmsparse.models.hosts.weight_files import read_tensors
from mmsparse.registry import MODELS
from weight_files import openai_clip, under

LIBRARIES = ('timm', 'mmpretrain', 'open_clip')
PREFIXES = [
    'module.',
    '_orig_mod.',
    'backbone.',
    'model.',
    'encoder.',
    'visual.',
    '_orig_mod.module.backbone.',
    'model.visual.',
    'model.encoder.',
    'backbone.module.',
]


@pytest.fixture
def told(monkeypatch):
    lines = []
    for module in ('checkpoint_contents', 'position_tables'):
        monkeypatch.setattr(f'mmsparse.models.hosts.{module}.print_log', lambda text, logger: lines.append(text))
    return lines


def host_of(config):
    return MODELS.build(dict(type='mmsparse.SparseViT', host=config, out_type='raw')).host


def drawn(config, seed=5):
    return draw(host_of(config), seed)


def loaded(config, path):
    return fingerprint(host_of(config | dict(checkpoint=str(path))))


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth', '.pt', '.bin', '.ckpt', '.pth.tar'])
@pytest.mark.parametrize('library', LIBRARIES)
def test_a_network_is_found_under_every_prefix_and_the_rest_is_told(tmp_path, told, library, suffix):
    source, path = drawn(HOSTS[library]), tmp_path / f'host{suffix}'
    for prefix in PREFIXES if suffix in ('.safetensors', '.pth') else PREFIXES[:1]:
        state = under(prefix, source) | {'head.fc.weight': torch.zeros(3, 48), 'neck.weight': torch.zeros(2)}
        save_file(state, path) if suffix == '.safetensors' else torch.save(dict(state_dict=state, epoch=3), path)
        told.clear()
        assert loaded(HOSTS[library], path) == fingerprint(source), prefix
        assert len(told) == 1 and '2 tensors were left out (head, neck)' in told[0]
        # visual is the tower's place in its model
        stripped = prefix.removesuffix('visual.') if library == 'open_clip' else prefix
        assert f'the prefix {stripped!r} was stripped' in told[0] or not stripped


@pytest.mark.parametrize('library', LIBRARIES)
@pytest.mark.parametrize(
    ('averaged', 'plain'),
    [
        ('state_dict_ema', 'state_dict'),
        ('model_ema', 'model'),
        ('ema', 'model'),
        ('teacher', 'student'),
        ('target_encoder', 'encoder'),
        ('state_dict', 'ema_state_dict'),  # MMEngine exchanges them
        ('model.teacher', 'model.student'),
        ('teacher.', 'student.'),  # flat
    ],
)
def test_the_averaged_network_is_taken_and_told(tmp_path, told, library, averaged, plain):
    source, other = drawn(HOSTS[library]), drawn(HOSTS[library], seed=6)
    if averaged.endswith('.'):
        content = under(f'{plain}backbone.', other) | under(f'{averaged}backbone.', source)
    else:
        content = {plain.split('.')[-1]: under('module.', other), averaged.split('.')[-1]: under('module.', source)}
        content = (
            dict(model=content)
            if '.' in plain
            else content | dict(optimizer=torch.optim.AdamW([nn.Parameter(torch.ones(1))]).state_dict())
        )
    torch.save(content, tmp_path / 'host.pth')
    assert loaded(HOSTS[library], tmp_path / 'host.pth') == fingerprint(source)
    taken = f"'{averaged}backbone.'" if averaged.endswith('.') else averaged.split('.')[-1]
    assert told[0].endswith(f', {taken} was taken.')


def test_networks_of_which_none_is_meant_are_named(tmp_path):
    source = drawn(timm_host())
    torch.save(dict(left=source.state_dict(), right=source.state_dict()), tmp_path / 'two.pth')
    with pytest.raises(InputError, match=r'several networks are in it \(left, right\)'):
        loaded(timm_host(), tmp_path / 'two.pth')
    torch.save(under('left.', source) | under('right.', source), tmp_path / 'flat.pth')
    with pytest.raises(InputError, match=r"several networks are in it, under 'left.', 'right.'"):
        loaded(timm_host(), tmp_path / 'flat.pth')


@pytest.mark.parametrize(
    'beside',
    [
        dict(args=argparse.Namespace(lr=0.1, out=Path('runs'))),
        dict(best=np.float64(81.3), epoch=np.int64(3), rng=np.arange(4)),
        dict(cfg=argparse.Namespace(nested=argparse.Namespace(a=np.bool_(True)))),
        dict(loss=nn.CrossEntropyLoss()),
    ],
    ids=['options', 'numpy', 'nested', 'module'],
)
def test_what_lies_beside_the_tensors_stands_aside(tmp_path, beside):
    source = drawn(timm_host())
    torch.save(dict(model=source.state_dict(), **beside), tmp_path / 'host.pth')
    assert loaded(timm_host(), tmp_path / 'host.pth') == fingerprint(source)


def test_a_pickled_module_gives_its_tensors_without_being_built(tmp_path):
    source = drawn(timm_host())
    torch.save(dict(ema=source), tmp_path / 'module.pth')
    assert loaded(timm_host(), tmp_path / 'module.pth') == fingerprint(source)


class Planted:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize('call', [exec, eval], ids=str)
def test_nothing_beside_the_tensors_runs(tmp_path, call):
    source, sentinel = drawn(timm_host()), tmp_path / 'ran'
    torch.save(
        dict(model=source.state_dict(), extra=Planted(call, f'open({str(sentinel)!r}, "w")')), tmp_path / 'host.pth'
    )
    assert loaded(timm_host(), tmp_path / 'host.pth') == fingerprint(source)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    ('content', 'options', 'message'),
    [
        (
            dict(hyper_parameters=defaultdict(list, a=[1]), state_dict={}),
            {},
            r'Received: Can only SETITEM for dict, .* but got one of another class.* weights_only=False\)\[KEY\]',
        ),
        (
            dict(model={}, args=argparse.Namespace()),
            dict(_use_new_zipfile_serialization=False),
            'Received: .*argparse.Namespace',
        ),
        ([1, 2], {}, 'no named tensors are in it, but a list'),
        (dict(epoch=3), {}, 'no named tensors are in it, but a dict of epoch'),
    ],
    ids=['dict of another class', 'old format', 'list', 'no network'],
)
def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path, content, options, message):
    torch.save(content, tmp_path / 'host.pth', **options)
    with pytest.raises(InputError, match=message):
        read_tensors(str(tmp_path / 'host.pth'))


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 9\n', 'git lfs pull'),
        (b'<!DOCTYPE html>', 'a web page'),
    ],
    ids=['pointer', 'page'],
)
def test_what_a_failed_download_leaves_is_told(tmp_path, suffix, content, message):
    (tmp_path / f'host{suffix}').write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_tensors(str(tmp_path / f'host{suffix}'))


def test_safetensors_are_read_under_the_name_of_a_pickle_and_not_the_reverse(tmp_path):
    source = drawn(timm_host())
    save_file(source.state_dict(), tmp_path / 'pytorch_model.bin')
    assert loaded(timm_host(), tmp_path / 'pytorch_model.bin') == fingerprint(source)
    torch.save(source.state_dict(), tmp_path / 'model.safetensors')
    with pytest.raises(InputError, match='damaged or cut short'):
        loaded(timm_host(), tmp_path / 'model.safetensors')


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_a_decoder_and_heads_are_left_out_and_told(tmp_path, told, suffix):
    source, path = drawn(timm_host()), tmp_path / f'mae{suffix}'
    decoder = {
        'mask_token': torch.zeros(1, 1, 8),
        'decoder_pos_embed': torch.zeros(1, 17, 8),
        'decoder_blocks.0.norm1.weight': torch.zeros(8),
    }
    state = (
        source.state_dict()
        | decoder
        | {'head.weight': torch.zeros(3, 48), 'pre_logits.fc.weight': torch.zeros(48, 48)}
    )
    save_file(state, path) if suffix == '.safetensors' else torch.save(dict(model=state), path)
    assert loaded(timm_host(), path) == fingerprint(source)
    (line,) = told
    assert '5 tensors were left out (decoder_blocks, decoder_pos_embed, head, mask_token, pre_logits)' in line


def test_openais_archive_is_read_without_running_it(tmp_path, monkeypatch, told):
    source = drawn(open_clip_host())
    openai_clip(tmp_path / 'ViT-B-16.pt', source)
    monkeypatch.setattr(
        torch.jit, 'load', lambda *args, **kwargs: pytest.fail('the program of the archive was loaded')
    )
    assert loaded(open_clip_host(), tmp_path / 'ViT-B-16.pt') == fingerprint(source)
    assert '4 tensors were left out' in told[0]
    tiny = timm_host(name='vit_base_patch16_clip_quickgelu_224')
    ours = host_of(tiny | dict(checkpoint=str(tmp_path / 'ViT-B-16.pt'))).state_dict()
    assert torch.equal(
        ours['blocks.3.attn.qkv.weight'], source.state_dict()['transformer.resblocks.3.attn.in_proj_weight']
    )
    data = (tmp_path / 'ViT-B-16.pt').read_bytes()
    (tmp_path / 'half.pt').write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match='damaged'):
        loaded(open_clip_host(), tmp_path / 'half.pt')


def test_a_tower_alone_is_read_by_timm_too(tmp_path):
    source = drawn(open_clip_host('ViT-B-16'))
    save_file(
        {key: value for key, value in source.state_dict().items() if key != 'proj'}, tmp_path / 'tower.safetensors'
    )
    ours = host_of(
        timm_host(name='vit_base_patch16_clip_224', checkpoint=str(tmp_path / 'tower.safetensors'))
    ).state_dict()
    assert torch.equal(ours['patch_embed.proj.weight'], source.state_dict()['conv1.weight'])


def test_deit_iiis_own_names_are_read(tmp_path):
    source = drawn(HOSTS['timm_layer_scale'])
    state = {
        key.replace('ls1.gamma', 'gamma_1').replace('ls2.gamma', 'gamma_2'): value
        for key, value in source.state_dict().items()
    }
    torch.save(dict(model=state), tmp_path / 'deit3.pth')
    assert loaded(HOSTS['timm_layer_scale'], tmp_path / 'deit3.pth') == fingerprint(source)


@pytest.mark.parametrize('library', LIBRARIES)
def test_a_part_that_nobody_knows_is_still_refused(tmp_path, library):
    state = drawn(HOSTS[library]).state_dict() | {'gate.weight': torch.zeros(3)}
    torch.save(state, tmp_path / 'host.pth')
    with pytest.raises(InputError, match='unexpected: gate.weight'):
        loaded(HOSTS[library], tmp_path / 'host.pth')
