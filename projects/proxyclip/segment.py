"""Segment an image, the images of a folder, or a video with words of your own.

    python projects/proxyclip/segment.py photo.jpg --classes "cat; sofa; plant pot"
    python projects/proxyclip/segment.py photos/ --classes "cat, kitten; sofa, couch; wall, floor" --config
    projects/proxyclip/configs/voc20_tome.py python projects/proxyclip/segment.py film.mp4 --classes classes.txt
    --every 5

A semicolon parts classes, a comma the synonyms of one; a file has one class per line. Everything in the picture is
given to one of them, so name what else may be seen. Weights come from the hub or its cache, or from files:
--cfg-options model.backbone.host.checkpoint=FILE model.vfm.host.checkpoint=FILE
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from PIL import Image
from rich.progress import track

# the configs import this project by its path from the root
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmsparse.cli.launch import load_config
from mmsparse.cli.options import Changes
from mmsparse.cli.reporting import reporting
from mmsparse.config.check import check_config
from mmsparse.datasets.image_files import images_at
from mmsparse.datasets.load_image import LoadImage
from mmsparse.errors import InputError
from mmsparse.utils.value_checks import check_device, writable_folder
from mmsparse.visualization.label_map import draw_labels, overlay, shares
from projects.proxyclip.proxyclip.segmenter import Segmenter

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('input', type=Path, help='an image, a folder of images, or a video')
    options.add_argument('--classes', required=True, help='"cat; sofa; plant pot", or a class file')
    options.add_argument(
        '--config', default=str(Path(__file__).parent / 'configs' / 'voc20_dense.py'), help='networks and reduction'
    )
    options.add_argument('--checkpoint', help='an adapter that was trained with the config')
    options.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    options.add_argument('--every', type=int, default=1, help='segment every n-th frame of a video (default: 1)')
    options.add_argument(
        '--out', type=Path, default=Path('work_dirs/segment'), help='folder for pictures, label maps and shares.json'
    )
    options.add_argument(
        '--cfg-options', nargs='+', action=Changes, metavar='KEY=VALUE', help='change entries of the config'
    )
    args = options.parse_args()
    if args.every < 1:
        options.error(f'--every {args.every}: expected a number of frames of at least 1.')
    # what load_config reads besides
    args.launcher, args.work_dir, args.seed, args.deterministic = ('none', None, None, False)
    return args


def build(args: argparse.Namespace) -> Segmenter:
    cfg = load_config(args, ())
    cfg.model.classes = args.classes if os.path.isfile(args.classes) else args.classes.split(';')
    check_config(cfg)
    return Segmenter(cfg, check_device(args.device), args.checkpoint)


def segment_images(files: list[Path], segmenter: Segmenter, out: Path) -> dict:
    load, found = LoadImage(), {}
    for number, file in enumerate(track(files, 'segmenting', transient=True)):
        answer = segmenter(load(dict(img_path=str(file)))['img'])
        draw_labels(answer.picture_hw3, answer.label_hw, segmenter.classes).save(out / f'{number:04d}_{file.stem}.png')
        Image.fromarray(answer.label_hw.astype(np.uint16)).save(out / f'{number:04d}_{file.stem}_labels.png')
        found[str(file)] = dict(zip(segmenter.classes, shares(answer.label_hw, len(segmenter.classes))))
    return found


def segment_video(file: Path, segmenter: Segmenter, out: Path, every: int) -> dict:
    video = mmcv.VideoReader(str(file))
    if not video.opened or len(video) == 0:
        raise InputError(
            f'{file}: OpenCV finds no picture in this video. Convert it to MP4 with H.264, or give a folder of its '
            'frames.'
        )
    found = {}
    with writing(out / f'{file.stem}.mp4', video.fps / every) as write:
        for index in track(range(0, len(video), every), 'segmenting', transient=True):
            frame = video[index]
            if frame is None:  # containers promise more frames than they hold
                break
            answer = segmenter(frame)
            write(overlay(answer.picture_hw3, answer.label_hw, len(segmenter.classes)))
            found[f'{file}, frame {index}'] = dict(
                zip(segmenter.classes, shares(answer.label_hw, len(segmenter.classes)))
            )
    # with the legend
    draw_labels(answer.picture_hw3, answer.label_hw, segmenter.classes).save(out / f'{file.stem}_last.png')
    return found


@contextmanager
def writing(path: Path, rate: float) -> Iterator:
    writer = None

    def write(picture_hw3: np.ndarray) -> None:
        nonlocal writer
        height, width = picture_hw3.shape[:2]
        writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate, (width, height))
        writer.write(picture_hw3[..., ::-1])

    try:
        yield write
    finally:
        if writer:
            writer.release()


def main() -> None:
    args = parse_args()
    with reporting(lambda: f'What is done so far lies in {args.out}.'):
        film = args.input.suffix.lower() in VIDEOS and args.input.is_file()
        files = [args.input] if film else images_at(args.input)
        segmenter = build(args)
        writable_folder(args.out, '--out')
        answers = (
            segment_video(args.input, segmenter, args.out, args.every)
            if film
            else segment_images(files, segmenter, args.out)
        )
        (args.out / 'shares.json').write_text(json.dumps(answers, indent=1))
        for name, share in answers.items() if len(answers) <= 20 else ():
            largest = sorted(share.items(), key=lambda item: -item[1])[:5]
            print(f'{name}: ' + ', '.join(f'{word} {part:.1%}' for word, part in largest if part))
        print(f'Segmented: {len(answers)}; see {args.out}.')


if __name__ == '__main__':
    main()
