"""NOAH's search (arXiv 2206.04673), 15 generations of 50 sub-networks with at most .64 M parameters: ViT-B/16 IN-21k, CIFAR-100's held out images.

Expected: not measured here; the best sub-network in work_dirs/vitb_noah_search_cifar100/subnet.json.
Run: python tools/test.py configs/peft/vitb_noah_search_cifar100.py work_dirs/vitb_noah_supernet_cifar100/epoch_500
"""

_base_ = ['vitb_noah_supernet_cifar100.py']
test_dataloader = dict(dataset=dict(split='train', test_mode=False, indices=-10000))
test_cfg = dict(
    type='mmsparse.EvolutionSearchLoop',
    max_parameters=640_000,
    generations=15,
    population=50,
    parents=10,
    mutants=25,
    crosses=25,
    metric='accuracy/top1',
)
