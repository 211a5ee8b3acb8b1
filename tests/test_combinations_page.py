"""docs/combinations.md is what the registry gives."""

import runpy

import pytest

from small_run import ROOT


@pytest.mark.slow
def test_the_page_is_current_and_few_combinations_are_refused():
    page = runpy.run_path(str(ROOT / 'tools/analysis_tools/combinations.py'))['page']()
    assert page == (ROOT / 'docs/combinations.md').read_text(), (
        'run python tools/analysis_tools/combinations.py --out docs/combinations.md'
    )
    refused, of = (
        next(line for line in page.splitlines() if line.startswith('Refused: '))
        .removeprefix('Refused: ')
        .rstrip('.')
        .split(' of ')
    )
    assert int(refused) <= 0.1 * int(of)
