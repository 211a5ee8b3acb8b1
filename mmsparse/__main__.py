"""``python -m mmsparse train CONFIG …``: the tools, wherever the package is installed."""

import runpy
import sys

from mmsparse.utils.packaged import home


def main() -> None:
    """Run the tool that the first word names with the rest of the command line."""
    tools = {path.stem: path for path in sorted((home() / 'tools').rglob('*.py'))}
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name not in tools:
        asked = name in ('-h', '--help')
        text = (
            f'usage: python -m mmsparse TOOL …\nTOOL is one of {", ".join(tools)}; python -m mmsparse TOOL --help '
            'says more.\n'
        )
        (sys.stdout if asked else sys.stderr).write(text if asked else f'mmsparse: error: received {name!r}.\n{text}')
        sys.exit(0 if asked else 2)
    sys.argv = [str(tools[name]), *sys.argv[2:]]
    sys.path.insert(0, str(tools[name].parent))
    runpy.run_path(sys.argv[0], run_name='__main__')


main()
