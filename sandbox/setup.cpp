#include "sandbox/setup.h"

namespace corvid::sandbox {
namespace {

std::vector<std::string> texts(const std::vector<std::filesystem::path>& paths) {
  return {paths.begin(), paths.end()};
}

std::vector<std::filesystem::path> take_paths(wire::Fields& fields) {
  const std::vector<std::string> found = fields.take_texts();
  return {found.begin(), found.end()};
}

}  // namespace

wire::Fields encode(const Setup& setup) {
  const Policy& policy = setup.policy;
  wire::Fields fields;
  fields.put(policy.mode == Policy::Mode::on).put(policy.workspace.string());
  fields.put(texts(policy.writable)).put(texts(policy.secrets)).put(texts(policy.readable));
  fields.put(texts(policy.frozen));
  fields.put(policy.network).put(policy.proxy);
  const Limits& limits = policy.limits;
  fields.put(limits.memory_bytes).put(limits.file_bytes).put(limits.tmp_bytes);
  fields.put(limits.processes).put(limits.open_files);
  fields.put(setup.skip).put(setup.git_config);
  return fields;
}

Setup decode_setup(wire::Fields& fields) {
  Setup setup;
  Policy& policy = setup.policy;
  policy.mode = fields.take_number() ? Policy::Mode::on : Policy::Mode::off;
  policy.workspace = fields.take_text();
  policy.writable = take_paths(fields);
  policy.secrets = take_paths(fields);
  policy.readable = take_paths(fields);
  policy.frozen = take_paths(fields);
  policy.network = fields.take_number() != 0;
  policy.proxy = fields.take_number() != 0;
  Limits& limits = policy.limits;
  limits.memory_bytes = fields.take_number();
  limits.file_bytes = fields.take_number();
  limits.tmp_bytes = fields.take_number();
  limits.processes = static_cast<int>(fields.take_number());
  limits.open_files = static_cast<int>(fields.take_number());
  setup.skip = fields.take_texts();
  setup.git_config = fields.take_text();
  return setup;
}

}  // namespace corvid::sandbox
