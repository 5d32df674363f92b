#include "model/compute/vulkan/pipeline_cache.h"

#include <unistd.h>
#include <xxhash.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

namespace corvid::model {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMagic = 0x4B505643, kVersion = 1;  // "CVPK"
constexpr std::uintmax_t kMostBytes = 256 << 20;

struct Header {
  std::uint32_t magic = kMagic, version = kVersion;
  std::uint64_t kernels = 0, size = 0, checksum = 0;
};

// Source: Vulkan specification, VkPipelineCacheHeaderVersionOne.
bool is_from(const VkPhysicalDeviceProperties& device, std::span<const std::byte> data) {
  VkPipelineCacheHeaderVersionOne header;
  if (data.size() < sizeof header) return false;
  std::memcpy(&header, data.data(), sizeof header);
  return header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
         header.vendorID == device.vendorID && header.deviceID == device.deviceID &&
         std::memcmp(header.pipelineCacheUUID, device.pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

std::string file_name(const VkPhysicalDeviceProperties& device) {
  char name[96];
  const std::uint64_t driver = XXH3_64bits(device.pipelineCacheUUID, VK_UUID_SIZE);
  std::snprintf(name, sizeof name, "kernels-%04x-%04x-%016llx.bin", device.vendorID,
                device.deviceID, static_cast<unsigned long long>(driver));
  return name;
}

}  // namespace

PipelineCacheFile::PipelineCacheFile(const fs::path& folder,
                                     const VkPhysicalDeviceProperties& device,
                                     std::uint64_t kernels)
    : path_(folder.empty() ? fs::path() : folder / file_name(device)),
      device_(device),
      kernels_(kernels) {}

std::vector<std::byte> PipelineCacheFile::read() const {
  std::error_code error;
  const std::uintmax_t bytes = path_.empty() ? 0 : fs::file_size(path_, error);
  if (error || bytes < sizeof(Header) || bytes > kMostBytes) return {};
  Header header;
  std::vector<std::byte> data(bytes - sizeof header);
  std::ifstream in(path_, std::ios::binary);
  in.read(reinterpret_cast<char*>(&header), sizeof header);
  in.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size()));
  const bool whole = in && header.magic == kMagic && header.version == kVersion &&
                     header.size == data.size() &&
                     header.checksum == XXH3_64bits(data.data(), data.size());
  if (!whole || header.kernels != kernels_ || !is_from(device_, data)) return {};
  return data;
}

bool PipelineCacheFile::write(std::span<const std::byte> data) const {
  if (path_.empty() || data.size() > kMostBytes) return false;
  std::error_code error;
  fs::create_directories(path_.parent_path(), error);
  const fs::path draft = path_.string() + "." + std::to_string(getpid());
  const Header header{
      .kernels = kernels_, .size = data.size(), .checksum = XXH3_64bits(data.data(), data.size())};
  std::ofstream out(draft, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&header), sizeof header);
  out.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
  out.close();
  if (out) fs::rename(draft, path_, error);
  if (out && !error) return true;
  fs::remove(draft, error);
  return false;
}

}  // namespace corvid::model
