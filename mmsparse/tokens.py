"""The public door to `Tokens`, `Plan` and what moves them."""

from mmsparse.structures import *  # noqa: F403
from mmsparse.structures import __all__ as __all__
