"""Classify or segment an image, or all images of a folder, or classify videos, with a saved adapter.

    python tools/infer.py work_dirs/tiny_digits/epoch_10 photo.jpg
    python tools/infer.py work_dirs/tiny_digits/epoch_10 photos/ --show-tokens --out answers
    python tools/infer.py work_dirs/tiny_clips/epoch_30 clip.mp4 --window 2 --show-tokens

Images are read and prepared as the state's test data were. --show-tokens draws kept, fused (blue) and dropped (dark)
patches of every stage, of a video on a strip of the frames of its first view. A segmentor writes a
picture with legend and a map of labels per image, and the shares of the classes. Exit status: 0, or 1 where some files
could not be read.
"""

import argparse
import json
import sys
from pathlib import Path

from mmsparse.cli.reporting import reporting


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('adapter', help='folder of a state, or the adapter.safetensors in it')
    parser.add_argument('images', type=Path, help='an image, a video, or a folder of them')
    parser.add_argument('--topk', type=int, default=5, help='at most so many classes per image (default: 5)')
    parser.add_argument(
        '--window',
        type=float,
        metavar='SECONDS',
        help='videos: answer for parts of so many seconds (default: the whole)',
    )
    parser.add_argument('--show-tokens', action='store_true', help='write a picture of the tokens of each image')
    parser.add_argument(
        '--out',
        type=Path,
        help='folder for answers.json or shares.json and the pictures (default where there are pictures: '
        'work_dirs/infer)',
    )
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--host-checkpoint', help='file of the host weights, where the card names a file')
    parser.add_argument(
        '--fold', action='store_true', help='run the form for testing: the same answers by fewer operators'
    )
    args = parser.parse_args()
    if args.window is not None and not args.window > 0:
        parser.error('--window expects seconds above 0, such as 2.')
    if args.topk < 1:
        parser.error('--topk expects at least 1.')
    return args


def sources(path: Path, predict, window: float | None) -> list:
    """Return the files, or parts of videos, to answer for, and say what of a folder is none."""
    from mmsparse.apis.clip_reader import spans
    from mmsparse.datasets.image_files import image_files
    from mmsparse.errors import InputError

    files = predict.files(path)
    if predict.clips:
        return [part for file in files for part in spans(file, window)]
    if window:
        raise InputError('--window: expected a model of videos, this one takes images. Leave it out.')
    if path.is_dir() and (others := image_files(path).others):
        print(f'Left out of {path}: {len(others)} files that are no images, such as {others[0].name}.')
    return files


def answer_all(files: list, model, args, out: Path | None) -> int:
    """Print, write and draw; return how many files have no answer."""
    import numpy as np
    from PIL import Image
    from rich.progress import track

    from mmsparse.errors import InputError
    from mmsparse.visualization.label_map import draw_labels

    found, broken, predict = {}, 0, model.predict
    stream = zip(files, predict.stream(files, topk=args.topk), strict=True)
    try:
        for number, (file, answer) in enumerate(
            track(stream, 'reading files', len(files), transient=True) if len(files) > 1 else stream
        ):
            if answer.error and len(files) == 1:
                raise InputError(answer.error)
            if answer.error:
                broken += 1
                print(f'infer.py: {answer.error}', file=sys.stderr)
                continue
            picture = f'{number:04d}_{file.stem[:60]}'
            if predict.classifies:
                found[str(file)] = [choice._asdict() for choice in answer.top]
                best = [(choice.name, choice.score) for choice in answer.top]
                if args.show_tokens:
                    predict.tokens(file).save(out / f'{picture}_tokens.png')
            else:
                found[str(file)] = {name: area / answer.label_hw.size for name, area in answer.areas.items()}
                best = [
                    item
                    for item in sorted(found[str(file)].items(), key=lambda item: -item[1])[: args.topk]
                    if item[1]
                ]
                draw_labels(np.asarray(predict.picture(file)), answer.label_hw, answer.names).save(
                    out / f'{picture}.png'
                )
                Image.fromarray(answer.label_hw.astype(np.uint16)).save(out / f'{picture}_labels.png')
            print(f'{file}: ' + ', '.join(f'{name} {part:.1%}' for name, part in best))
    finally:  # also after Ctrl-C
        if found and out:
            (out / ('answers.json' if predict.classifies else 'shares.json')).write_text(json.dumps(found, indent=1))
            print(f'Written to {out}.')
    return broken


def main() -> None:
    args = parse_args()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors='backslashreplace')  # names of files need not be UTF-8
    with reporting(lambda: 'Answers so far are above.'):
        from mmsparse import load
        from mmsparse.errors import InputError
        from mmsparse.models.backbones.folding import fold_all
        from mmsparse.utils.value_checks import writable_folder

        out = args.out and writable_folder(args.out, '--out')
        if not args.images.exists():
            raise InputError(f'{args.images}: no such image, video or folder.')
        model = load(args.adapter, args.device, args.host_checkpoint)
        if args.fold:
            print(fold_all(model))
        files = sources(args.images, model.predict, args.window)
        if args.show_tokens and not model.predict.classifies:
            raise InputError(
                f'--show-tokens: tokens are drawn for classifiers, {args.adapter} is a {type(model).__name__}. Leave '
                'it out.'
            )
        if not out and (args.show_tokens or not model.predict.classifies):
            out = writable_folder(Path('work_dirs/infer'), '--out')
        broken = answer_all(files, model, args, out)
    if broken:
        sys.exit(f'infer.py: no answer for {broken} of {len(files)} files, named above.')


if __name__ == '__main__':
    main()
