// What requests to /v1/sessions say. Any thread; reading throws ModelError or ApiError that name
// the field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/text/json_field.h"
#include "runtime/agent.h"

namespace corvid::runtime {

bool lies_in_one_of(const std::filesystem::path& path,
                    const std::vector<std::filesystem::path>& folders);

// A new session: `settings` but for what the request says. Its folder is canonical, and in one of
// the workspaces.
AgentOptions read_session(const model::JsonField& body, const Settings& settings,
                          const std::vector<std::filesystem::path>& workspaces);
// As that request had them, also for a server that was started since.
Settings settings_of(const memory::SessionHeader& header, Settings defaults);
// Who made it: see owner_of; 0: the command line, or somebody without a key.
std::uint64_t owner_of(const memory::SessionHeader& header);
std::string read_prompt(const model::JsonField& body);
Approvals::Answer read_answer(const model::JsonField& body);
std::string_view name(Approvals::Answer answer);  // "once", "always", "no", "never"

}  // namespace corvid::runtime
