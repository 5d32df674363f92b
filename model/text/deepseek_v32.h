// The chat format of DeepSeek-V3.2: the markers that rendering, parsing and constraint share.
//
// Its call syntax (DSML) is ordinary text without escaping. Where a string argument contains a
// closing tag it is written as JSON with `<` as \u003c, and in results the tags that could close
// them are broken by one backslash; so what is read back is what was written.
// Source: encoding of DeepSeek-V3.2 (published with the model).
#pragma once

#include <memory>
#include <string_view>

#include "model/text/chat_format.h"

namespace corvid::model::v32 {

inline constexpr std::string_view kBos = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEos = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kUser = "<｜User｜>";
inline constexpr std::string_view kAssistant = "<｜Assistant｜>";
inline constexpr std::string_view kThink = "<think>";
inline constexpr std::string_view kEndThink = "</think>";

inline constexpr std::string_view kOpenCalls = "<｜DSML｜function_calls>";
inline constexpr std::string_view kCloseCalls = "</｜DSML｜function_calls>";
inline constexpr std::string_view kOpenInvoke = "<｜DSML｜invoke name=\"";
inline constexpr std::string_view kCloseInvoke = "</｜DSML｜invoke>";
inline constexpr std::string_view kOpenParameter = "<｜DSML｜parameter name=\"";
inline constexpr std::string_view kParameterKind = "\" string=\"";
inline constexpr std::string_view kCloseParameter = "</｜DSML｜parameter>";

std::unique_ptr<ChatFormat> chat_format();
std::unique_ptr<TurnParser> turn_parser(Thinking thinking);

}  // namespace corvid::model::v32
