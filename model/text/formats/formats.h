// The chat formats there are, one file each. Called by ChatFormat::named alone.
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
