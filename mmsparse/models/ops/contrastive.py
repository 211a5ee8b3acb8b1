"""The supervised contrastive loss, which needs no head (Khosla et al., NeurIPS 2020, arXiv 2004.11362)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

TEMPERATURE = 0.07


def supervised_contrastive(features_bc: Tensor, labels_b: Tensor) -> Tensor:
    """Return the mean over images of -log of the share that those of the same class have (eq. 2, L_out).

    Args:
        features_bc: of any length; a class that has one image in the batch alone counts for nothing.
        labels_b: classes.
    """
    z_bc = normalize(features_bc.float(), dim=1)
    itself_bb = torch.eye(len(z_bc), dtype=torch.bool, device=z_bc.device)
    log_share_bb = (z_bc @ z_bc.T / TEMPERATURE).masked_fill(itself_bb, float('-inf')).log_softmax(dim=1)
    same_bb = (labels_b[:, None] == labels_b) & ~itself_bb
    loss_b = -log_share_bb.masked_fill(~same_bb, 0.0).sum(1) / same_bb.sum(1).clamp(min=1)
    return loss_b.sum() / same_bb.any(1).sum().clamp(min=1)
