"""Selected weights: what is chosen, what trains, what is kept in a file, and what says so where nothing is chosen."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmpretrain.structures import DataSample
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from combinations import CLASSES, classifier, images, loss
from hosts import build, draw, timm_host
from mmsparse.engine.hooks.weight_selection import WeightSelectionHook
from mmsparse.engine.weight_selection import select_at_random, select_weights
from mmsparse.errors import InputError
from mmsparse.models.adapters.base import LINEARS
from mmsparse.models.ops.contrastive import supervised_contrastive
from mmsparse.registry import MODELS
from small_run import two_processes

HOST = dict(host=timm_host(width=24, depth=2))
ADAPTER = dict(type='mmsparse.SelectedWeights', per_neuron=2)
HEAD = dict(type='mmpretrain.LinearClsHead', num_classes=CLASSES, in_channels=24)


def unchosen(adapter=ADAPTER):
    torch.manual_seed(0)
    backbone = dict(type='mmsparse.SparseViT', **HOST, adapter=adapter)
    return draw(MODELS.build(dict(type='mmsparse.SparseClassifier', backbone=backbone, head=HEAD)))


def batch(size=6, seed=0):
    samples = [DataSample().set_gt_label(index % CLASSES) for index in range(size)]
    return dict(inputs=list(images(size, seed)), data_samples=samples)


def index_of(model):
    (part,) = model.backbone.adapters
    return torch.cat([part.layers[layer][name].index.flatten() for layer in ('1', '2') for name in LINEARS])


def test_the_contrastive_loss_is_that_of_its_paper():
    features = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels, z = [0, 1, 0, 2, 1, 0], [feature / feature.norm() for feature in features]
    losses = []
    for i in range(6):
        others = [j for j in range(6) if j != i]
        total = sum((z[i] @ z[a] / 0.07).exp() for a in others)
        same = [j for j in others if labels[j] == labels[i]]
        if same:
            losses.append(-sum(((z[i] @ z[p] / 0.07).exp() / total).log() for p in same) / len(same))
    found = supervised_contrastive(features, torch.tensor(labels))
    torch.testing.assert_close(found.double(), sum(losses) / len(losses), rtol=1e-5, atol=0)


def test_every_row_chooses_the_largest_gradients_of_the_loss_without_the_head():
    model, bare = unchosen(), unchosen(None)
    select_weights(model, [batch(seed=0), batch(seed=1)])
    bare.backbone.host.requires_grad_(True)
    bare.backbone.eval()
    for seed in (0, 1):
        labels = torch.tensor([index % CLASSES for index in range(6)])
        supervised_contrastive(bare.backbone(images(6, seed))[-1], labels).backward()
    (part,) = model.backbone.adapters
    for layer, block in enumerate(bare.backbone.host.blocks, start=1):
        gradients = dict(zip('qkv', block.attn.qkv.weight.grad.chunk(3)))
        gradients |= dict(
            proj=block.attn.proj.weight.grad, fc1=block.mlp.fc1.weight.grad, fc2=block.mlp.fc2.weight.grad
        )
        for name, gradient in gradients.items():
            own, weight = part.layers[str(layer)][name], model.backbone.view.operator(layer, name).weight
            for row, (columns, values) in enumerate(zip(own.index.tolist(), own.values.tolist())):
                left = gradient[row].abs().clone()
                left[columns] = 0
                assert len(set(columns)) == 2 and gradient[row].abs()[columns].min() >= left.max()
                assert values == weight[row][columns].tolist()
    assert model.training and not any(parameter.requires_grad for parameter in model.backbone.host.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_chosen_numbers_have_the_gradient_that_full_tuning_gives_them():
    model = draw(classifier('timm', ADAPTER))
    full = classifier('timm', dict(type='mmsparse.FullTuning'))
    full.load_state_dict(model.state_dict(), strict=False)
    part, layers = model.backbone.adapters[0], range(1, model.backbone.view.depth + 1)
    for layer in layers:
        for name in LINEARS:
            own, operator = part.layers[str(layer)][name], full.backbone.view.operator(layer, name)
            operator.weight.scatter_(1, own.index.long(), own.values.data)
    full.backbone.host.eval()
    for each in (model, full):
        loss(each).backward()
    for layer in layers:
        block = full.backbone.host.blocks[layer - 1]
        dense = dict(zip('qkv', block.attn.qkv.weight.grad.chunk(3)))
        dense |= dict(proj=block.attn.proj.weight.grad, fc1=block.mlp.fc1.weight.grad, fc2=block.mlp.fc2.weight.grad)
        for name, gradient in dense.items():
            own = part.layers[str(layer)][name]
            torch.testing.assert_close(own.values.grad, gradient.gather(1, own.index.long()), rtol=1e-4, atol=1e-6)


def test_only_the_chosen_numbers_are_trained_and_decayed():
    model = draw(classifier('timm', ADAPTER))
    host = {key: value.clone() for key, value in model.backbone.host.state_dict().items()}
    trains = [parameter for parameter in model.backbone.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trains) == 2 * 3 * (4 * 32 + 128 + 32)
    before = [parameter.detach().clone() for parameter in trains]
    optimiser = torch.optim.AdamW(trains, lr=1e-12, weight_decay=1e11)  # the decay alone: to .9 of each number
    loss(model).backward()
    optimiser.step()
    for parameter, own in zip(trains, before):
        torch.testing.assert_close(parameter.detach(), 0.9 * own, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(host[key], value) for key, value in model.backbone.host.state_dict().items())


def test_before_it_has_chosen_it_refuses_to_train_and_says_so_in_evaluation(caplog):
    model = unchosen()
    with pytest.raises(InputError, match='nothing has been chosen yet, so nothing would train. Add custom_hooks='):
        model(torch.stack(batch()['inputs']), batch()['data_samples'], mode='loss')
    logger = MMLogger.get_instance('unchosen')
    logger.addHandler(caplog.handler)
    with torch.no_grad():
        same = [each.eval().backbone(images())[-1] for each in (model, unchosen(None))]
    assert torch.equal(*same)
    assert caplog.text.count('has chosen no weights yet: these are the answers of the host as it is') == 1


def a_run(model, **changes):
    items = [dict(inputs=image, data_samples=sample) for image, sample in zip(*batch(10).values())]
    loader = DataLoader(items, batch_size=4, collate_fn=pseudo_collate)
    logger = MMLogger.get_instance('weights')
    return SimpleNamespace(
        model=model, train_dataloader=loader, logger=logger, seed=3, rank=0, world_size=1, **changes
    )


def test_the_hook_chooses_once_by_the_seed_and_leaves_the_generators():
    models = [unchosen() for _ in range(2)]
    for number, model in enumerate(models):
        torch.manual_seed(number)
        drawn = torch.get_rng_state()
        WeightSelectionHook().before_train(a_run(model))
        assert torch.equal(torch.get_rng_state(), drawn)
    one, two = map(index_of, models)
    assert torch.equal(one, two) and (one >= 0).all()
    models[0].backbone.adapters[0].layers['1']['q'].index[0] = torch.tensor([5, 4])
    resumed = unchosen()
    resumed.load_state_dict(models[0].state_dict())
    WeightSelectionHook().before_train(a_run(resumed))
    assert torch.equal(index_of(resumed), index_of(models[0])) and index_of(resumed)[:2].tolist() == [5, 4]


def test_the_hook_is_refused_where_nothing_chooses():
    with pytest.raises(InputError, match='WeightSelectionHook: the model has no mmsparse.SelectedWeights'):
        WeightSelectionHook().before_train(a_run(unchosen(dict(type='mmsparse.LoRA', rank=2))))


def test_the_tasks_own_loss_decides_where_images_have_no_single_label():
    model = unchosen()
    samples = [DataSample().set_gt_score(torch.eye(CLASSES)[index % CLASSES]) for index in range(6)]
    select_weights(model, [dict(batch(), data_samples=samples)])
    other = unchosen()
    select_weights(other, [batch()])
    assert model.backbone.adapters[0].chosen and not torch.equal(index_of(model), index_of(other))


DISTRIBUTED = """
import json
import torch
from torch import distributed
from mmsparse.engine.weight_selection import select_weights
from test_selected_weights import batch, index_of, unchosen

