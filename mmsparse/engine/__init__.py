"""Runner, hooks and optimiser wrappers that MMEngine lacks, and what the tools share; a new file here registers itself."""

from mmsparse.registry import import_all

import_all(__name__)
