#!/usr/bin/python3
"""How far the engine's fast path is from an f32 evaluation of the same file, over random tokens or,
with --ids, over those of a text (`corvid tokenize`, `corvid render --ids`).

  divergence.py CORVID MODEL.gguf... [--tokens N | --ids FILE] [--kernels NAME] [--rival COMMAND]
                [--check]
Prints the mean Kullback-Leibler divergence of each model's next-token distributions. COMMAND, if
given, is run as COMMAND MODEL IDS OUT and writes another engine's logits, raw f32 [tokens, vocab];
llama_logits.cpp is one for llama.cpp. With --check the exit code is 1 when a divergence is above
1e-3 or above the rival's.

The weights of a random model make a choice of experts or tokens that falls the other way weigh far
more than rounding does, in any engine, so the models to compare on use all of theirs:
  tests/vectors/random_model.py all.gguf --type f16 --set used=8 --set topk=4096 --set q_lora=256
  llama-quantize all.gguf all-q4.gguf Q4_K_M
"""
import argparse
import os
import random
import shlex
import subprocess
import sys
import tempfile

import numpy as np

BAR = 1e-3


def log_softmax(path, tokens):
    x = np.fromfile(path, np.float32).reshape(tokens, -1).astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("corvid")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--ids", help="a file of token ids, for a model that understands them")
    parser.add_argument("--vocab", type=int, default=512, help="random tokens are below this")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--rival")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    draw = random.Random(3)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        ids, out = os.path.join(folder, "ids"), os.path.join(folder, "out")
        tokens = [draw.randrange(args.vocab) for _ in range(args.tokens)]
        if args.ids:
            with open(args.ids, encoding="ascii") as file:
                tokens = file.read().replace(",", " ").split()
        with open(ids, "w", encoding="ascii") as file:
            file.write(" ".join(map(str, tokens)))

        def logits(*command):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return log_softmax(out, len(tokens))

        for model in args.models:
            own = [args.corvid, "logits", "--model", model, "--tokens", ids, "--out", out,
                   "--kernels", args.kernels]
            exact = logits(*own, "--exact")
            others = {"fast": logits(*own)}
            if args.rival:
                others["rival"] = logits(*shlex.split(args.rival), model, ids, out)
            found = {name: (np.exp(exact) * (exact - q)).sum(-1).mean()
                     for name, q in others.items()}
            low = found["fast"] > min(BAR, found.get("rival", BAR))
            missed += low
            print(f"{os.path.basename(model):32} " +
                  "  ".join(f"{name} {value:.2e}" for name, value in found.items()) +
                  ("  MISSED" if low and args.check else ""), flush=True)
    return 1 if args.check and missed else 0


sys.exit(main())
