#include "tests/model/memory_probe.h"

#include <algorithm>
#include <bitset>
#include <cassert>
#include <cstring>
#include <unordered_map>

namespace corvid::model::testing {
namespace {

using Word = std::uint32_t;
using Words = std::vector<Word>;

constexpr std::uint32_t kHeaderBytes = 8;

// Source: SPIR-V specification, section 3.
enum Op : Word {
  kTypeInt = 21,
  kTypeFloat = 22,
  kTypeVector = 23,
  kTypeRuntimeArray = 29,
  kTypeStruct = 30,
  kTypePointer = 32,
  kTypeForwardPointer = 39,
  kConstant = 43,
  kConstantComposite = 44,
  kFunction = 54,
  kVariable = 59,
  kLoad = 61,
  kStore = 62,
  kAccessChain = 65,
  kInBoundsAccessChain = 66,
  kPtrAccessChain = 67,
  kDecorate = 71,
  kMemberDecorate = 72,
  kCompositeExtract = 81,
  kCompositeInsert = 82,
  kBitcast = 124,
  kBitwiseOr = 197,
  kBitwiseAnd = 199,
  kAtomicAdd = 234,
};
constexpr Word kPhysicalStorageBuffer = 5349, kHeaderWords = 5;
constexpr Word kBlock = 2, kArrayStride = 6, kOffset = 35, kAligned = 2;

// In the high half of an address, above the 16 bits that addresses have there.
constexpr int kKernelShift = 16, kStoreShift = 21, kBytesShift = 22;

class Rewriter {
 public:
  Rewriter(std::span<const Word> code, Kernel kernel, VkDeviceAddress log, Word entries)
      : code_(code), kernel_(kernel), log_(log), room_(entries), bound_(code[3]) {}

  Words run() {
    std::copy_n(code_.begin(), kHeaderWords, std::back_inserter(out_));
    bool decorated = false, declared = false;
    for (std::size_t at = kHeaderWords; at < code_.size(); at += code_[at] >> 16) {
      const std::span<const Word> op = code_.subspan(at, code_[at] >> 16);
      const Word name = op[0] & 0xFFFF;
      if (!decorated && name >= 19 && name <= 51) {  // the first type or constant
        decorated = true;
        decorate();
      }
      if (!declared && name == kFunction) {
        declared = true;
        declare();
      }
      learn(name, op);
      if (name == kLoad && is_physical(type_of_[op[3]])) note(op[3], op[1], false);
      if (name == kStore && is_physical(type_of_[op[1]])) note(op[1], type_of_[op[2]], true);
      out_.insert(out_.end(), op.begin(), op.end());
    }
    out_[3] = bound_;
    return std::move(out_);
  }

 private:
  struct Pointer {
    Word storage, pointee;
  };

  void emit(Word name, std::initializer_list<Word> operands) {
    out_.push_back(static_cast<Word>(operands.size() + 1) << 16 | name);
    out_.insert(out_.end(), operands);
  }
  Word emit_value(Word name, Word type, std::initializer_list<Word> operands) {
    const Word id = bound_++;
    out_.push_back(static_cast<Word>(operands.size() + 3) << 16 | name);
    out_.insert(out_.end(), {type, id});
    out_.insert(out_.end(), operands);
    return id;
  }
  Word emit_type(Word name, std::initializer_list<Word> operands) {
    const Word id = bound_++;
    out_.push_back(static_cast<Word>(operands.size() + 2) << 16 | name);
    out_.push_back(id);
    out_.insert(out_.end(), operands);
    return id;
  }

  bool is_physical(Word type) const {
    const auto found = pointers_.find(type);
    return found != pointers_.end() && found->second.storage == kPhysicalStorageBuffer;
  }

  void learn(Word name, std::span<const Word> op) {
    if (name == kTypeInt || name == kTypeFloat) bytes_[op[1]] = op[2] / 8;
    if (name == kTypeInt && op[2] == 32 && op[3] == 0) uint_ = op[1];
    if (name == kTypeVector) bytes_[op[1]] = bytes_[op[2]] * op[3];
    if (name == kTypeVector && op[2] == uint_ && op[3] == 2) pair_ = op[1];
    if (name == kTypeStruct) {
      Word bytes = 0;
      for (Word member : op.subspan(2)) bytes += bytes_[member];
      bytes_[op[1]] = bytes;
    }
    if (name == kTypeForwardPointer) bytes_[op[1]] = 8;
    if (name == kTypePointer) {
      pointers_[op[1]] = {op[2], op[3]};
      bytes_[op[1]] = 8;
    }
    // Every value has its type first; what has none here is never a pointer or stored.
    const bool is_value = (name >= kConstant && name <= 52) || name == 55 || name == kVariable ||
                          name == kLoad || (name >= kAccessChain && name <= 70) ||
                          (name >= 77 && name <= 84) || (name >= 109 && name <= 205) ||
                          (name >= 207 && name <= 215) || name == 12 || name == 57 ||
                          (name >= 227 && name <= 242) || name == 245 ||
                          (name >= 333 && name <= 366) || (name >= 4450 && name <= 4455);
    if (is_value && op.size() > 2) type_of_[op[2]] = op[1];
  }

  // The list is a struct { uint count; uint unused; uvec2 entries[]; }.
  void decorate() {
    entries_ = bound_++;
    list_ = bound_++;
    emit(kDecorate, {entries_, kArrayStride, 8});
    emit(kDecorate, {list_, kBlock});
    emit(kMemberDecorate, {list_, 0, kOffset, 0});
    emit(kMemberDecorate, {list_, 1, kOffset, kHeaderBytes});
  }

