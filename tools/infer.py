"""Classify an image, or all images of a folder, with a saved adapter.

    python tools/infer.py work_dirs/tiny_digits/epoch_10 photo.jpg
    python tools/infer.py work_dirs/tiny_digits/epoch_10 photos/ --show-tokens --out answers

The preprocessing is the card's. --show-tokens draws kept, fused (blue) and dropped (dark) patches of every stage.
"""

import argparse
import json
from pathlib import Path

from mmsparse.engine.reporting import reporting


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('adapter', help='folder of a state, or the adapter.safetensors in it')
    parser.add_argument('images', help='an image, or a folder of images')
    parser.add_argument('--topk', type=int, default=5, help='classes per image (default: 5)')
    parser.add_argument('--show-tokens', action='store_true', help='write a picture of the tokens of each image')
    parser.add_argument('--out', type=Path, help='folder for answers.json and the pictures (default with --show-tokens: work_dirs/infer)')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--host-checkpoint', help='file of the host weights, where the card names a file')
    args = parser.parse_args()
    if args.topk < 1:
        parser.error('--topk expects at least 1.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from rich.progress import track

from mmsparse.apis.classify import Classifier, image_files
from mmsparse.value_checks import writable_folder


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Answers so far are above.'):
        files = image_files(args.images)
        out = args.out or (Path('work_dirs/infer') if args.show_tokens else None)
        if out:
            writable_folder(out, '--out')
        classifier = Classifier(args.adapter, args.device, args.host_checkpoint)
        answers = {}
        try:
            for number, file in enumerate(track(files, 'classifying', transient=True) if len(files) > 1 else files):
                answer = classifier(file, args.topk)
                answers[str(file)] = dict(answer.scores)
                print(f'{file}: ' + ', '.join(f'{name} {score:.1%}' for name, score in answer.scores))
                if args.show_tokens:
                    classifier.tokens(file).save(out / f'{number:04d}_{file.stem}_tokens.png')
        finally:  # one broken file costs no answers
            if answers and out:
                (out / 'answers.json').write_text(json.dumps(answers, indent=1))
                print(f'Written to {out}.')


if __name__ == '__main__':
    main()
