"""Sparse-Tuning: EViT as in evit.py and Dense Adapters of width 32 in the 11 layers."""

_base_ = ['evit.py']
reduction = dict(adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32))