distributed.init_process_group('gloo')
rank = distributed.get_rank()
model = unchosen()
select_weights(model, [batch(seed=rank)])
both = [torch.zeros_like(index_of(model)) for _ in range(2)]
distributed.all_gather(both, index_of(model))
assert torch.equal(*both)
if rank == 0:
    print(json.dumps(both[0].tolist()), flush=True)
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_choose_together_what_one_would(tmp_path):
    script, model = tmp_path / 'distributed.py', unchosen()
    script.write_text(DISTRIBUTED)
    select_weights(model, [batch(seed=0), batch(seed=1)])
    assert json.loads(two_processes(script).stdout.splitlines()[-1]) == index_of(model).tolist()


def test_a_file_is_as_large_as_its_numbers_and_their_places(tmp_path):
    host = dict(type='mmsparse.TimmViT', name='vit_base_patch16_224', checkpoint=False)
    with torch.device('meta'):
        part = MODELS.build(dict(type='mmsparse.SparseViT', host=host, adapter=dict(ADAPTER, per_neuron=1))).adapters[
            0
        ]
    state = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in part.state_dict().items()}
    save_file(state, tmp_path / 'adapter.safetensors')
    numbers = sum(value.nbytes for key, value in state.items() if key.endswith('values'))
    assert numbers == 4 * 82_944 == sum(value.nbytes for value in state.values()) / 2
    assert (tmp_path / 'adapter.safetensors').stat().st_size <= 1.1 * 2 * numbers


def test_an_operator_that_is_no_plain_matrix_is_refused_when_built():
    backbone = build()
    torch.nn.utils.parametrizations.weight_norm(backbone.host.blocks[1].mlp.fc1)
    with pytest.raises(InputError, match='fc1 of layer 2 is a .*, whose weight is no plain parameter'):
        MODELS.get('mmsparse.SelectedWeights')(backbone.view)


def test_measuring_chooses_the_same_at_any_time():
    one, two = unchosen(), unchosen()
    select_at_random(one)
    torch.manual_seed(5)
    select_at_random(two)
    assert torch.equal(index_of(one), index_of(two))
