#include "tools/approval.h"

#include <algorithm>

#include "sandbox/location.h"
#include "sandbox/setup.h"

namespace corvid::tools {
namespace {

namespace fs = std::filesystem;

bool confines(const sandbox::Sandbox& sandbox) {
  const auto& rungs = sandbox.rungs();
  return std::any_of(rungs.begin(), rungs.end(), [](const sandbox::Rung& rung) {
    return rung.holds && (rung.name == sandbox::kMountRung || rung.name == sandbox::kLandlockRung);
  });
}

// The nearest folder on the way to `path` that is there: what is written lies in it or below.
fs::path existing_folder(const fs::path& path) {
  std::error_code error;
  for (fs::path folder = path.parent_path();; folder = folder.parent_path()) {
    const fs::path found = fs::canonical(folder, error);
    if (!error && fs::is_directory(found, error)) return found;
    if (folder == folder.parent_path()) return folder;
  }
}

// The file that a write to `path` reaches: where links on the way and the last one lead.
fs::path file_reached(fs::path path) {
  constexpr int kMaxLinks = 16;
  std::error_code error;
  for (int links = 0; links < kMaxLinks; ++links) {
    const fs::path folder = fs::weakly_canonical(path.parent_path(), error);
    if (!error) path = folder / path.filename();
    const fs::path target = fs::read_symlink(path, error);
    if (error) break;  // no link
    path = (path.parent_path() / target).lexically_normal();
  }
  return path;
}

// Lives as long as the files that look at it.
struct WiderFiles {
  explicit WiderFiles(sandbox::Policy wider) : policy(std::move(wider)), files(policy) {}
  sandbox::Policy policy;
  sandbox::Files files;
};

}  // namespace

asio::awaitable<Verdict> may_run(std::string command, ToolContext& context) {
  const bool off = context.sandbox.policy().mode == sandbox::Policy::Mode::off;
  if (off || confines(context.sandbox)) co_return Verdict{true, {}};
  if (!context.approve) co_return Verdict{false, "No sandbox holds on this machine."};
  Request request{"run this without a sandbox, as none holds on this machine:\n" + command,
                  "run " + command, "--sandbox off"};
  co_return co_await context.approve(std::move(request));
}

asio::awaitable<WriteAccess> write_access(std::string path, ToolContext& context) {
  WriteAccess access{{&context.files, [](const sandbox::Files*) {}}, {}};
  const sandbox::Policy& policy = context.sandbox.policy();
  const fs::path absolute = sandbox::absolute_path(policy, path);
  const bool off = policy.mode == sandbox::Policy::Mode::off;
  const bool outside = !off && sandbox::writable_root(policy, absolute).empty();
  if (!outside || !context.approve || sandbox::is_secret(policy, absolute)) co_return access;
  const fs::path folder = existing_folder(absolute), reached = file_reached(absolute);
  const std::string leads = reached == absolute ? "" : " (that is " + reached.string() + ")";
  Request request{"write " + absolute.string() + leads + ", which is outside the workspace",
                  "write " + reached.string(), "--writable " + folder.string()};
  const Verdict verdict = co_await context.approve(std::move(request));
  access.refusal = verdict.why;
  if (!verdict.allowed) co_return access;
  sandbox::Policy wider = policy;
  wider.writable.push_back(folder);
  const auto own = std::make_shared<const WiderFiles>(std::move(wider));
  access.files = std::shared_ptr<const sandbox::Files>(own, &own->files);
  co_return access;
}

std::string with_refusal(const std::string& error, const WriteAccess& access) {
  return access.refusal.empty() ? error : error + "\n" + access.refusal;
}

}  // namespace corvid::tools
