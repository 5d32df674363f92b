#!/usr/bin/env python3
"""A race of engines on one file, in turns: medians of the rates, ratios, peak memory.

  race.py MODEL.gguf... [--corvid BIN] [--llama LLAMA_BENCH] [--ik IK_LLAMA_BENCH] [--check]
LLAMA_BENCH and IK_LLAMA_BENCH are the `llama-bench` of llama.cpp and of ik_llama.cpp (which runs
deepseek2 alone, and prefills at depth 0 alone), both built for this machine. The models are
`tests/vectors/random_model.py OUT --preset bench --type f16`, as it is (deepseek32) and with
`--set topk=0` (deepseek2), quantised by `llama-quantize OUT MODEL.gguf Q4_K_M`. Run it on an idle
machine. With --check the exit code is 1 when a ratio is below its bar. A llama.cpp that aborts in
ggml-backend.cpp has put a weight where it cannot multiply it: where there is AMX, build it with
-DCMAKE_CXX_FLAGS=-U__AMX_INT8__.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
IK = ["-mla", "3", "-fa", "1", "-fmoe", "1"]
# What Corvid must reach: (rival, architecture, phase) -> depth -> ratio of medians.
BARS = {
    ("llama.cpp", "deepseek32", "prefill"): {0: 4, 4096: 6, 16384: 15},
    ("llama.cpp", "deepseek32", "decode"): {0: 1.6, 4096: 2.5, 16384: 3.5},
    ("ik_llama.cpp", "deepseek2", "prefill"): {0: 1.1},
    ("ik_llama.cpp", "deepseek2", "decode"): {0: 1.0, 4096: 1.2},
}
BANDWIDTH_SHARE = 0.85  # a decode at this share of the memory's bandwidth passes at any ratio
MEMORY_SHARE = 1.15     # of the peak over the file and the KV cache
TOGETHER = 4            # contexts that decode in one step, and what they must reach over one
TOGETHER_RATIO = 1.5
FAR, NEAR, FAR_RATIO = 65536, 4096, 0.75  # a sparse model's decode far out, over that near by


def run(*command):
    """The command's output and its peak memory in bytes; None if it fails."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    if process.returncode != 0:
        print(f"  failed with {process.returncode}: {' '.join(command)}", file=sys.stderr)
        return None, 0
    return text, usage.ru_maxrss * 1024


def corvid(args, model, depth, contexts=1):
    text, _ = run(args.corvid, "bench", "--model", model, "--threads", str(args.threads),
                  "--prompt", str(args.prompt), "--generate", str(args.generate),
                  "--depth", str(depth), "--contexts", str(contexts), "--repeats", "1", "--json")
    if text is None:
        return {}
    report = json.loads(text)
    bench = report["runs"][0]
    decode = bench["decode_tokens_per_second"]
    moved = bench["decode_weight_bytes_per_token"] + bench["decode_cache_bytes_per_token"]
    return {"prefill": bench["prefill_tokens_per_second"], "decode": decode,
            "memory": report["peak_rss_bytes"], "model": report["model"],
            "kv": bench["kv_bytes"],
            "bandwidth": decode * moved / report["read_bytes_per_second"]}


def rates(*command):
    text, memory = run(*command, "-r", "1", "-o", "json")
    found = {"memory": memory}
    for result in json.loads(text) if text else []:
        found["decode" if result["n_gen"] > 0 else "prefill"] = result["avg_ts"]
    return found


def llama(args, model, depth):
    return rates(args.llama, "-m", model, "-t", str(args.threads), "-d", str(depth),
                 "-p", str(args.prompt), "-n", str(args.generate), *args.llama_options.split())


def ik(args, model, depth):
    common = [args.ik, "-m", model, "-t", str(args.threads), *IK, *args.ik_options.split()]
    found = rates(*common, "-p", str(args.prompt), "-n", "0") if depth == 0 else {"memory": 0}
    ahead = ["-gp", f"{depth},{args.generate}"] if depth > 0 else ["-n", str(args.generate)]
    for repack in ([], ["-rtr", "1"]):  # the better of its two modes
        mode = rates(*common, *repack, "-p", "0", *([] if depth == 0 else ["-n", "0"]), *ahead)
        found["decode"] = max(found.get("decode", 0), mode.get("decode", 0))
        found["memory"] = max(found["memory"], mode["memory"])
    return found


def median(results, phase):
    values = [result[phase] for result in results if result.get(phase)]
    return statistics.median(values) if values else None


def far_out(args, model, near):
    """Corvid alone, once; `near` is its rate at NEAR, if measured. True when the bar was missed."""
    near = near or corvid(args, model, NEAR).get("decode")
    found = corvid(args, model, FAR)
    share = found.get("decode", 0) / near if near else 0
    low = share < FAR_RATIO
    print(f"at depth {FAR}: prefill {found.get('prefill', 0):.1f}, decode "
          f"{found.get('decode', 0):.1f} tokens/s, {share:.2f} of the rate at depth {NEAR} "
          f"(bar {FAR_RATIO}{', MISSED' if low else ''})")
    return low


