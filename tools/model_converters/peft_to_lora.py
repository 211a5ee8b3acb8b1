"""Take over a LoRA that the peft library trained on a timm host: a state for tools/test.py, tools/infer.py and
`load_from`.

    python tools/model_converters/peft_to_lora.py configs/peft/tiny_lora_digits.py lora_peft lora_state

CONFIG says host, data, head and a LoRA with room for the file; where it has none, the message says which LoRA it
needs.
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
    options.add_argument('peft', type=Path, help='folder with adapter_config.json and adapter_model.safetensors')
    options.add_argument('out', type=Path, help='folder of the state to write')
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

from mmsparse.apis.adapted import build_classifier
from mmsparse.config.read import read_config
from mmsparse.convert.peft_format import from_peft
from mmsparse.datasets.checked_load import refuse_irregular
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.models.hosts.weight_files import read_tensors
from mmsparse.state.card import describe
from mmsparse.state.files import write_state
from mmsparse.state.saved_tensors import adapter_tensors


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        card, file = args.peft / 'adapter_config.json', args.peft / 'adapter_model.safetensors'
        try:
            refuse_irregular(card)  # a pipe would be waited for, a device read for ever
            config = json.loads(card.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{card}: cannot be read ({type(error).__name__}: {error}). Expected the folder that peft's "
                'save_pretrained wrote.'
            ) from error
        cfg = read_config(args.config, args.cfg_options)
        model = build_classifier(cfg)
        from_peft(config, read_tensors(str(file)), model, str(args.peft))
        tensors = adapter_tensors(model)
        write_state(args.out, tensors, describe(model, digest(tensors), cfg.to_dict(), None, {}, 0, 0))
        print(f'{args.out}: {sum(value.numel() for value in tensors.values()):,} numbers.')


if __name__ == '__main__':
    main()
