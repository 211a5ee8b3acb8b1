"""Install mmsparse; configs, tools and the model index travel in ``mmsparse/.mim``, where mim looks for them."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildPyWithMim(build_py):
    """Put ``.mim`` into the wheel as copies, or into the source tree as links for an editable install."""

    def run(self):
        """Build the package, then add to it what lies beside it in the repository."""
        super().run()
        editable = bool(getattr(self, 'editable_mode', False))
        mim = (ROOT if editable else Path(self.build_lib)) / 'mmsparse' / '.mim'
        mim.mkdir(parents=True, exist_ok=True)
        for name in ('configs', 'tools', 'model-index.yml'):
            source, target = ROOT / name, mim / name
            if target.is_symlink() or target.is_file():
                target.unlink()
            elif target.is_dir():
                shutil.rmtree(target)
            if editable:
                target.symlink_to(Path('..', '..', name))
            elif source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copyfile(source, target)


def requirements(name: str) -> list[str]:
    """Pins of one file; lines that include another file belong to pip alone."""
    lines = (ROOT / 'requirements' / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(('-', '#'))]


runtime, mim, tests = requirements('runtime.txt'), requirements('mminstall.txt'), requirements('tests.txt')
setup(
    name='mmsparse',
    version=re.search(r"__version__ = '(.+)'", (ROOT / 'mmsparse' / '__init__.py').read_text())[1],
    description='Pre-trained Vision Transformers, adapted to a task and run with fewer tokens, in the MMEngine ecosystem',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmsparse', 'mmsparse.*']),
    package_data={'mmsparse': ['assets/*']},
    python_requires='>=3.11',
    install_requires=runtime,
    # The engine and its companions exist as forks and as originals; whoever has either keeps it.
    extras_require={'mim': mim, 'tests': tests, 'all': runtime + mim + tests},
    cmdclass={'build_py': BuildPyWithMim},
    zip_safe=False,
)
