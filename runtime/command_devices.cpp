// corvid devices: what can run a model here.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <thread>

#include "model/compute/cpu/kernels.h"
#include "model/compute/vulkan/devices.h"
#include "runtime/commands.h"

namespace corvid::runtime {
namespace {

std::string features(const model::DeviceInfo& device) {
  if (!device.problem.empty()) return "cannot run a model: " + device.problem;
  std::string text = "subgroups of " + std::to_string(device.subgroup_min);
  if (device.subgroup_max != device.subgroup_min) {
    text += " to " + std::to_string(device.subgroup_max);
  }
  std::string used;
  for (int size : device.subgroup_sizes) used += (used.empty() ? "" : ", ") + std::to_string(size);
  text += used.empty() ? " (not used)" : " (kernels for " + used + ")";
  if (!device.integer_dot) return text;
  text += ", integer dot products";
  if (!device.fast_integer_dot) return text + " (not in hardware: not used)";
  return text;
}

void print_devices() {
  const auto kernels = std::string(model::choose_kernels("auto").name);
  const double memory = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
  std::printf("%-9s  %s, %u threads, %.1f GB\n", "cpu", kernels.c_str(),
              std::thread::hardware_concurrency(), memory / 1e9);
  const model::DeviceList list = model::list_devices();
  for (const model::DeviceInfo& device : list.devices) {
    std::printf("vulkan:%-2d  %s (%s), %.1f GB, %.1f GB free, %s\n           %s\n", device.index,
                device.name.c_str(), model::kind_name(device.kind),
                static_cast<double>(device.memory_bytes) / 1e9,
                static_cast<double>(device.free_bytes) / 1e9, features(device).c_str(),
                device.driver.c_str());
  }
  if (!list.problem.empty()) std::printf("vulkan     none: %s\n", list.problem.c_str());
}

}  // namespace

void add_devices_command(CLI::App& app) {
  app.add_subcommand("devices", "List what can run a model on this machine")
      ->callback(print_devices);
}

}  // namespace corvid::runtime
