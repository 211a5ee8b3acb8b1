"""mmsparse: pre-trained Vision Transformers, adapted to a task and run with fewer tokens (MMEngine)."""

__version__ = '0.1.0'
