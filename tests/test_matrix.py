"""Every adapter under every sparsifier on every kind of host: builds, trains, saves and loads, starts where it says,
folds where it says.
"""

from itertools import product

import pytest
import torch

import combinations
from combinations import HOSTS, adapters, classifier, images, loss, pairwise, sparsifiers
from hosts import assert_near_in_half, draw
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.state.agreement import full_state_dict
from mmsparse.state.card import describe
from mmsparse.state.files import read_state, write_state
from mmsparse.state.saved_tensors import adapter_tensors
from small_run import two_processes

ADAPTERS, SPARSIFIERS = adapters(), sparsifiers()
PAIRWISE = pairwise(HOSTS, ADAPTERS, SPARSIFIERS)
CASES = [
    pytest.param(*case, marks=[] if case in PAIRWISE else pytest.mark.matrix)
    for case in product(HOSTS, ADAPTERS, SPARSIFIERS)
]

DISTRIBUTED = """
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from combinations import adapters, classifier, loss, sparsifiers

distributed.init_process_group('gloo')
rank = distributed.get_rank()
for adapter in adapters():
    for sparsifier in sparsifiers():
        model = classifier('timm', adapter, sparsifier)
        wrapped = DistributedDataParallel(model)
        trains = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.SGD(trains, lr=0.1)
        for step in range(2):  # a parameter that the first step did not reach would stop the second
            optimiser.zero_grad()
            loss(wrapped, seed=2 * step + rank).backward()
            optimiser.step()
        sums = torch.stack([p.detach().double().sum() for p in trains])
        both = [torch.zeros_like(sums) for _ in range(2)]
        distributed.all_gather(both, sums)
        assert torch.equal(*both), (adapter, sparsifier)
        if rank == 0:
            print(adapter, sparsifier, flush=True)
distributed.destroy_process_group()
"""


def test_every_combination_is_tried():
    assert (
        len(ADAPTERS) >= 10
        and len(SPARSIFIERS) >= 8
        and len(HOSTS) >= 5
        and len(CASES) == len(ADAPTERS) * len(SPARSIFIERS) * len(HOSTS)
    )


def test_every_pair_is_tried_by_default():
    default = [case.values for case in CASES if not case.marks]
    assert len(default) == len(PAIRWISE) < len(CASES) / 4
    for first, second in ((HOSTS, ADAPTERS), (HOSTS, SPARSIFIERS), (ADAPTERS, SPARSIFIERS)):
        together = set(product(first, second))
        assert not together - {(a, b) for case in default for a in case for b in case}


def backbone_outputs(model, inputs, adapt=True, half=False):
    """Tokens at the end as the head reads them, in evaluation."""
    model.eval()
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16, enabled=half):
        return model.backbone.outputs(model.backbone.encode(inputs, adapt=adapt))[-1]


@pytest.mark.parametrize(('host', 'adapter', 'sparsifier'), CASES)
def test_combination(host, adapter, sparsifier, tmp_path):
    model = classifier(host, adapter, sparsifier)
    part, own = model.backbone.adapters[0], model.backbone

    model.double()  # a start that is nearly the identity shows there alone
    same = torch.equal(
        backbone_outputs(model, images().double()), backbone_outputs(model, images().double(), adapt=False)
    )
    assert same == part.identity_at_start

    model.float().train()
    loss(model).backward()
    for key, parameter in model.named_parameters():
        if key.startswith('backbone.host.'):
            name = key.removeprefix('backbone.host.')
            expected = part.trains(name) and name not in own.view.unread
        else:
            expected = key.startswith(('backbone.adapters.', 'head.')) or parameter.requires_grad
        assert (parameter.grad is not None) == parameter.requires_grad == expected, key
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = loss(model, seed=1)
    value.backward()
    assert value.isfinite() and all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)

    trained = adapter_tensors(model)
    with torch.no_grad():
        for tensor in trained.values():
            tensor.add_(0.1 if tensor.is_floating_point() else 0)
    write_state(tmp_path / 'state', trained, describe(model, digest(trained), {}, None, {}, 1, 1))
    again = classifier(host, adapter, sparsifier)
    again.load_state_dict(full_state_dict(again, read_state(tmp_path / 'state')))
    assert torch.equal(backbone_outputs(again, images()), backbone_outputs(model, images()))

    draw(model)
    # sixteen: of eight, rounding may exchange rows of nearly equal rank in more than half
    assert_near_in_half(backbone_outputs(model, images(16), half=True), backbone_outputs(model, images(16)))
    if part.folds:
        model.double()
        before = backbone_outputs(model, images().double())
        own.fold()
        assert len(own.adapters) == 0
        torch.testing.assert_close(backbone_outputs(model, images().double()), before, rtol=0, atol=1e-9)
        with pytest.raises(InputError, match='Save before fold'):
            adapter_tensors(model)


@pytest.mark.slow
def test_two_processes_train_every_pair_without_looking_for_unused_parameters(tmp_path):
    script = tmp_path / 'distributed.py'
    script.write_text(DISTRIBUTED)
    done = two_processes(script)
    # Built without anything that trains but the head, a pair is a pair all the same.
    assert done.stdout.split('\n')[:-1] == [
        f'{adapter} {sparsifier}' for adapter in combinations.adapters() for sparsifier in SPARSIFIERS
    ]
