"""The search of a super-network's best sub-network by evolution (Zhang et al., Neural Prompt Search, arXiv
2206.04673).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.runner import TestLoop
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader

from mmsparse.engine.hooks.random_subnet import supernets
from mmsparse.engine.hooks.start_card import image_size
from mmsparse.errors import InputError, in_words
from mmsparse.evaluation import published_macs
from mmsparse.evaluation.model_input import input_shape
from mmsparse.models.adapters.search_space import Subnet
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.registry import LOOPS
from mmsparse.state.folder import write_whole, writing_to
from mmsparse.state.saved_tensors import adapter_tensors, unwrapped
from mmsparse.utils.terminal import command, figure, near, show
from mmsparse.utils.value_checks import check_count, check_word

RECORD, FOUND = 'search.json', 'subnet.json'  # in the work folder
RATE, DEPTH_RATE = 0.2, 0.4  # of a mutant: that the size in a layer is drawn anew, that the depth of a module is
TRIES = 10  # draws per sub-network wanted: where all have been seen or are too large, there would be no end


@LOOPS.register_module()
class EvolutionSearchLoop(TestLoop):
    """A test of many sub-networks, each with the super-network's weights, that ends with the best of them.

    The first generation is drawn uniformly. Every other one has children of the best so far: mutants, crosses of two,
    and as many drawn ones as are missing. Every score is written down at once (search.json). What is drawn follows
    from seed, generation and scores, so after a kill the same command goes on. The best one comes to subnet.json.

    Args:
        runner, dataloader, evaluator, fp16: as in MMEngine's TestLoop. The images have to be held out of training,
            and are not those of the final test.
        max_parameters: of a sub-network, without head.
        generations, population: their number, and that of the sub-networks in each.
        parents: how many of the best so far have children.
        mutants, crosses: wanted in every generation but the first.
        metric: what counts, the higher the better.

    Raises:
        InputError: numbers below 1, a model with another number of super-networks than one, a cap that no sub-network
            fits under, a metric that is not measured, nothing that was trained, the record of another search.
    """

    def __init__(
        self,
        runner,
        dataloader: DataLoader | dict,
        evaluator: Evaluator | dict | list,
        max_parameters: int = 640_000,
        generations: int = 15,
        population: int = 50,
        parents: int = 10,
        mutants: int = 25,
        crosses: int = 25,
        metric: str = 'accuracy/top1',
        fp16: bool = False,
    ):
        counts = dict(
            generations=generations, population=population, parents=parents, mutants=mutants, crosses=crosses
        )
        self.settings = dict(counts, max_parameters=max_parameters)
        for name, count in self.settings.items():
            check_count(f'EvolutionSearchLoop: received {name}', count, 10)
        (self.supernet,) = supernets(runner.model, 'EvolutionSearchLoop')
        if (least := self.supernet.count(self.supernet.space.smallest)) > max_parameters:
            raise InputError(
                f'EvolutionSearchLoop: received max_parameters={max_parameters}, but the smallest sub-network has '
                f'{least:,}. Set a higher cap, or smaller sizes.'
            )
        super().__init__(runner, dataloader, evaluator, fp16)
        self.metric, self.file = metric, Path(runner.work_dir) / RECORD

    def run(self) -> dict:
        """Search; return the best sub-network's score by its name."""
        if self.runner._load_from is None and self.runner.iter == 0:
            raise InputError(
                'EvolutionSearchLoop: received no trained super-network. Name its state: python tools/test.py CONFIG '
                'work_dirs/…/epoch_500.'
            )
        self.runner.call_hook('before_test')
        self.runner.model.eval()
        search, known = self._begin()
        scores: dict[str, float] = {}  # by sub-network, in the order of their evaluation
        for generation in range(1, self.settings['generations'] + 1):
            random = np.random.default_rng([search['seed'], generation])
            chosen = self._generation(random, list(map(json.loads, sorted(scores, key=scores.get, reverse=True))))
            for number, subnet in enumerate(chosen, start=1):
                key = json.dumps(subnet)
                scores[key] = known[key] if key in known else self._score(subnet)
                if key not in known:
                    self._write(RECORD, dict(search=search, scores=[[json.loads(k), v] for k, v in scores.items()]))
                    self.runner.logger.info(
                        f'generation {generation}/{self.settings["generations"]}, {number}/{len(chosen)}: '
                        f'{self.metric} {scores[key]:.4g} with {self.supernet.count(subnet):,} parameters, best '
                        f'{max(scores.values()):.4g}'
                    )
        best = max(scores, key=scores.get)  # of equals the first
        self._end(json.loads(best), scores[best], len(scores))
        self.runner.call_hook('after_test')
        return {self.metric: scores[best]}

    def _begin(self) -> tuple[dict, dict[str, float]]:
        """Return what the search is of, and the scores of it that are known, the first process's for all."""
        search = dict(
            self.settings,
            metric=self.metric,
            seed=self.runner.seed,
            sizes=list(self.supernet.space.sizes),
            images=len(self.dataloader.dataset),
            weights=digest(adapter_tensors(unwrapped(self.runner.model))),
        )
        begun = [search, self._recorded(search) if is_main_process() else {}]
        broadcast_object_list(begun)
        if begun[1] and is_main_process():
            self.runner.logger.info(f'{near(self.file)}: goes on after {len(begun[1])} sub-networks.')
        return begun[0], begun[1]

    def _recorded(self, search: dict) -> dict[str, float]:
        if not self.file.is_file():
            return {}
        lead, remedy = f'{self.file}', 'Move it away, or name another --work-dir.'
        with in_words(lead, remedy):
            record = json.loads(self.file.read_text())
            if other := [key for key, value in search.items() if record['search'].get(key) != value]:
                raise ValueError(f'the record of a search with other {", ".join(other)}')
            return {json.dumps(subnet): float(score) for subnet, score in record['scores']}

    def _generation(self, random: np.random.Generator, ranked: list[Subnet]) -> list[Subnet]:
        """Return the sub-networks of the next generation; `ranked` are all before it, the best first."""
        space, parents, wanted = self.supernet.space, ranked[: self.settings['parents']], self.settings
        seen, chosen = set(map(json.dumps, ranked)), []

        def parent() -> Subnet:
            return parents[int(random.integers(len(parents)))]

        def add(draw: Callable[[], Subnet], count: int) -> None:
            goal = len(chosen) + count
            for _ in range(TRIES * count):
                subnet = draw() if len(chosen) < goal else None
                fits = subnet and self.supernet.count(subnet) <= wanted['max_parameters']
                if fits and json.dumps(subnet) not in seen:
                    seen.add(json.dumps(subnet))
                    chosen.append(subnet)

        if parents:
            add(lambda: space.mutated(parent(), random, RATE, DEPTH_RATE), wanted['mutants'])
            add(lambda: space.crossed(parent(), parent(), random), wanted['crosses'])
        add(lambda: space.drawn(random), max(wanted['population'] - len(chosen), 0))
        return chosen or ([] if ranked else [space.smallest])

    @torch.no_grad()
    def _score(self, subnet: Subnet) -> float:
        self.supernet.choose(subnet)
        for batch in self.dataloader:
            with autocast(enabled=self.fp16):
                outputs = self.runner.model.test_step(batch)
            self.evaluator.process(data_samples=outputs, data_batch=batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        self.supernet.choose(None)
        check_word('EvolutionSearchLoop: received metric', self.metric, tuple(metrics))
        return float(metrics[self.metric])

    def _end(self, subnet: Subnet, score: float, tried: int) -> None:
        """Write the best one down, and show what it costs and how it is trained."""
        self._write(FOUND, subnet)
        model, found = unwrapped(self.runner.model), self.file.with_name(FOUND)
        image = next(model.parameters()).new_zeros(input_shape(model, 1, *image_size(model)))
        self.supernet.choose(subnet)
        macs = published_macs(model, image)
        self.supernet.choose(None)
        rows = {
            self.metric: f"{figure(score)}, with the super-network's weights, the best of {tried:,}",
            'trainable': f'{self.supernet.count(subnet):,} parameters, without head',
            'cost': f'{macs / 1e9:.4g} GFLOPs per {"image" if image.dim() == 4 else "clip"}',
            **{module: ' '.join(map(str, sizes)) for module, sizes in subnet.items()},
        }
        option = f'model.backbone.adapter.subnet={near(found)}'
        if is_main_process():
            train = command('train', 'CONFIG', '--cfg-options', option)
            show(self.runner.logger, 'Found', rows, dict(file=near(found), retrain=train))

    def _write(self, name: str, content: dict) -> None:
        if is_main_process():
            with writing_to(self.runner.work_dir):
                write_whole(self.file.with_name(name), json.dumps(content))
