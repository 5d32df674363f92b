#!/usr/bin/env python3
"""Makes a shallower net into one of CONFIG's depth: copies of layers that add nothing yet, for training to put to use.

  grow.py nano.gguf OUT.pt --after 2 4

After each of those layers of the old net comes a copy of it whose output matrices are zero, so that the grown net computes
what the old one did. (Wu et al. 2024, "LLaMA Pro", block expansion.)
"""
import argparse

import torch

import export


def main():
  a = argparse.ArgumentParser()
  a.add_argument("old")
  a.add_argument("out")
  a.add_argument("--after", type=int, nargs="+", required=True)
  o = a.parse_args()
  old = export.load(o.old)
  layers = 1 + max(int(k.split(".")[0]) for k in old if k[0].isdigit())
  grown, at = {k: v for k, v in old.items() if not k[0].isdigit()}, 0
  for i in range(layers):
    for copy in [False] + [True] * o.after.count(i):
      for k, v in old.items():
        if k.startswith(f"{i}."):
          name = k.split(".")[1]
          grown[f"{at}.{name}"] = torch.zeros_like(v) if copy and name in ("o", "w2", "e2", "s2") else v.clone()
      at += 1
  torch.save({"p": grown, "step": 0}, o.out)
  print(f"{layers} layers -> {at}")


if __name__ == "__main__":
  main()
