"""ToMe merges 25 pairs in each of the 11 layers: about the cost of EViT at .7 in windows of 336 px. Merging back is part of the proxy product."""

reduction = dict(sparsifier=dict(type='mmsparse.ToMe', r=25), readout=dict(fold=True))
