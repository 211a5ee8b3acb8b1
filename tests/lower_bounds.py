"""Prints pip's constraints for the oldest versions that pyproject.toml allows: what .ci/run installs to test them."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / 'pyproject.toml').read_text())['project']
extras = project['optional-dependencies']
for line in [*project['dependencies'], *extras['mim'], *extras['tests']]:
    if bound := re.fullmatch(r'([\w.-]+)>=([^,]+).*', line):
        sys.stdout.write(f'{bound[1]}=={bound[2]}\n')
