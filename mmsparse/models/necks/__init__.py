"""Token sparsifiers, which act between a block's branches (mmpretrain's necks come behind the backbone). One file, one
paper."""
