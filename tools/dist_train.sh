#!/usr/bin/env bash
# bash tools/dist_train.sh CONFIG PROCESSES [options of train.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT, as in OpenMMLab. One node without PORT takes a free one.
set -euo pipefail
if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
    meet=(--standalone)
else
    meet=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi
exec torchrun "${meet[@]}" --nproc_per_node="$2" "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"