def race(args, model, engines):
    """Prints a table; returns how many bars were missed."""
    name = pathlib.Path(model).name
    results = {(engine, depth): [] for engine in engines for depth in args.depths}
    together = []
    for turn in range(args.turns):
        if args.depths[0] == 0:
            together.append(corvid(args, model, 0, TOGETHER))
        for depth in args.depths:
            for engine, measure in engines.items():
                results[engine, depth].append(measure(args, model, depth))
                print(f"  {name}, turn {turn + 1} of {args.turns}, depth {depth}: {engine}",
                      file=sys.stderr)
    described = [r["model"] for d in args.depths for r in results["corvid", d] if "model" in r]
    if not described:
        print(f"{name}: Corvid did not run")
        return 1
    architecture = described[0].split()[0]
    print(f"\n{name}: {described[0]}; prompt {args.prompt}, generate {args.generate}, "
          f"medians of {args.turns} turns")
    print(f"{'phase':8} {'depth':>6}  " + "  ".join(f"{engine:>12}" for engine in engines) +
          "  ratio, bar")
    missed = 0
    for phase in ("prefill", "decode"):
        for depth in args.depths:
            own = median(results["corvid", depth], phase)
            cells, ratios = [], []
            for engine in engines:
                value = median(results[engine, depth], phase)
                cells.append(f"{value:12.1f}" if value else f"{'-':>12}")
                if engine == "corvid" or not value or not own:
                    continue
                bar = BARS.get((engine, architecture, phase), {}).get(depth)
                bound = median(results["corvid", depth], "bandwidth") if phase == "decode" else None
                low = bar is not None and own / value < bar and (bound or 0) < BANDWIDTH_SHARE
                missed += low
                ratios.append(f"{own / value:.2f} of {engine}" +
                              (f" (bar {bar}{', MISSED' if low else ''})" if bar else ""))
            print(f"{phase:8} {depth:6}  {'  '.join(cells)}  {'; '.join(ratios)}")
    all_of_them = median(together, "decode")
    if all_of_them:
        one = median(results["corvid", 0], "decode")
        low = (all_of_them / one < TOGETHER_RATIO and
               median(together, "bandwidth") < BANDWIDTH_SHARE)
        missed += low
        print(f"{TOGETHER} contexts decode {all_of_them:.1f} tokens/s together, "
              f"{all_of_them / one:.2f} of one (bar {TOGETHER_RATIO}{', MISSED' if low else ''})")
    if architecture == "deepseek32" and args.far:
        missed += far_out(args, model, median(results.get(("corvid", NEAR), []), "decode"))
    size = os.path.getsize(model)
    for engine in engines:
        peak = max((r.get("memory", 0) for d in args.depths for r in results[engine, d]), default=0)
        print(f"peak memory of {engine}: {peak / 1e9:.2f} GB, {peak / size:.2f} of the file")
        if engine == "corvid":
            kv = max(r.get("kv", 0) for d in args.depths for r in results[engine, d])
            over = peak > MEMORY_SHARE * (size + kv)
            missed += over
            print(f"  {peak / (size + kv):.2f} of the file and its KV state of {kv / 1e6:.0f} MB "
                  f"(bar {MEMORY_SHARE}{', MISSED' if over else ''})")
    for depth in args.depths:
        share = median(results["corvid", depth], "bandwidth")
        if share:
            print(f"corvid decodes at {100 * share:.0f}% of the rate at which this machine reads "
                  f"as many bytes again and again, at depth {depth}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--corvid", default=str(ROOT / "build/release/corvid"))
    parser.add_argument("--llama", help="llama.cpp's llama-bench")
    parser.add_argument("--ik", help="ik_llama.cpp's llama-bench; skipped for deepseek32")
    parser.add_argument("--llama-options", default="", help="more of its options, as one string")
    parser.add_argument("--ik-options", default="", help=f"besides {' '.join(IK)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=32)
    parser.add_argument("--depths", default="0,4096,16384",
                        type=lambda text: [int(depth) for depth in text.split(",")])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--far", action=argparse.BooleanOptionalAction, default=True,
                        help=f"also Corvid alone at depth {FAR}, which takes minutes")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    missed = 0
    for model in args.models:
        with open(model, "rb") as file:
            sparse = b"deepseek32.block_count" in file.read(1 << 16)
        engines = {"corvid": corvid}
        if args.llama:
            engines["llama.cpp"] = llama
        if args.ik and not sparse:
            engines["ik_llama.cpp"] = ik
        missed += race(args, model, engines)
    print(f"\n{missed} bars missed" if args.check else "")
    return 1 if args.check and missed else 0


sys.exit(main())
