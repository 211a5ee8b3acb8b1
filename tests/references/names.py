"""mmpretrain's and open_clip's parameter names of a Vision Transformer, as timm's."""

import re

RULES = [
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^pre_norm\.', 'norm_pre.'),
    (r'^ln1\.', 'norm.'),
    (r'^layers\.(\d+)\.ln1\.', r'blocks.\1.norm1.'),
    (r'^layers\.(\d+)\.ln2\.', r'blocks.\1.norm2.'),
    (r'^layers\.(\d+)\.attn\.gamma1\.weight$', r'blocks.\1.ls1.gamma'),
    (r'^layers\.(\d+)\.ffn\.gamma2\.weight$', r'blocks.\1.ls2.gamma'),
    (r'^layers\.(\d+)\.attn\.', r'blocks.\1.attn.'),
    (r'^layers\.(\d+)\.ffn\.layers\.0\.0\.', r'blocks.\1.mlp.fc1.'),
    (r'^layers\.(\d+)\.ffn\.layers\.1\.', r'blocks.\1.mlp.fc2.'),
    (r'^class_embedding$', 'cls_token'),
    (r'^positional_embedding$', 'pos_embed'),
    (r'^conv1\.', 'patch_embed.proj.'),
    (r'^ln_pre\.', 'norm_pre.'),
    (r'^ln_post\.', 'norm.'),
    (r'^transformer\.resblocks\.(\d+)\.ln_(\d)\.', r'blocks.\1.norm\2.'),
    (r'^transformer\.resblocks\.(\d+)\.ls_(\d)\.', r'blocks.\1.ls\2.'),
    (r'^transformer\.resblocks\.(\d+)\.attn\.in_proj_', r'blocks.\1.attn.qkv.'),
    (r'^transformer\.resblocks\.(\d+)\.attn\.out_proj\.', r'blocks.\1.attn.proj.'),
    (r'^transformer\.resblocks\.(\d+)\.mlp\.c_fc\.', r'blocks.\1.mlp.fc1.'),
    (r'^transformer\.resblocks\.(\d+)\.mlp\.c_proj\.', r'blocks.\1.mlp.fc2.'),
]


def as_timm(state):
    """Rename; a name that no rule knows stays as it is (timm's own do). Class token and positions get timm's leading
    axes.
    """

    def rename(name):
        for pattern, replacement in RULES:
            name, hits = re.subn(pattern, replacement, name)
            if hits:
                return name
        return name

    renamed = {rename(name): value for name, value in state.items()}
    return {
        name: value.reshape(1, -1, value.shape[-1]) if name in ('cls_token', 'pos_embed') else value
        for name, value in renamed.items()
    }
