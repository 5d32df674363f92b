#!/usr/bin/python3
"""How far the engine's fast path is from an f32 evaluation of the same file, over random tokens.

  divergence.py CORVID MODEL.gguf... [--tokens N] [--kernels NAME] [--rival COMMAND]
Prints the mean Kullback-Leibler divergence of each model's next-token distributions. COMMAND, if
given, is run as COMMAND MODEL IDS OUT and writes another engine's logits, raw f32 [tokens, vocab].
"""
import argparse
import os
import random
import shlex
import subprocess
import sys
import tempfile

import numpy as np


def log_softmax(path, tokens):
    x = np.fromfile(path, np.float32).reshape(tokens, -1).astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("corvid")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--vocab", type=int, default=512, help="random tokens are below this")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--rival")
    args = parser.parse_args()
    draw = random.Random(3)
    with tempfile.TemporaryDirectory() as folder:
        ids, out = os.path.join(folder, "ids"), os.path.join(folder, "out")
        with open(ids, "w", encoding="ascii") as file:
            file.write(" ".join(str(draw.randrange(args.vocab)) for _ in range(args.tokens)))

        def logits(*command):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return log_softmax(out, args.tokens)

        for model in args.models:
            own = [args.corvid, "logits", "--model", model, "--tokens", ids, "--out", out,
                   "--kernels", args.kernels]
            exact = logits(*own, "--exact")
            others = {"fast": logits(*own)}
            if args.rival:
                others["rival"] = logits(*shlex.split(args.rival), model, ids, out)
            found = "  ".join(f"{name} {(np.exp(exact) * (exact - q)).sum(-1).mean():.2e}"
                              for name, q in others.items())
            print(f"{os.path.basename(model):32} {found}")


sys.exit(main())
