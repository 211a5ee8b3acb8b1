"""EViT keeps .7 of the patches at layers 4, 7 and 10; a patch that left keeps its own row and follows what it was fused into (delta)."""

reduction = dict(
    stash=True,
    sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7),
    readout=dict(restore='delta'),
)
