// corvid bench: prefill and decode rates of a model at several depths, and the machine's limits.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "model/compute/cpu/limits.h"
#include "model/engine.h"
#include "model/files/gguf.h"
#include "runtime/commands.h"
#include "runtime/error.h"
#include "runtime/gpu_flags.h"

namespace corvid::runtime {
namespace {

struct BenchOptions {
  std::string model;
  model::EngineOptions engine;
  int prompt = 512, generate = 32, repeats = 3;
  int contexts = 1;
  std::vector<int> depths = {0};
  bool json = false, count = false;
};

// Rates are medians over the repeats; bytes and operations are per token.
struct BenchRun {
  int depth = 0;
  double prefill_rate = 0, decode_rate = 0;
  double weight_bytes = 0, cache_bytes = 0;  // of a decoded token
  double operations = 0, prefill_bytes = 0;  // of a prefilled token; of weights
  double kv_bytes = 0;                       // of all contexts at the end
  model::Traffic decoded;                    // in all decoded tokens
  double decoded_tokens = 0;
};

struct Limits {
  double read_bandwidth = 0, multiply_peak = 0;
};

struct BenchReport {
  std::vector<BenchRun> runs;
  Limits limits;
  double load_seconds = 0, peak_rss_bytes = 0;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Any tokens do: the cost does not depend on them, but for the experts that they choose.
std::vector<model::Token> some_tokens(int n, int vocab, std::uint32_t seed) {
  std::vector<model::Token> tokens(n);
  for (model::Token& token : tokens) {
    seed = seed * 1664525 + 1013904223;
    token = static_cast<model::Token>((seed >> 8) % vocab);
  }
  return tokens;
}

constexpr model::Draw kGreedy;

void prefill(model::Engine& engine, model::Context& context, int n, std::uint32_t seed) {
  const std::vector<model::Token> tokens = some_tokens(n, engine.vocab_size(), seed);
  const std::size_t chunk = engine.max_batch_tokens();
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const std::size_t size = std::min(chunk, tokens.size() - at);
    const bool last = at + size == tokens.size();
    const model::Work work{&context, std::span(tokens).subspan(at, size),
                           last ? model::Rows::last : model::Rows::none, last ? &kGreedy : nullptr};
    engine.step({&work, 1});
  }
}

// Decodes greedily in all contexts at once, so that the experts are those that the model chooses.
double decode_seconds(model::Engine& engine,
                      const std::vector<std::unique_ptr<model::Context>>& contexts, int n) {
  std::vector<model::Token> next(contexts.size());
  const auto start = Clock::now();
  for (int i = 0; i < n; ++i) {
    std::vector<model::Work> work;
    for (std::size_t c = 0; c < contexts.size(); ++c) {
      next[c] = contexts[c]->drawn();
      work.push_back({contexts[c].get(), {&next[c], 1}, model::Rows::last, &kGreedy});
    }
    engine.step(work);
  }
  return seconds_since(start);
}

BenchRun bench_depth(model::Engine& engine, const BenchOptions& options, int depth) {
  const auto base = engine.new_context();
  if (depth > 0) prefill(engine, *base, depth, 1);
  std::vector<double> prefill_rates, decode_rates;
  BenchRun run{.depth = depth};
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    std::vector<std::unique_ptr<model::Context>> contexts;
    for (int c = 0; c < options.contexts; ++c) {
      contexts.push_back(base->fork());
      const model::Traffic before = engine.traffic();
      const auto start = Clock::now();
      prefill(engine, *contexts.back(), options.prompt, 2 + repeat + 100 * c);
      prefill_rates.push_back(options.prompt / seconds_since(start));
      const model::Traffic after = engine.traffic();
      run.operations = double(after.operations - before.operations) / options.prompt;
      run.prefill_bytes = double(after.weight_bytes - before.weight_bytes) / options.prompt;
    }
    if (options.generate == 0) continue;
    decode_seconds(engine, contexts, 1);  // warm
    const model::Traffic before = engine.traffic();
    const double seconds = decode_seconds(engine, contexts, options.generate);
    const model::Traffic after = engine.traffic();
    const double tokens = double(options.generate) * options.contexts;
    decode_rates.push_back(tokens / seconds);
    run.kv_bytes = double(base->kv_bytes());
    for (const auto& context : contexts) {  // what they share with the base counts once
      run.kv_bytes += double(context->kv_bytes() - base->kv_bytes());
    }
    run.weight_bytes = double(after.weight_bytes - before.weight_bytes) / tokens;
    run.cache_bytes = double(after.cache_bytes - before.cache_bytes) / tokens;
    run.decoded = {.weight_bytes = after.weight_bytes - before.weight_bytes,
                   .cache_bytes = after.cache_bytes - before.cache_bytes,
                   .activation_bytes = after.activation_bytes - before.activation_bytes,
                   .ideal_bytes = after.ideal_bytes - before.ideal_bytes,
                   .dispatches = after.dispatches - before.dispatches,
                   .barriers = after.barriers - before.barriers,
                   .copies = after.copies - before.copies,
                   .submissions = after.submissions - before.submissions,
                   .recordings = after.recordings - before.recordings,
                   .bus_up_bytes = after.bus_up_bytes - before.bus_up_bytes,
                   .bus_down_bytes = after.bus_down_bytes - before.bus_down_bytes};
    run.decoded_tokens = tokens;
  }
  run.prefill_rate = median(prefill_rates);
  if (!decode_rates.empty()) run.decode_rate = median(decode_rates);
  return run;
}

Limits measure_limits(const BenchOptions& options, std::span<const BenchRun> runs) {
  const int cores = std::max(1u, std::thread::hardware_concurrency());
  const int threads = options.engine.threads > 0 ? options.engine.threads : cores;
  double step_bytes = 0;  // that one step of decoding reads
  for (const BenchRun& run : runs) {
    step_bytes = std::max(step_bytes, (run.weight_bytes + run.cache_bytes) * options.contexts);
  }
  constexpr double kLeast = 1 << 24, kMost = 1 << 30;
  const model::Kernels& kernels = model::choose_kernels(options.engine.kernels);
  const auto bytes = static_cast<std::size_t>(std::clamp(step_bytes, kLeast, kMost));
  return {model::measure_read_bandwidth(kernels, threads, bytes),
          model::measure_multiply_peak(kernels, model::Type::q8_0, threads)};
}

double peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return double(usage.ru_maxrss);
#else
  return usage.ru_maxrss * 1024.0;
#endif
}

