// The rules that cut text into pieces before byte-pair merging; merges never cross a cut.
//
// Hand-written scanners, linear in the text, equal to the regular expressions that the models'
// authors publish. Bytes that are no UTF-8 count as characters of no category. Any thread; nothing
// throws.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace corvid::model {

// Appends the pieces of `text`, in order and without gaps.
using PreSplit = void (*)(std::string_view text, std::vector<std::string_view>& pieces);

// The rule that a file names in tokenizer.ggml.pre; nullptr when it is not known.
PreSplit pre_split_named(std::string_view name);
std::string pre_split_names();  // for messages

}  // namespace corvid::model
