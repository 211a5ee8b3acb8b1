"""The operators of a pre-norm Vision Transformer, spelt out on one image (rows N×C, float64)."""

import math

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


def softmax(logits):
    weights = torch.exp(logits - logits.max(-1, keepdim=True).values)
    return weights / weights.sum(-1, keepdim=True)


def attend(x, state, name, heads):
    """Multi-head self-attention without its residual; also the attention of the first row, averaged over the heads (N)."""
    qkv = linear(x, state, f'{name}.qkv')
    width = qkv.shape[1] // 3
    size = width // heads
    mixed, first_row = [], 0
    for head in range(heads):
        q, k, v = (qkv[:, part * width + head * size : part * width + (head + 1) * size] for part in range(3))
        if f'{name}.q_norm.weight' in state:
            q = normalise(q, state[f'{name}.q_norm.weight'], state[f'{name}.q_norm.bias'])
            k = normalise(k, state[f'{name}.k_norm.weight'], state[f'{name}.k_norm.bias'])
        weights = softmax(q @ k.T / math.sqrt(size))
        mixed.append(weights @ v)
        first_row = first_row + weights[0] / heads
    return linear(torch.cat(mixed, 1), state, f'{name}.proj'), first_row
