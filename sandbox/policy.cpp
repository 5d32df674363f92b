#include "sandbox/policy.h"

#include "sandbox/error.h"

namespace corvid::sandbox {

Policy default_policy(const std::filesystem::path& workspace) {
  std::error_code error;
  Policy policy;
  policy.workspace = std::filesystem::canonical(workspace, error);
  if (error || !std::filesystem::is_directory(policy.workspace, error)) {
    throw SandboxError("the workspace " + workspace.string() + " is not a folder");
  }
  return policy;
}

}  // namespace corvid::sandbox
