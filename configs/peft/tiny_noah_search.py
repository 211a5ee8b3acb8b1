"""NOAH's search (arXiv 2206.04673), 5 generations of 20 sub-networks with at most .1 M parameters: the small host, the digits held out.

Expected: not measured here; the best sub-network in work_dirs/tiny_noah_search/subnet.json.
Run: python tools/test.py configs/peft/tiny_noah_search.py work_dirs/tiny_noah_supernet/epoch_30
"""

_base_ = ['tiny_noah_supernet.py']
test_dataloader = dict(dataset=dict(split='train', indices=-200))
test_cfg = dict(
    type='mmsparse.EvolutionSearchLoop',
    max_parameters=100_000,
    generations=5,
    population=20,
    parents=5,
    mutants=10,
    crosses=10,
    metric='accuracy/top1',
)
