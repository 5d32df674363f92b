#!/usr/bin/python3
"""Makes the random models that the tests run: make_models.py FOLDER. One per logits-*.json here."""
import glob
import hashlib
import json
import os
import subprocess
import sys

import encode_blocks

here = os.path.dirname(os.path.abspath(__file__))
os.makedirs(sys.argv[1], exist_ok=True)
for path in sorted(glob.glob(os.path.join(here, "logits-*.json"))):
    vector = json.load(open(path))
    out = os.path.join(sys.argv[1], os.path.basename(path).replace(".json", ".gguf"))
    maker = os.path.join(here, "random_model.py")
    subprocess.run([sys.executable, maker, out, *vector["make_model"].split()], check=True)
    wanted = vector.get("model_sha256")
    if wanted and hashlib.sha256(open(out, "rb").read()).hexdigest() != wanted:
        sys.exit(f"{out}: this numpy draws other numbers than the one that made {path}")
# The types that the fast path computes; and a file as they were before kv_b was split.
fast = {kind: ["--type", kind] for kind in ("f16", "bf16", *encode_blocks.TYPES)}
fast["kv_b"] = ["--type", "q5_0", "--set", "kvb=1"]
fast["sparse"] = ["--type", "q8_0", "--set", "topk=16"]
for name, options in fast.items():
    out = os.path.join(sys.argv[1], f"tiny-{name}.gguf")
    # All experts and all tokens are used: a choice that flips would hide what is compared.
    subprocess.run([sys.executable, os.path.join(here, "random_model.py"), out, "--preset", "tiny",
                    "--seed", "3", "--set", "used=8", "--set", "topk=4096", "--set", "q_lora=256",
                    "--set", "layers=3", *options], check=True)
