"""What pyproject.toml cannot say: configs, tools and the model index travel in ``.mim``, where mim looks for them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# mim 0.3 (openmim) and MMEngine look beside the package. onedl-mim 0.5 looks beside the first file that the installed
# package lists, and the list is sorted: without a folder that comes first it would look into
# mmsparse-VERSION.dist-info.
PLACES = ('mmsparse', '_mmsparse_mim')


class BuildPyWithMim(build_py):
    """Put ``.mim`` into a wheel. An editable install has none: there mim finds the repository's own folders."""

    def run(self):
        """Build the package, then add to it what lies beside it in the repository."""
        super().run()
        if getattr(self, 'editable_mode', False):
            # by other installs from this checkout
            for left in (ROOT / 'mmsparse', *(ROOT / 'build' / 'lib' / place for place in PLACES)):
                shutil.rmtree(left / '.mim', ignore_errors=True)
            return
        for place in PLACES:
            mim = Path(self.build_lib) / place / '.mim'
            shutil.rmtree(mim, ignore_errors=True)
            for name in ('configs', 'tools'):
                shutil.copytree(ROOT / name, mim / name, ignore=shutil.ignore_patterns('__pycache__'))
            shutil.copyfile(ROOT / 'model-index.yml', mim / 'model-index.yml')


setup(cmdclass={'build_py': BuildPyWithMim})
