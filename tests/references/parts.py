"""The operators of a pre-norm Vision Transformer, spelt out on one image (rows N×C, float64)."""

import math
from dataclasses import dataclass

import torch


def normalise(x, weight, bias, eps=1e-6):
    """LayerNorm over the last axis, with the biased variance."""
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def linear(x, state, name):
    """x Wᵀ + b; the bias is left out where the state has none."""
    y = x @ state[f'{name}.weight'].T
    return y + state[f'{name}.bias'] if f'{name}.bias' in state else y


def relu(x):
    return torch.where(x > 0, x, torch.zeros_like(x))


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def quick_gelu(x):
    return x / (1 + torch.exp(-1.702 * x))


def softmax(logits):
    weights = torch.exp(logits - logits.max(-1, keepdim=True).values)
    return weights / weights.sum(-1, keepdim=True)


@dataclass
class Look:
    """What an attention did: weights H×N×N, keys H×N×d as compared (after their norm), values N×C with heads
    joined.
    """

    weights: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor

    @property
    def class_row(self):
        """What the first row pays to each row, mean over the heads: N."""
        return self.weights[:, 0].mean(0)


def masked_softmax(logits, alive, eps=1e-6):
    """DynamicViT's training attention: a dead row is seen by itself alone; eps is spread over all rows.

    The largest logit is taken among the rows seen. Among all rows, as in the original, eps would weigh as much as what
    is seen wherever a dead row
    holds a logit far above it: up to 1e-3 at the class token with peaked attention, where gathering the same rows
        gives another answer.
    """
    rows = len(alive)
    seen = torch.tensor(
        [[1.0 if i == j else float(alive[j]) for j in range(rows)] for i in range(rows)], dtype=logits.dtype
    )
    logits = torch.where(seen > 0, logits, -1e30)
    weights = torch.exp(logits - logits.max(-1, keepdim=True).values)
    return (weights + eps / rows) / (weights.sum(-1, keepdim=True) + eps)


def attend(x, state, name, heads, sizes=None, alive=None):
    """Multi-head self-attention without its residual, and what it did.

    Args:
        sizes: patches behind each row; their logarithm is added to the logits of that key (ToMe's proportional
            attention). None: not.
        alive: 1 or 0 per row (DynamicViT in training). None: all.
    """
    qkv = linear(x, state, f'{name}.qkv')
    width = qkv.shape[1] // 3
    size = width // heads
    mixed, seen, keys = [], [], []
    for head in range(heads):
        q, k, v = (qkv[:, part * width + head * size : part * width + (head + 1) * size] for part in range(3))
        if f'{name}.q_norm.weight' in state:
            q = normalise(q, state[f'{name}.q_norm.weight'], state[f'{name}.q_norm.bias'])
            k = normalise(k, state[f'{name}.k_norm.weight'], state[f'{name}.k_norm.bias'])
        logits = q @ k.T / math.sqrt(size)
        if sizes is not None:
            logits = logits + torch.tensor([math.log(count) for count in sizes], dtype=logits.dtype)
        weights = softmax(logits) if alive is None else masked_softmax(logits, alive)
        mixed.append(weights @ v)
        seen.append(weights)
        keys.append(k)
    look = Look(torch.stack(seen), torch.stack(keys), qkv[:, 2 * width :])
    return linear(torch.cat(mixed, 1), state, f'{name}.proj'), look
