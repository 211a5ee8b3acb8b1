"""The generators of this process, as plain values."""

import random

import numpy as np
import torch
from mmengine.dist import broadcast_object_list
from mmengine.runner import Runner


def random_state() -> dict:
    """Return the states of Python's, NumPy's and torch's generators, GPUs included."""
    state = dict(python=random.getstate(), numpy=np.random.get_state(), torch=torch.get_rng_state())
    return state | (dict(cuda=torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else {})


def set_random_state(state: dict) -> None:
    """Set them. States of GPUs are left out where their number is another."""
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'])
    if len(state.get('cuda', ())) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state['cuda'])


def shared_seed(runner: Runner) -> int:
    """Return the first process's seed, the same for all: with diff_rank_seed each has another."""
    seed = [runner.seed]
    broadcast_object_list(seed)
    return seed[0]
