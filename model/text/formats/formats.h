// The chat formats there are, one file each. A new one is a file that makes a ChatFormat, a line
// here and a line in known_formats.cpp; the tests of every format find it there. Called by
// ChatFormat::named alone.
#pragma once

#include <memory>

#include "model/text/chat_format.h"

namespace corvid::model::formats {

std::unique_ptr<ChatFormat> deepseek_v2();
std::unique_ptr<ChatFormat> deepseek_r1();
std::unique_ptr<ChatFormat> deepseek_v3();  // before V3.1: R1's format without reasoning
std::unique_ptr<ChatFormat> deepseek_v31();
std::unique_ptr<ChatFormat> deepseek_v32();
std::unique_ptr<ChatFormat> glm47();

}  // namespace corvid::model::formats
