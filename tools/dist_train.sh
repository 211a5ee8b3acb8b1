#!/usr/bin/env bash
# bash tools/dist_train.sh CONFIG PROCESSES [options of train.py]
# Several nodes: NNODES, NODE_RANK, MASTER_ADDR and PORT, as in OpenMMLab. One node without PORT takes a free one.
set -euo pipefail
refuse() { echo "dist_train.sh: error: $1" >&2; exit 2; }
[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || refuse "received '${2:-}' as the number of processes, expected: bash tools/dist_train.sh CONFIG PROCESSES [options of train.py]."
if [[ -n ${PORT:-} && ${NODE_RANK:-0} == 0 ]] && (: >"/dev/tcp/${MASTER_ADDR:-127.0.0.1}/$PORT") 2>/dev/null; then
    refuse "PORT $PORT: another process has it. Set PORT to a free one, or leave it out for one node."
fi
if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
    meet=(--standalone)
else
    meet=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi
exec torchrun "${meet[@]}" --nproc_per_node="$2" "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"