void print_run(const BenchRun& run, const Limits& limits) {
  const double bytes = run.weight_bytes + run.cache_bytes;
  std::printf("%8d  %10.1f  %9.1f  %9.1f MB  %7.0f%%  %9.2f GOP  %7.0f%%\n", run.depth,
              run.prefill_rate, run.decode_rate, bytes / 1e6,
              100 * bytes * run.decode_rate / limits.read_bandwidth, run.operations / 1e9,
              100 * run.operations * run.prefill_rate / limits.multiply_peak);
}

// Of a GPU: what a decoded token takes; commands are counted from what was recorded, bytes by the
// formula that the tests hold against kernels that count.
void print_counts(const BenchReport& report) {
  std::printf("%8s  %10s  %8s  %6s  %11s  %10s  %10s  %10s\n", "depth", "dispatches", "barriers",
              "copies", "submissions", "recordings", "bus up", "bus down");
  for (const BenchRun& run : report.runs) {
    const auto each = [&](std::int64_t n) { return double(n) / run.decoded_tokens; };
    std::printf("%8d  %10.2f  %8.2f  %6.2f  %11.2f  %10.2f  %8.1f B  %8.1f B\n", run.depth,
                each(run.decoded.dispatches), each(run.decoded.barriers), each(run.decoded.copies),
                each(run.decoded.submissions), each(run.decoded.recordings),
                each(run.decoded.bus_up_bytes), each(run.decoded.bus_down_bytes));
  }
  std::printf("%8s  %12s  %12s  %12s  %12s  %12s  %8s  %14s\n", "depth", "weights", "cache",
              "activations", "all bytes", "ideal", "of ideal", "prefill reads");
  for (const BenchRun& run : report.runs) {
    const model::Traffic& t = run.decoded;
    const auto each = [&](std::int64_t n) { return double(n) / run.decoded_tokens / 1e6; };
    const std::int64_t all = t.weight_bytes + t.cache_bytes + t.activation_bytes;
    std::printf("%8d  %9.3f MB  %9.3f MB  %9.3f MB  %9.3f MB  %9.3f MB  %8.3f  %11.3f MB\n",
                run.depth, each(t.weight_bytes), each(t.cache_bytes), each(t.activation_bytes),
                each(all), each(t.ideal_bytes),
                t.ideal_bytes > 0 ? double(all) / double(t.ideal_bytes) : 0,
                run.prefill_bytes / 1e6);
  }
}

