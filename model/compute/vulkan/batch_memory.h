// What the kernels read about the batch in progress: its rows, their angles, and its pages.
//
// Filled by the CPU in mapped memory, copied to the device by the first command of a batch.
// Addresses stay the same for batches of the same number of rows, so that commands can be replayed.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/compute/backend.h"
#include "model/compute/vulkan/commands.h"

namespace corvid::model {

class BatchMemory {
 public:
  BatchMemory(const Device& device, Commands& commands) : device_(device), commands_(commands) {}

  void add_rope(std::span<const double> frequencies);
  int ropes() const { return static_cast<int>(ropes_.size()); }

  // The device must have finished the batch before. `pages` are all pages there are.
  void begin(const Batch& batch, std::span<const Region> pages);
  // Keeps these rows. Returns the address of their list, u32 [rows].
  VkDeviceAddress narrow(std::span<const int> rows);

  VkDeviceSize bytes() const { return bytes_; }  // of the batch, on their way to the device
  int rows() const { return static_cast<int>(rows_.size()); }
  int position(int row) const { return static_cast<int>(rows_[row].position); }
  int longest() const;  // tokens, of the row that has most
  VkDeviceAddress rows_address(int first = 0) const {
    return device_memory_->region().address + rows_at_ + first * sizeof(Row);
  }
  VkDeviceAddress pages_address() const { return device_memory_->region().address + pages_at_; }
  VkDeviceAddress angles_address(const Rope& rope) const {
    return device_memory_->region().address + angles_at_[rope.id];
  }

 private:
  struct Row {  // as in memory.glsl
    std::uint32_t position, first_page, token, angles;
  };

  void reserve(VkDeviceSize bytes);
  void write_angles(int n_rows);
  void send(VkDeviceSize from, VkDeviceSize to);

  const Device& device_;
  Commands& commands_;
  std::vector<std::vector<double>> ropes_;
  std::vector<VkDeviceSize> angles_at_;
  std::unique_ptr<Buffer> host_memory_, device_memory_;
  std::vector<Row> rows_;
  VkDeviceSize rows_at_ = 0, narrow_at_ = 0, pages_at_ = 0, bytes_ = 0;
};

}  // namespace corvid::model
