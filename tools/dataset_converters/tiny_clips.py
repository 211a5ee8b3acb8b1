"""Make the four small clips in mmsparse/assets from OpenMMLab's demo videos (Apache-2.0; tiny_clips.md there).

python tools/dataset_converters/tiny_clips.py FOLDER_OF_THE_DEMOS
"""

import argparse
from fractions import Fraction
from pathlib import Path

ASSETS = Path(__file__).parents[2] / 'mmsparse' / 'assets'
SOURCES = ('demo.mp4', 'demo_skeleton.mp4', 'demo_spatiotemporal_det.mp4', 'test_video_structuralize.mp4')
SHORT_SIDE = 64
CODER = {'crf': '27', 'preset': 'veryslow', 'x264-params': 'keyint=24:open-gop=0'}


def shrink(source: Path, target: Path) -> None:
    """Encode all frames of a video again, smaller, without its sound."""
    import av

    with av.open(str(source)) as old, av.open(str(target), 'w') as new:
        stream = old.streams.video[0]
        times = SHORT_SIDE / min(stream.width, stream.height)
        coder = new.add_stream('libx264', rate=Fraction(stream.average_rate), options=CODER)
        coder.width, coder.height = (round(side * times / 2) * 2 for side in (stream.width, stream.height))
        coder.pix_fmt = 'yuv420p'
        for number, frame in enumerate(old.decode(stream)):
            small = frame.reformat(coder.width, coder.height, 'yuv420p', interpolation='AREA')
            small.pts, small.time_base = number, 1 / Fraction(stream.average_rate)
            new.mux(coder.encode(small))
        new.mux(coder.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help=f'with {", ".join(SOURCES)}')
    parser.add_argument('--out', type=Path, default=ASSETS, help='where the clips go (default: the assets)')
    args = parser.parse_args()
    for number, name in enumerate(SOURCES):
        target = args.out / f'tiny_clip_{number}.mp4'
        shrink(args.folder / name, target)
        print(f'{target}: {target.stat().st_size:,} bytes')


if __name__ == '__main__':
    main()