// Per decoded token.
nlohmann::ordered_json counts_of(const BenchRun& run) {
  const model::Traffic& t = run.decoded;
  const auto each = [&](std::int64_t n) { return double(n) / run.decoded_tokens; };
  return {{"dispatches", each(t.dispatches)},
          {"barriers", each(t.barriers)},
          {"copies", each(t.copies)},
          {"submissions", each(t.submissions)},
          {"recordings", each(t.recordings)},
          {"bus_up_bytes", each(t.bus_up_bytes)},
          {"bus_down_bytes", each(t.bus_down_bytes)},
          {"weight_bytes", each(t.weight_bytes)},
          {"cache_bytes", each(t.cache_bytes)},
          {"activation_bytes", each(t.activation_bytes)},
          {"ideal_bytes", each(t.ideal_bytes)},
          {"prefill_weight_bytes", run.prefill_bytes}};
}

nlohmann::ordered_json to_json(const BenchRun& run) {
  return {{"depth", run.depth},
          {"prefill_tokens_per_second", run.prefill_rate},
          {"decode_tokens_per_second", run.decode_rate},
          {"decode_weight_bytes_per_token", run.weight_bytes},
          {"decode_cache_bytes_per_token", run.cache_bytes},
          {"prefill_operations_per_token", run.operations},
          {"kv_bytes", run.kv_bytes}};
}

void print_table(const model::Engine& engine, const BenchReport& report) {
  const Limits& limits = report.limits;
  std::printf("%s, loaded in %.2f s, peak memory %.1f MB\n", engine.description().c_str(),
              report.load_seconds, report.peak_rss_bytes / 1e6);
  std::printf("limits: reads %.1f GB/s, int8 GEMM %.0f GOP/s\n", limits.read_bandwidth / 1e9,
              limits.multiply_peak / 1e9);
  std::printf("%8s  %10s  %9s  %12s  %8s  %13s  %8s\n", "depth", "prefill/s", "decode/s",
              "read/token", "of reads", "work/token", "of GEMM");
  for (const BenchRun& run : report.runs) print_run(run, limits);
}

void print_json(const model::Engine& engine, const BenchOptions& options,
                const BenchReport& report) {
  nlohmann::ordered_json out = {{"model", engine.description()},
                                {"load_seconds", report.load_seconds},
                                {"contexts", options.contexts},
                                {"prompt", options.prompt},
                                {"generate", options.generate},
                                {"read_bytes_per_second", report.limits.read_bandwidth},
                                {"gemm_operations_per_second", report.limits.multiply_peak},
                                {"peak_rss_bytes", report.peak_rss_bytes}};
  for (const BenchRun& run : report.runs) {
    out["runs"].push_back(to_json(run));
    if (options.count) out["runs"].back()["counts"] = counts_of(run);
  }
  std::puts(out.dump().c_str());
}

void bench(const BenchOptions& options) {
  if (options.count && options.generate == 0) {
    throw CLI::ValidationError("--count", "is per decoded token: --generate 1 or more");
  }
  BenchReport report;
  const auto start = Clock::now();
  const auto engine = model::Engine::load(model::GgufFile::open(options.model), options.engine);
  report.load_seconds = seconds_since(start);
  for (int depth : options.depths) report.runs.push_back(bench_depth(*engine, options, depth));
  report.peak_rss_bytes = peak_rss_bytes();  // before the limits take memory of their own
  report.limits = measure_limits(options, report.runs);
  if (options.json) print_json(*engine, options, report);
  if (!options.json) print_table(*engine, report);
  if (!options.json && options.count) print_counts(report);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand(
      "bench", "Measure a model's prefill and decode rates against the machine's limits");
  command->add_option("--model", options->model, "A GGUF file")->required()->type_name("FILE");
  command
      ->add_option("--backend", options->engine.backend,
                   "auto, cpu, vulkan or vulkan:N (see corvid devices)")
      ->capture_default_str();
  add_gpu_flags(*command, options->engine.gpu);
  command->add_option("--threads", options->engine.threads, "Compute threads (0: one per core)")
      ->check(CLI::Range(0, 1024));
  command->add_option("--kernels", options->engine.kernels,
                      "auto, scalar, avx2, avxvnni, avx512, amx");
  constexpr int kMostTokens = 1 << 24;
  command->add_option("--prompt", options->prompt, "Tokens to prefill")
      ->capture_default_str()
      ->check(CLI::Range(1, kMostTokens));
  command->add_option("--generate", options->generate, "Tokens to decode")
      ->capture_default_str()
      ->check(CLI::Range(0, kMostTokens));
  command->add_option("--depth", options->depths, "Tokens already in the context")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(0, kMostTokens));
  command->add_option("--contexts", options->contexts, "Contexts that decode together")
      ->capture_default_str()
      ->check(CLI::Range(1, 512));
  command->add_option("--repeats", options->repeats, "Runs per depth; the median counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag(
      "--count", options->count,
      "Of a GPU: dispatches, barriers, copies, submissions and bytes per decoded token");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->callback([options] { bench(*options); });
}

}  // namespace corvid::runtime
