"""LoRA beside the peft library: the same sum, the same gradients, and files that both read."""

import json
import os

import peft
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from combinations import CLASSES, HOSTS, images
from hosts import assert_near, timm_host
from mmsparse.apis.adapted import adapted, build_classifier
from mmsparse.config.read import read_config
from mmsparse.convert.peft_format import from_peft, to_peft
from mmsparse.errors import InputError
from small_converter import write_config
from small_run import refused, tool

TARGETS = [('q', 'v'), ('v',), ('q', 'k', 'v'), ('fc2', 'k', 'proj'), ('q', 'k', 'v', 'proj', 'fc1', 'fc2')]


def timm_model(host=HOSTS['timm_layer_scale']):
    options = {key: value for key, value in host.items() if key not in ('type', 'name', 'checkpoint')}
    return timm.create_model(host['name'], num_classes=CLASSES, **options)


def lora(rank=2, alpha=3, targets=('q', 'v')):
    return dict(type='mmsparse.LoRA', rank=rank, alpha=alpha, targets=targets)


def theirs(model, folder, *host):
    """The same network under peft, with the host's weights of `model`."""
    base = timm_model(*host)
    base.load_state_dict(
        {**model.backbone.host.state_dict(), 'head.weight': model.head.fc.weight, 'head.bias': model.head.fc.bias}
    )
    return peft.PeftModel.from_pretrained(base, folder, is_trainable=True).eval()


@pytest.mark.parametrize('targets', TARGETS, ids='-'.join)
def test_what_the_tool_writes_gives_peft_the_same_logits_and_gradients(targets, tmp_path):
    config, state, model = write_config(tmp_path, HOSTS['timm_layer_scale'], lora(targets=targets))
    assert tool('model_converters/lora_to_peft.py', config, state, tmp_path / 'peft') == 0
    other = theirs(model, tmp_path / 'peft')
    labels = torch.tensor([0, 1, 2, 0])
    found, expected = other(images()), model(images())
    assert_near(found, expected)
    assert expected.std() > 0.1
    for logits in (found, expected):
        torch.nn.functional.cross_entropy(logits, labels).backward()
    own = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    gradients = {name: parameter.grad for name, parameter in other.named_parameters() if parameter.grad is not None}
    fused, width = [target for target in ('q', 'k', 'v') if target in targets], model.backbone.view.width
    compared = 0
    for name, gradient in own.items():
        if 'adapters' not in name:
            continue
        layer, target, side = name.removeprefix('backbone.adapters.0.layers.').split('.')[:3]
        module = {'proj': 'attn.proj', 'fc1': 'mlp.fc1', 'fc2': 'mlp.fc2'}.get(target, 'attn.qkv')
        key = f'base_model.model.blocks.{int(layer) - 1}.{module}.lora_{"A" if side == "down" else "B"}.default.weight'
        rows = gradients[key]
        if target in fused:
            place = slice(2 * fused.index(target), 2 * fused.index(target) + 2)
            third = slice(width * 'qkv'.index(target), width * ('qkv'.index(target) + 1))
            rows = rows[place] if side == 'down' else rows[third, place]
        assert_near(rows, gradient)
        compared += 1
    assert compared == 2 * len(targets) * 3


def test_q_and_v_become_one_pair_of_twice_the_rank_and_alpha(tmp_path):
    _, _, model = write_config(tmp_path, HOSTS['timm_layer_scale'], lora(rank=4, alpha=6))
    config, tensors = to_peft(model)
    assert (config['r'], config['lora_alpha']) == (8, 12)
    up = tensors['base_model.model.blocks.0.attn.qkv.lora_B.weight']
    assert up[:32, :4].all() and up[64:, 4:].all()
    assert not up[32:64].any() and not up[:32, 4:].any() and not up[64:, :4].any()


@pytest.mark.parametrize('targets', TARGETS, ids='-'.join)
def test_there_and_back_is_the_same(targets, tmp_path):
    config, state, model = write_config(tmp_path, HOSTS['timm_layer_scale'], lora(targets=targets))
    assert tool('model_converters/lora_to_peft.py', config, state, tmp_path / 'peft') == 0
    assert tool('model_converters/peft_to_lora.py', config, tmp_path / 'peft', tmp_path / 'back') == 0
    again = adapted(read_config(config), tmp_path / 'back')
    torch.testing.assert_close(again(images()), model(images()), rtol=0, atol=1e-6)


