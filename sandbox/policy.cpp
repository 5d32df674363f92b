#include "sandbox/policy.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <fstream>

#include "sandbox/error.h"
#include "sandbox/protection.h"

namespace corvid::sandbox {
namespace {

namespace fs = std::filesystem;

// Below the home folder.
constexpr std::array kHomeSecrets = {
    // keys, tokens and passwords
    ".ssh", ".gnupg", ".pki", ".aws", ".azure", ".kube", ".docker", ".oci", ".netrc", ".config",
    ".git-credentials", ".npmrc", ".yarnrc.yml", ".pypirc", ".vault-token", ".password-store",
    ".pgpass", ".my.cnf", ".terraformrc", ".terraform.d", ".boto", ".s3cfg", ".databrickscfg",
    ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml",
    ".gradle/gradle.properties", ".huggingface", ".cache/huggingface/token", ".kaggle",
    ".local/share/keyrings", ".local/share/kwalletd", ".Xauthority", ".ICEauthority", ".putty",
    ".authinfo", ".authinfo.gpg", ".msmtprc", ".fetchmailrc", ".mbsyncrc", ".subversion/auth",
    ".composer/auth.json", ".nuget/NuGet/NuGet.Config", ".bundle/config", ".sbt/.credentials",
    ".ivy2/.credentials", ".m2/settings-security.xml", ".pulumi", ".fly", ".heroku", ".netlify",
    ".vercel", ".wrangler", ".age", ".electrum", ".bitcoin", ".ethereum", ".jupyter",
    ".local/share/jupyter", ".ollama/id_ed25519", ".smbcredentials", ".snowflake", ".sentryclirc",
    ".android/adbkey", ".local/share/containers/auth.json", ".local/share/gnome-keyring",
    // what browsers, mail and chat programs keep
    ".mozilla", ".thunderbird", ".cache/mozilla", ".cache/google-chrome", ".cache/chromium",
    ".var/app", "snap", ".purple", ".local/share/TelegramDesktop", ".local/share/evolution",
    // what was typed and said before
    ".bash_history", ".zsh_history", ".history", ".python_history", ".node_repl_history",
    ".psql_history", ".mysql_history", ".sqlite_history", ".irb_history", ".rediscli_history",
    ".lesshst", ".viminfo", ".local/share/fish", ".local/share/recently-used.xbel",
    ".local/share/zsh", ".local/state/nvim", ".local/share/nvim/shada",
    ".ipython/profile_default/history.sqlite",
    // this and other agents' state
    ".local/share/corvid", ".local/state/corvid", ".codex", ".claude", ".claude.json", ".gemini",
    ".qwen", ".cursor", ".aider.conf.yml", ".continue", ".pi", ".kimi-code", ".copilot", ".factory",
    ".local/share/opencode", ".local/share/goose", ".local/share/crush"};

// Run or obeyed by shells and programs of the user, when the home folder can be written in.
constexpr std::array kHomeStartup = {
    ".bashrc",      ".bash_aliases", ".bash_profile",    ".bash_login",
    ".bash_logout", ".profile",      ".zshrc",           ".zshenv",
    ".zprofile",    ".zlogin",       ".zlogout",         ".kshrc",
    ".mkshrc",      ".cshrc",        ".tcshrc",          ".login",
    ".gitconfig",   ".inputrc",      ".vimrc",           ".vim",
    ".emacs",       ".emacs.d",      ".tmux.conf",       ".screenrc",
    ".local/bin",   "bin",           ".xprofile",        ".xinitrc",
    ".xsession",    ".xsessionrc",   ".pam_environment", ".cargo/config.toml",
    ".gdbinit",     ".lldbinit",     ".pythonrc"};

// Readable only by root, so they matter when Corvid runs as root.
constexpr std::array kSystemSecrets = {"/etc/shadow",
                                       "/etc/shadow-",
                                       "/etc/gshadow",
                                       "/etc/gshadow-",
                                       "/etc/sudoers",
                                       "/etc/sudoers.d",
                                       "/etc/ssl/private",
                                       "/etc/krb5.keytab",
                                       "/etc/NetworkManager/system-connections",
                                       "/etc/wireguard",
                                       "/etc/docker/key.json",
                                       "/etc/kubernetes",
                                       "/var/lib/docker",
                                       "/var/lib/kubelet",
                                       "/var/lib/sss",
                                       "/etc/letsencrypt",
                                       "/etc/pki/tls/private",
                                       "/etc/mysql/debian.cnf",
                                       "/etc/ppp",
                                       "/etc/openvpn",
                                       "/etc/ipsec.secrets",
                                       "/etc/ipsec.d/private",
                                       "/etc/rancher",
                                       "/etc/crypttab",
                                       "/etc/exim4/passwd.client",
                                       "/etc/postfix/sasl_passwd",
                                       "/etc/apt/auth.conf",
                                       "/etc/apt/auth.conf.d",
                                       "/etc/credstore",
                                       "/etc/credstore.encrypted",
                                       "/var/lib/private",
                                       "/var/lib/NetworkManager",
                                       "/var/lib/systemd/credential.secret",
                                       "/var/spool/cron",
                                       "/var/mail"};

fs::path home_folder() {
  if (const char* home = std::getenv("HOME"); home && *home == '/') return home;
  if (const passwd* user = ::getpwuid(::getuid())) return user->pw_dir;
  return "/";
}

// What belongs to root alone, for a Corvid that runs as root.
void add_system_secrets(const fs::path& home, std::vector<fs::path>& secrets) {
  for (const char* name : kSystemSecrets) secrets.emplace_back(name);
  if (::geteuid() == 0 && home != "/root") {  // with sudo, say
    for (const char* name : kHomeSecrets) secrets.push_back(fs::path("/root") / name);
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/etc/ssh", error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("ssh_host_") && name.ends_with("_key")) secrets.push_back(entry.path());
  }
}

// Where XDG variables move what kHomeSecrets names at its usual place.
void add_moved_folders(std::vector<fs::path>& secrets) {
  for (const char* name : {"XDG_CONFIG_HOME", "GNUPGHOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR",
                           "DOCKER_CONFIG", "KUBECONFIG", "AWS_SHARED_CREDENTIALS_FILE",
                           "AWS_CONFIG_FILE", "NETRC", "PGPASSFILE", "SSH_AUTH_SOCK"}) {
    if (const char* value = std::getenv(name); value && *value == '/') secrets.emplace_back(value);
  }
  for (const char* name : {"XDG_DATA_HOME", "XDG_STATE_HOME"}) {
    if (const char* value = std::getenv(name); value && *value == '/') {
      secrets.push_back(fs::path(value) / "corvid");
    }
  }
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The folder that a `.git` file points to, if that folder agrees: a file in the workspace alone
// must not be able to open another folder for writing.
fs::path linked_git_folder(const fs::path& file) {
  std::error_code error;
  const std::string line = first_line(file);
  if (!line.starts_with("gitdir: ")) return {};
  const fs::path admin = fs::canonical(file.parent_path() / line.substr(8), error);
  if (error) return {};
  if (fs::weakly_canonical(first_line(admin / "gitdir"), error) == file && !error) {  // a worktree
    return fs::canonical(admin / first_line(admin / "commondir"), error);
  }
  std::ifstream config(admin / "config");  // a submodule
  for (std::string text; std::getline(config, text);) {
    const std::size_t at = text.find("worktree = ");
    if (at == std::string::npos) continue;
    const fs::path worktree = fs::weakly_canonical(admin / text.substr(at + 11), error);
    if (worktree == file.parent_path()) return admin;
  }
  return {};
}

// Without its git folder, the repository around a workspace could be looked at but not committed
// to.
void add_git_folder(Policy& policy) {
  std::error_code error;
  for (fs::path folder = policy.workspace;; folder = folder.parent_path()) {
    const fs::path git = folder / ".git";
    fs::path found;
    if (fs::is_symlink(git, error)) return;
    if (fs::is_regular_file(git, error)) found = linked_git_folder(git);
    if (fs::is_directory(git, error)) found = git;
    if (!found.empty() && !is_beneath(found, policy.workspace)) policy.writable.push_back(found);
    if (!found.empty() || folder == folder.parent_path()) return;
  }
}

std::int64_t sensible_memory() {
  const std::int64_t all = std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  return std::min(Limits().memory_bytes, all / 2);
}

// As a file system that folds case and drops invisible characters sees it (git's own rule).
std::string folded(std::string_view name) {
  constexpr std::array<std::string_view, 3> kInvisible = {"\xC2\xAD", "\xEF\xBB\xBF",
                                                          "\xEF\xB8\x8F"};
  std::string text;
  while (!name.empty()) {
    const bool general = name.size() >= 3 && name[0] == '\xE2' &&  // U+2000..U+206F
                         (name[1] == '\x80' || name[1] == '\x81');
    const auto invisible = std::find_if(kInvisible.begin(), kInvisible.end(),
                                        [&](auto part) { return name.starts_with(part); });
    if (general) {
      name.remove_prefix(3);
    } else if (invisible != kInvisible.end()) {
      name.remove_prefix(invisible->size());
    } else if (name.starts_with("\xC5\xBF")) {  // long s
      text += 's';
      name.remove_prefix(2);
    } else if (name.starts_with("\xE2\x84\xAA")) {  // Kelvin sign
      text += 'k';
      name.remove_prefix(3);
    } else {
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
      name.remove_prefix(1);
    }
  }
  while (text.size() > 1 && (text.back() == '.' || text.back() == ' ')) text.pop_back();
  return text;
}

// Where a link leads, over further links: who writes there has written in what it stands for.
void add_targets(fs::path path, std::vector<fs::path>& found) {
  constexpr int kMostLinks = 8;
  std::error_code error;
  for (int links = 0; links < kMostLinks && fs::is_symlink(path, error); ++links) {
    path = (path.parent_path() / fs::read_symlink(path, error)).lexically_normal();
    if (error) return;
    if (!path.has_filename()) path = path.parent_path();
    found.push_back(path);
    const fs::path real = fs::weakly_canonical(path, error);
    if (!error && real != path) found.push_back(real);
  }
}

}  // namespace

Policy default_policy(const fs::path& workspace) {
  std::error_code error;
  Policy policy;
  policy.workspace = fs::canonical(workspace, error);
  if (error || !fs::is_directory(policy.workspace, error)) {
    throw SandboxError("the workspace " + workspace.string() + " is not a folder");
  }
  const fs::path home = home_folder();
  for (const char* name : kHomeSecrets) policy.secrets.push_back(home / name);
  add_system_secrets(home, policy.secrets);
  add_moved_folders(policy.secrets);
  for (fs::path& secret : policy.secrets) secret = fs::weakly_canonical(secret, error);
  for (const char* name : kHomeStartup) policy.frozen.push_back(home / name);
  for (const fs::path& named : named_by_git(policy.workspace)) policy.frozen.push_back(named);
  add_git_folder(policy);
  policy.limits.memory_bytes = sensible_memory();
  return policy;
}

std::string protected_part(const fs::path& relative) {
  for (const fs::path& part : relative) {
    const std::string name = folded(part.string());
    const bool git = name == ".git" || name == "git~1";
    if (git || std::find(std::begin(kProtectedNames), std::end(kProtectedNames), name) !=
                   std::end(kProtectedNames)) {
      return part.string();
    }
  }
  return {};
}

std::vector<fs::path> frozen_paths(const Policy& policy) {
  std::vector<fs::path> roots = policy.writable;
  roots.push_back(policy.workspace);
  std::vector<fs::path> found, candidates = policy.frozen;
  for (const fs::path& root : roots) {
    for (const std::string_view name : kProtectedNames) add_targets(root / name, candidates);
  }
  for (const fs::path& path : candidates) {
    const auto any = [&](auto test) { return std::any_of(roots.begin(), roots.end(), test); };
    const bool writable = any([&](const fs::path& root) { return is_beneath(path, root); });
    const bool opened = any([&](const fs::path& root) { return is_beneath(root, path); });
    if (writable && !opened) found.push_back(path);
  }
  return found;
}

bool is_beneath(const fs::path& path, const fs::path& root) {
  const std::string_view inner = path.native();
  std::string_view outer = root.native();
  while (outer.ends_with('/')) outer.remove_suffix(1);
  return inner.starts_with(outer) && (inner.size() == outer.size() || inner[outer.size()] == '/');
}

}  // namespace corvid::sandbox
