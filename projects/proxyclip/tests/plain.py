"""ProxyCLIP once more, from the libraries' own modules: one image at a time, one head at a time, values interpolated,
as published.
"""

import torch
from torch.nn import functional as F

MEAN = dict(clip=(0.48145466, 0.4578275, 0.40821073), vfm=(0.485, 0.456, 0.406))
STD = dict(clip=(0.26862954, 0.26130258, 0.27577711), vfm=(0.229, 0.224, 0.225))
BETA, GAMMA = 1.2, 3.0


def positions(table, side, grid):
    """The published rule: bicubic by the factor (cells + 0.1) / had. `table` has the class token first."""
    if grid == (side, side):
        return table
    plane = table[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scaled = F.interpolate(plane, scale_factor=((grid[0] + 0.1) / side, (grid[1] + 0.1) / side), mode='bicubic')
    assert scaled.shape[-2:] == grid
    return torch.cat([table[:1], scaled.permute(0, 2, 3, 1).flatten(0, 2)])


def before_last(visual, image):
    """CLIP's rows before its last block, class token first, and the grid."""
    patches = visual.conv1(image[None])
    grid = tuple(patches.shape[-2:])
    rows = torch.cat([visual.class_embedding[None], patches[0].flatten(1).T])
    rows = visual.ln_pre(rows + positions(visual.positional_embedding, visual.grid_size[0], grid))[None]
    for block in visual.transformer.resblocks[:-1]:
        rows = block(rows)
    return rows[0], grid


def values(block, rows):
    """The value third of the fused projection."""
    width = rows.shape[-1]
    return F.linear(block.ln_1(rows), block.attn.in_proj_weight[2 * width :], block.attn.in_proj_bias[2 * width :])


def dino(vit, image):
    """DINO's patch features after its final norm, rows and grid."""
    as_vfm = [(image[c] * STD['clip'][c] + MEAN['clip'][c] - MEAN['vfm'][c]) / STD['vfm'][c] for c in range(3)]
    patches = vit.patch_embed.proj(torch.stack(as_vfm)[None])
    grid = tuple(patches.shape[-2:])
    rows = torch.cat([vit.cls_token[0], patches[0].flatten(1).T]) + positions(
        vit.pos_embed[0], vit.patch_embed.grid_size[0], grid
    )
    rows = rows[None]
    for block in vit.blocks:
        rows = block(rows)
    return vit.norm(rows)[0, 1:], grid


def affinity(rows):
    """Logits of the proxy attention, and which rows have a pair so near to the edge that rounding decides."""
    unit = rows / rows.norm(dim=-1, keepdim=True)
    cosine = unit @ unit.T
    logits = GAMMA * (cosine - BETA * cosine.mean())
    doubtful = (logits.abs() < 3e-6).any(-1)
    return logits.masked_fill(logits < 0, float('-inf')), doubtful


def mixed(visual, vit, image):
    """Features before the final norm, N×C, which of them rounding may change, and the proxy's grid."""
    rows, own = before_last(visual, image)
    block = visual.transformer.resblocks[-1]
    proxy, grid = dino(vit, image)
    logits, doubtful = affinity(proxy)
    plane = values(block, rows[1:]).T.reshape(1, -1, *own)
    v = F.interpolate(plane, size=grid, mode='bilinear', align_corners=False)[0].flatten(1).T
    weights = logits.softmax(-1)
    heads = [weights @ part for part in v.chunk(block.attn.num_heads, dim=-1)]
    return F.linear(torch.cat(heads, -1), block.attn.out_proj.weight, block.attn.out_proj.bias), doubtful, grid


def features(visual, vit, image):
    """Unit features in the space of the texts, h×w×D, and which of them rounding may change."""
    z, doubtful, grid = mixed(visual, vit, image)
    z = visual.ln_post(z) @ visual.proj
    return (z / z.norm(dim=-1, keepdim=True)).unflatten(0, grid), doubtful.unflatten(0, grid)
