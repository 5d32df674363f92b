// The built-in model lies in the program itself: model/nano/nano.gguf, put there by the assembler.
#include <cstddef>
#include <span>

#include "runtime/local_model.h"

__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    ".global corvid_builtin_model\n"
    "corvid_builtin_model:\n"
    ".incbin \"" CORVID_BUILTIN_MODEL
    "\"\n"
    ".global corvid_builtin_model_end\n"
    "corvid_builtin_model_end:\n"
    ".previous\n");

extern "C" const std::byte corvid_builtin_model[], corvid_builtin_model_end[];

namespace corvid::runtime {

std::shared_ptr<const model::GgufFile> builtin_model_file() {
  const std::span<const std::byte> bytes(corvid_builtin_model, corvid_builtin_model_end);
  return model::GgufFile::from_memory(bytes, kBuiltinModel);
}

}  // namespace corvid::runtime
