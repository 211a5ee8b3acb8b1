"""Prints pip's constraints for the oldest versions that pyproject.toml allows: what .ci/run installs to test them."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / 'pyproject.toml').read_text())['project']
for line in [*project['dependencies'], *(line for extra in project['optional-dependencies'].values() for line in extra)]:
    if bound := re.fullmatch(r'([\w.-]+)>=([^,]+).*', line):
        sys.stdout.write(f'{bound[1]}=={bound[2]}\n')
