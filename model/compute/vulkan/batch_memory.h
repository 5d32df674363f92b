// What the kernels read about the batch in progress: its rows and their pages.
//
// The device keeps it from batch to batch, and moves rows on by itself when it draws their next
// tokens: of a batch that continues the last one, only the addresses of new pages go up. Places
// stay the same for batches of the same number of rows, so that commands can be replayed.
#pragma once

#include <span>
#include <vector>

#include "model/compute/backend.h"
#include "model/compute/vulkan/known_memory.h"

namespace corvid::model {

class BatchMemory {
 public:
  BatchMemory(const Device& device, Commands& commands)
      : commands_(commands), memory_(device, commands, "batches") {}

  // The device must have finished the batch before. `pages` are all pages there are.
  void begin(const Batch& batch, std::span<const Region> pages);
  // Keeps these rows. Returns the address of their list, u32 [rows].
  VkDeviceAddress narrow(std::span<const int> rows);

  int rows() const { return static_cast<int>(rows_.size()); }
  int position(int row) const { return static_cast<int>(rows_[row].position); }
  int longest() const;  // tokens, of the row that has most
  VkDeviceAddress rows_address(int first = 0) const { return memory_.address() + place_of(first); }
  VkDeviceAddress pages_address() const { return memory_.address() + pages_at_; }

  // Tokens are about to be drawn for rows from `first` on, which go on to the next position with
  // them; and these they are.
  void expect_draws(int first, int n);
  void learn_draws(int first, std::span<const Token> tokens);

 private:
  struct Row {  // as in memory.glsl
    std::uint32_t position, first_page, token, unused;
  };

  VkDeviceSize place_of(int row) const { return rows_at_ + row * sizeof(Row); }
  void update_pages(const Sequence& sequence, std::uint32_t first, std::span<const Region> pages);

  Commands& commands_;
  KnownMemory memory_;
  std::vector<Row> rows_;
  std::vector<VkDeviceAddress> addresses_;  // of a sequence's pages
  VkDeviceSize rows_at_ = 0, narrow_at_ = 0, pages_at_ = 0;
};

}  // namespace corvid::model