@pytest.mark.parametrize('rslora', [False, True])
@pytest.mark.parametrize('modules', [['qkv'], ['qkv', 'fc1'], ['attn.proj', 'fc2']], ids='-'.join)
def test_what_peft_saved_runs_here(modules, rslora, tmp_path):
    """A pair on the fused module reaches q, k and v, which then share what they read."""
    options = dict(r=3, lora_alpha=5, alpha_pattern={'fc1': 7}, use_rslora=rslora)
    other = peft.get_peft_model(
        timm_model(),
        peft.LoraConfig(target_modules=modules, modules_to_save=['head'], init_lora_weights=False, **options),
    )
    other.save_pretrained(tmp_path / 'peft')
    targets = [
        target for module in modules for target in (['q', 'k', 'v'] if module == 'qkv' else [module.split('.')[-1]])
    ]
    config, _, model = write_config(tmp_path, HOSTS['timm_layer_scale'], lora(rank=4, targets=targets))
    weights = {key.replace('.base_layer', ''): value for key, value in other.base_model.model.state_dict().items()}
    host = {key: value for key, value in weights.items() if 'lora_' not in key and not key.startswith('head.')}
    save_file(host, tmp_path / 'host.safetensors')
    options = ('--cfg-options', f'model.backbone.host.checkpoint={tmp_path}/host.safetensors')
    assert tool('model_converters/peft_to_lora.py', config, tmp_path / 'peft', tmp_path / 'state', *options) == 0
    here = adapted(
        read_config(config, {'model.backbone.host.checkpoint': f'{tmp_path}/host.safetensors'}), tmp_path / 'state'
    )
    assert_near(here(images()), other.eval()(images()))


@pytest.mark.parametrize('start', ['pissa', 'pissa_niter_2', 'olora', 'orthogonal', 'mica', 'gaussian'])
def test_a_start_that_moves_pefts_base_is_refused_until_peft_has_written_it_as_plain_lora(start, tmp_path, capsys):
    config, _, _ = write_config(tmp_path, HOSTS['timm_layer_scale'], lora(rank=8, targets=('q', 'k', 'v')))
    base = timm_model()
    save_file(
        {key: value for key, value in base.state_dict().items() if not key.startswith('head.')},
        tmp_path / 'host.safetensors',
    )
    other = peft.get_peft_model(
        base, peft.LoraConfig(r=4, target_modules=['qkv'], modules_to_save=['head'], init_lora_weights=start)
    )
    moves = start.startswith(('pissa', 'olora'))
    other.peft_config['default'].init_lora_weights = True  # as peft asks for what is to be subtracted later
    other.save_pretrained(tmp_path / 'before')
    other.peft_config['default'].init_lora_weights = start
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
                if 'lora_' in name
                else 0.0
            )
    other.save_pretrained(tmp_path / 'peft')
    options = ('--cfg-options', f'model.backbone.host.checkpoint={tmp_path}/host.safetensors')
    code = tool('model_converters/peft_to_lora.py', config, tmp_path / 'peft', tmp_path / 'state', *options)
    assert code == (2 if moves else 0)
    if moves:
        assert (
            f"received init_lora_weights='{start}', a start that also moves peft's base weights"
            in capsys.readouterr().err
        )
        other.save_pretrained(tmp_path / 'plain', path_initial_model_for_weight_conversion=str(tmp_path / 'before'))
        file = tmp_path / 'plain/adapter_model.safetensors'
        head = {
            key: value
            for key, value in load_file(tmp_path / 'peft/adapter_model.safetensors').items()
            if '.head.' in key
        }
        save_file({**load_file(file), **head}, file)
        assert tool('model_converters/peft_to_lora.py', config, tmp_path / 'plain', tmp_path / 'state', *options) == 0
    here = adapted(
        read_config(config, {'model.backbone.host.checkpoint': f'{tmp_path}/host.safetensors'}), tmp_path / 'state'
    )
    assert_near(here(images()), other.eval()(images()))