  void declare() {
    if (!pair_) pair_ = emit_type(kTypeVector, {uint_, 2});
    emit(kTypeRuntimeArray, {entries_, pair_});
    emit(kTypeStruct, {list_, uint_, entries_});
    list_pointer_ = emit_type(kTypePointer, {kPhysicalStorageBuffer, list_});
    uint_pointer_ = emit_type(kTypePointer, {kPhysicalStorageBuffer, uint_});
    pair_pointer_ = emit_type(kTypePointer, {kPhysicalStorageBuffer, pair_});
    zero_ = emit_value(kConstant, uint_, {0});
    one_ = emit_value(kConstant, uint_, {1});
    mask_ = emit_value(kConstant, uint_, {room_ - 1});
    const Word low = emit_value(kConstant, uint_, {static_cast<Word>(log_)});
    const Word high = emit_value(kConstant, uint_, {static_cast<Word>(log_ >> 32)});
    address_ = emit_value(kConstantComposite, pair_, {low, high});
    for (Word store : {0, 1}) {
      for (Word bytes : {4, 8, 12, 16, 40}) {
        const Word tag = static_cast<Word>(kernel_) << kKernelShift | store << kStoreShift |
                         bytes << kBytesShift;
        tags_[store][bytes] = emit_value(kConstant, uint_, {tag});
      }
    }
  }

  void note(Word pointer, Word type, bool store) {
    const Word tag = tags_[store].at(bytes_.at(type));
    const Word where = emit_value(kBitcast, pair_, {pointer});
    const Word list = emit_value(kBitcast, list_pointer_, {address_});
    const Word count = emit_value(kAccessChain, uint_pointer_, {list, zero_});
    const Word next = emit_value(kAtomicAdd, uint_, {count, one_, zero_, one_});
    const Word index = emit_value(kBitwiseAnd, uint_, {next, mask_});
    const Word high = emit_value(kCompositeExtract, uint_, {where, 1});
    const Word tagged = emit_value(kBitwiseOr, uint_, {high, tag});
    const Word entry = emit_value(kCompositeInsert, pair_, {tagged, where, 1});
    const Word to = emit_value(kAccessChain, pair_pointer_, {list, one_, index});
    emit(kStore, {to, entry, kAligned, 8});
  }

  std::span<const Word> code_;
  Kernel kernel_;
  VkDeviceAddress log_;
  Word room_, bound_;
  Words out_;
  std::unordered_map<Word, Pointer> pointers_;
  std::unordered_map<Word, Word> bytes_, type_of_;  // of types; of values
  std::unordered_map<Word, Word> tags_[2];
  Word uint_ = 0, pair_ = 0, entries_ = 0, list_ = 0, list_pointer_ = 0, uint_pointer_ = 0,
       pair_pointer_ = 0, zero_ = 0, one_ = 0, mask_ = 0, address_ = 0;
};

// Words of memory by their addresses, as bits: kernels touch a few pieces of it densely.
class WordSet {
 public:
  void add(std::uint64_t word, std::uint64_t n) {
    for (std::uint64_t last = word + n; word < last; ++word) {
      if (!page_ || word / kPageWords != number_) {
        number_ = word / kPageWords;
        page_ = &pages_[number_];
      }
      page_->set(word % kPageWords);
    }
  }
  // And forgets them.
  std::int64_t take_size() {
    std::size_t n = 0;
    for (const auto& [number, page] : pages_) n += page.count();
    pages_.clear();
    page_ = nullptr;
    return static_cast<std::int64_t>(n);
  }

 private:
  static constexpr std::uint64_t kPageWords = 1024;
  using Page = std::bitset<kPageWords>;

  std::unordered_map<std::uint64_t, Page> pages_;  // whose elements stay where they are
  std::uint64_t number_ = 0;                       // of the page used last
  Page* page_ = nullptr;
};

}  // namespace

Words MemoryProbe::rewrite(const Device& device, Kernel kernel, std::span<const Word> code) {
  if (!log_) {
    const VkDeviceSize bytes = kHeaderBytes + VkDeviceSize{entries_} * 8;
    log_ = std::make_unique<Buffer>(device, bytes, Memory::host, "addresses");
    clear();
  }
  return Rewriter(code, kernel, log_->region().address, entries_).run();
}

void MemoryProbe::clear() {
  if (log_) std::memset(log_->region().mapped, 0, kHeaderBytes);
}

std::map<Kernel, ProbedBytes> MemoryProbe::bytes() const {
  std::uint32_t n = 0;
  const std::byte* log = log_->region().mapped;
  std::memcpy(&n, log, sizeof n);
  assert(n < entries_);
  std::map<Kernel, ProbedBytes> found;
  WordSet read, written;
  int last = -1;
  const auto close = [&] {
    if (last < 0) return;
    ProbedBytes& sum = found[static_cast<Kernel>(last)];
    sum.read += 4 * read.take_size();
    sum.written += 4 * written.take_size();
  };
  for (std::uint32_t i = 0; i < n; ++i) {
    std::uint64_t entry;
    std::memcpy(&entry, log + kHeaderBytes + std::size_t{i} * sizeof entry, sizeof entry);
    const int kernel = static_cast<int>(entry >> (32 + kKernelShift) & 31);
    if (kernel != last) close();
    last = kernel;
    const bool store = entry >> (32 + kStoreShift) & 1;
    const std::uint64_t address = entry & 0xFFFF'FFFF'FFFF, bytes = entry >> (32 + kBytesShift);
    if (!store) found[static_cast<Kernel>(kernel)].loaded += static_cast<std::int64_t>(bytes);
    (store ? written : read).add(address / 4, bytes / 4);
  }
  close();
  return found;
}

}  // namespace corvid::model::testing
