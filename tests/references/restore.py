"""The grid of patches from what is left of it, by one-hot matrices that say in which row each patch is after each
reduction.
"""

import torch


def places(step, present):
    """The next one-hot matrix (N'×M) after a reduction, and which patches left or were merged in it (M); a row alone
    but scaled counts as merged.
    """
    hit = (step.matrix != 0).double()
    shared = ((hit.sum(1, keepdim=True) > 1) | (step.matrix.sum(1, keepdim=True) != 1)).double()
    nxt = hit @ present
    touched = present.sum(0) * (1 - nxt.sum(0)) + (hit * shared).sum(0) @ present
    return nxt, touched > 0


def restored(steps, last, finish, prefix, patches, mode):
    """M×C after the final norm.

    gather: the row that stands for the patch, zeros where it is gone. stale: its row just before it left or was first
        merged, also as the
    one that others were merged into. delta: that plus all its present row has gained since, the jumps of the
    reductions taken out.

    Args:
        steps: the reductions met.
        last: N×C, the last rows before the final norm.
        finish: the final norm.
    """
    first = steps[0].before if steps else last
    present = torch.zeros(len(first), patches, dtype=torch.float64)
    for patch in range(patches):
        present[prefix + patch, patch] = 1.0
    frozen, jumps = [None] * patches, torch.zeros(patches, last.shape[1], dtype=torch.float64)
    for step in steps:
        nxt, touched = places(step, present)
        before = present.T @ step.before
        for patch in range(patches):
            if touched[patch] and frozen[patch] is None:
                frozen[patch] = before[patch]
        jumps = jumps + before - nxt.T @ step.after
        present = nxt
    gone = present.sum(0) == 0
    now = present.T @ last
    if mode == 'gather':
        rows = [torch.zeros_like(now[0]) if gone[patch] else finish(now[patch]) for patch in range(patches)]
    elif mode == 'stale':
        rows = [finish(now[patch] if frozen[patch] is None else frozen[patch]) for patch in range(patches)]
    else:
        assert mode == 'delta', mode
        rows = [finish(frozen[patch] if gone[patch] else now[patch] + jumps[patch]) for patch in range(patches)]
    return torch.stack(rows)