DINOV3 = HOSTS['timm_dinov3']
EVA = {
    'fused': DINOV3,
    'fused, biases apart': DINOV3 | dict(qkv_bias=True),
    'three modules': DINOV3 | dict(qkv_fused=False),
    'gated, two linears': DINOV3 | dict(name='vit_small_plus_patch16_dinov3'),
    'gated, two linears, plain': HOSTS['timm_layer_scale'] | dict(name='aimv2_large_patch14_224'),
    'gated, packed': DINOV3 | dict(name='eva02_tiny_patch14_224'),
}


@pytest.mark.parametrize('targets', [('q', 'v'), ('k', 'proj', 'fc1', 'fc2'), ('proj', 'fc1')], ids='-'.join)
@pytest.mark.parametrize('kind', EVA)
def test_rotary_hosts_go_there_and_back_and_answer_alike(kind, targets, tmp_path):
    host = EVA[kind]
    config, state, model = write_config(tmp_path, host, lora(targets=targets), out_type='pooled')
    passed_by = kind in ('fused, biases apart', 'gated, packed') and {'q', 'k', 'v'} & set(targets)
    if passed_by:
        with pytest.raises(InputError, match='timm reads the weight of attn.qkv here without running the module'):
            to_peft(model)
        return
    assert tool('model_converters/lora_to_peft.py', config, state, tmp_path / 'peft') == 0
    other = theirs(model, tmp_path / 'peft', host)
    assert_near(other(images()), model(images()))
    with other.disable_adapter():
        assert (other(images()) - model(images())).abs().max() > 0.01
    assert tool('model_converters/peft_to_lora.py', config, tmp_path / 'peft', tmp_path / 'back') == 0
    torch.testing.assert_close(
        adapted(read_config(config), tmp_path / 'back')(images()), model(images()), rtol=0, atol=1e-6
    )


def test_pairs_that_peft_trained_on_gate_and_value_apart_run_here(tmp_path):
    host = EVA['gated, two linears']
    options = dict(
        r=2, lora_alpha=5, init_lora_weights=False, target_modules=['fc1_g', 'fc1_x'], modules_to_save=['head']
    )
    other = peft.get_peft_model(timm_model(host), peft.LoraConfig(**options)).eval()
    other.save_pretrained(tmp_path / 'peft')
    card, tensors = (
        json.loads((tmp_path / 'peft/adapter_config.json').read_text()),
        load_file(tmp_path / 'peft/adapter_model.safetensors'),
    )
    _, _, model = write_config(tmp_path, host, lora(rank=4, targets=('fc1',)), out_type='pooled')
    weights = {key.replace('.base_layer', ''): value for key, value in other.base_model.model.state_dict().items()}
    model.backbone.host.load_state_dict(
        {key: value for key, value in weights.items() if 'lora_' not in key and not key.startswith('head.')}
    )
    from_peft(card, tensors, model, 'lora_peft')
    assert_near(model(images()), other(images()))


def test_what_peft_put_where_timm_does_not_run_it_has_no_effect_there_and_is_refused_here(tmp_path):
    base = timm_model(EVA['gated, packed']).eval()
    expected = base(images())
    options = dict(target_modules=['qkv'], modules_to_save=['head'], init_lora_weights=False)
    other = peft.get_peft_model(base, peft.LoraConfig(r=2, **options)).eval()
    assert torch.equal(other(images()), expected)
    other.save_pretrained(tmp_path / 'peft')
    card, tensors = (
        json.loads((tmp_path / 'peft/adapter_config.json').read_text()),
        load_file(tmp_path / 'peft/adapter_model.safetensors'),
    )
    _, _, model = write_config(tmp_path, EVA['gated, packed'], lora(targets=('q', 'k', 'v')), out_type='pooled')
    with pytest.raises(InputError, match='so a pair that peft puts on it has no effect'):
        from_peft(card, tensors, model, 'lora_peft')


