// Any bytes read as a GGUF file: refused with a ModelError, or read within their bounds. So are the
// model that its keys describe, and its vocabulary.
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "model/error.h"
#include "model/files/gguf.h"
#include "model/net/config.h"
#include "model/text/tokenizer.h"

using namespace corvid::model;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  struct Delete {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{64}); }
  };
  // Exactly as long as the input, so that a read beyond it is seen.
  const std::unique_ptr<std::byte[], Delete> bytes(new (std::align_val_t{64}) std::byte[size]);
  if (size > 0) std::memcpy(bytes.get(), data, size);
  try {
    const auto file = GgufFile::from_memory({bytes.get(), size}, "fuzz");
    file->fingerprint();
    for (const TensorView& view : file->tensors()) {
      if (view.bytes == 0) continue;
      volatile std::byte edge = view.data[0];
      edge = view.data[view.bytes - 1];
      (void)edge;
      // The first row and the last, as the engine reads them.
      const std::size_t columns = view.ne[0], bytes = row_bytes(view.type, view.ne[0]);
      if (columns > 4096) continue;
      std::vector<float> row(columns);
      dequantize_row(view.type, view.data, row);
      dequantize_row(view.type, view.data + view.bytes - bytes, row);
    }
    try {
      read_config(*file).rope_frequencies();
    } catch (const ModelError&) {
    }
    Tokenizer::load(*file);
  } catch (const ModelError&) {
  }
  return 0;
}
