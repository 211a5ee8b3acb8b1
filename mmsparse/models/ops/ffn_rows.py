"""Run the FFN on some tokens only: skipped in evaluation, multiplied in training so that the choice has a gradient."""

from __future__ import annotations

from torch import Tensor


def take(x_bnc: Tensor, ffn_bn: Tensor | None) -> Tensor:
    """Return the tokens that the FFN will see.

    Args:
        x_bnc: all tokens.
        ffn_bn: B×N, 1 for tokens that enter the FFN, else 0; None: all.

    Returns:
        B×N×C in training (where ffn_bn has a gradient) or without a choice; else the n chosen tokens of all images,
        1×n×C.
    """
    if ffn_bn is None or ffn_bn.requires_grad:
        return x_bnc
    return x_bnc[ffn_bn > 0.5].unsqueeze(0)


def put(y: Tensor, like_bnc: Tensor, ffn_bn: Tensor | None) -> Tensor:
    """Return the FFN's output for all tokens, B×N×C; zeros where it was not run. Arguments as in `take`."""
    if ffn_bn is None:
        return y
    if ffn_bn.requires_grad:
        return y * ffn_bn.unsqueeze(-1).to(y.dtype)
    y_bnc = y.new_zeros(like_bnc.shape)
    y_bnc[ffn_bn > 0.5] = y[0]
    return y_bnc
