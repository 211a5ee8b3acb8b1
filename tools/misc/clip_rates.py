"""Compare what a config's training pipeline takes for a clip with what its training step takes for one.

python tools/misc/clip_rates.py configs/video/k400_sparse_tuning.py --video CLIP.mp4 --repeats 10

Seconds of processor time of one process, with host weights drawn at random: a worker makes clips while the step runs.
"""

import argparse
import time
from pathlib import Path

from mmsparse.cli.reporting import reporting


def seconds(call, repeats: int) -> float:
    call()
    start = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - start) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=Path)
    parser.add_argument('--video', type=Path, required=True, help='a video such as those that are trained on')
    parser.add_argument('--repeats', type=int, default=10, help='clips to read (default: 10); a third as many steps')
    parser.add_argument('--batch', type=int, default=1, help='clips per step (default: 1)')
    args = parser.parse_args()
    with reporting(lambda: 'Nothing was saved.'):
        from mmcv.transforms import Compose
        from mmengine.optim import build_optim_wrapper
        from mmengine.registry import MODELS, TRANSFORMS, DefaultScope

        from mmsparse.config.read import read_config

        cfg = read_config(args.config)
        cfg.model.backbone.host.checkpoint = False
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            read = Compose([TRANSFORMS.build(step) for step in cfg.train_dataloader.dataset.pipeline])
            model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).train()
            wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        clip = read(dict(video_path=str(args.video), gt_label=0))
        batch = dict(inputs=[clip['inputs']] * args.batch, data_samples=[clip['data_samples']] * args.batch)
        load = seconds(lambda: read(dict(video_path=str(args.video), gt_label=0)), args.repeats)
        step = seconds(lambda: model.train_step(batch, wrapper), max(1, args.repeats // 3)) / args.batch
        print(f'{args.config.stem}: reading {load * 1e3:.0f} ms, training {step * 1e3:.0f} ms: {step / load:.1f} ×')


if __name__ == '__main__':
    main()