def changed(folder, change):
    """Files of a LoRA on q and v, edited by `change(config, tensors)`, and the model that is to take them."""
    config, state, _ = write_config(folder, HOSTS['timm_layer_scale'], lora(rank=4))
    tool('model_converters/lora_to_peft.py', config, state, folder / 'peft')
    card, tensors = (
        json.loads((folder / 'peft/adapter_config.json').read_text()),
        load_file(folder / 'peft/adapter_model.safetensors'),
    )
    change(card, tensors)
    return card, tensors, build_classifier(read_config(config))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda card, _: card.update(use_dora=True), "use_dora: received 'True'.*for plain LoRA"),
        (lambda card, _: card.update(peft_type='LOHA'), "peft_type: received 'LOHA'"),
        (lambda _, tensors: tensors.pop('base_model.model.head.bias'), 'expected a head of 3 classes and width 32'),
        (
            lambda _, tensors: tensors.update({'base_model.model.blocks.9.attn.qkv.lora_A.weight': torch.ones(2)}),
            'blocks.9.attn.*no linear layer',
        ),
        (
            lambda _, tensors: tensors.pop('base_model.model.blocks.0.attn.qkv.lora_B.weight'),
            'belongs to no linear layer',
        ),
        (
            lambda _, tensors: tensors['base_model.model.blocks.0.attn.qkv.lora_B.weight'].add_(1),
            r"no room for the file. Set model.backbone.adapter=dict\(type='mmsparse.LoRA', rank=8, alpha=6.0, targets=\('q', 'k', 'v'\)\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change, message, tmp_path):
    card, tensors, model = changed(tmp_path, change)
    with pytest.raises(InputError, match=message):
        from_peft(card, tensors, model, 'lora_peft')


@pytest.mark.parametrize(
    ('host', 'adapter'),
    [
        ('timm', dict(type='mmsparse.AdaptFormer', bottleneck=4)),
        ('timm', dict(lora(), type='mmsparse.DoRA')),
        ('mmpretrain', lora()),
    ],
)
def test_other_adapters_and_hosts_have_no_place_in_the_format(host, adapter, tmp_path):
    with pytest.raises(InputError, match='expected mmsparse.LoRA alone on a timm host'):
        to_peft(write_config(tmp_path, HOSTS[host], adapter)[2])


@pytest.mark.parametrize(
    ('host', 'out_type'),
    [(HOSTS['timm_layer_scale'], 'avg_featmap'), (timm_host(name='vit_small_patch16_dinov3'), 'cls_token')],
    ids=['mean', 'token'],
)
def test_another_pooling_than_timms_is_refused(host, out_type, tmp_path):
    _, _, model = write_config(tmp_path, host, lora(), out_type=out_type)
    with pytest.raises(
        InputError, match=f"received out_type='{out_type}', which is not what .* gives its head in timm"
    ):
        to_peft(model)


def test_a_neck_is_refused(tmp_path):
    _, _, model = write_config(tmp_path, HOSTS['timm_layer_scale'], lora())
    model.neck = torch.nn.Identity()
    with pytest.raises(InputError, match='received a model with a neck'):
        to_peft(model)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ([], 'should be a valid dictionary'),
        (dict(peft_type='LORA', r=2), 'it lacks lora_alpha'),
        (dict(peft_type='LORA', r=0, lora_alpha=2), "r: received '0', input should be greater than 0"),
        (
            dict(peft_type='LORA', r=2, lora_alpha=float('nan')),
            "lora_alpha: received 'nan', input should be a finite number",
        ),
    ],
    ids=str,
)
def test_a_config_without_rank_or_alpha_is_refused(config, message, tmp_path):
    _, _, model = write_config(tmp_path, HOSTS['timm_layer_scale'], lora())
    with pytest.raises(InputError, match=message):
        from_peft(config, {}, model, 'file')


@pytest.mark.parametrize('place', ['/dev/zero', 'pipe', 'folder'])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, capsys, place):
    """A device would be read until the memory is full."""
    config, _, _ = write_config(tmp_path, HOSTS['timm_layer_scale'], lora())
    peft_folder = tmp_path / 'peft'
    peft_folder.mkdir()
    file = peft_folder / 'adapter_config.json'
    if place == 'pipe':
        os.mkfifo(file)
    elif place == 'folder':
        file.mkdir()
    else:
        file.symlink_to(place)
    assert 'adapter_config.json: cannot be read (OSError: no regular file)' in refused(
        capsys, 'model_converters/peft_to_lora.py', config, peft_folder, tmp_path / 'state'
    )
