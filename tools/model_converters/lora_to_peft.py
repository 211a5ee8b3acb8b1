"""Write a LoRA on a timm host in the format of the peft library.

    python tools/model_converters/lora_to_peft.py configs/peft/tiny_lora_digits.py work_dirs/tiny_lora_digits/epoch_10
    lora_peft

``peft.PeftModel.from_pretrained(timm.create_model(NAME, num_classes=CLASSES), 'lora_peft')`` then answers as the model
without its sparsifier.
"""

import argparse
import json
from pathlib import Path

from mmsparse.cli.options import Changes, parse
from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('config')
    options.add_argument('adapter', help='folder of a state, or the adapter.safetensors in it')
    options.add_argument('out', type=Path, help='folder to write')
    options.add_argument(
        '--cfg-options',
        nargs='+',
        action=Changes,
        metavar='KEY=VALUE',
        help='change entries of the config: a.b=1 c="[1,2]"',
    )
    return parse(options)


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from safetensors.torch import save_file

from mmsparse.apis.adapted import adapted
from mmsparse.config.read import read_config
from mmsparse.convert.peft_format import to_peft


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        if args.out.exists() and not args.out.is_dir():
            raise InputError(f'{args.out}: is a file. Name a folder to write.')
        config, tensors = to_peft(adapted(read_config(args.config, args.cfg_options), args.adapter))
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / 'adapter_config.json').write_text(json.dumps(config, indent=2))
        save_file(tensors, args.out / 'adapter_model.safetensors')
        print(f'{args.out}: rank {config["r"]}, alpha {config["lora_alpha"]}, {len(tensors)} tensors.')


if __name__ == '__main__':
    main()
