"""The default runtime, which also counts, names and scores as wrong the videos that cannot be read."""

_base_ = ['default_runtime.py']
default_hooks = dict(bad_samples=dict(type='mmsparse.BadSamplesHook'))
